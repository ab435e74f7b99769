#!/usr/bin/env bats
# Nobody is root inside: what root starts runs as somebody else, and root takes over what that wrote,
# as plain files.

load doors

setup_file() {
	[ "$(id -u)" = 0 ] || return 0
	export CHECKOUT=$BATS_FILE_TMPDIR/checkout
	copy_checkout "$CHECKOUT"
}

teardown_file() {
	[ "$(id -u)" = 0 ] || return 0
	"$ENGINE" ps --all --quiet --filter "label=devcontainer.local_folder=$CHECKOUT" |
		xargs --no-run-if-empty "$ENGINE" rm --force >/dev/null
}

setup() {
	need_root
	cd "$CHECKOUT"
	find models -type f ! -name .gitignore -delete
}

# staged: what is left of the places where somebody else writes for root
staged() {
	find "$CHECKOUT" "$BATS_TEST_TMPDIR" -name '.root.*'
}

# leaving COMMANDS: a training that does this beside its model, $1, before it ends
leaving() {
	git -c safe.directory='*' checkout --quiet train.py
	printf 'import subprocess\nsubprocess.run(["bash", "-c", %s, "bash", sys.argv[1]], check=True)\n' "'''$1'''" |
		cat train.py - >train.new
	sed '1a import sys' train.new >train.py
}

@test "a model that root trains is root's, and was not written by root" {
	leaving 'id -u >"$(dirname "$1")/user.txt"'
	run -0 --separate-stderr scripts/train.sh --door docker --allow-drift
	[ "$(cat models/user.txt)" = 1000 ]
	[ "$(stat -c '%u %g %a %h' models/sports.tar.gz)" = "0 0 644 1" ]
	[ "$(stat -c '%u %g %a' models/user.txt)" = "0 0 644" ]
	(umask 077 && scripts/train.sh --door docker --allow-drift >/dev/null 2>&1)
	[ "$(stat -c '%u %a' models/sports.tar.gz)" = "0 600" ]
	# Root may read what is root's.
	run -0 --separate-stderr scripts/verify.sh models/sports.tar.gz
	[ -z "$(staged)" ]
}

@test "no command of root's runs as root, through no door" {
	local folder=$BATS_TEST_TMPDIR/keys
	mkdir -m 700 "$folder"
	local command
	for command in "train.sh --door docker" "train.sh --door devcontainer" "verify.sh tests/golden/newsroom-0.1.0.tar.gz" \
		"pressbox.sh predict tests/golden/newsroom-0.1.0.tar.gz" "keys.sh --dry-run list" "keys.sh --dry-run new a --out $folder" \
		"keys.sh --dry-run revoke D4021E7D4529EC2E3058A92277DDEEAA3A5411D4" \
		"doctor.sh --accept --door docker" "train.sh --data newsgroups --door docker"; do
		[[ $command == *--dry-run* ]] || command+=" --dry-run"
		# shellcheck disable=SC2086 # a command and its arguments
		run -0 --separate-stderr scripts/$command
		[[ $stderr == *" --user "* ]]
		[[ $stderr != *" --user 0"* ]]
	done
}

@test "no set-user-ID bit, link, pipe or folder comes out as root's" {
	leaving 'cd "$(dirname "$1")" && cp /bin/true evil && chmod 6777 evil && chmod 4755 "$1"'
	run -0 --separate-stderr scripts/train.sh --door docker --allow-drift
	[ "$(stat -c '%u %a' models/evil)" = "0 666" ]
	[ "$(stat -c '%u %a' models/sports.tar.gz)" = "0 644" ]
	cp models/sports.tar.gz "$BATS_TEST_TMPDIR/earlier"
	rm models/evil
	local left
	for left in 'ln -sf /etc/shadow "$1"' 'rm "$1" && mkfifo "$1"' 'rm "$1" && mkdir "$1"' \
		'ln -s /etc/shadow "$(dirname "$1")/another"'; do
		leaving "$left"
		run -1 --separate-stderr scripts/train.sh --door docker --allow-drift
		one_error "was left as something other than a file"
		cmp models/sports.tar.gz "$BATS_TEST_TMPDIR/earlier"
		[ ! -e models/another ] && [ ! -L models/another ]
		[ -z "$(staged)" ]
	done
	git -c safe.directory='*' checkout --quiet train.py
}

