# shellcheck shell=bash
# The doors into the environment. Each runs a command in the image, blocks until it ends and hands
# on its exit status; when the script ends, however it ends, the command ends with it.

# shellcheck source=scripts/lib/image.sh
. "$(dirname "${BASH_SOURCE[0]}")/image.sh"

TOOLCHAIN=$ROOT/.devcontainer/toolchain
DEVCONTAINER=$TOOLCHAIN/node_modules/.bin/devcontainer

# What the docker door lets in besides the checkout; see mount.
MOUNTS=()
NETWORK=none
OUTSIDE=
# What the command writes into; it runs as the owner of that folder where we are root.
WRITES=$ROOT/models
# How /tmp is mounted; nothing in it is executable unless somebody asks for that.
TMP=mode=1777
# UID:GID inside; empty: who we are.
RUN_AS=
# Not empty: pass by a running dev container that has drifted, unless it is asked for.
AVOIDS_DRIFT=
# NAME=VALUE for the command; nothing that is secret.
VARIABLES=(--env HOME=/tmp)
# What looks at our standard error is a person, although a pipe lies between.
[ ! -t 2 ] || VARIABLES+=(--env PRESSBOX_TERMINAL=1)

# mount SOURCE TARGET ro|rw: quoted as --mount has it (CSV), for paths with commas
mount() {
	local option="type=bind,\"source=${1//\"/\"\"}\",\"target=${2//\"/\"\"}\""
	[ "$3" = rw ] || option+=,readonly
	MOUNTS+=(--mount "$option")
}

# let_in PATH ro|rw: sets SEEN_AS, the name of the path inside. What lies outside the checkout is
# mounted beside it, and only the docker door sees it.
let_in() {
	local path=$1
	if inside_container; then
		SEEN_AS=$path
	elif [ "$path" = "$ROOT" ] || [ "${path#"$ROOT"/}" != "$path" ]; then
		SEEN_AS=$INSIDE${path#"$ROOT"}
		[ "$2" = ro ] || mount "$path" "$SEEN_AS" rw
	else
		OUTSIDE=$path
		SEEN_AS=/mnt/${#MOUNTS[@]}/$(basename "$path")
		mount "$path" "$SEEN_AS" "$2"
	fi
}

# choose_door DOOR: sets DOOR; the rule when none is asked for: inside a container at once, a fresh
# running dev container of this checkout, else docker
choose_door() {
	DOOR=$1
	case $DOOR in
	'' | docker | podman | devcontainer) ;;
	inside) inside_container || die "$EX_USAGE" "--door inside is for a terminal in the container; leave --door away" ;;
	*) die "$EX_USAGE" "there is no door '$DOOR'; choose docker, podman, devcontainer or inside" ;;
	esac
	if inside_container; then
		case $DOOR in
		'' | inside) DOOR=inside ;;
		*) die "$EX_USAGE" "this is the container already; leave --door away" ;;
		esac
	fi
}

# enter BOOTSTRAP COMMAND...: through the door that choose_door chose
enter() {
	local bootstrap=$1
	shift
	if [ "$DOOR" = inside ]; then
		cd "$ROOT"
		[ -z "$DRY_RUN" ] || { run "$@" && return 0; }
		exec "$@"
	fi
	require_engine "$bootstrap"
	case $DOOR in
	podman) use_podman ;;
	docker) [ -z "$PODMAN" ] || die "$EX_UNAVAILABLE" "there is podman, but no docker; leave --door away, or use --door podman" ;;
	esac
	require_image "$bootstrap"
	if [ -z "$DOOR" ] && [ -z "$OUTSIDE" ] && running_dev_container && not_drifted; then
		DOOR=devcontainer
	fi
	if [ "$DOOR" = devcontainer ]; then
		through_devcontainer "$bootstrap" "$@"
	else
		through_docker "$@"
	fi
}

use_podman() {
	has podman || die "$EX_UNAVAILABLE" "podman is not installed; install it, or use --door docker"
	ENGINE=$(command -v podman)
	PODMAN=yes
}

# user_inside: who we are there, so that what is written belongs to who runs this
user_inside() {
	if [ -n "$RUN_AS" ]; then
		printf '%s\n' "$RUN_AS"
	elif [ "$(id -u)" = 0 ]; then
		# Root without capabilities cannot write into another's folder: be its owner there.
		stat -c '%u:%g' "$WRITES"
	else
		printf '%s:%s\n' "$(id -u)" "$(id -g)"
	fi
}

through_docker() {
	local command git_folder
	mount "$ROOT" "$INSIDE" ro
	# A git worktree keeps its history elsewhere; git wants it under the same name.
	if [ -f "$ROOT/.git" ] && git_folder=$(git -C "$ROOT" rev-parse --path-format=absolute --git-common-dir 2>/dev/null); then
		mount "$git_folder" "$git_folder" ro
	fi
	command=("$ENGINE" run --interactive --rm
		--read-only
		--cap-drop ALL
		--security-opt no-new-privileges
		--memory "${PRESSBOX_MEMORY:-4g}"
		--pids-limit 512
		--network "$NETWORK"
		--tmpfs "/tmp:$TMP"
		--user "$(user_inside)"
		"${VARIABLES[@]}"
		--workdir "$INSIDE")
	# Rootless podman: the host's user is the container's, not its root.
	[ -z "$PODMAN" ] || [ "$(id -u)" = 0 ] || command+=(--userns keep-id)
	held "${command[@]}" "${MOUNTS[@]}" "$TAGGED" "${SUPERVISED[@]}" "$@"
}

