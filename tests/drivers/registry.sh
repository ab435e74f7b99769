#!/usr/bin/env -S bash -p
# registry.sh FOLDER: takes Debian's own registry server, and makes certificates and a password for it. To be run in
# a container, as root, with a network. registry.sh FOLDER serve KIND ADDRESS [PORT] is the server itself: it says the
# address on which it listens, a free one unless a port is given, in its log.
#
#   FOLDER/bin/registry       the server
#   FOLDER/{ca,server,other}.pem, .key   an authority, a certificate of it for ADDRESS, and one of nobody
#   KIND                      plain, tls, stranger (the certificate of nobody) or login (plain; desk, "pass word")
set -euo pipefail
folder=$1

certificates() {
	local address=$1
	openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=Test authority" -keyout ca.key -out ca.pem 2>/dev/null
	openssl req -newkey rsa:2048 -nodes -subj "/CN=registry" -keyout server.key -out server.csr 2>/dev/null
	openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days 3650 -out server.pem \
		-extfile <(printf 'subjectAltName=IP:%s' "$address") 2>/dev/null
	openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=nobody" -addext "subjectAltName=IP:$address" \
		-keyout other.key -out other.pem 2>/dev/null
}

serve() {
	local kind=$1 address=$2 port=${3:-0} lines=()
	case $kind in
	tls) lines=("  tls:" "    certificate: $folder/server.pem" "    key: $folder/server.key") ;;
	stranger) lines=("  tls:" "    certificate: $folder/other.pem" "    key: $folder/other.key") ;;
	login) lines=("auth:" "  htpasswd:" "    realm: Pressbox" "    path: $folder/passwords") ;;
	esac
	printf '%s\n' "version: 0.1" "log:" "  level: info" "storage:" "  delete: {enabled: true}" \
		"  filesystem: {rootdirectory: $folder/store}" "http:" "  addr: '$address:$port'" "${lines[@]}" >"/tmp/$kind.yml"
	exec "$folder/bin/registry" serve "/tmp/$kind.yml"
}

if [ "${2:-}" = serve ]; then serve "${@:3}"; fi
export DEBIAN_FRONTEND=noninteractive
mkdir -p "$folder/bin" "$folder/store" /tmp/registry
apt-get update --quiet=2
(cd /tmp/registry && apt-get download --quiet=2 -o APT::Sandbox::User=root docker-registry && dpkg-deb --extract ./*.deb .)
cp /tmp/registry/usr/bin/docker-registry "$folder/bin/registry"
cd "$folder"
certificates "$2"
# shellcheck disable=SC2016 # bcrypt of "pass word"
printf '%s\n' 'desk:$2y$05$onjVJX8Fh3N9dvLYq4MHNez2GbLS0ICNbWd4mtUebcIjSLF00RaCy' >passwords
chmod -R a+rX "$folder"
