#!/usr/bin/env bats
# scripts/doctor.sh, the list of accepted environments, and releases.

load doors

setup_file() {
	export CHECKOUT=$BATS_FILE_TMPDIR/checkout KEYS=$BATS_FILE_TMPDIR/keys
	copy_checkout "$CHECKOUT"
	mkdir -m 700 "$KEYS"
	"$CHECKOUT/scripts/keys.sh" new 'Sports desk <sports@desk.example>' --out "$KEYS" >/dev/null 2>&1
	export SECRET PASSPHRASE
	SECRET=$(echo "$KEYS"/*.secret.asc)
	PASSPHRASE=$(echo "$KEYS"/*.passphrase)
	"$CHECKOUT/scripts/keys.sh" trust "$(echo "$KEYS"/*.pub.asc)" >/dev/null
	find "$CHECKOUT" -name __pycache__ -prune -exec rm -r {} +
}

teardown_file() {
	container | xargs --no-run-if-empty "$ENGINE" rm --force >/dev/null
}

setup() {
	cd "$CHECKOUT"
}

container() {
	"$ENGINE" ps --all --quiet --filter "label=devcontainer.local_folder=$CHECKOUT"
}

# accepted_before CHANGE: the list holds one environment alone: the present one with CHANGE, a line of
# Python that edits `passport`
accepted_before() {
	"$ENGINE" run --rm --network none --user "$(id -u)" --volume "$CHECKOUT:/workspaces/pressbox" "$TAGGED" python -c "
import datetime, pathlib
from pressbox.environment import drift, lock, passport as passports
passport = drift.current().passport
$1
lock.LOCK.unlink(missing_ok=True)
digest = passports.digest(passports.canonical(passport))
lock.accept(drift.Environment(passport, digest), datetime.date(2026, 1, 2))
"
}

# release ARGUMENT...: of what is in the checkout now, committed
release() {
	commit_checkout
	scripts/train.sh --release --door docker --signing-key "$SECRET" --passphrase-file "$PASSPHRASE" "$@"
}

digest() {
	scripts/doctor.sh --door "$1" 2>/dev/null | sed -n 's/^ *environment *\(sha256:.*\)/\1/p'
}

@test "doctor finds nothing wrong, and prints the digests of environment and layers" {
	run -0 --separate-stderr scripts/doctor.sh --deep
	local subject
	for subject in engine image layers environment drift accepted code signer; do
		grep -Eq "^ {6}$subject " <<<"$output"
	done
	[ "$(grep -c 'sha256:[0-9a-f]\{64\}$' <<<"$output")" = 2 ]
	[[ $output != *WRONG* ]]
}

@test "the environment digest is the same through both doors and in the model" {
	scripts/train.sh --door docker
	local docker
	docker=$(digest docker)
	[ -n "$docker" ]
	[ "$(digest devcontainer)" = "$docker" ]
	grep -q "\"environment_digest\": \"$docker\"" <<<"$(scripts/verify.sh models/sports.tar.gz --json)"
}

@test "a release needs an accepted environment, and says which packages are not those" {
	accepted_before 'passport["debian_packages"]["gpg"] = "2.0"'
	run -4 --separate-stderr release
	one_error "this environment is not an accepted one: Debian package gpg is "
	[[ $stderr == *", was 2.0; "*"scripts/doctor.sh --accept"* ]]
	run -0 scripts/doctor.sh
	[[ $output == *"accepted     no"*"Debian package gpg is "* ]]
}

@test "what --accept adds is dated, says what changed, and can be released; others cannot" {
	accepted_before 'passport["debian_packages"]["gpg"] = "2.0"'
	run -0 --separate-stderr scripts/doctor.sh --accept
	[[ $stderr == *"accepted: Debian package gpg is "*", was 2.0"* ]]
	grep -q "\"date\": \"$(date -u +%F)\"" .devcontainer/environment.lock
	run -0 --separate-stderr scripts/doctor.sh --accept
	[[ $stderr == *"already accepted"* ]]
	run -0 --separate-stderr release
	run -0 scripts/verify.sh models/sports.tar.gz --release

	accepted_before 'passport["debian_packages"]["gpg"] = "2.0"'
	run -3 --separate-stderr scripts/verify.sh models/sports.tar.gz --release
	one_error "is not an accepted one"
	run -0 scripts/verify.sh models/sports.tar.gz
}

@test "a model signed with the demo key is no release" {
	scripts/doctor.sh --accept
	scripts/train.sh --output models/demo.tar.gz
	run -3 --separate-stderr scripts/verify.sh models/demo.tar.gz --release
	one_error "signed with the demo key"
}

@test "a release is trained from a commit, and not in the dev container" {
	scripts/doctor.sh --accept
	touch new.py
	run -1 --separate-stderr scripts/train.sh --release --door docker --signing-key "$SECRET" --passphrase-file "$PASSPHRASE"
	one_error "a release is trained from a commit"
	rm new.py
	run -2 --separate-stderr release --door devcontainer
	one_error "a release is trained in a fresh container, not through devcontainer"
}

@test "a merge conflict in the list is called one" {
	cp .devcontainer/environment.lock "$BATS_TEST_TMPDIR"
	sed -i '3i <<<<<<< HEAD' .devcontainer/environment.lock
	run -1 --separate-stderr release
	one_error "has a merge conflict in it"
	run -1 --separate-stderr scripts/doctor.sh
	[[ $output == *"WRONG accepted"*"merge conflict"* ]]
	run -1 --separate-stderr scripts/doctor.sh --accept
	one_error "has a merge conflict in it"
	cp "$BATS_TEST_TMPDIR/environment.lock" .devcontainer
}

@test "a tree that is no repository trains, and says so" {
	cp -a "$CHECKOUT" "$BATS_TEST_TMPDIR/unpacked"
	cd "$BATS_TEST_TMPDIR/unpacked"
	rm -rf .git
	run -0 --separate-stderr scripts/train.sh --door docker
	[[ $stderr == *"the model will not name its commit (git: not a git repository"* ]]
	run -0 scripts/verify.sh models/sports.tar.gz
	[[ $output == *"commit unknown"* ]]
	run -0 scripts/doctor.sh --door docker
	[[ $output == *"commit unknown, git: not a git repository"* ]]
}

@test "a dev container that has drifted is named, and a training passes it by" {
	scripts/train.sh --door devcontainer
	"$ENGINE" exec --user 0 "$(container)" sh -c 'echo >>/opt/venv/lib/python3.13/site-packages/threadpoolctl.py'
	run -4 --separate-stderr scripts/doctor.sh
	[[ $output == *"WRONG drift"*"threadpoolctl.py was changed"* ]]
	run -4 --separate-stderr scripts/train.sh --door devcontainer
	one_error "threadpoolctl.py was changed"
	run -0 --separate-stderr scripts/train.sh
	[[ $stderr == *"the dev container has drifted; training in a fresh container"* ]]
	run -0 --separate-stderr scripts/train.sh --allow-drift
	run -0 scripts/verify.sh models/sports.tar.gz
	[[ $output == *"threadpoolctl.py was changed"* ]]
}

@test "a dev container older than the lock is named" {
	scripts/train.sh --door devcontainer --allow-drift
	echo '# newer' >>poetry.lock
	run -4 --separate-stderr scripts/doctor.sh
	[[ $output == *"WRONG container"*"older than the Dockerfile or a lock"* ]]
	git checkout --quiet poetry.lock
}
