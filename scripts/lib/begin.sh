# shellcheck shell=bash
# How each script begins: anew, in a shell that nothing of the caller's environment steers. `bash -p`
# takes no function, option or BASH_ENV from there; `exec -c` leaves all variables behind, and those
# that a script heeds come along on a pipe: no process from here on has the signing key in what
# /proc shows of its environment. Nor can a trace (bash -x) or a core dump show it.
set +x
ulimit -S -c 0

# What every script heeds; each names its own in HEEDS. heeded_variables says so in --help.
COMMON=(
	HOME NO_COLOR PATH TERM TMPDIR USER
	BASE_IMAGE PRESSBOX_MEMORY
	CONTAINER_CONNECTION CONTAINER_HOST CONTAINERS_CONF CONTAINERS_STORAGE_CONF
	DOCKER_CERT_PATH DOCKER_CONFIG DOCKER_CONTEXT DOCKER_HOST DOCKER_TLS_VERIFY SSH_AUTH_SOCK
	DBUS_SESSION_BUS_ADDRESS XDG_CONFIG_HOME XDG_DATA_HOME XDG_RUNTIME_DIR
	ALL_PROXY HTTP_PROXY HTTPS_PROXY NO_PROXY all_proxy http_proxy https_proxy no_proxy
	NETRC PIP_INDEX_URL PRESSBOX_CA PRESSBOX_DEBIAN_MIRROR
	NODE_EXTRA_CA_CERTS NPM_CONFIG_REGISTRY SSL_CERT_DIR SSL_CERT_FILE npm_config_registry
)

# hand_over NAME...: those that are set, as NAME=VALUE, each with a NUL after it
hand_over() {
	local name
	for name in "$@"; do
		[ -z "${!name+set}" ] || printf '%s=%s\0' "$name" "${!name}"
	done
}

# hand_all_over: what is heeded; then, in the image, the rest but the key: it is for the command, whose
# check of the environment has to see what is set in the terminal
hand_all_over() {
	local name
	hand_over "${COMMON[@]}" "${HEEDS[@]}"
	printf '\0'
	[ -f /opt/pressbox/passport.json ] || return 0
	for name in $(compgen -A export); do
		case " ${COMMON[*]} ${HEEDS[*]} PRESSBOX_SIGNING_KEY PRESSBOX_SIGNING_PASSPHRASE " in
		*" $name "*) ;;
		*) hand_over "$name" ;;
		esac
	done
}

# No environment makes a variable read-only.
# shellcheck disable=SC2016 # expanded by that bash
if [ "${BEGUN@a}" != r ]; then
	exec -c "$BASH" -p -c 'readonly BEGUN=yes; . -- "$0"' "$0" "$@" 8< <(hand_all_over)
fi

SIGNING_KEY='' SIGNING_PASSPHRASE=''
while IFS= read -r -d '' pair <&8 && [ -n "$pair" ]; do
	case $pair in
	PRESSBOX_SIGNING_KEY=*) SIGNING_KEY=${pair#*=} ;;
	PRESSBOX_SIGNING_PASSPHRASE=*) SIGNING_PASSPHRASE=${pair#*=} ;;
	*) export "${pair?}" ;;
	esac
done
# What is set in the terminal besides; see enter.
mapfile -d '' -t TERMINAL <&8
exec 8<&-
unset pair

# heeded_variables: the end of each --help
heeded_variables() {
	local names
	printf -v names '%s, ' "${COMMON[@]}" "${HEEDS[@]}"
	printf '\nBASE_IMAGE names the image to build on, PRESSBOX_MEMORY the memory of a container (default: 4g).\n'
	printf 'For the network of a company, its authorities (PRESSBOX_CA), proxies and mirrors: docs/network.md.\n'
	printf 'Variables that are heeded, and no others:\n'
	fold -s -w 96 <<<"${names%, }" | sed 's/^/  /; s/ *$//'
}

# shellcheck source=scripts/lib/doors.sh
. -- "${BASH_SOURCE[0]%/*}/doors.sh"
# shellcheck source=scripts/lib/options.sh
. -- "${BASH_SOURCE[0]%/*}/options.sh"

# No language of the caller's either: tools sort, match and write numbers in one way.
inside_container || export LC_ALL=C
