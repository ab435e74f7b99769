# shellcheck shell=bash
# Where the history of a checkout lies: for a worktree or a submodule elsewhere, from where it is
# mounted. Stands on doors.sh, which sources this. The host's Git is not asked: it would obey what a
# stranger's tree says in its configuration.

# mount_history: for a checkout whose .git is a file. Anybody's archive may hold such a file: nothing
# is mounted unless the folder that it names, which lies elsewhere, names this checkout too.
mount_history() {
	local folder common back
	[ -f "$ROOT/.git" ] && [ ! -L "$ROOT/.git" ] || return 0
	folder=$(sed -n '1s/^gitdir: //p' "$ROOT/.git" && printf /) || return 0
	seen_from "$ROOT" "${folder%$'\n'/}" && folder=$RESOLVED || return 0
	[[ $folder/ != "$ROOT"/* && -d $folder ]] || return 0
	if [ -f "$folder/gitdir" ]; then
		# A worktree: COMMON/worktrees/NAME.
		common=${folder%/*/*}
		[ "$folder" = "$common/worktrees/${folder##*/}" ] || return 0
		back=$(cat "$folder/gitdir" && printf /) || return 0
		seen_from "$folder" "${back%$'\n'/}" && [ "$RESOLVED" = "$ROOT/.git" ] || return 0
	else
		# A submodule.
		common=$folder
		back=$(sed -n 's/^[[:space:]]*worktree = //p' "$folder/config" 2>/dev/null && printf /) || return 0
		seen_from "$folder" "${back%$'\n'/}" && [ "$RESOLVED" = "$ROOT" ] || return 0
	fi
	# Relative paths hold on the host only, and Git before 2.48 knows no repository that says it has them.
	printf 'gitdir: %s\n' "$folder" >"$TEMPORARY/git"
	sed -e "s|^\([[:space:]]*worktree = \).*|\1$INSIDE|" -e '/^[[:space:]]*relative[wW]orktrees = /d' "$common/config" >"$TEMPORARY/config"
	chmod a+r "$TEMPORARY/git" "$TEMPORARY/config"
	add_mount "$common" "$common" ro
	add_mount "$TEMPORARY/config" "$common/config" ro
	add_mount "$TEMPORARY/git" "$INSIDE/.git" ro
}

# seen_from FOLDER PATH: sets RESOLVED, as resolve does, for a path that may be relative to the folder
seen_from() {
	case $2 in
	'') return 1 ;;
	/*) resolve "$2" ;;
	*) resolve "$1/$2" ;;
	esac
}
