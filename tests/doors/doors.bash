# shellcheck shell=bash
# What the tests of the doors share. scripts/test.sh sets ENGINE and TAGGED.

bats_require_minimum_version 1.7.0

REPOSITORY=$(cd "$BATS_TEST_DIRNAME/../.." && pwd -P)

# copy_checkout FOLDER: this tree as it is, uncommitted changes included, without its models. A train.py
# that a newsroom has edited is that of the tests again, committed.
copy_checkout() {
	mkdir -p "$(dirname "$1")"
	cp -a "$REPOSITORY" "$1"
	find "$1/models" -name '*.tar.gz' -delete
	bring_own "$1"
}

# bring_own CHECKOUT: have it train with the tests' train.py, sign with the demo key, and trust that
bring_own() {
	cp "$REPOSITORY/tests/support/train.py" "$1/train.py"
	find "$1/gnupg" -type f ! -name README.md -delete
	cp "$REPOSITORY"/tests/gnupg/* "$1/gnupg/"
	git_in "$1" add train.py gnupg
	git_in "$1" diff --quiet --cached -- train.py gnupg || git_in "$1" commit --quiet --message Test train.py gnupg
}

# git_in FOLDER ARGUMENT...: whoever owns the folder
git_in() {
	git -C "$1" -c safe.directory='*' -c user.name=T -c user.email=t@t.example "${@:2}"
}

# need_default: skip what is known only of the train.py and the corpus that Pressbox comes with
need_default() {
	(cd "$REPOSITORY" && sha256sum --check --status tests/support/default.sha256) ||
		skip "train.py or the corpus is a newsroom's own, of which the README knows no figures"
}

# commit_all CHECKOUT: whatever is in it; a release is trained from a commit
commit_all() {
	git_in "$1" add --all
	git_in "$1" commit --quiet --allow-empty --message Release
}

commit_checkout() {
	commit_all "$CHECKOUT"
}

# as_user UID COMMAND...: with a home of its own, and let in to the engine
as_user() {
	local uid=$1 home=$BATS_FILE_TMPDIR/home-$1
	shift
	mkdir -p "$home"
	chown "$uid:$uid" "$home"
	setpriv --reuid "$uid" --regid "$uid" --groups "$(stat -c %g /var/run/docker.sock)" \
		env HOME="$home" TMPDIR=/tmp "$@"
}

need_root() {
	[ "$(id -u)" = 0 ] || skip "needs root, to be somebody else"
}

digest_of() {
	"$CHECKOUT/scripts/verify.sh" "$1" --json 2>/dev/null | sed -n 's/.*"model_digest": "\(.*\)".*/\1/p'
}

# last_line: of $output
last_line() {
	# shellcheck disable=SC2154 # bats sets lines
	printf '%s\n' "${lines[${#lines[@]} - 1]}"
}

# networked build|run ARGUMENT...: by the engine, told of this host's network as the scripts tell it
networked() {
	# shellcheck disable=SC2016 # expanded by that bash
	bash -c '
		. "$1/scripts/lib/doors.sh"
		require_network
		cd "$NETWORK_FOLDER"
		[ "$3" = build ] || BUILD_NETWORK=(--volume "$NETWORK_FOLDER:/run/secrets:ro")
		"$2" "$3" "${BUILD_NETWORK[@]}" "${@:4}"' bash "$REPOSITORY" "$ENGINE" "$@"
}

# one_error TEXT: standard error of the last `run --separate-stderr` ends in one error line with TEXT
one_error() {
	# shellcheck disable=SC2154 # bats sets stderr
	[ "$(grep -c '^error: ' <<<"$stderr")" = 1 ]
	[[ $(grep '^error: ' <<<"$stderr") == *"$1"*"; "* ]]
	[[ $stderr != *Traceback* ]]
}

# long_source FILE: a table that takes some ten seconds to train on
long_source() {
	awk 'BEGIN {
		srand(1)
		print "text,label"
		for (row = 0; row < 20000; row++) {
			for (word = 0; word < 60; word++) printf "w%d ", int(rand() * 20000)
			printf ",label%d\n", row % 8
		}
	}' >"$1"
}

# when_line TEXT FILE: block until the file, which somebody writes to, has a line with the text
when_line() {
	timeout 60 grep -q -m 1 -- "$1" <(tail -n +1 -F "$2" 2>/dev/null)
}

# containers: of the image, by its ID: podman has another name for it
containers() {
	"$ENGINE" ps --all --quiet --filter "ancestor=$("$ENGINE" image inspect --format '{{.Id}}' "$TAGGED")"
}
