# shellcheck shell=bash
# The doors into the environment. Each runs a command in the image, blocks until it ends and hands
# on its exit status; when the script ends, however it ends, the command ends with it.

# shellcheck source=scripts/lib/image.sh
. -- "${BASH_SOURCE[0]%/*}/image.sh"
# shellcheck source=scripts/lib/root.sh
. -- "${BASH_SOURCE[0]%/*}/root.sh"
# shellcheck source=scripts/lib/history.sh
. -- "${BASH_SOURCE[0]%/*}/history.sh"

TOOLCHAIN=$ROOT/.devcontainer/toolchain
DEVCONTAINER=$TOOLCHAIN/node_modules/.bin/devcontainer

# What ends a command in the container when the script ends, and gets it the signing key.
SUPERVISED=(bash -p "$INSIDE/scripts/lib/supervise.sh" "$(umask)")
# Not empty: the command reads our standard input.
INPUT=
# Of the image; in a terminal there, PATH may have others.
PYTHON=/opt/venv/bin/python

DOOR=
# What the docker door lets in besides the checkout; see add_mount.
MOUNTS=()
# Of it, what the command reads, by its name here.
READS=()
# Where the command finds what is let in, by the name that let_in gives it.
declare -A SEEN=()
# What the command says for it: lines of its path there, a tab, and its path here.
CALLED=
NETWORK=none
# Why only a fresh container will do; empty: a dev container will, too.
FRESH=
# How /tmp is mounted; nothing in it is executable unless somebody asks for that.
TMP=mode=1777
# UID:GID inside; empty: who we are.
RUN_AS=
# Not empty: pass by a running dev container that has drifted, unless it is asked for.
AVOIDS_DRIFT=
# Not empty: the command signs, and gets the key.
SIGNS=
# Files that hold it and its passphrase; empty: SIGNING_KEY and SIGNING_PASSPHRASE do.
KEY_FILE='' PASSPHRASE_FILE=''
# The dev container of this checkout.
CONTAINER=
# NAME=VALUE for the command; nothing that is secret.
VARIABLES=(--env HOME=/tmp)
# Who looks at our standard error or output is a person, although a pipe lies between.
[ ! -t 2 ] || VARIABLES+=(--env PRESSBOX_TERMINAL=1)
[ ! -t 1 ] || {
	VARIABLES+=(--env "PRESSBOX_COLUMNS=$(stty size <&3 | cut -d ' ' -f 2)" --env "TERM=${TERM:-dumb}" --env "NO_COLOR=${NO_COLOR:-}")
} 3>&1

