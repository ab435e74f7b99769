#!/usr/bin/env bash
# shellcheck source=scripts/lib/doors.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/doors.sh"

usage() {
	cat <<'USAGE'
usage: scripts/verify.sh [OPTION]... MODEL
Say who signed a model, where it was made, and whether every byte of it holds.

  --bootstrap      install and start what is missing: the engine, the base image (Debian, as root)
  --door DOOR      docker, podman, devcontainer or inside; default: the nearest one
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
}

bootstrap='' door='' model='' arguments=()
while [ $# -gt 0 ]; do
	case $1 in
	--bootstrap) bootstrap=yes ;;
	--door) needs_value "$@" && door=$2 && shift ;;
	--json | --release) arguments+=("$1") ;;
	--name | --not-before | --signer) needs_value "$@" && arguments+=("$1" "$2") && shift ;;
	--dry-run) DRY_RUN=yes ;;
	--help) usage && exit 0 ;;
	-*) unknown_option "$1" ;;
	*)
		[ -z "$model" ] || unknown_option "$1"
		model=$1
		;;
	esac
	shift
done
[ -n "$model" ] || die "$EX_USAGE" "which model? e.g. scripts/verify.sh models/sports.tar.gz"
[ -f "$model" ] || die "$EX_USAGE" "there is no model '$model'; train one with scripts/train.sh"

choose_door "$door"
model=$(resolved "$model")
let_in "$(dirname "$model")" ro
enter "$bootstrap" python -m pressbox verify "$SEEN_AS/$(basename "$model")" "${arguments[@]+"${arguments[@]}"}"
