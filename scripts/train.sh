#!/usr/bin/env bash
# shellcheck source=scripts/lib/doors.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/doors.sh"

usage() {
	cat <<'USAGE'
usage: scripts/train.sh [OPTION]... [-- TRAIN.PY-ARGUMENT...]
Train the classifier in the one environment. The last line of standard output is the model's path.

  --bootstrap      install and start what is missing: the engine, the base image (Debian, as root)
  --door DOOR      docker, podman, devcontainer or inside; default: the nearest one
  --output FILE    where the model goes (default: models/sports.tar.gz)
  --data SOURCE    newsroom (default), newsgroups, a folder, or a .csv, .jsonl or .parquet file
  --test SOURCE    evaluate on this source, instead of the test part of the other
  --signing-key FILE, --passphrase-file FILE
                   sign with this armoured secret key; default: the key in PRESSBOX_SIGNING_KEY and
                   its passphrase in PRESSBOX_SIGNING_PASSPHRASE, else the published demo key
  --signing-agent FINGERPRINT
                   sign with a trusted signer's key that your gpg-agent, or its smartcard, holds
  --release        refuse the demo key, and an environment that is not in environment.lock
  --allow-drift    train even in an environment that is not as it was built; the model says so
  --no-page        write no page beside the model, and let it hold no text for one
  --replace-newer  replace even a model that says it was sealed later than now
  --dry-run        print the commands, run nothing
  --help           print this

example: scripts/train.sh --data ~/texts.csv --output models/mine.tar.gz
USAGE
}

bootstrap='' door='' output=$ROOT/models/sports.tar.gz data=newsroom test='' key='' passphrase='' agent=''
options=()
while [ $# -gt 0 ]; do
	case $1 in
	--bootstrap) bootstrap=yes ;;
	--door) needs_value "$@" && door=$2 && shift ;;
	--output) needs_value "$@" && output=$2 && shift ;;
	--data) needs_value "$@" && data=$2 && shift ;;
	--test) needs_value "$@" && test=$2 && shift ;;
	--signing-key) needs_value "$@" && key=$2 && shift ;;
	--passphrase-file) needs_value "$@" && passphrase=$2 && shift ;;
	--signing-agent) needs_value "$@" && agent=$2 && shift ;;
	--allow-drift | --no-page | --release | --replace-newer) options+=("$1") ;;
	--dry-run) DRY_RUN=yes ;;
	--help) usage && exit 0 ;;
	--) shift && break ;;
	*) unknown_option "$1" ;;
	esac
	shift
done

choose_door "$door"
case " ${options[*]+"${options[*]}"} " in
*" --allow-drift "*) ;;
*) AVOIDS_DRIFT=yes ;;
esac

[ ! -d "$output" ] || die "$EX_USAGE" "$output is a folder; name a file in it, e.g. $output/sports.tar.gz"
model=$(resolved "$output")
[ -n "$model" ] || die "$EX_USAGE" "there is no folder $(dirname "$output"); create it, or name another"
WRITES=$(dirname "$model")
let_in "$WRITES" rw
command=(python train.py "$SEEN_AS/$(basename "$model")")

# see SOURCE: sets SEEN_AS, its name inside
see() {
	case $1 in
	newsroom) SEEN_AS=newsroom ;;
	newsgroups)
		say "20 Newsgroups is fetched once, so this training has network access"
		NETWORK=bridge
		cache=${PRESSBOX_DATA_HOME:-$ROOT/.cache/scikit_learn_data}
		mkdir -p "$cache"
		let_in "$(resolved "$cache")" rw
		VARIABLES+=(--env "PRESSBOX_DATA_HOME=$SEEN_AS")
		SEEN_AS=newsgroups
		;;
	*)
		[ -e "$1" ] || die "$EX_USAGE" "there is no source '$1'; give newsroom, newsgroups, a folder, or a .csv, .jsonl or .parquet file"
		let_in "$(resolved "$1")" ro
		;;
	esac
}
see "$data"
command+=(--data "$SEEN_AS")
if [ -n "$test" ]; then
	see "$test"
	command+=(--test "$SEEN_AS")
fi

# The files stay here; their contents go in on the pipe.
if [ "$DOOR" = inside ]; then
	[ -z "$key" ] || options+=(--signing-key "$key")
	[ -z "$passphrase" ] || options+=(--passphrase-file "$passphrase")
	key='' passphrase=''
fi
if [ -n "$key" ]; then
	[ -r "$key" ] || die "$EX_USAGE" "the signing key $key cannot be read; name an armoured secret key"
	PRESSBOX_SIGNING_KEY=$(cat "$key")
	PRESSBOX_SIGNING_PASSPHRASE=
fi
if [ -n "$passphrase" ]; then
	[ -r "$passphrase" ] || die "$EX_USAGE" "the passphrase file $passphrase cannot be read; name the file that holds it"
	PRESSBOX_SIGNING_PASSPHRASE=$(cat "$passphrase")
fi
if [ -n "$agent" ]; then
	options+=(--signing-agent "$agent")
	if [ "$DOOR" != inside ]; then
		# What gpg-agent lets others use: it signs, and gives no key away.
		socket=$(gpgconf --list-dirs agent-extra-socket 2>/dev/null || true)
		[ -S "$socket" ] || die "$EX_USAGE" "no gpg-agent listens here; start it: gpg-connect-agent /bye"
		let_in "$socket" rw
		options+=(--agent-socket "$SEEN_AS")
	fi
fi
command+=("${options[@]+"${options[@]}"}" "$@")

if [ "$DOOR" = inside ]; then
	enter "$bootstrap" "${command[@]}"
else
	enter "$bootstrap" "${command[@]}" >&2
fi
[ -n "$DRY_RUN" ] || printf '%s\n' "$model"