# running_dev_container: 0 if one runs for this checkout and is made of the present image. Sets
# CONTAINER whenever there is one, running or not.
running_dev_container() {
	local state image
	CONTAINER=$("$ENGINE" ps --all --quiet --filter "label=devcontainer.local_folder=$ROOT" | head -n 1)
	[ -n "$CONTAINER" ] || return 1
	read -r state image < <("$ENGINE" inspect --format '{{.State.Running}} {{.Image}}' "$CONTAINER")
	[ "$state" = true ] && same_layers "$image"
}

# same_layers IMAGE: 0 if it is the present image, whatever the dev container laid on top of it
same_layers() {
	local ours theirs
	ours=$("$ENGINE" image inspect --format '{{join .RootFS.Layers ","}}' "$TAGGED")
	theirs=$("$ENGINE" image inspect --format '{{join .RootFS.Layers ","}}' "$1")
	[ "${theirs#"$ours"}" != "$theirs" ]
}

# not_drifted: 0 if the running dev container is as it was built, or nobody minds
not_drifted() {
	local log status=0
	[ -n "$AVOIDS_DRIFT" ] || return 0
	log=$("$ENGINE" exec --user "$(user_inside)" --workdir "$INSIDE" "$CONTAINER" python -m pressbox doctor 2>&1) || status=$?
	[ "$status" = 4 ] || return 0
	say "the dev container has drifted; training in a fresh container:"
	grep -E '^WRONG|^error' <<<"$log" >&2 || say "$log"
	return 1
}

through_devcontainer() {
	local up
	[ -z "$OUTSIDE" ] || die "$EX_USAGE" "the dev container sees the checkout alone, not $OUTSIDE; move it there, or use --door docker"
	if ! running_dev_container; then
		require_devcontainer_cli "$1"
		up=("$DEVCONTAINER" up --docker-path "$ENGINE" --workspace-folder "$ROOT")
		[ -z "$CONTAINER" ] || up+=(--remove-existing-container)
		start_dev_container "${up[@]}"
		[ -z "$DRY_RUN" ] || CONTAINER=CONTAINER
	fi
	shift
	held "$ENGINE" exec --interactive --user "$(user_inside)" "${VARIABLES[@]}" --workdir "$INSIDE" \
		"$CONTAINER" "${SUPERVISED[@]}" "$@"
}

start_dev_container() {
	local log
	if [ -n "$DRY_RUN" ]; then
		run "$@"
		return
	fi
	say "starting the dev container"
	log=$(mktemp)
	if ! "$@" >"$log" 2>&1 || ! running_dev_container; then
		tail -n 40 "$log" >&2
		rm -f "$log"
		die "$EX_FAILED" "the dev container did not start; its last lines are above"
	fi
	rm -f "$log"
}

# require_devcontainer_cli BOOTSTRAP: the pinned CLI, installed into the checkout when first needed
require_devcontainer_cli() {
	if [ ! -x "$DEVCONTAINER" ] || [ "$TOOLCHAIN/package-lock.json" -nt "$TOOLCHAIN/node_modules/.package-lock.json" ]; then
		if ! has npm; then
			[ -n "$1" ] || die "$EX_UNAVAILABLE" "the devcontainer CLI needs Node.js and npm; install them, or run this again with --bootstrap"
			require_apt "Node.js"
			apt_install nodejs npm
		fi
		run npm ci --silent --no-audit --no-fund --prefix "$TOOLCHAIN" ||
			die "$EX_FAILED" "the devcontainer CLI could not be installed; see npm's output above"
	fi
}

# In the container: take our umask; hand on the signing key, which is the first line of standard
# input, by a pipe; and end the command when standard input ends, which the script alone holds open.
# TERM lets the command clean up; KILL follows if it does not.
# shellcheck disable=SC2016 # expanded in the container
SUPERVISED=(bash -c '
	umask "$0"
	exec 3<&0
	IFS= read -r key <&3
	[ -z "$key" ] || export PRESSBOX_SIGNING_FD=4
	"$@" </dev/null 3<&- 4< <(printf "%s\n" "$key") &
	child=$!
	{
		cat >/dev/null
		kill -TERM "$child"
		timeout 5 tail --pid="$child" -f /dev/null
		kill -KILL "$child"
	} <&3 >/dev/null 2>&1 &
	wait "$child"
' "$(umask)")

# signing_key: the key and passphrase of the environment as one line, or an empty one
signing_key() {
	local part line=
	if [ -n "${PRESSBOX_SIGNING_KEY:-}" ]; then
		for part in "$PRESSBOX_SIGNING_KEY" "${PRESSBOX_SIGNING_PASSPHRASE:-}"; do
			line+="$(printf '%s' "$part" | base64 | tr -d '\n') "
		done
	fi
	printf '%s\n' "${line% }"
}

# held COMMAND...: run an engine client whose standard input lives exactly as long as this script
held() {
	local folder client status=0 stopped=
	if [ -n "$DRY_RUN" ]; then
		run "$@"
		return
	fi
	folder=$(mktemp -d)
	mkfifo "$folder/lifeline"
	trap 'stopped=130; exec 9>&-' INT
	trap 'stopped=143; exec 9>&-' TERM HUP
	"$@" <"$folder/lifeline" &
	client=$!
	exec 9>"$folder/lifeline"
	signing_key >&9
	rm -rf "$folder"
	wait "$client" || status=$?
	if [ -n "$stopped" ]; then
		wait "$client" || true
		status=$stopped
	fi
	exec 9>&-
	trap - INT TERM HUP
	return "$status"
}
