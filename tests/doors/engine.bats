#!/usr/bin/env bats
# The engine is found, never assumed.

load doors

setup_file() {
	export CHECKOUT=$BATS_FILE_TMPDIR/checkout
	copy_checkout "$CHECKOUT"
	# The tools of this machine, without any engine.
	export BARE=$BATS_FILE_TMPDIR/bare
	mkdir "$BARE"
	local tool
	for tool in apt-get basename bash cat cut dirname env find grep head id mktemp printf rm sed sha256sum stat; do
		ln -s "$(command -v "$tool")" "$BARE/$tool"
	done
}

# stub NAME: reads the script from standard input
stub() {
	mkdir -p "$BATS_TEST_TMPDIR/stubs"
	cat >"$BATS_TEST_TMPDIR/stubs/$1"
	chmod +x "$BATS_TEST_TMPDIR/stubs/$1"
}

@test "without an engine there is one error, status 69, and the line that helps" {
	PATH=$BARE run -69 --separate-stderr "$CHECKOUT/scripts/train.sh"
	one_error "there is no container engine"
	[[ $stderr == *--bootstrap* ]]
	[ -z "$output" ]
}

@test "an engine that does not answer is told from one that is not there" {
	DOCKER_HOST=unix://$BATS_TEST_TMPDIR/nobody run -69 --separate-stderr "$CHECKOUT/scripts/train.sh"
	one_error "no engine answers"
}

@test "a docker without BuildKit is named, with what it lacks" {
	stub docker <<-'STUB'
		#!/usr/bin/env bash
		[ "$1" = version ] && echo "28.2.2 28.2.2"
	STUB
	PATH=$BATS_TEST_TMPDIR/stubs:$BARE run -69 --separate-stderr "$CHECKOUT/scripts/train.sh"
	one_error "has no BuildKit"
}

@test "a docker without BuildKit does not hide one that has it" {
	stub docker <<-'STUB'
		#!/usr/bin/env bash
		[ "$1" = version ] && echo "28.2.2 28.2.2"
	STUB
	PATH=$BATS_TEST_TMPDIR/stubs:$PATH run -0 --separate-stderr "$CHECKOUT/scripts/train.sh" --dry-run
	[[ $stderr == *"$ENGINE run "* ]]
}

@test "bootstrap changes nothing where an engine runs" {
	stub apt-get <<-'STUB'
		#!/usr/bin/env bash
		echo "apt-get was called" >&2
		exit 1
	STUB
	PATH=$BATS_TEST_TMPDIR/stubs:$PATH run -0 --separate-stderr "$CHECKOUT/scripts/train.sh" --bootstrap
	[[ $stderr != *"apt-get was called"* ]]
}

@test "bootstrap without root says that it needs root" {
	need_root
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR"
	run -69 --separate-stderr setpriv --reuid 4711 --regid 4711 --clear-groups \
		env PATH="$BARE" "$CHECKOUT/scripts/train.sh" --bootstrap
	grep -q "^error: .*--bootstrap" <<<"$stderr"
}

# podman: a stub of one, which says when it is used
stub_podman() {
	stub podman <<-STUB
		#!/usr/bin/env bash
		echo "podman was called" >>"$BATS_TEST_TMPDIR/called"
	STUB
}

@test "an engine that was named is used, or the error names it; nothing else is taken instead" {
	stub_podman
	local set
	mkdir "$BATS_TEST_TMPDIR/config"
	echo '{"currentContext": "elsewhere"}' >"$BATS_TEST_TMPDIR/config/config.json"
	for set in "DOCKER_HOST=unix://$BATS_TEST_TMPDIR/nobody" DOCKER_HOST=nonsense DOCKER_CONTEXT=nowhere \
		"DOCKER_CONFIG=$BATS_TEST_TMPDIR/config"; do
		run -69 --separate-stderr env "$set" PATH="$BATS_TEST_TMPDIR/stubs:$PATH" "$CHECKOUT/scripts/train.sh" --bootstrap
		one_error "no engine answers at"
		[[ $stderr == *"${set#DOCKER_CONFIG=}"* || $stderr == *"context elsewhere"* ]]
		[ ! -e "$BATS_TEST_TMPDIR/called" ]
	done
	PATH=$BATS_TEST_TMPDIR/stubs:$BARE run -69 --separate-stderr "$CHECKOUT/scripts/train.sh" --door docker
	one_error "there is no container engine"
	[ ! -e "$BATS_TEST_TMPDIR/called" ]
	PATH=$BARE run -69 --separate-stderr "$CHECKOUT/scripts/train.sh" --door podman
	one_error "podman is not installed"
}

@test "somebody who is not in the group docker is told so" {
	need_root
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR"
	run -69 --separate-stderr setpriv --reuid 4711 --regid 4711 --clear-groups \
		env HOME=/ TMPDIR=/tmp "$CHECKOUT/scripts/train.sh"
	one_error "may not use the engine"
	[[ $stderr == *"usermod -aG docker"* ]]
}
