# shellcheck shell=bash
# The container engine: found, never assumed; with --bootstrap, installed and started.
# Sets ENGINE (the client's path) and PODMAN (yes, or empty). The two are asked in ways that both understand.

# shellcheck source=scripts/lib/common.sh
. -- "${BASH_SOURCE[0]%/*}/common.sh"

ENGINE=
PODMAN=
# Why there is none.
WHY_NOT=
# What a client says of itself and of its engine, and how long it may think about it.
ANSWER='' ENGINE_TIMEOUT_S=20
# Yes if its user is root in its containers, who is nobody but that user outside; else empty.
ROOTLESS=''
# What it cannot limit, in words.
UNLIMITED=''
# What a container needs for the host's files to be its own, too.
SHARING=()
# For SELinux, as the devcontainer CLI does it: what is mounted keeps the label by which the host knows it.
UNLABELLED=(--security-opt label=disable)
# BuildKit is part of the docker client before 23, a plugin (buildx) since.
export DOCKER_BUILDKIT=1

# named_engine: prints what names an engine: a variable, or the context that `docker context use` chose
named_engine() {
	local context
	if [ -n "${DOCKER_HOST:-}" ]; then
		printf 'DOCKER_HOST=%s' "$DOCKER_HOST"
	elif [ -n "${DOCKER_CONTEXT:-}" ]; then
		printf 'DOCKER_CONTEXT=%s' "$DOCKER_CONTEXT"
	else
		context=$(sed -n 's/.*"currentContext": *"\([^"]*\)".*/\1/p' "${DOCKER_CONFIG:-${HOME:-}/.docker}/config.json" 2>/dev/null || true)
		[ -z "$context" ] || [ "$context" = default ] || printf 'the docker context %s' "$context"
	fi
}

# ask_docker CLIENT: sets ANSWER to the versions of both, or to what is said instead
ask_docker() {
	local asked status=0
	exec 8< <(exec "$1" version --format '{{.Client.Version}} {{.Server.Version}}' 2>&1 </dev/null)
	asked=$!
	IFS= read -r -t "$ENGINE_TIMEOUT_S" -d '' ANSWER <&8 || status=$?
	exec 8<&-
	if [ "$status" -gt 128 ]; then
		kill "$asked" 2>/dev/null || true
		ANSWER="it says nothing for $ENGINE_TIMEOUT_S s"
	fi
	# The line ends of ssh, too.
	while [[ $ANSWER == *[[:cntrl:]] ]]; do ANSWER=${ANSWER%?}; done
}

# probe_docker CLIENT NAMED: 0 if it reaches an engine and can BuildKit; else sets WHY_NOT. Docker's numbers begin
# with 17, podman's are smaller.
probe_docker() {
	local client=$1 named=$2 answered='' server
	ask_docker "$client"
	[[ $ANSWER =~ (^|$'\n')[0-9][^\ ]*\ [0-9][^\ ]*$ ]] && answered=${ANSWER##*$'\n'}
	if [[ ${answered%%.*} -lt 17 && $("$client" version 2>/dev/null) == *"Podman Engine"* ]]; then
		podman_as_docker "$client" "$named"
		return
	fi
	if [ -z "$answered" ]; then
		explain_answer "$named"
		return 1
	fi
	server=${answered##* }
	if [ "${server%%.*}" -lt 17 ]; then
		WHY_NOT="the engine${named:+ at $named} is podman's, which does not have docker's BuildKit; use podman itself: --door podman"
		return 1
	fi
	if [ "${answered%%.*}" -ge 23 ] && ! "$client" buildx version >/dev/null 2>&1; then
		WHY_NOT="$client has no BuildKit; install its buildx plugin (Debian: docker-buildx)"
		return 1
	fi
	describe_docker "$client"
}

# podman_as_docker CLIENT NAMED: podman under the name of docker, as its package podman-docker installs it
podman_as_docker() {
	if [ -n "$2" ]; then
		WHY_NOT="$2 names an engine, but $1 is podman, which does not heed that; unset it, or install Docker"
		return 1
	fi
	probe_podman "$1"
}

# describe_docker CLIENT
describe_docker() {
	local said
	said=$("$1" info --format '{{json .SecurityOptions}} memory={{.MemoryLimit}} pids={{.PidsLimit}} {{.OperatingSystem}}' 2>/dev/null) || true
	[[ $said != *name=rootless* ]] || ROOTLESS=yes
	# Its containers would know users by other numbers.
	[[ $said != *name=userns* ]] || SHARING+=(--userns host)
	[[ $said != *name=selinux* ]] || SHARING+=("${UNLABELLED[@]}")
	# On Linux, Docker Desktop's machine reaches our files as we do, by way of its root.
	if [[ $said == *"Docker Desktop"* && $OSTYPE == linux* && $(uname -r) != *[Mm]icrosoft* ]]; then ROOTLESS=yes; fi
	[[ $said != *memory=false* ]] || UNLIMITED=memory
	[[ $said != *pids=false* ]] || UNLIMITED+=${UNLIMITED:+ and }processes
}

# explain_answer NAMED: sets WHY_NOT by ANSWER
explain_answer() {
	local named=$1 reason
	# What docker itself says, without the wrapping and without what is said here anyway.
	case $ANSWER in
	*"Is the docker daemon running"* | "") reason= ;;
	*"endpoint: "*) reason=" (${ANSWER##*endpoint: })" ;;
	*) reason=" (${ANSWER##*: })" ;;
	esac
	case $ANSWER,$named in
	*"permission denied"*)
		WHY_NOT="this user may not use the engine${named:+ at $named}; as root: usermod -aG docker USER, then log in again, or run this with sudo"
		;;
	*'context "'*"not found"* | *'context "'*"does not exist"*)
		WHY_NOT="there is no such context: $named; choose one that docker context ls shows: docker context use default, unset DOCKER_CONTEXT"
		;;
	*,DOCKER_HOST=*) WHY_NOT="no engine answers at $named$reason; start it, correct DOCKER_HOST, or unset it" ;;
	*,?*) WHY_NOT="no engine answers at $named$reason; start it, or choose another: docker context use default, unset DOCKER_CONTEXT" ;;
	*) WHY_NOT="docker is installed, but its engine does not answer$reason; start it (Linux, as root: systemctl start docker; macOS, Windows: Docker Desktop), or run this again with --bootstrap" ;;
	esac
}

