# shellcheck shell=bash
# Runs in the container: supervise.sh UMASK input|'' COMMAND… takes that umask; hands on the signing key,
# which is the first line of standard input, by a pipe; and ends the command when standard input ends,
# which the script alone holds open. TERM lets the command clean up; KILL follows if it does not.
# With "input", what follows the key is the command's own input, in pieces; see relay in doors.sh.

# A function, so that the file is read before anything is run.
supervise() {
	local input=$2 key child
	umask "$1"
	shift 2
	ulimit -c 0
	exec 3<&0
	IFS= read -r key <&3
	[ -z "$key" ] || export PRESSBOX_SIGNING_FD=4
	if [ -n "$input" ]; then
		exec 5> >(exec "$@" 3<&- 4< <(printf '%s\n' "$key"))
	else
		"$@" </dev/null 3<&- 4< <(printf '%s\n' "$key") &
	fi
	child=$!
	unset key
	{
		# What was cut short never looks like a whole.
		if [ -z "$input" ] || pieces >&5; then
			exec 5>&-
			cat
		fi
		kill -TERM "$child"
		timeout 5 tail --pid="$child" -f /dev/null
		kill -KILL "$child"
	} <&3 >/dev/null 2>&1 &
	exec 5>&-
	wait "$child"
	exit
}

# pieces: prints what they hold; 0 if the last one came
pieces() {
	local size
	while IFS= read -r size; do
		[ "$size" != 0 ] || return 0
		head -c "$size" | base64 -d
	done
	return 1
}

supervise "$@"
