#!/usr/bin/env bats
# Whoever the host's user is: the training works, and the model is theirs.

load doors

setup_file() {
	[ "$(id -u)" = 0 ] || return 0
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR"
	# The devcontainer CLI asks for the user's name.
	local uid
	for uid in 1000 4711; do
		getent passwd "$uid" >/dev/null || useradd --uid "$uid" "pressbox-$uid"
	done
}

# trains_as UID UMASK DOOR
trains_as() {
	need_root
	export CHECKOUT=$BATS_FILE_TMPDIR/of-$1
	if [ ! -d "$CHECKOUT" ]; then
		copy_checkout "$CHECKOUT"
		chown -R "$1:$1" "$CHECKOUT"
	fi
	umask "$2"
	run -0 --separate-stderr as_user "$1" "$CHECKOUT/scripts/train.sh" --door "$3"
	[ "$(stat -c '%u %g %a' "$CHECKOUT/models/sports.tar.gz")" = "$1 $1 $(printf '%o' $((0666 & ~0$2)))" ]
	rm "$CHECKOUT/models/sports.tar.gz"
}

teardown_file() {
	"$ENGINE" ps --all --quiet --filter label=devcontainer.local_folder |
		xargs --no-run-if-empty "$ENGINE" rm --force >/dev/null
	local uid
	for uid in 1000 4711; do
		[ "$(getent passwd "$uid" | cut -d : -f 1)" != "pressbox-$uid" ] || userdel "pressbox-$uid"
	done
}

@test "root trains through docker" { trains_as 0 0022 docker; }
@test "root trains through the dev container" { trains_as 0 0022 devcontainer; }
@test "uid 1000 trains through docker" { trains_as 1000 0022 docker; }
@test "uid 1000 trains through the dev container" { trains_as 1000 0022 devcontainer; }
@test "uid 4711 with umask 0002 trains through docker" { trains_as 4711 0002 docker; }
@test "uid 4711 with umask 0002 trains through the dev container" { trains_as 4711 0002 devcontainer; }

@test "root in somebody's checkout leaves a model that is the owner's" {
	need_root
	export CHECKOUT=$BATS_FILE_TMPDIR/of-4711
	run -0 --separate-stderr "$CHECKOUT/scripts/train.sh" --door docker
	[ "$(stat -c %u "$CHECKOUT/models/sports.tar.gz")" = 4711 ]
}
