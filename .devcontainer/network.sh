#!/usr/bin/env -S bash -p
# Runs a command that downloads, in the network of whoever runs it. What they say of their network is mounted
# for that command alone, so that no layer, image or cache has it; scripts/lib/network.sh says what it is.
# An editor's build has the proxies as variables: BuildKit keeps those out of layers, history and cache.
#
#   /run/secrets/ca        certificate authorities besides the image's (PEM)
#   /run/secrets/index     the address of Python's packages
#   /run/secrets/netrc     who we are there
#   /run/secrets/mirror    the address of Debian's archive
#   /run/secrets/proxies   NAME=VALUE, a line each
#
#   network.sh run COMMAND...       run it
#   network.sh install COMMAND...   run it, and if pip fails say why in one line
#   network.sh trust                let the container itself trust the authorities on standard input (as root)
set -euo pipefail

SECRETS=/run/secrets
SYSTEM=/etc/ssl/certs/ca-certificates.crt
# Memory, and gone with the container: no step of a build leaves it in a layer.
PRIVATE=$(umask 022 && mktemp -d /dev/shm/network.XXXXXX)
chmod 755 "$PRIVATE" # apt reads the certificates as a user of its own

# fail WHAT REMEDY
fail() {
	printf 'error: %s; %s\n' "$1" "$2" >&2
	exit 1
}

# given NAME: whether somebody said something; a dev container's build has every secret, some of them empty
given() {
	[ -s "$SECRETS/$1" ]
}

# settings: variables and files for what the command runs; nothing secret in its options
settings() {
	local pair
	if given ca; then use_authorities; fi
	if given index; then
		PIP_INDEX_URL=$(<"$SECRETS/index")
		export PIP_INDEX_URL UV_DEFAULT_INDEX=$PIP_INDEX_URL POETRY_PYPI_MIRROR_URL=$PIP_INDEX_URL
	fi
	if given netrc; then export NETRC=$SECRETS/netrc; fi
	if given mirror; then use_mirror; fi
	if given proxies; then
		while IFS= read -r pair; do export "${pair?}"; done <"$SECRETS/proxies"
	fi
	export PIP_NO_INPUT=1
	export APT_CONFIG=$PRIVATE/apt.conf
}

use_authorities() {
	local bundle=$PRIVATE/ca.pem
	grep -q '^-----BEGIN CERTIFICATE-----' "$SECRETS/ca" ||
		fail "PRESSBOX_CA is not PEM text, and an editor's build cannot read files of the host" \
			"run scripts/doctor.sh on the host first, or put the text of the certificates into PRESSBOX_CA"
	{ cat "$SYSTEM" 2>/dev/null || true; } >"$bundle"
	cat "$SECRETS/ca" >>"$bundle"
	export CURL_CA_BUNDLE=$bundle GIT_SSL_CAINFO=$bundle NODE_EXTRA_CA_CERTS=$bundle \
		PIP_CERT=$bundle REQUESTS_CA_BUNDLE=$bundle SSL_CERT_FILE=$bundle
	printf 'Acquire::https::CAInfo "%s";\n' "$bundle" >>"$PRIVATE/apt.conf"
}

# use_mirror: what the base calls …/debian is at the mirror's address, and …/debian-security beside it.
# A mirror has one date, its own, and debian.lock judges it.
use_mirror() {
	# A file, because the address may have a password in it, and options are for all to see.
	printf 's#https\\{0,1\\}://[^ ]*/debian\\(-security\\)\\{0,1\\}/\\{0,1\\}\\( \\|$\\)#%s\\1\\2#g\n' \
		"$(sed 's/[&#\\]/\\&/g; s#/*$##' "$SECRETS/mirror")" >"$PRIVATE/mirror.sed"
	mkdir "$PRIVATE/sources.list.d"
	[ ! -e /etc/apt/sources.list ] || sed -f "$PRIVATE/mirror.sed" /etc/apt/sources.list >"$PRIVATE/sources.list"
	find /etc/apt/sources.list.d -type f -exec cp {} "$PRIVATE/sources.list.d" \;
	find "$PRIVATE/sources.list.d" -type f -exec sed -i -f "$PRIVATE/mirror.sed" {} +
	printf 'Dir::Etc::sourcelist "%s";\nDir::Etc::sourceparts "%s";\n' \
		"$PRIVATE/sources.list" "$PRIVATE/sources.list.d" >>"$PRIVATE/apt.conf"
	export DEBIAN_MIRRORED=yes
}