@test "root's training fails as anybody's: the earlier model stays, alone" {
	git -c safe.directory='*' checkout --quiet train.py
	scripts/train.sh --door docker >/dev/null 2>&1
	cp models/sports.tar.gz "$BATS_TEST_TMPDIR/earlier"
	printf 'text\n' >"$BATS_TEST_TMPDIR/rows.csv"
	run -1 --separate-stderr scripts/train.sh --data "$BATS_TEST_TMPDIR/rows.csv"
	one_error "has no label"
	cmp models/sports.tar.gz "$BATS_TEST_TMPDIR/earlier"
	[ -z "$(staged)" ]
	# Its page goes with the next model that has none.
	[ -e models/sports.html ]
	run -0 scripts/train.sh --no-page
	[ ! -e models/sports.html ]
}

@test "what a killed run of root's left is swept by the next one, and nothing else is" {
	git -c safe.directory='*' checkout --quiet train.py
	local folder=$BATS_TEST_TMPDIR/keys log=$BATS_TEST_TMPDIR/log killed
	mkdir -m 700 "$folder"
	leaving 'echo training >"$(dirname "$1")/begun" && sleep 60'
	scripts/train.sh --door docker --allow-drift --output "$folder/sports.tar.gz" >"$log" 2>&1 &
	killed=$!
	timeout 60 bash -c 'until [ -e "$1"/.root.*/out/begun ]; do sleep 0.1; done' bash "$CHECKOUT/.cache"
	kill -KILL "$killed"
	wait "$killed" || true
	[ -d "$CHECKOUT/.cache/.root.$killed/out" ]
	git -c safe.directory='*' checkout --quiet train.py
	# One whose run goes on, one that a run left when it put things in place, and what is not ours.
	mkdir -p "$folder/.root.$$/out" "$folder/.root.$$/before" "$folder/.root.4194305/out" "$folder/.root.4194305/before" \
		"$folder/.root.4194306" "$folder/.root.2024-backup/out" "$folder/.root.2024-backup/before"
	touch "$folder/.root.4194305/out/a.sec.asc" "$folder/.root.4194305.a.sec.asc" "$folder/.root.4194306.mine"
	run -0 --separate-stderr scripts/keys.sh new 'A <a@b.example>' --out "$folder"
	run -0 --separate-stderr scripts/train.sh --door docker --output "$folder/sports.tar.gz"
	[ "$(cd "$folder" && echo .root.* | tr ' ' '\n' | sort)" = "$(printf '%s\n' ".root.$$" .root.2024-backup .root.4194306 .root.4194306.mine | sort)" ]
	[ -z "$(find "$CHECKOUT" -name '.root.*')" ]
	rm -r "$folder"
}

@test "keys, trusted signers and accepted environments that root changes are root's" {
	local folder=$BATS_TEST_TMPDIR/keys
	mkdir -m 700 "$folder"
	cp -a "$CHECKOUT" "$BATS_TEST_TMPDIR/own"
	cd "$BATS_TEST_TMPDIR/own"
	run -0 --separate-stderr scripts/keys.sh new 'A <a@b.example>' --out "$folder"
	[ "$(stat -c '%u %a' "$folder"/* | sort -u)" = "0 600" ]
	run -0 --separate-stderr scripts/keys.sh trust "$folder"/*.pub.asc
	run -0 --separate-stderr scripts/keys.sh list
	[[ $output == *"A <a@b.example>"* ]]
	run -0 --separate-stderr scripts/keys.sh revoke D4021E7D4529EC2E3058A92277DDEEAA3A5411D4
	run -0 --separate-stderr scripts/keys.sh list
	[[ $output != *D4021E7D4529EC2E3058A92277DDEEAA3A5411D4* ]]
	rm .devcontainer/environment.lock
	run -0 --separate-stderr scripts/doctor.sh --accept --door docker
	[ "$(grep -c '"date"' .devcontainer/environment.lock)" = 1 ]
	[ "$(find gnupg .devcontainer/environment.lock "$folder" ! -user 0)" = "" ]
	[ -z "$(staged)" ]
}
