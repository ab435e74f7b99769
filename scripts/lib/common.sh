# shellcheck shell=bash
# What every script needs: strict mode, the checkout's place, lines for people.
set -Eeuo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# Where the checkout lies in the image, whichever door leads there.
INSIDE=/workspaces/pressbox
DRY_RUN=${DRY_RUN:-}

readonly EX_FAILED=1 EX_USAGE=2 EX_UNAVAILABLE=69

say() {
	printf '%s\n' "$*" >&2
}

# die STATUS "what; what to do"
die() {
	say "error: $2"
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

# resolved PATH: absolute, without symlinks in its folder; empty if the folder is not there
resolved() {
	local folder
	if [ -d "$1" ]; then
		(cd "$1" && pwd -P)
	elif folder=$(cd "$(dirname "$1")" 2>/dev/null && pwd -P); then
		printf '%s/%s\n' "${folder%/}" "$(basename "$1")"
	fi
}

inside_container() {
	[ "${PRESSBOX_INSIDE:-}" = 1 ]
}

# needs_value "$@": a usage error unless the option in $1 has one in $2
needs_value() {
	[ $# -ge 2 ] || die "$EX_USAGE" "$1 needs a value; see --help"
}

unknown_option() {
	die "$EX_USAGE" "unknown argument '$1'; see $(basename "$0") --help"
}
