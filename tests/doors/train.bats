#!/usr/bin/env bats
# scripts/train.sh through the docker door.

load doors

setup_file() {
	export CHECKOUT=$BATS_FILE_TMPDIR/checkout
	copy_checkout "$CHECKOUT"
	long_source "$BATS_FILE_TMPDIR/long.csv"
	"$CHECKOUT/scripts/train.sh" --door docker --output "$BATS_FILE_TMPDIR/first.tar.gz" 2>/dev/null
}

setup() {
	cd "$CHECKOUT"
	MODEL=$CHECKOUT/models/sports.tar.gz
	find models -type f ! -name .gitignore -delete
	cp "$BATS_FILE_TMPDIR/first.tar.gz" "$MODEL"
}

# untouched: the earlier model is as it was, verifies, and is alone in its folder
untouched() {
	cmp "$BATS_FILE_TMPDIR/first.tar.gz" "$MODEL"
	scripts/verify.sh "$MODEL" >/dev/null 2>&1
	[ "$(cd "$CHECKOUT/models" && printf '%s ' .[!.]* *)" = ".gitignore sports.tar.gz " ]
}

# bats test_tags=podman
@test "the last line of standard output is the model's path, and progress is on standard error" {
	rm "$MODEL"
	run -0 --separate-stderr scripts/train.sh
	[ "$output" = "$MODEL" ]
	[[ $stderr == *"accuracy"* ]]
	# Once is enough.
	[[ $stderr != *sports.tar.gz* ]]
	[ -s "$MODEL" ]
}

@test "verify.sh says who signed, as a table and as JSON" {
	run -0 --separate-stderr scripts/verify.sh models/sports.tar.gz
	[[ $output == *"trusted"*"True"* ]]
	run -0 --separate-stderr scripts/verify.sh models/sports.tar.gz --json
	[[ $output == *'"trusted": true'* ]]
	[[ $output == *'"fingerprint": "D4021E7D4529EC2E3058A92277DDEEAA3A5411D4"'* ]]
}

# bats test_tags=podman
@test "verify.sh refuses a model with one byte changed, with status 3" {
	printf 'X' | dd of="$MODEL" bs=1 seek=5000 conv=notrunc status=none
	run -3 --separate-stderr scripts/verify.sh models/sports.tar.gz --json
	[[ $output == *'"trusted": false'* ]]
	one_error "not trusted"
}

@test "two trainings give the same model digest" {
	run -0 scripts/train.sh --output models/second.tar.gz
	[ "$(digest_of models/second.tar.gz)" = "$(digest_of "$MODEL")" ]
	rm models/second.tar.gz
}

@test "it works from another folder, with paths of that folder" {
	mkdir -p "$BATS_TEST_TMPDIR/else where/rows"
	cd "$BATS_TEST_TMPDIR/else where"
	printf 'text,label\na ball,x\na bat,x\na bat or ball,x\na puck,y\na stick,y\nstick and puck,y\n' >rows/some,comma.csv
	run -0 --separate-stderr "$CHECKOUT/scripts/train.sh" --data rows/some,comma.csv --output mine.tar.gz --
	[ "$output" = "$PWD/mine.tar.gz" ]
	[ -s mine.tar.gz ]
}

@test "a checkout with spaces in its path, and one behind a symlink" {
	cp -a "$CHECKOUT" "$BATS_TEST_TMPDIR/with spaces"
	ln -s "with spaces" "$BATS_TEST_TMPDIR/link"
	run -0 --separate-stderr "$BATS_TEST_TMPDIR/link/scripts/train.sh"
	[ "$output" = "$BATS_TEST_TMPDIR/with spaces/models/sports.tar.gz" ]
}

@test "a git worktree names its commit" {
	git -c safe.directory='*' -C "$CHECKOUT" worktree add --quiet --detach "$BATS_TEST_TMPDIR/tree"
	run -0 --separate-stderr "$BATS_TEST_TMPDIR/tree/scripts/train.sh"
	run -0 --separate-stderr "$BATS_TEST_TMPDIR/tree/scripts/verify.sh" "$BATS_TEST_TMPDIR/tree/models/sports.tar.gz" --json
	[[ $output == *"\"commit\": \"$(git -C "$CHECKOUT" rev-parse HEAD)\""* ]]
}

