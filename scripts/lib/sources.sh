# shellcheck shell=bash
# What is trained on: a path, or what is known by its name and downloaded once.
# Stands on doors.sh, which whoever sources this has sourced.

# let_in_source NAME SOURCE: a path, or what train.py knows by its name
let_in_source() {
	case $2 in
	newsroom) SEEN[$1]=newsroom ;;
	newsgroups)
		SEEN[$1]=newsgroups
		[ -z "${SEEN[downloads]:-}" ] || return 0
		fetch_newsgroups >&2
		let_in downloads "$DOWNLOADS" ro
		keep_data_at "${SEEN[downloads]}"
		;;
	*)
		[ -e "$2" ] || die "$EX_USAGE" "there is no source '$2'; give newsroom, newsgroups, a folder or a table"
		resolve "$2"
		let_in "$1" "$RESOLVED" ro
		;;
	esac
}

# fetch_newsgroups: sets DOWNLOADS, the folder with the archive, which a run of its own fetches if it is
# not there yet: it has network access and no key, the training has a key and no network
fetch_newsgroups() {
	local folder=${PRESSBOX_DATA_HOME:-} files
	if [ -z "$folder" ]; then
		folder=$ROOT/.cache/scikit_learn_data
		own_place "$folder"
	fi
	{ mkdir -p -- "$folder" 2>/dev/null && resolve "$folder"; } ||
		die "$EX_USAGE" "the folder $folder cannot be created; name another in PRESSBOX_DATA_HOME"
	DOWNLOADS=$RESOLVED
	(
		NETWORK=bridge
		mapfile -d '' -t files < <(find "$DOWNLOADS/" -maxdepth 1 -type f -print0)
		let_write downloads "$DOWNLOADS" "$DOWNLOADS" "${files[@]##*/}"
		keep_data_at "${SEEN[downloads]}"
		enter "$PYTHON" -m pressbox fetch newsgroups
	)
}

# keep_data_at PATH: where the command finds what was downloaded
keep_data_at() {
	export PRESSBOX_DATA_HOME=$1
	VARIABLES+=(--env "PRESSBOX_DATA_HOME=$1")
}
