#!/usr/bin/env bats
# Signing keys: made, trusted, revoked, rotated; and how one reaches the training without a trace.

load doors

setup_file() {
	export CHECKOUT=$BATS_FILE_TMPDIR/checkout KEYS=$BATS_FILE_TMPDIR/keys
	copy_checkout "$CHECKOUT"
	long_source "$CHECKOUT/long.csv"
	mkdir -m 700 "$KEYS"
	"$CHECKOUT/scripts/keys.sh" new 'Sports desk <sports@desk.example>' --out "$KEYS" >"$BATS_FILE_TMPDIR/said" 2>/dev/null
	export SECRET PASSPHRASE PUBLIC FINGERPRINT
	SECRET=$(echo "$KEYS"/*.secret.asc)
	PASSPHRASE=$(echo "$KEYS"/*.passphrase)
	PUBLIC=$(echo "$KEYS"/*.pub.asc)
	FINGERPRINT=$("$CHECKOUT/scripts/keys.sh" trust "$PUBLIC" | grep -oEm 1 '[0-9A-F]{40}')
	"$CHECKOUT/scripts/doctor.sh" --accept >/dev/null
}

teardown_file() {
	"$ENGINE" ps --all --quiet --filter "label=devcontainer.local_folder=$CHECKOUT" |
		xargs --no-run-if-empty "$ENGINE" rm --force >/dev/null
}

setup() {
	cd "$CHECKOUT"
}

signer() {
	scripts/verify.sh "$1" --json 2>/dev/null | sed -n 's/.*"fingerprint": "\(.*\)".*/\1/p'
}

@test "a new key lies in files of mode 0600, and what it says to do next can be done" {
	[ "$(stat -c %a "$KEYS"/* | sort -u)" = 600 ]
	[ "$(grep -c "^$KEYS/" "$BATS_FILE_TMPDIR/said")" = 4 ]
	grep -q "scripts/keys.sh trust $PUBLIC" "$BATS_FILE_TMPDIR/said"
	local command
	command=$(grep '^scripts/train.sh' "$BATS_FILE_TMPDIR/said")
	commit_checkout
	run -0 --separate-stderr bash -c "$command --release"
	[ "$(signer models/sports.tar.gz)" = "$FINGERPRINT" ]
}

@test "a new key is never written into the repository" {
	run -2 --separate-stderr scripts/keys.sh new 'A <a@b.example>' --out gnupg
	one_error "is in the repository"
	ln -s "$CHECKOUT/gnupg" "$BATS_TEST_TMPDIR/link"
	run -2 --separate-stderr scripts/keys.sh new 'A <a@b.example>' --out "$BATS_TEST_TMPDIR/link"
	one_error "is in the repository"
}

@test "each command has an example in the help" {
	run -0 scripts/keys.sh --help
	[ "$(grep -c 'example: scripts/keys.sh' <<<"$output")" = 5 ]
}

@test "list says who is trusted and until when" {
	run -0 --separate-stderr scripts/keys.sh list
	[[ $output == *"$FINGERPRINT"*"until "*"Sports desk"* ]]
	[[ $output == *"the demo key: everybody can sign with it"* ]]
}

@test "whoever revokes the demo key sees demo-signed models refused" {
	cp -a "$CHECKOUT" "$BATS_TEST_TMPDIR/strict"
	cd "$BATS_TEST_TMPDIR/strict"
	run -0 scripts/train.sh --output models/demo.tar.gz
	run -0 scripts/verify.sh models/demo.tar.gz
	run -0 scripts/keys.sh revoke D4021E7D4529EC2E3058A92277DDEEAA3A5411D4
	run -3 --separate-stderr scripts/verify.sh models/demo.tar.gz
	one_error "not trusted (signer)"
	run -2 --separate-stderr scripts/train.sh
	one_error "no signing key was given"
	[[ $stderr == *"scripts/keys.sh new"* ]]
	[[ $stderr != *"keys.sh trust"* ]]
}

@test "a data scientist's own key signs experiments, which verify and are no release" {
	cp -a "$CHECKOUT" "$BATS_TEST_TMPDIR/experiments"
	cd "$BATS_TEST_TMPDIR/experiments"
	mkdir -m 700 "$BATS_TEST_TMPDIR/own"
	run -0 --separate-stderr scripts/keys.sh new 'Ada <ada@desk.example>' --out "$BATS_TEST_TMPDIR/own"
	local trust train
	trust=$(grep '^scripts/keys.sh trust --experiments ' <<<"$output")
	train=$(grep '^scripts/train.sh ' <<<"$output")
	run -3 --separate-stderr bash -c "$train"
	one_error "not among the trusted signers"
	[[ $stderr == *"keys.sh trust --experiments"* ]]
	run -0 --separate-stderr bash -c "$trust"
	[[ $output == *"for experiments only"*"Ada <ada@desk.example>"* ]]
	run -0 --separate-stderr env GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@b.example GIT_COMMITTER_NAME=A \
		GIT_COMMITTER_EMAIL=a@b.example bash -c "$(last_line)"
	[ -z "$(git status --porcelain gnupg)" ]
	run -0 --separate-stderr bash -c "$train"
	run -0 --separate-stderr scripts/verify.sh models/sports.tar.gz --json
	[[ $output == *'"experiments_only": true'* ]]
	run -3 --separate-stderr scripts/verify.sh models/sports.tar.gz --release
	one_error "its signer is trusted for experiments only"
	run -3 --separate-stderr bash -c "$train --release"
	one_error "is trusted for experiments only"
}

@test "a rotated key verifies until its last day" {
	cp -a "$CHECKOUT" "$BATS_TEST_TMPDIR/rotated"
	cd "$BATS_TEST_TMPDIR/rotated"
	run -0 scripts/train.sh --output models/demo.tar.gz
	local demo=D4021E7D4529EC2E3058A92277DDEEAA3A5411D4
	run -0 scripts/keys.sh rotate "$PUBLIC" --old "$demo" --until "$(date -u +%F)"
	run -0 scripts/verify.sh models/demo.tar.gz
	run -0 scripts/keys.sh rotate "$PUBLIC" --old "$demo" --until "$(date -u -d yesterday +%F)"
	run -3 --separate-stderr scripts/verify.sh models/demo.tar.gz
	one_error "not trusted (expired)"
	run -1 --separate-stderr scripts/keys.sh list
	one_error "a trusted key has expired"
}

@test "a release refuses the demo key before the training" {
	run -3 --separate-stderr scripts/train.sh --release
	one_error "demo key"
	[[ $stderr != *accuracy* ]]
}

@test "the key and passphrase of the environment sign, through docker and the dev container" {
	local door
	for door in docker devcontainer; do
		rm -f models/sports.tar.gz
		PRESSBOX_SIGNING_KEY=$(cat "$SECRET") PRESSBOX_SIGNING_PASSPHRASE=$(cat "$PASSPHRASE") \
			run -0 scripts/train.sh --door "$door"
		[ "$(signer models/sports.tar.gz)" = "$FINGERPRINT" ]
	done
}

# bats test_tags=podman
@test "a key in the owner's agent signs, and only its owner is asked for the passphrase" {
	local home=$BATS_TEST_TMPDIR/gpg pinentry=$BATS_FILE_TMPDIR/pinentry
	mkdir -m 700 "$home"
	# A person at the keyboard.
	cat >"$pinentry" <<-PINENTRY
		#!/usr/bin/env bash
		echo OK
		while read -r command _; do
			[ "\$command" != GETPIN ] || { echo "D $(cat "$PASSPHRASE")"; echo asked >>"$BATS_FILE_TMPDIR/asked"; }
			echo OK
			[ "\$command" != BYE ] || exit 0
		done
	PINENTRY
	chmod +x "$pinentry"
	echo "pinentry-program $pinentry" >"$home/gpg-agent.conf"
	export GNUPGHOME=$home
	gpg --batch --quiet --import "$SECRET"
	commit_checkout
	run -0 --separate-stderr scripts/train.sh --release --door docker --signing-agent "$FINGERPRINT" --output models/agent.tar.gz
	# Root's agent was asked by somebody else, for whom it is open no longer.
	[ -z "$(find "$(gpgconf --list-dirs agent-extra-socket)" -perm /o=rwx)" ]
	gpgconf --kill all
	[ -s "$BATS_FILE_TMPDIR/asked" ]
	unset GNUPGHOME
	[ "$(signer models/agent.tar.gz)" = "$FINGERPRINT" ]
}

@test "an agent that is not there is said so" {
	GNUPGHOME=$BATS_TEST_TMPDIR run -2 --separate-stderr scripts/train.sh --signing-agent "$FINGERPRINT"
	one_error "no gpg-agent listens"
}

# needles: what must be found nowhere
needles() {
	cat "$PASSPHRASE"
	sed -n '4,6p' "$SECRET"
}

# bats test_tags=podman
@test "the key and passphrase are in no argument, no inspection, no layer, no log, no model, no disk" {
	local progress=$BATS_TEST_TMPDIR/progress traces=$BATS_TEST_TMPDIR/traces container script
	mkdir "$traces"
	commit_checkout
	needles >"$BATS_TEST_TMPDIR/needles"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/needles")" = 4 ]
	scripts/train.sh --release --door docker --data long.csv --signing-key "$SECRET" --passphrase-file "$PASSPHRASE" \
		>"$traces/stdout" 2>"$progress" 3>&- &
	script=$!
	when_line "texts to train on" "$progress"
	container=$(containers)
	cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' >"$traces/arguments"
	"$ENGINE" inspect "$container" >"$traces/inspect"
	"$ENGINE" exec --user 0 "$container" bash -c 'cat /proc/[0-9]*/environ || true' >"$traces/environment" 2>/dev/null
	"$ENGINE" diff "$container" >"$traces/diff"
	wait "$script"
	cp "$progress" "$traces/stderr"
	gunzip <models/sports.tar.gz >"$traces/model"
	cp /var/log/pressbox-dockerd.log "$traces/" 2>/dev/null || true
	run -1 grep -rFlf "$BATS_TEST_TMPDIR/needles" "$traces" "$CHECKOUT" --exclude-dir=node_modules
	# Nothing of it stays where homes are made.
	run -1 grep -rFlsf "$BATS_TEST_TMPDIR/needles" /dev/shm
	# The search does find what is there.
	run -0 grep -rFlf "$BATS_TEST_TMPDIR/needles" "$KEYS"
}