# probe_podman CLIENT: 0 if it works, and sets PODMAN; else sets WHY_NOT
probe_podman() {
	local said
	if ! said=$("$1" info --format 'rootless={{.Host.Security.Rootless}} labels={{.Host.Security.SELinuxEnabled}} {{json .Host.CgroupControllers}}' 2>&1); then
		WHY_NOT="podman is installed, but podman info fails (${said##*$'\n'}); correct that, or install Docker"
		return 1
	fi
	PODMAN=yes
	[[ $said != *labels=true* ]] || SHARING+=("${UNLABELLED[@]}")
	if [[ $said != *rootless=true* ]]; then
		# What podman does anyway, unless it is told otherwise: the devcontainer CLI asks it for keep-id, which before 4.4
		# root does not get, and which nobody needs whose number is the same inside.
		SHARING+=(--userns host)
		return 0
	fi
	ROOTLESS=yes
	[[ $said == *'"memory"'* ]] || UNLIMITED=memory
	[[ $said == *'"pids"'* ]] || UNLIMITED+=${UNLIMITED:+ and }processes
}

# engine_in_words: what it is, for people
engine_in_words() {
	local name=Docker format='{{.Server.Version}}'
	[ -z "$PODMAN" ] || name=podman format='{{.Client.Version}}'
	printf '%s %s%s at %s\n' "$name" "$("$ENGINE" version --format "$format")" "${ROOTLESS:+, rootless,}" "$ENGINE"
}

# layers_of IMAGE: the digests of its layers, one a line. podman's own type has nothing that could be joined.
layers_of() {
	"$ENGINE" image inspect --format '{{json .RootFS.Layers}}' "$1" | grep -o 'sha256:[0-9a-f]*'
}

# find_engine DOOR: docker before podman, unless the door, a variable or a context names one
find_engine() {
	local door=$1 client named why_not_docker
	named=$(named_engine)
	WHY_NOT=
	if [ "$door" != podman ]; then
		while IFS= read -r client; do
			if probe_docker "$client" "$named"; then
				ENGINE=$client
				return 0
			fi
		done < <(type -aP docker || true)
		if [ -n "$WHY_NOT" ]; then
			# Another engine than the one that was named is not what was asked for.
			[ "$door" != docker ] && [ -z "$named" ] || return 1
		elif [ -n "$named" ]; then
			WHY_NOT="$named names an engine, but docker is not installed; install its client, or unset that"
			return 1
		elif ! has podman; then
			WHY_NOT="there is no container engine; install Docker or podman, or run this again with --bootstrap (Debian or Ubuntu, as root)"
			return 1
		elif [ "$door" = docker ]; then
			WHY_NOT="podman is installed, but docker is not; omit --door, or install Docker"
			return 1
		fi
	fi
	why_not_docker=$WHY_NOT
	if client=$(type -P podman) && probe_podman "$client"; then
		ENGINE=$client
		return 0
	fi
	WHY_NOT=${why_not_docker:-${WHY_NOT:-podman is not installed; install it, or omit --door}}
	return 1
}

