#!/usr/bin/env -S bash -p
HEEDS=()
# shellcheck source=scripts/lib/begin.sh
. -- "${0%"${0##*/}"}lib/begin.sh"

usage() {
	cat <<'USAGE'
usage: scripts/keys.sh [--bootstrap] [--door DOOR] [--dry-run] COMMAND …
The signing keys, and the signers whose models are trusted (gnupg/).

  new USER-ID --out FOLDER [--days N]
                   make a signing key, for a year unless told otherwise, in a folder outside of
                   the repository, and say what to put where
                   example: scripts/keys.sh new 'Sports desk <sports@example.org>' --out ~/keys
  list             who is trusted, and until when; exit 1 when one of the keys has expired
                   example: scripts/keys.sh list
  trust FILE       trust whoever holds the secret half of a public key
                   example: scripts/keys.sh trust ~/keys/89ACF93E413D302C.pub.asc
  revoke FINGERPRINT
                   trust somebody no longer: all their models are refused, old ones too
                   example: scripts/keys.sh revoke D4021E7D4529EC2E3058A92277DDEEAA3A5411D4
  rotate FILE --old FINGERPRINT [--until DATE]
                   trust a new key, and its predecessor only to the end of that day (default: in
                   30 days)
                   example: scripts/keys.sh rotate ~/keys/89ACF93E413D302C.pub.asc \
                     --old D4021E7D4529EC2E3058A92277DDEEAA3A5411D4 --until 2027-01-31

Commit gnupg/ after trust, revoke and rotate.
USAGE
	heeded_variables
}

door=docker
while [ $# -gt 0 ]; do
	case $1 in
	--bootstrap) BOOTSTRAP=yes ;;
	--door) needs_value "$@" && door=$2 && shift ;;
	--dry-run) DRY_RUN=yes ;;
	--help) usage && exit 0 ;;
	-*) unknown_option "$1" ;;
	*) break ;;
	esac
	shift
done
[ $# -gt 0 ] || die "$EX_USAGE" "which command? new, list, trust, revoke or rotate; see --help"
if inside_container; then door=''; fi
choose_door "$door"

verb=$1
shift
arguments=()
while [ $# -gt 0 ]; do
	case $verb,$1 in
	*,--help) usage && exit 0 ;;
	new,--out)
		needs_value "$@"
		[ -d "$2" ] || die "$EX_USAGE" "there is no folder $2; create it: mkdir -m 700 $2"
		resolve "$2" || die "$EX_USAGE" "$2 cannot be reached; see its permissions"
		folder=$RESOLVED
		case $folder/ in
		"$ROOT"/*) die "$EX_USAGE" "$folder is in the repository; keep secret keys out of it" ;;
		esac
		let_write keys "$folder" "$folder"
		arguments+=(--out "${SEEN[keys]}" --shown-as "$folder")
		shift
		;;
	rotate,--old | rotate,--until | new,--days)
		needs_value "$@"
		arguments+=("$1" "$2")
		shift
		;;
	trust,* | rotate,*)
		{ [ -f "$1" ] && resolve "$1"; } || die "$EX_USAGE" "there is no file '$1'; give what gpg --armor --export prints"
		let_in_file key "$RESOLVED"
		arguments+=("${SEEN[key]}")
		;;
	*) arguments+=("$1") ;;
	esac
	shift
done
case $verb in
trust | revoke | rotate)
	mapfile -d '' -t files < <(find "$ROOT/gnupg/" -maxdepth 1 -type f -print0)
	let_write_at "$ROOT/gnupg" "${files[@]##*/}"
	;;
esac
enter "$PYTHON" -m pressbox keys "$verb" "${arguments[@]}"
