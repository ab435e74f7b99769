# shellcheck shell=bash
# Nobody is root inside. What root starts in somebody's folder runs as its owner. What writes into a
# folder of root's runs as NOBODY and writes into a stage beside it; root takes over what is new there.
# Stands on doors.sh, which sources this.

# The image's own user.
NOBODY=1000:1000
# What the command writes into; where we are root, it runs as the owner of that folder.
WRITES=$ROOT/models
# Files that lie in the stage from the beginning.
STAGED=()

# user_inside: who we are there, so that what is written belongs to who runs this
user_inside() {
	local owner
	if [ -n "$RUN_AS" ]; then
		printf '%s\n' "$RUN_AS"
	elif [ "$(id -u)" = 0 ]; then
		owner=$(stat -c '%u:%g' "$WRITES")
		[ "${owner%%:*}" != 0 ] || owner=$NOBODY
		printf '%s\n' "$owner"
	else
		caller_inside
	fi
}

# caller_inside: who the caller is there. A rootless engine knows its user as the container's root.
caller_inside() {
	if [ -n "$ROOTLESS" ]; then
		printf '0:0\n'
	else
		printf '%s:%s\n' "$(id -u)" "$(id -g)"
	fi
}

# user_in_dev_container: the same in CONTAINER; under podman the devcontainer CLI lets us keep our number (keep-id)
user_in_dev_container() {
	if [ -n "$PODMAN" ] && [ -n "$ROOTLESS" ] && [ -z "$DRY_RUN" ] &&
		[ "$("$ENGINE" inspect --format '{{.HostConfig.UsernsMode}}' "$CONTAINER")" = private ]; then
		printf '%s:%s\n' "$(id -u)" "$(id -g)"
	else
		user_inside
	fi
}

# let_write NAME FOLDER PARENT [FILE...]: let_in, to write into the folder, in which the command finds
# these files. PARENT is where the stage lies, if there has to be one.
let_write() {
	local name=$1
	shift
	WRITES=$1
	if needs_stage "$@"; then
		let_in "$name" "$STAGE/out" rw "$1"
	else
		let_in "$name" "$1" rw
	fi
}

# let_write_at FOLDER: the same with all its files, for a command that knows the folder as one of the
# checkout's
let_write_at() {
	local folder=$1 files
	WRITES=$folder
	own_place "$folder"
	mapfile -d '' -t files < <(find "$folder/" -maxdepth 1 -type f -print0)
	if needs_stage "$folder" "$ROOT/.cache" "${files[@]##*/}"; then
		FRESH="root cannot write into $folder through the dev container"
		add_mount "$STAGE/out" "$INSIDE${folder#"$ROOT"}" rw
	else
		let_in "$folder" "$folder" rw
	fi
}

# needs_stage FOLDER PARENT [FILE...]: 0 if the folder is root's, and we are root. Sets STAGE, which
# set_stage makes once everything else is known to be right.
needs_stage() {
	local folder=$1 parent=$2
	[ "$(id -u)" = 0 ] && ! inside_container && [ "$(stat -c %u "$folder")" = 0 ] || return 1
	[ -w "$folder" ] || die "$EX_FAILED" "$folder cannot be written to; name another"
	if [ "$parent" = "$ROOT/.cache" ]; then
		own_place "$parent"
		# Nobody else may move the stage.
		if [ "$(stat -c %u "$ROOT")" != 0 ]; then
			temporary
			parent=$TEMPORARY
		fi
	fi
	STAGE=$parent/.root.$$
	[ -z "$DRY_RUN" ] || STAGE=$parent/.root.PID
	shift 2
	STAGED=("$@")
}

set_stage() {
	local name
	trap finish EXIT
	sweep "${STAGE%/*}"
	# Others get as far as out, but see no name on the way.
	if ! { [ -d "${STAGE%/*}" ] || mkdir -m 755 "${STAGE%/*}"; } || ! mkdir -m 711 "$STAGE" || ! mkdir -m 700 "$STAGE/before" "$STAGE/out"; then
		die "$EX_FAILED" "$STAGE cannot be created; make room there"
	fi
	for name in "${STAGED[@]}"; do
		if [ -L "$WRITES/$name" ] || [ ! -f "$WRITES/$name" ]; then continue; fi
		{ cp "$WRITES/$name" "$STAGE/before/$name" && cp "$WRITES/$name" "$STAGE/out/$name"; } ||
			die "$EX_FAILED" "$WRITES/$name could not be copied to $STAGE; make room there"
	done
	chown -R "$NOBODY" "$STAGE/out"
}

