#!/usr/bin/env -S bash -p
HEEDS=(PRESSBOX_DATA_HOME)
# shellcheck source=scripts/lib/begin.sh
. -- "${0%"${0##*/}"}lib/begin.sh"
# shellcheck source=scripts/lib/sources.sh
. "$ROOT/scripts/lib/sources.sh"
# shellcheck source=scripts/lib/clean.sh
. "$ROOT/scripts/lib/clean.sh"
# shellcheck source=scripts/lib/registry.sh
. "$ROOT/scripts/lib/registry.sh"

# usage_of_policy: the options with which a model is demanded
usage_of_policy() {
	cat <<'USAGE'
  --name NAME      demand that the model has this name
  --not-before DATE
                   demand that it was sealed since then, for example 2026-11-01
  --signer FINGERPRINT
                   demand this signer, or one of several; default: any signer in gnupg/
  --release        demand an environment of .devcontainer/environment.lock, and another key than
                   the demo key
  --trusted FOLDER, --accepted FILE
                   the trusted signers and the accepted environments (default: gnupg/,
                   .devcontainer/environment.lock)
USAGE
}

# usage: of the command, or of all
usage() {
	case ${ARGUMENTS[0]:-} in
	verify)
		cat <<'USAGE'
usage: scripts/pressbox.sh verify [OPTION]... MODEL
Say who signed a model, where it was made, and whether every byte of it holds.

USAGE
		usage_of_policy
		cat <<'USAGE'
  --json           for programs

example: scripts/pressbox.sh verify models/sports.tar.gz --json
USAGE
		;;
	show)
		cat <<'USAGE'
usage: scripts/pressbox.sh show [OPTION]... [MODEL]
Say what a model is, how good it is, and what it was made of.

  --html FILE      write its page there
  --statement      print the in-toto statement itself, as JSON
  --sbom           print its bill of materials, CycloneDX as JSON; without MODEL, that of the
                   environment
  --image REGISTRY/NAME@DIGEST
                   where the environment has been published, for its bill of materials
  --json           for programs
USAGE
		usage_of_policy
		cat <<'USAGE'

example: scripts/pressbox.sh show models/sports.tar.gz --sbom >sports.cdx.json
USAGE
		;;
	predict)
		cat <<'USAGE'
usage: scripts/pressbox.sh predict [OPTION]... MODEL [TEXT]...
Say which label texts have: the arguments, or else each line of standard input.

  --file FILE      read the texts from there (default: standard input): one on each line, or a
                   table as train.sh takes them (.csv, .tsv, .jsonl, .ndjson, .json, .parquet; each
                   also .gz or .zst)
  --output FILE    write the rows and their answers there, in one of these formats
  --all            say the probability of every label
  --text-column NAME
                   the column of a table (default: text)
  --delimiter CHARACTER
                   what stands between the fields of a .csv or .tsv (default: the comma, the tab)
  --encoding NAME  of the file or of standard input (default: UTF-8), for example cp1252
  --json           for programs
USAGE
		usage_of_policy
		cat <<'USAGE'

example: scripts/pressbox.sh predict models/sports.tar.gz <texts.txt
USAGE
		;;
	compare)
		cat <<'USAGE'
usage: scripts/pressbox.sh compare [OPTION]... A B
Say how two models differ, in words. Exit status 1 if their numbers do.

  --trusted FOLDER the trusted signers (default: gnupg/)
  --json           for programs

example: scripts/pressbox.sh compare models/sports.tar.gz models/again.tar.gz
USAGE
		;;
	replay)
		cat <<'USAGE'
usage: scripts/pressbox.sh replay [OPTION]... MODEL
Train a model again from what it says it was made of. Exit status 1 unless it is the same.

  --data PATH, --test PATH
                   where its sources are, if they are files or folders (default: newsroom and
                   newsgroups are known by name)
  --demo           even a model of the demo key, with which everybody can sign
  --json           for programs
USAGE
		usage_of_policy
		cat <<'USAGE'

example: scripts/pressbox.sh replay --demo models/sports.tar.gz
USAGE
		;;
	fetch)
		cat <<'USAGE'
usage: scripts/pressbox.sh fetch newsgroups
Download 20 Newsgroups, once, to PRESSBOX_DATA_HOME or .cache/scikit_learn_data, and print its path.