# explain LOG: the first thing that pip's words tell, with its remedy; nothing if they tell none
explain() {
	local log=$1 what
	what=$(sed -n 's/.*No matching distribution found for \([^ ]*\).*/\1/p' "$log" | head -n 1)
	if grep -q 'DO NOT MATCH THE HASHES' "$log"; then
		what=$(sed -n '/DO NOT MATCH THE HASHES/,$s/^[0-9T:,-]* *\([A-Za-z0-9._-]*==[^ ]*\).* from .*/\1/p' "$log" | head -n 1)
		fail "the package index has another ${what:-file} than the lock, by its SHA-256" "use another index (PIP_INDEX_URL), and tell its operators"
	elif grep -qE 'Proxy ?Error|Tunnel connection failed|Cannot connect to proxy' "$log"; then
		what=$(sed -n "s/.*Tunnel connection failed: \([0-9]* [A-Za-z ]*\).*/\1/p" "$log" | head -n 1)
		fail "the proxy lets nobody through to the package index (${what:-no connection})" "correct HTTPS_PROXY, HTTP_PROXY or NO_PROXY"
	elif grep -q 'SOCKS support' "$log"; then
		fail "pip cannot use a SOCKS proxy" "name an HTTP proxy in HTTPS_PROXY and HTTP_PROXY"
	elif grep -qE 'CERTIFICATE_VERIFY_FAILED|certificate verify failed' "$log"; then
		what=$(sed -n 's/.*certificate verify failed: \([A-Za-z -]*[a-z]\).*/\1/p' "$log" | head -n 1)
		fail "the package index has a certificate that is not trusted (${what:-unknown authority})" "name the authority that signed it in PRESSBOX_CA"
	elif grep -qE '401 (Error|Client)|Credentials not correct|User for ' "$log"; then
		fail "the package index does not know us (401)" "correct the credentials in PIP_INDEX_URL or in the netrc file"
	elif grep -q '403 \(Error\|Client\)' "$log"; then
		fail "the package index does not let us in (403)" "ask its operators, or correct the credentials in PIP_INDEX_URL or in the netrc file"
	elif grep -qE 'connection error: |NewConnectionError|NameResolutionError|ConnectTimeoutError' "$log"; then
		what=$(sed -n "s/.*\(Connection refused\|Connection reset\|timed out\|Name or service not known\|Temporary failure in name resolution\|No route to host\|Network is unreachable\).*/\1/p" "$log" | head -n 1)
		fail "the package index cannot be reached (${what:-no connection})" "check the network, and what HTTPS_PROXY and PIP_INDEX_URL name"
	elif [ -n "$what" ]; then
		fail "the package index does not have $what, or no file of it that the lock names" "use an index that has it (PIP_INDEX_URL), or run scripts/update.sh python"
	fi
}

# without_credentials: of the addresses in a log
without_credentials() {
	sed -u 's#://[^/@[:space:]]*@#://#g'
}

install() {
	local status=0
	# All that pip has to say; on its output it is quiet about why an index was of no use.
	export PIP_LOG=$PRIVATE/log
	"$@" 2>&1 | without_credentials || status=$?
	[ "$status" != 0 ] || return 0
	explain "$PIP_LOG"
	exit "$status"
}

# trust: as Debian does it, a file for each certificate; at once, if it does already
trust() {
	local folder=/usr/local/share/ca-certificates/pressbox
	cat >"$PRIVATE/given.pem"
	! cmp -s "$PRIVATE/given.pem" "$folder/given.pem" || return 0
	rm -rf "$folder"
	mkdir -p "$folder"
	awk -v folder="$folder" '/^-----BEGIN CERTIFICATE-----/ { file = sprintf("%s/%03d.crt", folder, ++number) } file { print >file }
		/^-----END CERTIFICATE-----/ { close(file); file = "" }' "$PRIVATE/given.pem"
	update-ca-certificates >"$PRIVATE/log" 2>&1 || { cat "$PRIVATE/log" >&2 && return 1; }
	cp "$PRIVATE/given.pem" "$folder"
}

: >"$PRIVATE/apt.conf"
case ${1:-} in
run) settings && shift && exec "$@" ;;
install) settings && shift && install "$@" ;;
trust) trust ;;
*)
	printf 'usage: network.sh run COMMAND... | install COMMAND... | trust\n' >&2
	exit 2
	;;
esac