# The devcontainer CLI writes paths into options without quoting them, and waits without end for one with =.
case $ROOT in
*[,=\"]* | *[[:cntrl:]]*) FRESH="the devcontainer CLI cannot mount a checkout with such a path, $ROOT; move it" ;;
esac

# add_mount SOURCE TARGET ro|rw: quoted as --mount has it (CSV), for paths with commas
add_mount() {
	local option="type=bind,\"source=${1//\"/\"\"}\",\"target=${2//\"/\"\"}\""
	[[ $1 != *$'\r'* ]] || die "$EX_USAGE" "the engine cannot mount a path with a carriage return in it, $1; rename it"
	[ "$3" = rw ] || option+=,readonly
	MOUNTS+=(--mount "$option")
}

# let_in NAME PATH ro|rw [CALLED]: the command finds it at SEEN[NAME], and its messages call it CALLED,
# or PATH. What lies outside the checkout is mounted in /mnt/NAME, under its own name, which a model
# records; only the docker door sees it.
let_in() {
	local name=$1 path=$2 mode=$3 called=${4:-$2}
	[ "$mode" = rw ] || READS+=("$path")
	if inside_container; then
		SEEN[$name]=$path
	elif [ "$path" = "$ROOT" ] || [ "${path#"$ROOT"/}" != "$path" ]; then
		SEEN[$name]=$INSIDE${path#"$ROOT"}
		[ "$mode" = ro ] || add_mount "$path" "${SEEN[$name]}" rw
	else
		FRESH="the dev container sees the checkout alone, not $path; move it there"
		SEEN[$name]=/mnt/$name/${path##*/}
		add_mount "$path" "${SEEN[$name]}" "$mode"
	fi
	[[ $called == *[$'\t\n']* ]] || CALLED+=${SEEN[$name]}$'\t'$called$'\n'
}

# let_in_real_data: what some tests and figures are about, if PRESSBOX_REAL_DATA names it
let_in_real_data() {
	[ -n "${PRESSBOX_REAL_DATA:-}" ] || return 0
	resolve "$PRESSBOX_REAL_DATA" || die "$EX_USAGE" "PRESSBOX_REAL_DATA names $PRESSBOX_REAL_DATA, which is not there; name a folder that is"
	let_in realdata "$RESOLVED" ro
	VARIABLES+=(--env "PRESSBOX_REAL_DATA=${SEEN[realdata]}")
}

# choose_door DOOR: sets DOOR; the rule when none is asked for: inside a container at once, a fresh
# running dev container of this checkout, else docker
choose_door() {
	DOOR=$1
	case $DOOR in
	'' | docker | podman | devcontainer) ;;
	inside) inside_container || die "$EX_USAGE" "--door inside is for a terminal in the container; omit --door" ;;
	*) die "$EX_USAGE" "there is no door '$DOOR'; choose docker, podman, devcontainer or inside" ;;
	esac
	if inside_container; then
		case $DOOR in
		'' | inside) DOOR=inside ;;
		*) die "$EX_USAGE" "this is already the container; omit --door" ;;
		esac
	fi
}

# enter COMMAND...: through the door that choose_door chose
enter() {
	local pair
	if [ "$DOOR" = inside ]; then
		cd "$ROOT"
		[ -z "$DRY_RUN" ] || { run "$@" && return 0; }
		for pair in "${TERMINAL[@]}"; do
			export "${pair?}" 2>/dev/null || true
		done
		[ -n "$SIGNS" ] || exec "$@"
		PRESSBOX_SIGNING_FD=4 exec "$@" 4< <(signing_line)
	fi
	# Whoever downloads does it in a container of its own, which is told of our network.
	if [ "$NETWORK" != none ]; then
		FRESH=yes
		[ "$DOOR" != devcontainer ] || DOOR=''
	fi
	[ -z "$CALLED" ] || VARIABLES+=(--env "PRESSBOX_CALLED=$CALLED")
	demand_memory
	[ "$DOOR" != devcontainer ] || [ -z "$FRESH" ] || die "$EX_USAGE" "$FRESH, or use --door docker"
	[ -n "$DRY_RUN" ] || demand_readable
	require_engine "$DOOR"
	require_image
	if [ -z "$DOOR" ] && [ -z "$FRESH" ] && running_dev_container && not_drifted; then
		DOOR=devcontainer
	fi
	if [ "$DOOR" = devcontainer ]; then
		through_devcontainer "$@"
	else
		through_docker "$@"
	fi
}

demand_memory() {
	[[ ${PRESSBOX_MEMORY:-4g} =~ ^[1-9][0-9]{0,11}[bkmgBKMG]?$ ]] ||
		die "$EX_USAGE" "PRESSBOX_MEMORY is '$PRESSBOX_MEMORY', which is not a size; give one such as 4g or 512m"
}

through_docker() {
	local command engine=docker
	add_mount "$ROOT" "$INSIDE" ro
	mount_history
	if [ "$NETWORK" != none ]; then
		mount_network
		set -- bash -p "$INSIDE/.devcontainer/network.sh" run "$@"
	fi
	command=("$ENGINE" run --interactive --rm
		--read-only
		--cap-drop ALL
		--security-opt no-new-privileges
		--network "$NETWORK"
		--tmpfs "/tmp:$TMP"
		--user "$(user_inside)"
		--workdir "$INSIDE")
	if [ -n "$PODMAN" ]; then
		# One --ulimit would replace all of containers.conf's; supervise.sh lets nothing dump core.
		engine=podman
	else
		command+=(--ulimit core=0)
	fi
	add_limits
	command+=("${SHARING[@]}" "${VARIABLES[@]}" --env "PRESSBOX_DOOR=$engine")
	held "${command[@]}" "${MOUNTS[@]}" "$TAGGED" "${SUPERVISED[@]}" "$INPUT" "$@"
}

