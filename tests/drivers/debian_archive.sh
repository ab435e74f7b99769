#!/usr/bin/env -S bash -p
# debian_archive.sh FOLDER: makes a Debian archive of two real packages, at two dates, in FOLDER. To be run in a
# container, as root, with a network: it takes reprepro and the packages from Debian.
#
#   FOLDER/key.asc            who signs it
#   FOLDER/20260101T000000Z   media-types and publicsuffix as Debian has them
#   FOLDER/20270101T000000Z   media-types in a later version, and publicsuffix gone
#   FOLDER/unborn             the first, signed in 2099: as a slow clock sees an archive
#   FOLDER/expired            the first, valid until 2020: as a fast clock sees an archive
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
folder=$1 work=/tmp/archive
mkdir -p "$work/packages" "$work/later"
apt-get update --quiet=2
apt-get install --quiet=2 -y --no-install-recommends reprepro gpg >/dev/null 2>&1
(cd "$work/packages" && apt-get download --quiet=2 -o APT::Sandbox::User=root media-types publicsuffix)
dpkg-deb --raw-extract "$work"/packages/media-types_* "$work/later/media-types"
sed -i 's/^Version: .*/&+later/' "$work/later/media-types/DEBIAN/control"
dpkg-deb --build "$work/later/media-types" "$work/later" >/dev/null

export GNUPGHOME=$work/gnupg
mkdir -m 700 "$GNUPGHOME"
gpg --batch --quiet --passphrase '' --quick-generate-key 'Test archive <archive@pressbox.example>' ed25519 sign 0
gpg --armor --export >"$folder/key.asc"

# release DATE PACKAGE...
release() {
	local date=$1
	shift
	mkdir -p "$work/$date/conf"
	printf '%s\n' "Origin: Pressbox" "Label: Pressbox" "Suite: stable" "Codename: trixie" "Architectures: amd64 arm64" \
		"Components: main" "SignWith: yes" >"$work/$date/conf/distributions"
	reprepro --silent --basedir "$work/$date" --outdir "$folder/$date" includedeb trixie "$@"
}
release 20260101T000000Z "$work"/packages/*.deb
release 20270101T000000Z "$work"/later/*.deb

# resign NAME GPG-OPTION...: a copy of the first under that name, its index (standard input) signed anew
resign() {
	local dists=$folder/$1/dists/trixie
	cp -a "$folder/20260101T000000Z" "$folder/$1"
	cat >"$dists/Release"
	rm "$dists/Release.gpg" "$dists/InRelease"
	gpg --batch --quiet "${@:2}" --output "$dists/InRelease" --clear-sign "$dists/Release"
}
first=$folder/20260101T000000Z/dists/trixie/Release
resign unborn --faked-system-time 20990101T000000! <"$first"
sed 's/^Date: .*/&\nValid-Until: Wed, 01 Jan 2020 00:00:00 UTC/' "$first" | resign expired
chmod -R a+rX "$folder"
