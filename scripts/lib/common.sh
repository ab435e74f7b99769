# shellcheck shell=bash
# What every script needs: strict mode, the checkout's place, lines for people.
set -Eeuo pipefail

readonly EX_FAILED=1 EX_USAGE=2 EX_UNAVAILABLE=69

# Where the checkout lies in the image, whichever door leads there.
INSIDE=/workspaces/pressbox
# What every script is told by --dry-run, --bootstrap and --build: print commands; make what is missing; build the
# image, even if it is there or can be pulled.
DRY_RUN='' BOOTSTRAP='' BUILD=''
# See temporary, stage, and let_in_agent; PART is a folder whose contents are on their way to their place.
TEMPORARY='' MADE_BY='' STAGE='' AGENT='' PART=''

say() {
	printf '%s\n' "$*" >&2
}

# die STATUS "what; what to do": one line, whatever is in the name of a file
die() {
	local line=${2//$'\n'/\\n}
	say "error: ${line//[[:cntrl:]]/?}"
	exit "$1"
}

has() {
	command -v "$1" >/dev/null 2>&1
}

# Run a command, or only print it with --dry-run. Its output is for people: standard error.
run() {
	if [ -n "$DRY_RUN" ]; then
		printf '%q ' "$@" >&2
		printf '\n' >&2
	else
		"$@" >&2
	fi
}

# resolve PATH: sets RESOLVED: absolute, without symlinks in its folder; 1 if the folder is not there.
# Not printed: $() would cut off a newline at the end of a name. An absolute or ./ path cannot be taken for an option.
resolve() {
	local path=$1 name=
	[[ $path == /* ]] || path=./$path
	if [ ! -d "$path" ]; then
		name=/${path##*/}
		path=${path%/*}/
	fi
	path=$(cd -P "$path" 2>/dev/null && printf '%s/' "$PWD") || return 1
	# Of the root folder two slashes are left to take off.
	path=${path%/}
	RESOLVED=${path%/}$name
	RESOLVED=${RESOLVED:-/}
}

# own_place PATH: a place of the checkout's is in the checkout: no link leads elsewhere on the way
own_place() {
	local path=$1
	while [ "$path" != "$ROOT" ]; do
		[ ! -L "$path" ] || die "$EX_USAGE" "$path is a symbolic link, which may lead out of the checkout; put a folder there, or name another place"
		path=${path%/*}
	done
}

# temporary: sets TEMPORARY, a folder for the script's own files that ends with it
temporary() {
	[ -z "$TEMPORARY" ] || return 0
	if TEMPORARY=$(mktemp -d 2>/dev/null) && MADE_BY=$BASHPID && trap finish EXIT && resolve "$TEMPORARY" &&
		head -c 65536 /dev/zero 2>/dev/null >"$TEMPORARY/probe"; then
		TEMPORARY=$RESOLVED
		return 0
	fi
	die "$EX_FAILED" "nothing can be written to ${TMPDIR:-/tmp}; name a folder with room for temporary files in TMPDIR"
}

# finish: what is left of this shell goes; a subshell leaves its parent's folder alone
finish() {
	[ "$BASHPID" != "$MADE_BY" ] || rm -rf "$TEMPORARY"
	[ -z "$STAGE" ] || rm -rf "$STAGE"
	[ -z "$PART" ] || rm -rf "$PART"
	[ -z "$AGENT" ] || chmod o-rw "$AGENT" 2>/dev/null || true
}

# Whoever is in the image already; no variable is believed about that.
inside_container() {
	[ -f /opt/pressbox/passport.json ]
}

resolve "${BASH_SOURCE[0]%/*}/../.."
ROOT=$RESOLVED