# bats test_tags=podman
@test "only the run that signs gets the key, and no process shows it: not in an environment, an argument or a trace" {
	local seen=$BATS_TEST_TMPDIR/seen way command
	mkdir "$seen" "$BATS_TEST_TMPDIR/stubs"
	# Each client of the engine, and whatever runs meanwhile, is looked at by a wrapper.
	cat >"$BATS_TEST_TMPDIR/stubs/docker" <<-STUB
		#!/usr/bin/env bash
		cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' >>"$seen/processes"
		cat "/proc/\$PPID/limits" >>"$seen/limits"
		exec "$ENGINE" "\$@"
	STUB
	chmod +x "$BATS_TEST_TMPDIR/stubs/docker"
	needles >"$BATS_TEST_TMPDIR/needles"
	while IFS='|' read -r way command; do
		way_of "$way" "$command" </dev/null 7>"$seen/trace" >"$seen/$way.${command//[^a-z]/}" 2>&1
	done <<-WAYS
		variable|train.sh --door docker
		variable|bash -px train.sh --door docker
		variable|verify.sh models/sports.tar.gz
		variable|keys.sh list
		variable|pressbox.sh predict models/sports.tar.gz
		variable|doctor.sh --door docker
		file|bash -x train.sh --door docker
	WAYS
	[ "$(signer models/sports.tar.gz)" = "$FINGERPRINT" ]
	grep -q '^PATH=' "$seen/processes"
	grep -q 'train.py' "$seen/processes"
	[ "$(grep -c 'Max core file size *0 ' "$seen/limits")" = "$(grep -c 'Max core file size' "$seen/limits")" ]
	run -1 grep -rFlf "$BATS_TEST_TMPDIR/needles" "$seen"
}

