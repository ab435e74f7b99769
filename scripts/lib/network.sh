# shellcheck shell=bash
# The network of whoever runs a script: authorities, proxies, mirrors and credentials. They reach the build,
# and runs that download, as files that are mounted there (.devcontainer/network.sh reads them): they are in no
# layer, no option of a process and nothing that an engine shows. Stands on common.sh.

# Where a host has authorities of its own: Debian's place, and Fedora's.
LOCAL_AUTHORITIES=(/usr/local/share/ca-certificates /etc/pki/ca-trust/source/anchors)
# Made once: a folder with a file for each of them; what a build is told, which is run in that folder, because
# builders differ in how a path is quoted.
NETWORK_FOLDER='' BUILD_NETWORK=()

# require_network: sets NETWORK_FOLDER and BUILD_NETWORK. A usage error if a variable is wrong.
require_network() {
	local name
	[ -z "$NETWORK_FOLDER" ] || return 0
	temporary
	NETWORK_FOLDER=$TEMPORARY/network
	# Whoever runs in a container reads the files; the folder that this one is in lets nobody else through.
	(umask 022 && mkdir "$NETWORK_FOLDER")
	write_authorities >"$NETWORK_FOLDER/ca"
	write_address PIP_INDEX_URL >"$NETWORK_FOLDER/index"
	write_address PRESSBOX_DEBIAN_MIRROR >"$NETWORK_FOLDER/mirror"
	write_netrc >"$NETWORK_FOLDER/netrc"
	write_proxies >"$NETWORK_FOLDER/proxies"
	chmod 644 "$NETWORK_FOLDER"/*
	for name in ca index mirror netrc proxies; do
		[ ! -s "$NETWORK_FOLDER/$name" ] || BUILD_NETWORK+=(--secret "id=$name,src=$name")
	done
	# podman would hand on the proxies by itself, and show them in the image's history.
	[ -z "${PODMAN:-}" ] || BUILD_NETWORK+=(--http-proxy=false)
}

# write_authorities: prints the certificates that PRESSBOX_CA names, or else those that this host has of its own
write_authorities() {
	local named=${PRESSBOX_CA-} files=() file remedy="name a file or a folder of PEM certificates in PRESSBOX_CA, or give their text there"
	if [ -z "${PRESSBOX_CA+set}" ]; then
		mapfile -d '' -t files < <(find -L "${LOCAL_AUTHORITIES[@]}" -type f -name '*.crt' -print0 2>/dev/null | sort -z)
	elif [[ $named == *-----BEGIN\ * ]]; then
		printf '%s\n' "$named" >"$TEMPORARY/PRESSBOX_CA"
		files=("$TEMPORARY/PRESSBOX_CA")
	elif [ -d "$named" ]; then
		mapfile -d '' -t files < <(find -L "$named/" -type f \( -name '*.crt' -o -name '*.pem' -o -name '*.cer' \) -print0 | sort -z)
		[ "${#files[@]}" -gt 0 ] || die "$EX_USAGE" "PRESSBOX_CA names the folder $named, in which there is no .crt, .pem or .cer file; $remedy"
	elif [ -n "$named" ]; then
		[ -e "$named" ] || die "$EX_USAGE" "PRESSBOX_CA names $named, which is not there; $remedy"
		files=("$named")
	fi
	for file in "${files[@]}"; do
		write_certificates "$file" "${file#"$TEMPORARY/"}"
	done >"$TEMPORARY/ca"
	[ -z "$named" ] || demand_valid "$TEMPORARY/ca"
	cat "$TEMPORARY/ca"
}

# write_certificates FILE CALLED: prints its certificates and nothing else
write_certificates() {
	local file=$1 called=$2 found
	found=$(tr -d '\r' 2>/dev/null <"$file") || die "$EX_USAGE" "$called cannot be read; name another file in PRESSBOX_CA"
	[[ $found != *"PRIVATE KEY-----"* ]] ||
		die "$EX_USAGE" "$called holds a private key, which belongs into no build; name a file in PRESSBOX_CA that has the certificate alone"
	found=$(awk '/^-----BEGIN CERTIFICATE-----/ { one = "" ; on = 1 } on { one = one $0 "\n" }
		/^-----END CERTIFICATE-----/ && on { printf "%s", one; on = 0 }' <<<"$found")
	[ -n "$found" ] ||
		die "$EX_USAGE" "$called is not a PEM certificate; convert it: openssl x509 -inform der -in FILE -out FILE.pem"
	printf '%s\n' "$found"
}

# demand_valid FILE: at least one of the certificates is one, and has not expired. Without openssl here, the
# first download says so.
demand_valid() {
	local folder=$TEMPORARY/certificates file expired=''
	has openssl || return 0
	mkdir "$folder"
	awk -v folder="$folder" '/^-----BEGIN/ { file = folder "/" ++number } { print >file } /^-----END/ { close(file) }' "$1"
	for file in "$folder"/*; do
		! openssl x509 -noout -checkend 0 -in "$file" >/dev/null 2>&1 || return 0
		[ -n "$expired" ] || expired=$(openssl x509 -noout -enddate -in "$file" 2>/dev/null) || true
	done
	[ -n "$expired" ] || die "$EX_USAGE" "what PRESSBOX_CA names is not a certificate, or is cut off; export it anew"
	die "$EX_USAGE" "the certificates in PRESSBOX_CA have expired (${expired#notAfter=}); name those that are in use now"
}

# write_address NAME: prints the address in that variable, if there is one; it may have a password in it
write_address() {
	[ -n "${!1:-}" ] || return 0
	[[ ${!1} =~ ^https?://[^[:space:][:cntrl:]\"\'\\]+$ ]] ||
		die "$EX_USAGE" "$1 is not the address of a server; give one that begins with https:// or http://, without blanks"
	printf '%s\n' "${!1}"
}

# write_netrc: prints what the netrc file has for the server in PIP_INDEX_URL, and nothing of others
write_netrc() {
	local file=${NETRC:-${HOME:-}/.netrc} host=${PIP_INDEX_URL:-}
	[ -z "${NETRC:-}" ] || [ -r "$NETRC" ] || die "$EX_USAGE" "NETRC names $NETRC, which cannot be read; correct or unset it"
	[ -n "$host" ] && [ -r "$file" ] || return 0
	host=${host#*://} host=${host%%/*} host=${host##*@}
	awk -v host="${host%%:*}" '
		/^[ \t]*#/ { next }
		/^[ \t]*macdef/ { macro = 1 }
		macro { if (!NF) macro = 0; next }
		{ for (i = 1; i <= NF; i++) {
			if (name == "") {
				name = $i
				if (name == "default") { here = 0; name = "" }
			} else {
				if (name == "machine") here = $i == host
				if (here) print name, $i
				name = ""
			}
		} }' "$file"
}

# write_proxies: prints NAME=VALUE in both spellings, as programs differ in which they read
write_proxies() {
	local name lower value
	for name in HTTP_PROXY HTTPS_PROXY NO_PROXY; do
		lower=${name,,}
		value=${!lower:-${!name:-}}
		[ -n "$value" ] || [ "$name" = NO_PROXY ] || value=${all_proxy:-${ALL_PROXY:-}}
		[ -n "$value" ] || continue
		[[ $value != *[[:cntrl:]]* ]] || die "$EX_USAGE" "$name has a control character in it; correct it"
		printf '%s=%s\n' "$name" "$value" "$lower" "$value"
	done
}

# run_npm ARGUMENT...: it trusts what we trust, and takes proxies and its registry from variables
run_npm() {
	require_network
	[ -n "${NODE_EXTRA_CA_CERTS:-}" ] || [ ! -s "$NETWORK_FOLDER/ca" ] || export NODE_EXTRA_CA_CERTS=$NETWORK_FOLDER/ca
	run npm "$@"
}