example: scripts/pressbox.sh fetch newsgroups
USAGE
		;;
	doctor)
		cat <<'USAGE'
usage: scripts/pressbox.sh doctor [OPTION]...
Check the engine, the image, the dev container, the environment and the keys, and say how to
fix what is wrong. Exit status 4 if something has drifted or is stale.

  --files-before FILE
                   /opt/pressbox/files.json of the image before, to name what --accept finds changed
  --accept         add the present environment to .devcontainer/environment.lock, and say what has
                   changed since the last one; a release demands one of that list
  --clean          do nothing but remove what earlier builds have left on the engine (images and
                   stopped dev containers of Pressbox) and .cache/, and say how much room that made
  --prove          do nothing but build the image without any cache and compare it with the published
                   one, file by file, and verify who has signed that; takes some minutes
  --deep           read every file of the environment
  --json           for programs: of what is inside alone

example: scripts/pressbox.sh doctor --accept
USAGE
		;;
	keys)
		cat <<'USAGE'
usage: scripts/pressbox.sh keys [OPTION]... COMMAND …
The signing keys, and the signers whose models are trusted (gnupg/).

  new USER-ID --out FOLDER [--days N]
                   make a signing key, valid for N days (default: 365), in a folder outside of
                   the repository, and say what to put where
                   example: scripts/keys.sh new 'Sports desk <sports@example.org>' --out ~/keys
  list             who is trusted, and until when; exit 1 when one of the keys has expired
                   example: scripts/keys.sh list
  trust FILE [--experiments]
                   trust whoever holds the secret half of a public key; with --experiments, for
                   models that are never a release
                   example: scripts/keys.sh trust ~/keys/89ACF93E413D302C.pub.asc
  revoke FINGERPRINT
                   trust somebody no longer: all their models are refused, old ones too
                   example: scripts/keys.sh revoke D4021E7D4529EC2E3058A92277DDEEAA3A5411D4
  rotate FILE --old FINGERPRINT [--until DATE]
                   trust a new key, and its predecessor only to the end of that day (default: in
                   30 days)
                   example: scripts/keys.sh rotate ~/keys/89ACF93E413D302C.pub.asc \
                     --old D4021E7D4529EC2E3058A92277DDEEAA3A5411D4 --until 2027-01-31

trust, revoke and rotate end with the git command that commits what they wrote.
USAGE
		;;
	*)
		cat <<'USAGE'
usage: scripts/pressbox.sh COMMAND [ARGUMENT]...
Run a command in the one environment, on files that may lie anywhere. See COMMAND --help.

  verify           say who signed a model, and whether every byte of it holds
  show             say what a model is, how good it is, and what it was made of
  predict          say which label texts have
  compare          say how two models differ
  replay           train a model again, and compare
  doctor           check the environment, and suggest fixes
  keys             the signing keys, and whose models are trusted
  fetch            download a source that is trained on by its name

example: scripts/pressbox.sh predict models/sports.tar.gz "A googly beat the bat"
USAGE
		;;
	esac
	cat <<'USAGE'

  --bootstrap      install and start what is missing: the engine, the base image (Debian, as root)
  --door DOOR      docker, podman, devcontainer or inside; default: the nearest one (keys: docker).
                   A dev container is not a boundary: what runs there can change the checkout
  --build          build the image, even if it is here or can be pulled
  --dry-run        print the commands, run nothing
  -h, --help       print this
  --version        print the version
USAGE
}

