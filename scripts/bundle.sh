#!/usr/bin/env -S bash -p
HEEDS=(GNUPGHOME PRESSBOX_SIGNING_KEY PRESSBOX_SIGNING_PASSPHRASE)
# shellcheck source=scripts/lib/begin.sh
. -- "${0%"${0##*/}"}lib/begin.sh"
# shellcheck source=scripts/lib/bundle.sh
. "$ROOT/scripts/lib/bundle.sh"
# shellcheck source=scripts/lib/signing.sh
. "$ROOT/scripts/lib/signing.sh"

usage() {
	cat <<'USAGE'
usage: scripts/bundle.sh [OPTION]... FILE
Write one file for machines without any network: the image, what npm has installed, and this commit
with its history, signed. There, scripts/train.sh --bundle FILE needs a container engine and nothing
else. The last line of standard output is FILE@sha256:DIGEST; FILE.sha256 has the digest, too.

  --signing-key FILE, --passphrase-file FILE
                   sign with this armoured secret key; default: the key in PRESSBOX_SIGNING_KEY and
                   its passphrase in PRESSBOX_SIGNING_PASSPHRASE, else the published demo key
  --signing-agent FINGERPRINT
                   sign with a trusted signer's key that your gpg-agent (of GNUPGHOME, or ~/.gnupg),
                   or its smartcard, holds
  --bootstrap      install and start what is missing: engine, base image, Node.js (Debian, as root)
  --dry-run        print the commands, run nothing
  -h, --help       print this
  --version        print the version

example: scripts/bundle.sh /media/usb/pressbox.bundle
USAGE
}

read_options "$@"
no_more "${ARGUMENTS[@]:1}" "${REST[@]}"
! inside_container || die "$EX_USAGE" "the image is the engine's; run this on the host"
file=${ARGUMENTS[0]:-}
[ -n "$file" ] || die "$EX_USAGE" "no file was named; name one, e.g. scripts/bundle.sh /media/usb/pressbox.bundle"
[ ! -d "$file" ] || die "$EX_USAGE" "$file is a folder; name a file in it, e.g. ${file%/}/pressbox.bundle"
resolve "$file" || die "$EX_USAGE" "there is no folder ${file%/*}; create it, or name another"
file=$RESOLVED
name=${file##*/} folder=${file%/*}
[ -w "${folder:=/}" ] || die "$EX_USAGE" "nothing can be written to $folder; name another folder"

key='' passphrase='' agent=''
for given in "${GIVEN[@]}"; do
	value=${given#*=}
	case $given in
	--signing-key=*) key=$value ;;
	--passphrase-file=*) passphrase=$value ;;
	--signing-agent=*) agent=$value ;;
	esac
done

# free_room: of the folder, in MB
free_room() {
	df -Pk "$folder" | awk 'NR == 2 { printf "%d", $4 * 1024 / 1000000 }'
}

# demand_room: where the file goes, for the image as the engine saves it, and for the bundle
demand_room() {
	local needed
	needed=$(($("$ENGINE" image inspect --format '{{.Size}}' "$TAGGED") * 3 / 2000000))
	[ "$(free_room)" -ge "$needed" ] ||
		die "$EX_FAILED" "$folder has $(free_room) MB of room, and a bundle takes up to $needed MB while it is made; make room there, or name another folder"
}

# bundle_inside ARGUMENT...: what writes the bundle, or with --check says what would be wrong with it
bundle_inside() {
	enter "$PYTHON" -m pressbox bundle "$@" --tag "$TAGGED" --inputs "$(bundle_inputs)" "${KEY_OPTIONS[@]}"
}

# save_image: as an archive in PART
save_image() {
	say "saving the image"
	(umask 022 && "$ENGINE" save "$TAGGED" >"$PART/image.tar") ||
		die "$EX_FAILED" "the image was not saved; see above, or make room in $folder"
}

# make_bundle: in PART, and read again as the other side will read it
make_bundle() {
	local status=0
	let_in image "$PART/image.tar" ro
	READS+=("$TOOLCHAIN/node_modules")
	BUNDLE=$PART/bundle
	bundle_inside "${SEEN[image]}" >"$BUNDLE" || status=$?
	[ "$status" = 0 ] || [ "$(free_room)" -gt 1 ] || die "$EX_FAILED" "no room is left in $folder; make some, or name another folder"
	[ "$status" = 0 ] || exit "$status"
	digest=$(sha256 <"$BUNDLE")
	if has gpg; then believe ''; else believe "$digest"; fi
}

choose_door ''
FRESH="a bundle is made in a fresh container"
choose_key "$key" "$passphrase" "$agent"
require_engine
require_image
require_devcontainer_cli
PART=$folder/.$name.$$
if [ -n "$DRY_RUN" ]; then
	run "$ENGINE" save --output "$PART/image.tar" "$TAGGED"
	exit
fi
demand_room
(bundle_inside image --check) || exit
mkdir -m 755 "$PART" || die "$EX_FAILED" "nothing can be written to $folder; name another folder"
save_image
make_bundle
printf '%s  %s\n' "$digest" "$name" >"$PART/sha256"
{ mv -f "$PART/sha256" "$file.sha256" && mv -f "$BUNDLE" "$file"; } || die "$EX_FAILED" "$file could not be written; name another file"
printf '%s@sha256:%s\n' "$file" "$digest"
