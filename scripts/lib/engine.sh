# shellcheck shell=bash
# The container engine: found, never assumed; with --bootstrap, installed and started.
# Sets ENGINE (the client's path) and PODMAN (yes, or empty).

# shellcheck source=scripts/lib/common.sh
. -- "${BASH_SOURCE[0]%/*}/common.sh"

ENGINE=
PODMAN=
# Why there is none.
WHY_NOT=
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

# probe_docker CLIENT NAMED: 0 if it reaches an engine and can BuildKit; else sets WHY_NOT
probe_docker() {
	local client=$1 named=$2 versions
	if ! versions=$("$client" version --format '{{.Client.Version}} {{.Server.Version}}' 2>&1) || [ -z "${versions##* }" ]; then
		case $versions,$named in
		*"permission denied"*)
			WHY_NOT="this user may not use the engine${named:+ at $named}; as root: usermod -aG docker USER, then log in again, or run this with sudo"
			;;
		*,?*) WHY_NOT="no engine answers at $named (${versions##*$'\n'}); correct that, or unset it (a context: docker context use default)" ;;
		*) WHY_NOT="$client is installed, but no engine answers it; start it (as root: systemctl start docker), or run this again with --bootstrap" ;;
		esac
		return 1
	fi
	if [ "${versions%%.*}" -ge 23 ] && ! "$client" buildx version >/dev/null 2>&1; then
		WHY_NOT="$client has no BuildKit; install its buildx plugin (Debian: docker-buildx)"
		return 1
	fi
}

# find_engine DOOR: docker before podman, unless the door, a variable or a context names one
find_engine() {
	local client named
	named=$(named_engine)
	WHY_NOT="there is no container engine; install Docker or podman, or run this again with --bootstrap (Debian or Ubuntu, as root)"
	if [ "$1" != podman ]; then
		while IFS= read -r client; do
			if probe_docker "$client" "$named"; then
				ENGINE=$client
				return 0
			fi
		done < <(type -aP docker || true)
		[ "$1" != docker ] && [ -z "$named" ] || return 1
	fi
	has podman && podman info >/dev/null 2>&1 || return 1
	ENGINE=$(command -v podman)
	PODMAN=yes
}

# require_engine [DOOR]: find one; with --bootstrap make one if there is none
require_engine() {
	local door=${1:-}
	temporary
	find_engine "$door" && return 0
	if [ "$door" = podman ]; then
		die "$EX_UNAVAILABLE" "podman is not installed, or does not work (podman info); install it, or use --door docker"
	elif [ -n "$BOOTSTRAP" ] && [ -z "$(named_engine)" ]; then
		bootstrap_engine
		find_engine "$door" && return 0
	fi
	die "$EX_UNAVAILABLE" "$WHY_NOT"
}

require_apt() {
	has apt-get || die "$EX_UNAVAILABLE" "--bootstrap works on Debian and Ubuntu only; install $1 by hand"
	[ "$(id -u)" = 0 ] || die "$EX_UNAVAILABLE" "--bootstrap has to install $1, as root; run it with sudo"
}

# apt_install PACKAGE...: quiet, unless it fails
apt_install() {
	local log=$TEMPORARY/log
	say "installing $*"
	if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } >"$log" 2>&1; then
		cat "$log" >&2
		die "$EX_FAILED" "installing $* failed; its output is above"
	fi
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