# require_engine [DOOR]: find one; with --bootstrap make one if there is none
require_engine() {
	local door=${1:-}
	temporary
	# Docker that is installed and does not run is started, before another engine is taken.
	if [ "$door" != podman ] && [ -n "$BOOTSTRAP" ] && [ "$(id -u)" = 0 ] && [ -z "$(named_engine)" ] && has dockerd &&
		! (find_engine docker); then
		bootstrap_engine
	fi
	if ! find_engine "$door"; then
		if [ "$door" = podman ] || [ -z "$BOOTSTRAP" ] || [ -n "$(named_engine)" ]; then
			die "$EX_UNAVAILABLE" "$WHY_NOT"
		fi
		bootstrap_engine
		find_engine "$door" || die "$EX_UNAVAILABLE" "$WHY_NOT"
	fi
	# Nothing that it writes would be root's.
	if [ -n "$ROOTLESS" ] && [ "$(id -u)" = 0 ]; then
		die "$EX_UNAVAILABLE" "the engine at $ENGINE is rootless, and root is not its user; run this as the user whose engine it is"
	fi
}

require_apt() {
	has apt-get || die "$EX_UNAVAILABLE" "--bootstrap works on Debian and Ubuntu only; install $1 by hand"
	[ "$(id -u)" = 0 ] || die "$EX_UNAVAILABLE" "--bootstrap has to install $1, as root; run it with sudo"
}

# apt_install PACKAGE...: quiet, unless it fails. Whoever does not answer is not waited for.
apt_install() {
	local log=$TEMPORARY/log patience=(-o Acquire::Retries=0 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20)
	say "installing $*"
	if ! { apt-get "${patience[@]}" update &&
		DEBIAN_FRONTEND=noninteractive apt-get "${patience[@]}" install -y --no-install-recommends "$@"; } >"$log" 2>&1; then
		demand_network "$log"
		cat "$log" >&2
		demand_clock "$log"
		die "$EX_FAILED" "installing $* failed; its output is above"
	fi
}

# demand_clock LOG: if apt says there that the archive is from the future, or has expired
demand_clock() {
	! grep -q -e 'Not live until' -e 'is not valid yet' -e 'is expired (invalid since' "$1" ||
		die "$EX_FAILED" "by this machine's clock, which says $(date -u +%F), Debian's archive is not valid; set the clock, or if it is right, use another mirror"
}

# demand_network LOG: if it says that nobody was reached, an error that names all that --bootstrap needs
demand_network() {
	local missing=() base needs
	grep -qiE 'temporary failure|could not (resolve|connect)|unable to connect|network is unreachable|timed out|no route to host' "$1" || return 0
	[ -n "$ENGINE" ] || has dockerd || missing+=(docker.io docker-buildx)
	has mmdebstrap || missing+=(mmdebstrap debian-archive-keyring)
	has npm || missing+=(nodejs npm)
	base=$(sed -n 's/^FROM .*:-\(.*\)@.*} AS base$/\1/p' "$ROOT/.devcontainer/Dockerfile")
	needs="Debian's archive cannot be reached, and --bootstrap needs it: on this host ${missing[*]:-nothing more}, $base as the base, and for the image what debian.lock, tools.txt and poetry.lock list"
	[ -n "$ENGINE" ] || die "$EX_UNAVAILABLE" "$needs; install docker.io from a medium of yours, all else is in a bundle (docs/offline.md)"
	die "$EX_FAILED" "$needs; all of that is in a bundle (docs/offline.md)"
}

bootstrap_engine() {
	require_apt "Docker"
	if ! has dockerd; then
		apt_install docker.io
		# Newer distributions have BuildKit in a package of its own.
		if ! docker_client_can_build; then
			apt_install docker-buildx
		fi
	fi
	start_engine
}

docker_client_can_build() {
	local version
	version=$(/usr/bin/docker version --format '{{.Client.Version}}' 2>/dev/null || true)
	[ "${version%%.*}" -lt 23 ] || /usr/bin/docker buildx version >/dev/null 2>&1
}

start_engine() {
	say "starting the Docker engine"
	if [ -d /run/systemd/system ]; then
		systemctl start docker >&2 || die "$EX_UNAVAILABLE" "the engine did not start; see: journalctl -u docker"
		return
	fi
	local log=/var/log/pressbox-dockerd.log
	: >"$log"
	# A group of its own: Ctrl-C ends a training, not the engine.
	setsid dockerd >>"$log" 2>&1 </dev/null &
	local engine=$!
	# Blocks until the engine says that it listens, or ends.
	if ! grep -q -m 1 'API listen on' <(tail -n +1 -f --pid="$engine" "$log"); then
		tail -n 5 "$log" >&2
		die "$EX_UNAVAILABLE" "the engine did not start; its last lines are above, the others in $log"
	fi
}
