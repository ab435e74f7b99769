#!/usr/bin/env -S bash -p
HEEDS=()
# shellcheck source=scripts/lib/begin.sh
. -- "${0%"${0##*/}"}lib/begin.sh"

usage() {
	cat <<'USAGE'
usage: scripts/doctor.sh [OPTION]...
Say what is wrong with the engine, the image, the dev container, the environment and the keys, and
which line mends it. Exit status 4 if something has drifted or is stale.

  --accept         add the present environment to .devcontainer/environment.lock, and say what has
                   changed since the last one; a release demands one of that list
  --deep           read every file of the environment
  --bootstrap      install and start what is missing: the engine, the base image (Debian, as root)
  --door DOOR      docker, podman, devcontainer or inside; default: the nearest one. A dev container
                   is no boundary: what runs there can change the checkout
  --json           for programs: of what is inside alone
  --dry-run        print the commands, run nothing
  --help           print this

example: scripts/doctor.sh --accept
USAGE
	heeded_variables
}

door='' accept='' json='' arguments=()
while [ $# -gt 0 ]; do
	case $1 in
	--accept) accept=yes && arguments+=(--accept) ;;
	--deep) arguments+=(--deep) ;;
	--bootstrap) BOOTSTRAP=yes ;;
	--door) needs_value "$@" && door=$2 && shift ;;
	--json) json=yes && arguments+=(--json) ;;
	--dry-run) DRY_RUN=yes ;;
	--help) usage && exit 0 ;;
	*) unknown_option "$1" ;;
	esac
	shift
done

# finding MARK SUBJECT WHAT: as python -m pressbox doctor prints them
finding() {
	[ -n "$json" ] || printf '%-6s%-13s%s\n' "$1" "$2" "$3"
}

outside() {
	local tagged built
	demand_memory
	require_engine "$DOOR"
	finding '' engine "$("$ENGINE" version --format '{{.Server.Version}}') at $ENGINE"
	choose_base
	tagged=$IMAGE:$(inputs_digest | cut -c 1-12)
	if "$ENGINE" image inspect "$tagged" >/dev/null 2>&1; then
		finding '' image "$tagged, up to date"
	else
		finding '' image "none of the present Dockerfile and locks; building it"
	fi
	require_image
	built=$("$ENGINE" image inspect --format '{{join .RootFS.Layers "\n"}}' "$TAGGED" | sha256)
	finding '' layers "sha256:$built"
	running_dev_container && return
	[ -z "$CONTAINER" ] || dev_container_is_no_door
}

dev_container_is_no_door() {
	if [ "$("$ENGINE" inspect --format '{{.State.Running}}' "$CONTAINER")" = true ]; then
		finding WRONG container "$CONTAINER is older than the Dockerfile or a lock; rebuild it, or: scripts/train.sh --door devcontainer"
		wrong=4
	else
		finding '' container "$CONTAINER, stopped"
	fi
}

choose_door "$door"
wrong=0 status=0
if [ "$DOOR" != inside ]; then
	if [ -n "$accept" ]; then
		mapfile -d '' -t files < <(find "$ROOT/.devcontainer/" -maxdepth 1 -type f -print0)
		let_write_at "$ROOT/.devcontainer" "${files[@]##*/}"
	fi
	outside
fi
enter "$PYTHON" -m pressbox doctor "${arguments[@]}" || status=$?
[ "$status" != 0 ] || status=$wrong
exit "$status"