# sweep FOLDER: stages there, perhaps with a key, of runs of root's that were killed (-9)
sweep() {
	local stage pid
	for stage in "$1"/.root.*; do
		pid=${stage##*/.root.}
		[[ $pid =~ ^[0-9]+$ && -O $stage && ! -L $stage && -d $stage/out && -d $stage/before ]] || continue
		if [ "$pid" != "$$" ] && kill -0 "$pid" 2>/dev/null; then continue; fi
		rm -rf "$WRITES/.root.$pid".* "$stage"
	done
}

# take_over: put what is new in the stage into the folder, as files of root's. Only contents are taken,
# and permissions to read and write: no link, no device, no set-user-ID bit. A full disk takes nothing.
take_over() {
	local path name hidden=()
	# From here on nobody else can change which files there are.
	chown 0:0 "$STAGE/out"
	shopt -s nullglob
	for path in "$STAGE"/out/*; do
		name=${path##*/}
		if [ -L "$path" ] || [ ! -f "$path" ]; then
			take_nothing "$name was left as something other than a file; nothing was put into $WRITES"
		fi
		cmp -s "$path" "$STAGE/before/$name" && continue
		hidden+=("$WRITES/.root.$$.$name")
		copy_plainly "$path" "$WRITES/.root.$$.$name" || take_nothing "$WRITES/$name could not be written; make room there"
	done
	for path in "${hidden[@]}"; do
		mv -f "$path" "$WRITES/${path##*/.root."$$".}"
	done
	for path in "$STAGE"/before/*; do
		name=${path##*/}
		[ -e "$STAGE/out/$name" ] || rm -f "$WRITES/$name"
	done
	shopt -u nullglob
	rm -rf "$STAGE"
	STAGE=
}

# take_nothing "what; what to do": an error, after which everything is as it was; part of take_over
take_nothing() {
	rm -f "${hidden[@]}"
	die "$EX_FAILED" "$1"
}

# copy_plainly FILE NEW: what is in it, and who may read and write that
copy_plainly() {
	local mode
	mode=$(stat -c %a "$1")
	(umask 077 && cat <"$1" >"$2") 2>/dev/null && chmod "$(printf %o $((8#$mode & 8#666)))" "$2"
}

# let_in_file NAME FILE: let a file in; of one that root has for itself, a copy that may be read inside
let_in_file() {
	local name=$1 file=$2
	if [ "$(id -u)" = 0 ] && ! inside_container && [ -n "$(find "$file" ! -perm -o=r)" ]; then
		temporary
		mkdir "$TEMPORARY/$name"
		install -m 644 "$file" "$TEMPORARY/$name/${file##*/}"
		file=$TEMPORARY/$name/${file##*/}
	fi
	let_in "$name" "$file" ro
}

# demand_readable: of what is let in, nothing is for root alone, who is somebody else inside
demand_readable() {
	local user group hidden
	[ "$(id -u)" = 0 ] || return 0
	IFS=: read -r user group < <(user_inside)
	hidden=$(find -H "$ROOT"/{train.py,pressbox,scripts/lib/supervise.sh} "${READS[@]}" ! -type l \
		! \( -user "$user" -o -perm -o=r -o -group "$group" -perm -g=r \) -print 2>/dev/null | head -n 1 || true)
	[ -z "$hidden" ] || die "$EX_FAILED" "$hidden cannot be read by user $user, as whom root runs in the container; as root, make it readable (chmod -R a+rX)"
}

# let_in_agent SOCKET: root's agent is asked by somebody else, whom only a mount leads there, and only
# while this script runs; see finish
let_in_agent() {
	if [ "$(id -u)" = 0 ] && [ -z "$DRY_RUN" ]; then
		[ -z "$(find "${1%/*}/" -maxdepth 0 -perm /go=x)" ] || die "$EX_FAILED" "${1%/*} is open to others; as root, close it (chmod 700)"
		trap finish EXIT
		AGENT=$1
		chmod o+rw "$1"
	fi
	let_in agent "$1" rw
}
