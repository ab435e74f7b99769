#!/usr/bin/env bats
# scripts/update.sh: the environment is moved to what there is today, built, and accepted.

load doors

setup() {
	export CHECKOUT=$BATS_TEST_TMPDIR/checkout
	copy_checkout "$CHECKOUT"
	cd "$CHECKOUT"
	# However young the lock is.
	sed -i 's/^snapshot .*/snapshot 20260101T000000Z/' .devcontainer/debian.lock
}

teardown() {
	"$ENGINE" tag "$TAGGED" pressbox
}

@test "Debian is moved to today's date, built and accepted, and only that" {
	run -0 --separate-stderr scripts/update.sh debian --tests none
	grep -qx "snapshot $(date -u +%Y%m%d)T000000Z" .devcontainer/debian.lock
	[ -z "$(git_in . status --porcelain -- poetry.lock .devcontainer/tools.txt .devcontainer/toolchain)" ]
	# Where Debian has moved meanwhile, it is said how.
	[[ $stderr == *"already accepted"* || $stderr == *"accepted: Debian package "* ]]
	[[ $stderr == *"commit it: git add .devcontainer/Dockerfile .devcontainer/debian.lock "* ]]
	run -0 scripts/doctor.sh
	[[ $output == *"accepted     yes"* ]]
}

@test "an update that cannot be made says so and changes nothing" {
	echo "os no-such-package" >>.devcontainer/debian.in
	cp .devcontainer/debian.lock "$BATS_TEST_TMPDIR/debian.lock"
	run -1 --separate-stderr scripts/update.sh debian
	[[ $stderr == *"Unable to locate package no-such-package"* ]]
	one_error "debian could not be updated, and nothing was changed"
	cmp .devcontainer/debian.lock "$BATS_TEST_TMPDIR/debian.lock"
	[ -z "$(git_in . status --porcelain -- poetry.lock .devcontainer/tools.txt)" ]
}

@test "tests that fail leave the new files, unaccepted, and the way back" {
	printf 'def test_it():\n    assert False\n' >tests/unit/test_red.py
	run -1 --separate-stderr scripts/update.sh debian --tests unit
	one_error "the tests fail in the new environment"
	[[ $stderr == *"git restore .devcontainer/Dockerfile"* ]]
	[ -z "$(git_in . status --porcelain -- .devcontainer/environment.lock)" ]
}

@test "what the other kinds do is shown without doing it" {
	run -0 --separate-stderr scripts/update.sh --dry-run
	[[ $stderr == *"/programs/debian.sh lock "* ]]
	[[ $stderr == *"poetry update --lock"* ]]
	[[ $stderr == *"uv pip compile"* ]]
	[[ $stderr == *"npm install --package-lock-only"*"@devcontainers/cli@latest"* ]]
	grep -qx "snapshot 20260101T000000Z" .devcontainer/debian.lock
}

@test "it takes one kind at a time" {
	run -2 --separate-stderr scripts/update.sh wheels
	one_error "unknown argument 'wheels'"
	run -2 --separate-stderr scripts/update.sh debian tools
	one_error "unknown argument 'tools'"
}