# add_limits: to command; without cgroups of their own, rootless engines refuse or ignore them
add_limits() {
	[[ $UNLIMITED == *memory* ]] || command+=(--memory "${PRESSBOX_MEMORY:-4g}")
	[[ $UNLIMITED == *processes* ]] || command+=(--pids-limit 512)
	[ -z "$UNLIMITED" ] || say "this engine cannot limit $UNLIMITED (docs/engines.md); running without"
}

# mount_network: where .devcontainer/network.sh looks for it, as in a build
mount_network() {
	require_network
	if [ -n "$DRY_RUN" ]; then add_mount NETWORK /run/secrets ro; else add_mount "$NETWORK_FOLDER" /run/secrets ro; fi
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
	ours=$(layers_of "$TAGGED" 2>/dev/null) || return 1
	theirs=$(layers_of "$1")
	[ "${theirs#"$ours"}" != "$theirs" ]
}

# not_drifted: 0 if the running dev container is as it was built, or nobody minds
not_drifted() {
	local log status=0
	[ -n "$AVOIDS_DRIFT" ] || return 0
	log=$("$ENGINE" exec --user "$(user_in_dev_container)" --workdir "$INSIDE" "$CONTAINER" "$PYTHON" -m pressbox doctor 2>&1) || status=$?
	[ "$status" = 4 ] || return 0
	say "the dev container has drifted; training in a fresh container:"
	grep -E '^WRONG|^error' <<<"$log" >&2 || say "$log"
	return 1
}

through_devcontainer() {
	local up
	if ! running_dev_container; then
		require_devcontainer_cli
		up=("$DEVCONTAINER" up --docker-path "$ENGINE" --workspace-folder "$ROOT" --override-config "$TEMPORARY/devcontainer.json")
		define_dev_container >"$TEMPORARY/devcontainer.json"
		[ -z "$CONTAINER" ] || up+=(--remove-existing-container)
		start_dev_container "${up[@]}"
		[ -z "$DRY_RUN" ] || CONTAINER=CONTAINER
	fi
	held "$ENGINE" exec --interactive --user "$(user_in_dev_container)" "${VARIABLES[@]}" --env PRESSBOX_DOOR=devcontainer \
		--workdir "$INSIDE" "$CONTAINER" "${SUPERVISED[@]}" "$INPUT" "$@"
}

# define_dev_container: prints the definition for the present image, which the CLI would build once more where it was
# pulled, and for this engine
define_dev_container() {
	local sharing=''
	[ "${#SHARING[@]}" = 0 ] || printf -v sharing '"%s", ' "${SHARING[@]}"
	sed "s#^\(\t\"image\": \).*#\1\"$TAGGED\", \"runArgs\": [${sharing%, }],#" "$ROOT/.devcontainer/prebuilt/devcontainer.json"
}

start_dev_container() {
	local log=$TEMPORARY/log
	if [ -n "$DRY_RUN" ]; then
		run "$@"
		return
	fi
	say "starting the dev container"
	if ! "$@" >"$log" 2>&1 || ! running_dev_container; then
		tail -n 40 "$log" >&2
		die "$EX_FAILED" "the dev container did not start; its last lines are above"
	fi
}

# toolchain_is_there: 0 if what npm has installed is what the lock says
toolchain_is_there() {
	[ -x "$DEVCONTAINER" ] && [ ! "$TOOLCHAIN/package-lock.json" -nt "$TOOLCHAIN/node_modules/.package-lock.json" ]
}