@test "an unknown option is wrong usage" {
	run -2 --separate-stderr scripts/train.sh --frobnicate
	one_error "unknown option '--frobnicate'"
}

@test "an option without its value is wrong usage" {
	run -2 --separate-stderr scripts/train.sh --output
	one_error "--output needs a value"
}

@test "help goes to standard output" {
	local script
	for script in train test verify; do
		run -0 --separate-stderr "scripts/$script.sh" --help
		[[ $output == usage:*example:* ]]
		[ -z "$stderr" ]
	done
}

@test "a source that is not there is wrong usage" {
	run -2 --separate-stderr scripts/train.sh --data nowhere.csv
	one_error "there is no source 'nowhere.csv'"
	untouched
}

@test "a source that holds no corpus fails with its reason" {
	printf 'text;label\n' >"$BATS_TEST_TMPDIR/rows.csv"
	run -1 --separate-stderr scripts/train.sh --data "$BATS_TEST_TMPDIR/rows.csv"
	one_error "has no text and no label"
	untouched
}

# bats test_tags=podman
@test "a training that is killed for want of memory says how to give it more" {
	PRESSBOX_MEMORY=64m run -1 --separate-stderr scripts/train.sh
	one_error "more memory than it is given (64m)"
	[[ $stderr == *PRESSBOX_MEMORY=16g* ]]
	untouched
}

@test "what a table does not say of itself is handed on and recorded" {
	printf 'body;-topic\n' >"$BATS_TEST_TMPDIR/rows.csv"
	local i
	for i in {1..8}; do
		printf 'a wicket fell in over %s;cricket\nthe caddie took club %s\351;golf\n' "$i" "$i" >>"$BATS_TEST_TMPDIR/rows.csv"
	done
	run -0 --separate-stderr scripts/train.sh --data "$BATS_TEST_TMPDIR/rows.csv" --text-column body --label-column -topic --delimiter ';' --encoding latin-1 --output "$BATS_TEST_TMPDIR/mine.tar.gz"
	run -0 --separate-stderr scripts/verify.sh "$BATS_TEST_TMPDIR/mine.tar.gz" --json
	[[ $output == *rows.csv* ]]
}

@test "an output folder that is not there is wrong usage" {
	run -2 --separate-stderr scripts/train.sh --output nowhere/sports.tar.gz
	one_error "there is no folder nowhere"
	untouched
}

@test "a folder given as output is wrong usage" {
	run -2 --separate-stderr scripts/train.sh --output models
	one_error "models is a folder"
	untouched
}

@test "an output that is no model's name is wrong usage" {
	run -2 --separate-stderr scripts/train.sh --output models/sports.zip
	one_error "the model's file name must end in .tar.gz, and 'sports.zip' does not"
	untouched
}

@test "a read-only output folder is an error before the training" {
	need_root
	mkdir "$BATS_TEST_TMPDIR/locked"
	chown 4711 "$BATS_TEST_TMPDIR/locked"
	chmod 555 "$BATS_TEST_TMPDIR/locked"
	run -1 --separate-stderr scripts/train.sh --output "$BATS_TEST_TMPDIR/locked/sports.tar.gz"
	one_error "no model can be written to"
	[[ $stderr != *accuracy* ]]
}

# bats test_tags=podman
@test "a full disk leaves the earlier model" {
	need_root
	local disk=$BATS_TEST_TMPDIR/disk
	mkdir "$disk"
	# Room for one model, but not for two.
	mount -t tmpfs -o "size=$(($(stat -c %s "$MODEL") * 3 / 2))" tmpfs "$disk"
	cp "$MODEL" "$disk/sports.tar.gz"
	run -1 --separate-stderr scripts/train.sh --output "$disk/sports.tar.gz"
	local left
	left=$(ls -A "$disk")
	cmp "$MODEL" "$disk/sports.tar.gz" || left="changed $left"
	umount "$disk"
	one_error "could not be written"
	[ "$left" = sports.tar.gz ]
}

# bats test_tags=podman
@test "a wrong passphrase leaves the earlier model" {
	PRESSBOX_SIGNING_KEY=$(cat gnupg/demo.secret.asc) PRESSBOX_SIGNING_PASSPHRASE=wrong \
		run -1 --separate-stderr scripts/train.sh
	one_error "does not sign (Bad passphrase)"
	[[ $stderr != *"texts to train on"* ]]
	untouched
}