# way_of WAY COMMAND: with the key in variables or in files, everything that could show it switched on;
# the variables are set by an exec, so that no shell of the test's has them
way_of() {
	local script=${2#bash -*x }
	local options=()
	[[ $script != train* || $1 = variable ]] || options=(--signing-key "$SECRET" --passphrase-file "$PASSPHRASE")
	local shell=${2%"$script"}
	# shellcheck disable=SC2086 # commands and their arguments
	if [ "$1" = variable ]; then
		env PATH="$BATS_TEST_TMPDIR/stubs:$PATH" SHELLOPTS=xtrace BASH_XTRACEFD=7 \
			PRESSBOX_SIGNING_KEY="$(cat "$SECRET")" PRESSBOX_SIGNING_PASSPHRASE="$(cat "$PASSPHRASE")" $shell scripts/$script
	else
		env PATH="$BATS_TEST_TMPDIR/stubs:$PATH" SHELLOPTS=xtrace BASH_XTRACEFD=7 $shell scripts/$script "${options[@]}"
	fi
}

@test "an empty or unreadable key is no reason to sign with the demo key" {
	: >"$BATS_TEST_TMPDIR/empty"
	run -1 --separate-stderr scripts/train.sh --signing-key "$BATS_TEST_TMPDIR/empty"
	one_error "not one secret key"
	run -2 --separate-stderr scripts/train.sh --signing-key "$BATS_TEST_TMPDIR/nowhere"
	one_error "cannot be read"
}

@test "a release goes through no dev container" {
	local door
	run -2 --separate-stderr scripts/train.sh --release --door devcontainer
	one_error "a release is trained in a fresh container"
	run -0 --separate-stderr scripts/train.sh --release --dry-run
	[[ $stderr == *" run "*PRESSBOX_DOOR=docker* ]]
}

@test "verify.sh takes a policy" {
	run -0 scripts/verify.sh models/sports.tar.gz --name sports --not-before 2026-01-01 --signer "$FINGERPRINT"
	run -3 --separate-stderr scripts/verify.sh models/sports.tar.gz --name golf
	one_error "not trusted (policy)"
	run -3 --separate-stderr scripts/verify.sh models/sports.tar.gz --not-before 2126-01-01
	one_error "not trusted (policy)"
	run -3 --separate-stderr scripts/verify.sh models/sports.tar.gz --signer D4021E7D4529EC2E3058A92277DDEEAA3A5411D4
	one_error "not trusted (policy)"
}
