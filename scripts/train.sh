#!/usr/bin/env -S bash -p
HEEDS=(GNUPGHOME PRESSBOX_DATA_HOME PRESSBOX_SIGNING_KEY PRESSBOX_SIGNING_PASSPHRASE)
# shellcheck source=scripts/lib/begin.sh
. -- "${0%"${0##*/}"}lib/begin.sh"
# shellcheck source=scripts/lib/sources.sh
. "$ROOT/scripts/lib/sources.sh"
# shellcheck source=scripts/lib/bundle.sh
. "$ROOT/scripts/lib/bundle.sh"
# shellcheck source=scripts/lib/signing.sh
. "$ROOT/scripts/lib/signing.sh"

usage() {
	cat <<'USAGE'
usage: scripts/train.sh [OPTION]... [-- TRAIN.PY-ARGUMENT...]
Train the classifier in the one environment. The last line of standard output is the model's path.

  --bootstrap      install and start what is missing: the engine, the base image (Debian, as root)
  --build          build the image, even if it is here or can be pulled
  --bundle FILE    take the image and the toolchain from what scripts/bundle.sh has written; FILE may
                   end in @sha256:DIGEST, which then vouches for it in place of its signature
  --door DOOR      docker, podman, devcontainer or inside; default: the nearest one. A dev container
                   is not a boundary: what runs there can change the checkout
  --output FILE    where the model goes (default: models/sports.tar.gz)
  --data SOURCE    newsroom (default), newsgroups, a folder of texts, or a table (.csv, .tsv, .jsonl,
                   .ndjson, .json, .parquet, a folder of such parts; each also .gz or .zst)
                   newsgroups is downloaded once, to PRESSBOX_DATA_HOME or .cache/scikit_learn_data
  --test SOURCE    evaluate on this source, instead of the test part of the other
  --text-column NAME, --label-column NAME
                   the columns of a table (default: text, label)
  --delimiter CHARACTER
                   what stands between the fields of a .csv or .tsv (default: the comma, the tab)
  --encoding NAME  of files that are not UTF-8 and have no byte order mark, e.g. cp1252
  --signing-key FILE, --passphrase-file FILE
                   sign with this armoured secret key; default: the key in PRESSBOX_SIGNING_KEY and
                   its passphrase in PRESSBOX_SIGNING_PASSPHRASE, else the published demo key
  --signing-agent FINGERPRINT
                   sign with a trusted signer's key that your gpg-agent (of GNUPGHOME, or ~/.gnupg),
                   or its smartcard, holds
  --release        refuse the demo key, and an environment that is not in environment.lock; train
                   in a fresh container
  --allow-drift    train even in an environment that is not as it was built; the model says so
  --no-page        write no page beside the model, and let it hold no text for one
  --replace-newer  replace even a model that says it was sealed later than now
  --dry-run        print the commands, run nothing
  -h, --help       print this
  --version        print the version

example: scripts/train.sh --data ~/texts.csv --output models/mine.tar.gz
USAGE
}

door='' output='' data=newsroom test='' key='' passphrase='' agent='' release='' bundle=''
options=()
read_options "$@"
no_more "${ARGUMENTS[@]}"
for given in "${GIVEN[@]}"; do
	value=${given#*=}
	case $given in
	--door=*) door=$value ;;
	--output=*) output=$value ;;
	--data=*) data=$value ;;
	--test=*) test=$value ;;
	--bundle=*) bundle=$value ;;
	--signing-key=*) key=$value ;;
	--passphrase-file=*) passphrase=$value ;;
	--signing-agent=*) agent=$value ;;
	--release) release=yes && options+=("$given") ;;
	*) options+=("$given") ;;
	esac
done

choose_door "$door"
case $release$DOOR in
yesinside | yesdevcontainer) die "$EX_USAGE" "a release is trained in a fresh container, not through $DOOR; on the host, omit --door or use --door docker" ;;
yes*) FRESH="a release is trained in a fresh container" ;;
esac
case " ${options[*]} " in
*" --allow-drift "*) ;;
*) AVOIDS_DRIFT=yes ;;
esac

[ ! -d "$output" ] || die "$EX_USAGE" "$output is a folder; name a file in it, e.g. $output/sports.tar.gz"
if [ -z "$output" ]; then
	output=$ROOT/models/sports.tar.gz
	own_place "$ROOT/models"
fi
resolve "$output" || die "$EX_USAGE" "there is no folder ${output%/*}; create it, or name another"
model=$RESOLVED
name=${model##*/}
[ ! -d "${model%.tar.gz}.html" ] || die "$EX_USAGE" "${model%.tar.gz}.html, where the page goes, is a folder; remove it, or name another model"

demand_merged "$ROOT"/{*.py,.devcontainer,gnupg,poetry.lock,pressbox,pyproject.toml,third_party}
if [ -n "$bundle" ]; then
	BUNDLE_OF_RELEASE=$release
	take_bundle "$bundle"
fi
let_in_source data "$data"
arguments=(--data "${SEEN[data]}")
if [ -n "$test" ]; then
	let_in_source test "$test"
	arguments+=(--test "${SEEN[test]}")
fi

choose_key "$key" "$passphrase" "$agent"
options+=("${KEY_OPTIONS[@]}")

folder=${model%/*}
let_write output "${folder:-/}" "$ROOT/.cache" "$name" "${name%.tar.gz}.html"
command=("$PYTHON" train.py "${SEEN[output]}/$name" "${arguments[@]}" "${options[@]}" "${REST[@]}")
if [ "$DOOR" = inside ]; then
	enter "${command[@]}"
else
	enter "${command[@]}" >&2
fi
[ -n "$DRY_RUN" ] || printf '%s\n' "$model"
