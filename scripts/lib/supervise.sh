# shellcheck shell=bash
# Runs in the container: supervise.sh UMASK COMMAND… takes that umask; hands on the signing key, which
# is the first line of standard input, by a pipe; and ends the command when standard input ends,
# which the script alone holds open. TERM lets the command clean up; KILL follows if it does not.

# A function, so that the file is read before anything is run.
supervise() {
	local key child
	umask "$1"
	shift
	ulimit -c 0
	exec 3<&0
	IFS= read -r key <&3
	[ -z "$key" ] || export PRESSBOX_SIGNING_FD=4
	"$@" </dev/null 3<&- 4< <(printf '%s\n' "$key") &
	child=$!
	unset key
	{
		cat >/dev/null
		kill -TERM "$child"
		timeout 5 tail --pid="$child" -f /dev/null
		kill -KILL "$child"
	} <&3 >/dev/null 2>&1 &
	wait "$child"
	exit
}

supervise "$@"
