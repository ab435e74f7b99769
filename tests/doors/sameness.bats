#!/usr/bin/env bats
# Whoever the host's user is, whatever their umask, through whichever door: the training works, the
# model is theirs, and it is the same model. tests/integration/test_sameness.py does the same for
# processors, threads, seeds, locales, time zones and the order of the rows.

load doors

USERS="0 1000 4711"

setup_file() {
	export MATRIX=$BATS_FILE_TMPDIR/matrix
	[ "$(id -u)" = 0 ] || return 0
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR"
	# The devcontainer CLI asks for the user's name.
	local uid
	for uid in $USERS; do
		getent passwd "$uid" >/dev/null || useradd --uid "$uid" "pressbox-$uid"
		copy_checkout "$BATS_FILE_TMPDIR/of-$uid"
		chown -R "$uid:$uid" "$BATS_FILE_TMPDIR/of-$uid"
	done
}

teardown_file() {
	"$ENGINE" ps --all --quiet --filter label=devcontainer.local_folder |
		xargs --no-run-if-empty "$ENGINE" rm --force >/dev/null
	local uid
	for uid in $USERS; do
		[ "$(getent passwd "$uid" | cut -d : -f 1)" != "pressbox-$uid" ] || userdel "pressbox-$uid"
	done
}

# trains_as UID UMASK DOOR
trains_as() {
	need_root
	local model digest
	export CHECKOUT=$BATS_FILE_TMPDIR/of-$1
	model=$CHECKOUT/models/sports.tar.gz
	umask "$2"
	if [ "$3" = inside ]; then
		run -0 --separate-stderr as_user "$1" "$ENGINE" exec --user "$1:$1" --env HOME=/tmp --workdir /workspaces/pressbox \
			"$(container)" bash -c "umask $2; scripts/train.sh"
	else
		run -0 --separate-stderr as_user "$1" "$CHECKOUT/scripts/train.sh" --door "$3"
	fi
	[ "$(stat -c '%u %g %a' "$model")" = "$1 $1 $(printf '%o' $((0666 & ~0$2)))" ]
	digest=$(digest_of "$model")
	[ -n "$digest" ]
	printf '%-14s uid %-6s umask %s  %s\n' "$3" "$1" "$2" "$digest" >>"$MATRIX"
	rm "$model"
}

container() {
	"$ENGINE" ps --quiet --filter "label=devcontainer.local_folder=$CHECKOUT"
}

@test "root trains through docker" { trains_as 0 0022 docker; }
@test "root with umask 0002 trains through docker" { trains_as 0 0002 docker; }
@test "root trains through the dev container" { trains_as 0 0022 devcontainer; }
@test "root with umask 0002 trains through the dev container" { trains_as 0 0002 devcontainer; }
@test "root trains inside" { trains_as 0 0022 inside; }
@test "root with umask 0002 trains inside" { trains_as 0 0002 inside; }
@test "uid 1000 trains through docker" { trains_as 1000 0022 docker; }
@test "uid 1000 with umask 0002 trains through docker" { trains_as 1000 0002 docker; }
@test "uid 1000 trains through the dev container" { trains_as 1000 0022 devcontainer; }
@test "uid 1000 with umask 0002 trains through the dev container" { trains_as 1000 0002 devcontainer; }
@test "uid 1000 trains inside" { trains_as 1000 0022 inside; }
@test "uid 1000 with umask 0002 trains inside" { trains_as 1000 0002 inside; }
@test "uid 4711 trains through docker" { trains_as 4711 0022 docker; }
@test "uid 4711 with umask 0002 trains through docker" { trains_as 4711 0002 docker; }
@test "uid 4711 trains through the dev container" { trains_as 4711 0022 devcontainer; }
@test "uid 4711 with umask 0002 trains through the dev container" { trains_as 4711 0002 devcontainer; }
@test "uid 4711 trains inside" { trains_as 4711 0022 inside; }
@test "uid 4711 with umask 0002 trains inside" { trains_as 4711 0002 inside; }

@test "all of them gave one model" {
	need_root
	sed 's/^/# /' "$MATRIX" >&3
	[ "$(wc -l <"$MATRIX")" = 18 ]
	[ "$(awk '{ print $NF }' "$MATRIX" | sort -u | wc -l)" = 1 ]
}

@test "root in somebody's checkout leaves a model that is the owner's" {
	need_root
	export CHECKOUT=$BATS_FILE_TMPDIR/of-4711
	run -0 --separate-stderr "$CHECKOUT/scripts/train.sh" --door docker
	[ "$(stat -c %u "$CHECKOUT/models/sports.tar.gz")" = 4711 ]
}
