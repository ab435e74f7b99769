#!/usr/bin/env bats
# scripts/doctor.sh --clean removes what earlier builds have left, and nothing else.

load doors

setup() {
	export CHECKOUT=$BATS_TEST_TMPDIR/checkout REAL=$ENGINE
	copy_checkout "$CHECKOUT"
	cd "$CHECKOUT"
	# The real engine, but for images that are not of this test: they are somebody's.
	mkdir "$BATS_TEST_TMPDIR/bin"
	printf '%s\n' '#!/bin/sh' 'case "$1 $2" in' \
		"\"image ls\") shift 2; exec '$REAL' image ls --filter label=pressbox-test \"\$@\" ;;" 'esac' "exec '$REAL' \"\$@\"" >"$BATS_TEST_TMPDIR/bin/docker"
	chmod 755 "$BATS_TEST_TMPDIR/bin/docker"
	PATH=$BATS_TEST_TMPDIR/bin:$PATH
	local tag
	for tag in pressbox:old pressbox-browser:old somebody:else pressbox-like:old; do
		printf 'FROM %s\nLABEL pressbox-test=%s\n' "$TAGGED" "$tag" | "$REAL" build --quiet --tag "$tag" - >/dev/null
	done
	mkdir -p .cache/screenshots
	head -c 3000000 /dev/urandom >.cache/screenshots/page.png
	OLD=$("$REAL" create --label "devcontainer.local_folder=$CHECKOUT" pressbox:old true)
	OTHERS=$("$REAL" create --label "devcontainer.local_folder=$CHECKOUT-2" somebody:else true)
}

teardown() {
	"$REAL" rm --force "$OLD" "$OTHERS" >/dev/null 2>&1 || true
	"$REAL" image rm pressbox:old pressbox-browser:old somebody:else pressbox-like:old >/dev/null 2>&1 || true
}

there() {
	"$REAL" image inspect "$1" >/dev/null 2>&1
}

@test "old images, stopped dev containers of this checkout and caches go, and nothing else" {
	run -0 --separate-stderr scripts/doctor.sh --clean
	[[ $output == *"removed the container ${OLD:0:12}"* ]]
	[[ $output == *"removed the image pressbox:old"* ]]
	[[ $output == *"removed the image pressbox-browser:old"* ]]
	[[ $output == *"removed $CHECKOUT/.cache"* ]]
	[[ $(last_line) =~ ^"freed "[1-9][0-9]*" MB"$ ]]
	! there pressbox:old && ! there pressbox-browser:old && [ ! -e .cache ]
	there somebody:else && there pressbox-like:old && there "$TAGGED"
	"$REAL" inspect "$OTHERS" >/dev/null
}

@test "what is in use stays, and --dry-run removes nothing" {
	run -0 --separate-stderr scripts/doctor.sh --clean --dry-run
	[[ $stderr == *"image rm pressbox:old"* ]]
	there pressbox:old && [ -e .cache/screenshots/page.png ]
	"$REAL" rm "$OLD" >/dev/null
	OLD=$("$REAL" run --detach --label "devcontainer.local_folder=$CHECKOUT" pressbox:old sleep 300)
	run -0 --separate-stderr scripts/doctor.sh --clean
	[[ $output == *"kept the dev container ${OLD:0:12}, which is running"* ]]
	[[ $output == *"kept the image pressbox:old, which is in use"* ]]
	there pressbox:old
}
