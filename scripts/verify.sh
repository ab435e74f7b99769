#!/usr/bin/env -S bash -p
HEEDS=()
# shellcheck source=scripts/lib/begin.sh
. -- "${0%"${0##*/}"}lib/begin.sh"

usage() {
	cat <<'USAGE'
usage: scripts/verify.sh [OPTION]... MODEL
Say who signed a model, where it was made, and whether every byte of it holds.

  --bootstrap      install and start what is missing: the engine, the base image (Debian, as root)
  --door DOOR      docker, podman, devcontainer or inside; default: the nearest one. A dev container
                   is no boundary: what runs there can change the checkout
  --name NAME      demand that the model has this name
  --not-before DATE
                   demand that it was sealed since then
  --signer FINGERPRINT
                   demand this signer, or one of several
  --release        demand an environment of .devcontainer/environment.lock, and another key than
                   the demo key
  --json           for programs
  --dry-run        print the commands, run nothing
  --help           print this

example: scripts/verify.sh models/sports.tar.gz --json
USAGE
	heeded_variables
}

door='' model='' arguments=()
while [ $# -gt 0 ]; do
	case $1 in
	--bootstrap) BOOTSTRAP=yes ;;
	--door) needs_value "$@" && door=$2 && shift ;;
	--json | --release) arguments+=("$1") ;;
	--name | --not-before | --signer) needs_value "$@" && arguments+=("$1" "$2") && shift ;;
	--dry-run) DRY_RUN=yes ;;
	--help) usage && exit 0 ;;
	*)
		# A file's name may begin with a dash, too.
		if [ -n "$model" ] || [[ $1 == -* && ! -e $1 ]]; then unknown_option "$1"; fi
		model=$1
		;;
	esac
	shift
done
[ -n "$model" ] || die "$EX_USAGE" "which model? e.g. scripts/verify.sh models/sports.tar.gz"
[ -f "$model" ] || die "$EX_USAGE" "there is no model '$model'; train one with scripts/train.sh"

choose_door "$door"
resolve "$model" || die "$EX_FAILED" "$model cannot be reached; see the permissions of its folder"
model=$RESOLVED
if [ -L "$model" ] && [ "$DOOR" != inside ]; then
	# A mount would follow it; such a link, which leads nowhere, is refused like any other.
	temporary
	mkdir -m 755 "$TEMPORARY/link"
	ln -s nowhere "$TEMPORARY/link/${model##*/}"
	let_in model "$TEMPORARY/link" ro
	SEEN[model]+=/${model##*/}
else
	let_in_file model "$model"
fi
enter "$PYTHON" -m pressbox verify "${SEEN[model]}" "${arguments[@]}"