# read_model NAME FILE
read_model() {
	[ -f "$2" ] || die "$EX_USAGE" "there is no model '$2'; train one with scripts/train.sh"
	resolve "$2" || die "$EX_FAILED" "$2 cannot be reached; check the permissions of its folder"
	if [ -L "$RESOLVED" ] && [ "$DOOR" != inside ]; then
		# A mount would follow it; such a link, which leads nowhere, is refused like any other.
		temporary
		mkdir -m 755 "$TEMPORARY/$1"
		ln -s nowhere "$TEMPORARY/$1/${RESOLVED##*/}"
		let_in "$1" "$TEMPORARY/$1" ro
		SEEN[$1]+=/${RESOLVED##*/}
	else
		let_in_file "$1" "$RESOLVED"
	fi
}

# read_path NAME PATH: a file or a folder
read_path() {
	[ -f "$2" ] || [ -d "$2" ] || die "$EX_USAGE" "there is no file or folder '$2'; correct its name"
	resolve "$2"
	if [ -f "$RESOLVED" ]; then let_in_file "$1" "$RESOLVED"; else let_in "$1" "$RESOLVED" ro; fi
}

# write_file NAME FILE
write_file() {
	local folder name
	[ ! -d "$2" ] || die "$EX_USAGE" "$2 is a folder; name a file in it"
	resolve "$2" || die "$EX_USAGE" "there is no folder ${2%/*}; create it, or name another"
	folder=${RESOLVED%/*} name=${RESOLVED##*/}
	let_write "$1" "${folder:-/}" "$ROOT/.cache" "$name"
	SEEN[$1]+=/$name
}

# write_keys FOLDER: where a new secret key goes
write_keys() {
	[ -d "$1" ] || die "$EX_USAGE" "there is no folder $1; create it: mkdir -m 700 $1"
	resolve "$1" || die "$EX_USAGE" "$1 cannot be reached; check its permissions"
	case $RESOLVED/ in
	"$ROOT"/*) die "$EX_USAGE" "$RESOLVED is in the repository; keep secret keys out of it" ;;
	esac
	let_write keys "$RESOLVED" "$RESOLVED"
	options+=(--out "${SEEN[keys]}" --shown-as "$RESOLVED")
}

# let_option --NAME[=VALUE]: of the command; those that name files let them in
let_option() {
	local name=${1%%=*} value=${1#*=}
	case $verb,$name in
	keys,--out) write_keys "$value" && return ;;
	keys,--days) demand_number "$name" "$value" ;;
	show,--html) write_file page "$value" && value=${SEEN[page]} ;;
	predict,--output) write_file output "$value" && value=${SEEN[output]} ;;
	replay,--data | replay,--test) let_in_source "${name#--}" "$value" && value=${SEEN[${name#--}]} ;;
	*,--trusted | *,--accepted | *,--file | *,--files-before) read_path "${name#--}" "$value" && value=${SEEN[${name#--}]} ;;
	*)
		options+=("$1")
		return
		;;
	esac
	options+=("$name=$value")
}

# let_argument ARGUMENT: of the command; those that name files let them in
let_argument() {
	local number=${#positionals[@]} value=$1
	case $verb$number in
	verify0 | show0 | predict0 | replay0) read_model model "$1" && value=${SEEN[model]} ;;
	compare[01]) read_model "model$number" "$1" && value=${SEEN[model$number]} ;;
	keys1)
		case ${positionals[0]} in
		trust | rotate)
			[ -f "$1" ] || die "$EX_USAGE" "there is no file '$1'; give what gpg --armor --export prints"
			read_path key "$1"
			value=${SEEN[key]}
			;;
		esac
		;;
	predict* | fetch0 | keys0) ;;
	*) unknown argument "$1" ;;
	esac
	positionals+=("$value")
}

COMMANDS=(verify show predict compare replay doctor keys fetch)
read_options "$@"
verb=${ARGUMENTS[0]:-}
[ -n "$verb" ] || die "$EX_USAGE" "which command? e.g. scripts/pressbox.sh verify models/sports.tar.gz; see --help"
door='' accept='' clean='' prove='' json='' from_file='' sbom='' taken=()
for given in "${GIVEN[@]}"; do
	case $given in
	--door=*) door=${given#*=} && continue ;;
	--file=*) from_file=yes ;;
	--accept) accept=yes ;;
	--clean) clean=yes && continue ;;
	--prove) prove=yes && continue ;;
	--json) json=yes ;;
	--sbom) sbom=yes ;;
	esac
	taken+=("$given")
done
# A new secret key is made in a container that ends with it.
[ "$verb" != keys ] || inside_container || door=${door:-docker}
choose_door "$door"

options=() positionals=()
for given in "${taken[@]}"; do let_option "$given"; done
for given in "${ARGUMENTS[@]:1}" "${REST[@]}"; do let_argument "$given"; done

case $verb,${#positionals[@]}$sbom in
verify,0 | show,0 | predict,0 | replay,0) die "$EX_USAGE" "no model was named; name one, e.g. scripts/pressbox.sh $verb models/sports.tar.gz" ;;
compare,[01]) die "$EX_USAGE" "compare takes two models, not ${#positionals[@]}; see --help" ;;
fetch,0) die "$EX_USAGE" "no source was named; e.g. scripts/pressbox.sh fetch newsgroups" ;;
keys,0) die "$EX_USAGE" "which command? new, list, trust, revoke or rotate; see --help" ;;
predict,1)
	if [ -z "$from_file" ] && [ "$DOOR" != inside ]; then
		[ -e /dev/fd/0 ] || die "$EX_USAGE" "standard input is closed; give texts, --file, or lines"
		[ ! -t 0 ] || say "one text a line; Ctrl-D ends"
		INPUT=input
	fi
	;;
keys,*)
	case ${positionals[0]} in
	trust | revoke | rotate) let_write_at "$ROOT/gnupg" ;;
	esac
	;;
esac

# finding MARK SUBJECT WHAT: as the doctor inside prints them
finding() {
	[ -n "$json" ] || printf '%-6s%-13s%s\n' "$1" "$2" "$3"
}

# examine_outside: what only the host can see; sets wrong
examine_outside() {
	local built
	demand_memory
	require_engine "$DOOR"
	finding '' engine "$(engine_in_words)"
	[ -z "$UNLIMITED" ] || finding '' limits "none of $UNLIMITED; see docs/engines.md"
	choose_tag
	if "$ENGINE" image inspect "$TAGGED" >/dev/null 2>&1; then
		finding '' image "$TAGGED, up to date"
	else
		finding '' image "out of date; renewing"
	fi
	require_image
	built=$(layers_of "$TAGGED" | sha256)
	finding '' layers "sha256:$built"
	running_dev_container && return
	[ -z "$CONTAINER" ] || dev_container_is_no_door
}

dev_container_is_no_door() {
	if [ "$("$ENGINE" inspect --format '{{.State.Running}}' "$CONTAINER")" = true ]; then
		finding WRONG container "$CONTAINER is older than the Dockerfile or a lock; rebuild it, or: scripts/train.sh --door devcontainer"
		wrong=4
	else
		finding '' container "$CONTAINER, stopped"
	fi
}

wrong=0 status=0
case $verb in
fetch)
	[ "${positionals[0]}" = newsgroups ] || unknown argument "${positionals[0]}" newsgroups
	# Where it lies is known by another name inside.
	temporary
	fetch_newsgroups >"$TEMPORARY/archive"
	archive=$(<"$TEMPORARY/archive")
	[ -z "$archive" ] || printf '%s\n' "$DOWNLOADS/${archive##*/}"
	exit
	;;
replay)
	# What a model of 20 Newsgroups was trained on, if it is not where it is by default.
	if [ -z "${SEEN[downloads]:-}" ] && [ -d "${PRESSBOX_DATA_HOME:-}" ]; then
		resolve "$PRESSBOX_DATA_HOME"
		let_in downloads "$RESOLVED" ro
		keep_data_at "${SEEN[downloads]}"
	fi
	;;
doctor)
	if [ -n "$clean" ]; then
		[ "$DOOR" != inside ] || die "$EX_USAGE" "what builds have left is on the host; run this there"
		require_engine "$DOOR"
		clean_up
		exit
	fi
	if [ -n "$prove" ]; then
		[ "$DOOR" != inside ] || die "$EX_USAGE" "the image is built on the host; run this there"
		prove
		exit
	fi
	if [ "$DOOR" != inside ]; then
		[ -z "$accept" ] || let_write_at "$ROOT/.devcontainer"
		examine_outside
	fi
	;;
esac
words=("$verb")
if [ "$verb" = keys ]; then
	words+=("${positionals[0]}")
	positionals=("${positionals[@]:1}")
fi
# What begins with a dash is no option there either.
[ "${#positionals[@]}" = 0 ] || options+=(-- "${positionals[@]}")
enter "$PYTHON" -m pressbox "${words[@]}" "${options[@]}" || status=$?
[ "$status" != 0 ] || status=$wrong
exit "$status"
