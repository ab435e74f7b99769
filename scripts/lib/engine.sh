# shellcheck shell=bash
# The container engine: found, never assumed; with --bootstrap, installed and started.
# Sets ENGINE (the client's path) and PODMAN (yes, or empty).

# shellcheck source=scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

ENGINE=
PODMAN=
# BuildKit is part of the docker client before 23, a plugin (buildx) since.
export DOCKER_BUILDKIT=1

# probe_docker CLIENT: 0 if it reaches an engine and can BuildKit; else sets WHY_NOT
probe_docker() {
	local client=$1 versions
	if ! versions=$("$client" version --format '{{.Client.Version}} {{.Server.Version}}' 2>/dev/null) ||
		[ -z "${versions##* }" ]; then
		WHY_NOT="$client is installed, but no engine answers it; start it (as root: systemctl start docker), or run this again with --bootstrap"
		return 1
	fi
	if [ "${versions%%.*}" -ge 23 ] && ! "$client" buildx version >/dev/null 2>&1; then
		WHY_NOT="$client has no BuildKit; install its buildx plugin (Debian: docker-buildx)"
		return 1
	fi
}

find_engine() {
	local client
	WHY_NOT="there is no container engine; install Docker or podman, or run this again with --bootstrap (Debian or Ubuntu, as root)"
	while IFS= read -r client; do
		if probe_docker "$client"; then
			ENGINE=$client
			return 0
		fi
	done < <(type -aP docker || true)
	if has podman && podman info >/dev/null 2>&1; then
		ENGINE=$(command -v podman)
		PODMAN=yes
		return 0
	fi
	return 1
}

# require_engine BOOTSTRAP: find one; with a non-empty BOOTSTRAP make one if there is none
require_engine() {
	find_engine && return 0
	if [ -n "$1" ]; then
		bootstrap_engine
		find_engine && return 0
	fi
	die "$EX_UNAVAILABLE" "$WHY_NOT"
}

require_apt() {
	has apt-get || die "$EX_UNAVAILABLE" "--bootstrap knows Debian and Ubuntu only; install $1 by hand"
	[ "$(id -u)" = 0 ] || die "$EX_UNAVAILABLE" "--bootstrap has to install $1, as root; run it with sudo"
}

# apt_install PACKAGE...: quiet, unless it fails
apt_install() {
	local log
	say "installing $*"
	log=$(mktemp)
	if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } >"$log" 2>&1; then
		cat "$log" >&2
		rm -f "$log"
		die "$EX_FAILED" "installing $* failed; its output is above"
	fi
	rm -f "$log"
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