# require_devcontainer_cli: the pinned CLI, installed into the checkout when first needed
require_devcontainer_cli() {
	own_place "$TOOLCHAIN/node_modules"
	if ! toolchain_is_there; then
		require_npm
		run_npm ci --silent --no-audit --no-fund --prefix "$TOOLCHAIN" ||
			die "$EX_FAILED" "the devcontainer CLI could not be installed; see npm's output above"
	fi
}

require_npm() {
	has npm && return
	[ -n "$BOOTSTRAP" ] || die "$EX_UNAVAILABLE" "the devcontainer CLI needs Node.js and npm; install them, or run this again with --bootstrap"
	require_apt "Node.js"
	apt_install nodejs npm
}

# signing_line: key and passphrase in one line, as signing.py reads them; an empty one for what does
# not sign. A blank is left of one that cannot be read: not a key either.
signing_line() {
	if [ -n "$SIGNS" ]; then
		content "$KEY_FILE" "$SIGNING_KEY" | base64 | tr -d '\n'
		printf ' '
		content "$PASSPHRASE_FILE" "$SIGNING_PASSPHRASE" | base64 | tr -d '\n'
	fi
	printf '\n'
}

# content FILE ELSE: of the file, if one is named
content() {
	if [ -n "$1" ]; then cat <"$1"; else printf %s "$2"; fi
}

# held COMMAND...: run an engine client whose standard input lives exactly as long as this script
held() {
	local client status=0 stopped=
	if [ -n "$DRY_RUN" ]; then
		run "$@"
		return
	fi
	[ -z "$STAGE" ] || set_stage
	mkfifo "$TEMPORARY/lifeline"
	trap 'stopped=130; exec 7>&- 9>&-' INT
	trap 'stopped=143; exec 7>&- 9>&-' TERM HUP
	# In a process group of its own (-m): Ctrl-C is for this script. Rootless podman's client would end at it, long
	# before what runs in the container.
	set -m
	"$@" <"$TEMPORARY/lifeline" &
	client=$!
	set +m
	exec 9>"$TEMPORARY/lifeline"
	# A client that has failed already says why itself.
	(trap '' PIPE && signing_line >&9) 2>/dev/null || true
	rm "$TEMPORARY/lifeline"
	[ -z "$INPUT" ] || hand_input_on
	wait "$client" || status=$?
	if [ -n "$stopped" ]; then
		wait "$client" || true
		status=$stopped
	fi
	exec 7>&- 9>&-
	trap - INT TERM HUP
	[ -z "$STAGE" ] || take_over
	# SIGKILL, which nobody here sent: the kernel does, where memory runs out.
	[ "$status" != 137 ] || [[ $UNLIMITED == *memory* ]] || die "$EX_FAILED" "it was killed because it needs more memory than it is given (${PRESSBOX_MEMORY:-4g}); give it more: PRESSBOX_MEMORY=16g"
	[ "$status" != 137 ] || die "$EX_FAILED" "it was killed because it needs more memory than there is; end other programs, or train on less"
	return "$status"
}

# hand_input_on: our standard input, to the end of the lifeline (9), for as long as this script lives:
# it alone holds 7 open
hand_input_on() {
	local reader relay
	exec 6<&0
	exec 8< <(exec cat <&6 9>&-)
	reader=$!
	relay <&8 >&9 6<&- 8<&- 9>&- &
	relay=$!
	exec 7> >(
		exec 6<&- 8<&- 9>&-
		cat >/dev/null
		kill "$relay" "$reader" 2>/dev/null
	)
	exec 6<&- 8<&-
}

# relay: standard input in pieces, as they arrive: a line with the length, then as much Base64. The
# last one has the length 0; where it is missing, the script has ended before its input.
relay() {
	local piece
	while piece=$(dd bs=65536 count=1 2>/dev/null | base64 | tr -d '\n') && [ -n "$piece" ]; do
		printf '%d\n%s' "${#piece}" "$piece"
	done
	printf '0\n'
}
