# shellcheck shell=bash
# What signs: files, variables or an agent. Stands on doors.sh, which whoever sources this has sourced.

# What the command is told of it.
KEY_OPTIONS=()

# choose_key KEY-FILE PASSPHRASE-FILE FINGERPRINT: each may be empty. Sets KEY_OPTIONS.
choose_key() {
	local key=$1 passphrase=$2 agent=$3 socket
	KEY_OPTIONS=()
	if [ "$DOOR" = inside ]; then
		[ -z "$key" ] || KEY_OPTIONS+=(--signing-key "$key")
		[ -z "$passphrase" ] || KEY_OPTIONS+=(--passphrase-file "$passphrase")
	elif [ -n "$key$passphrase" ]; then
		# The files stay here; their contents go in on the pipe.
		[ -z "$key" ] || [ -r "$key" ] || die "$EX_USAGE" "the signing key $key cannot be read; name an armoured secret key"
		[ -z "$passphrase" ] || [ -r "$passphrase" ] || die "$EX_USAGE" "the passphrase file $passphrase cannot be read; name the file that holds it"
		[ -z "$key" ] || SIGNING_PASSPHRASE=
		KEY_FILE=$key PASSPHRASE_FILE=$passphrase
	fi
	if [ -n "$agent" ]; then
		KEY_OPTIONS+=(--signing-agent "$agent")
		if [ "$DOOR" != inside ]; then
			# What gpg-agent lets others use: it signs, and gives no key away.
			socket=$(gpgconf --list-dirs agent-extra-socket 2>/dev/null || true)
			[ -S "$socket" ] || die "$EX_USAGE" "no gpg-agent listens here; start it: gpg-connect-agent /bye"
			let_in_agent "$socket"
			KEY_OPTIONS+=(--agent-socket "${SEEN[agent]}")
		fi
	elif [ -n "$KEY_FILE$SIGNING_KEY" ]; then
		SIGNS=yes
	fi
}