@test "a missing key leaves the earlier model" {
	cp -a "$CHECKOUT" "$BATS_TEST_TMPDIR/keyless"
	rm "$BATS_TEST_TMPDIR/keyless/gnupg/demo.secret.asc"
	run -1 --separate-stderr "$BATS_TEST_TMPDIR/keyless/scripts/train.sh" --output "$MODEL"
	one_error "signing key cannot be read"
	untouched
}

@test "two trainings at once into one file both succeed" {
	rm "$MODEL"
	scripts/train.sh >/dev/null 2>&1 &
	local other=$!
	run -0 scripts/train.sh
	wait "$other"
	run -0 scripts/verify.sh "$MODEL"
	[ "$(cd models && echo *)" = "sports.html sports.tar.gz" ]
}

@test "Ctrl-C in a terminal ends the container and leaves the earlier model" {
	local screen=$BATS_TEST_TMPDIR/screen
	# The disposition is a terminal's, also where the tests run in the background, which ignores it.
	run -130 script -qefc "env --default-signal=INT scripts/train.sh --data '$BATS_FILE_TMPDIR/long.csv'" "$screen" < <(
		when_line "texts to train on" "$screen"
		printf '\003'
		# The terminal stays until the script has ended.
		timeout 60 tail -f /dev/null --pid="$(pgrep -f "train.sh --data $BATS_FILE_TMPDIR/long.csv" | head -n 1)"
	)
	grep -q "error: .*nothing was changed" "$screen"
	[ -z "$(containers)" ]
	untouched
}

# bats test_tags=podman
@test "kill -9 of the script ends the training and leaves the earlier model" {
	local progress=$BATS_TEST_TMPDIR/progress script
	scripts/train.sh --data "$BATS_FILE_TMPDIR/long.csv" >/dev/null 2>"$progress" 3>&- &
	script=$!
	when_line "texts to train on" "$progress"
	kill -KILL "$script"
	"$ENGINE" wait "$(containers)" || true
	untouched
}

@test "what ends a training lies in the checkout, and is read through its mount" {
	cp -a "$CHECKOUT" "$BATS_TEST_TMPDIR/own"
	printf 'echo the one in this checkout\n' >"$BATS_TEST_TMPDIR/own/scripts/lib/supervise.sh"
	run -0 --separate-stderr "$BATS_TEST_TMPDIR/own/scripts/verify.sh" --door docker "$MODEL"
	[ "$output" = "the one in this checkout" ]
}

@test "the status of the training is handed on" {
	run -2 scripts/train.sh -- --frobnicate
}

# bats test_tags=podman
@test "the container has no network, no capabilities, a bound on memory, and writes to models alone" {
	# shellcheck disable=SC2016 # expanded in the container
	run -0 --separate-stderr bash -c '
		. scripts/lib/doors.sh
		choose_door docker
		let_write_at "$ROOT/models"
		enter bash -c "
			grep -E \"^(CapEff|NoNewPrivs)\" /proc/self/status
			ls /sys/class/net
			for folder in / /workspaces/pressbox /workspaces/pressbox/models; do
				if touch \$folder/probe 2>/dev/null; then rm \$folder/probe; echo writes \$folder; fi
			done
			cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null
			cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null
			true
		"'
	[ "$output" = "CapEff:	0000000000000000
NoNewPrivs:	1
lo
writes /workspaces/pressbox/models
4294967296
512" ]
}

@test "20 Newsgroups is fetched by a run of its own, which has a network and no key; the training has neither" {
	PRESSBOX_SIGNING_KEY=canary PRESSBOX_DATA_HOME=$BATS_TEST_TMPDIR/data \
		run -0 --separate-stderr scripts/train.sh --data newsgroups --dry-run
	[ "$(grep -c -- "--network bridge .* -m pressbox fetch newsgroups" <<<"$stderr")" = 1 ]
	[ "$(grep -c -- "--network none .* train.py .* --data newsgroups" <<<"$stderr")" = 1 ]
	[[ $stderr == *"$BATS_TEST_TMPDIR/data"*readonly*train.py* ]]
	run -0 --separate-stderr scripts/train.sh --dry-run
	[[ $stderr == *"--network none"* ]]
	[[ $stderr != *"--network bridge"* ]]
}
