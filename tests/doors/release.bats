#!/usr/bin/env bats
# .github/workflows/release.yml: its commands, in their order, with a key that is trusted here and an
# environment that is accepted. tests/style/test_style.py and habits.bats check what it says.

load doors

WORKFLOW=.github/workflows/release.yml

setup_file() {
	export CHECKOUT=$BATS_FILE_TMPDIR/checkout KEYS=$BATS_FILE_TMPDIR/keys
	copy_checkout "$CHECKOUT"
	mkdir -m 700 "$KEYS"
	cd "$CHECKOUT"
	scripts/keys.sh new 'Sports desk <sports@desk.example>' --out "$KEYS" >/dev/null 2>&1
	scripts/keys.sh trust "$(echo "$KEYS"/*.pub.asc)" >/dev/null
	scripts/doctor.sh --accept >/dev/null 2>&1
	find . -name __pycache__ -prune -exec rm -r {} +
	commit_checkout
}

setup() {
	cd "$CHECKOUT"
	rm -f models/sports.*
}

# release: run what the workflow runs, until something fails, as a runner does
release() {
	local command
	while IFS= read -r command; do
		bash -eo pipefail -c "$command" </dev/null || return
	done < <(sed -n 's/^ *- run: //p' "$WORKFLOW")
}

# kept: the files that become artifacts
kept() {
	sed -n '/^ *path: |$/,/^ *if-no-files-found/s/^ *\(models\/.*\)/\1/p' "$WORKFLOW"
}

@test "the release workflow signs with the secrets, and keeps the model, its page, its statement and its bill" {
	PRESSBOX_SIGNING_KEY=$(cat "$KEYS"/*.secret.asc)
	PRESSBOX_SIGNING_PASSPHRASE=$(cat "$KEYS"/*.passphrase)
	export PRESSBOX_SIGNING_KEY PRESSBOX_SIGNING_PASSPHRASE
	run -0 release
	[[ $output != *"$PRESSBOX_SIGNING_PASSPHRASE"* ]]
	[[ $output != *"PRIVATE KEY"* ]]
	[ "$(kept)" = "$(printf '%s\n' models/sports.tar.gz models/sports.html models/sports.statement.json models/sports.cdx.json)" ]
	local file
	while IFS= read -r file; do [ -s "$file" ]; done < <(kept)
	grep -q '"predicateType"' models/sports.statement.json
	grep -q '"type": "machine-learning-model"' models/sports.cdx.json
}

@test "without the secrets the release workflow fails, and there is nothing to keep" {
	# What a runner gives for a secret that is not set.
	export PRESSBOX_SIGNING_KEY='' PRESSBOX_SIGNING_PASSPHRASE=''
	run -3 --separate-stderr release
	one_error "demo key"
	local file
	while IFS= read -r file; do [ ! -e "$file" ]; done < <(kept)
}

@test "a secret is in the environment of the one step that signs, and in no command" {
	local secret='^          PRESSBOX_SIGNING_\(KEY\|PASSPHRASE\): \${{ secrets\.PRESSBOX_SIGNING_\1 }}$'
	[ "$(grep -c "$secret" "$WORKFLOW")" = 2 ]
	[ "$(grep -c 'secrets\.' "$WORKFLOW")" = 2 ]
	[ "$(grep -c '^        env:$' "$WORKFLOW")" = 1 ]
}
