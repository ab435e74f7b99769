#!/usr/bin/env bats
# scripts/pressbox.sh: what runs inside, on files from anywhere and on our standard input.

load doors

setup_file() {
	export CHECKOUT=$BATS_FILE_TMPDIR/checkout AWAY=$BATS_FILE_TMPDIR/away
	copy_checkout "$CHECKOUT"
	mkdir -m 755 "$AWAY"
	"$CHECKOUT/scripts/train.sh" --door docker --output "$AWAY/sports.tar.gz" 2>/dev/null
}

teardown_file() {
	"$ENGINE" ps --all --quiet --filter "label=devcontainer.local_folder=$CHECKOUT" |
		xargs --no-run-if-empty "$ENGINE" rm --force >/dev/null
}

setup() {
	cd "$CHECKOUT"
}

# pressbox ARGUMENT...: through the door of DOOR
pressbox() {
	scripts/pressbox.sh --door "${DOOR:-docker}" "$@"
}

# bats test_tags=podman
@test "verify, show and compare take models from anywhere" {
	run -0 --separate-stderr pressbox verify "$AWAY/sports.tar.gz" --name=sports
	[[ $output == *"trusted"*"True"* ]]
	run -3 --separate-stderr pressbox verify --name golf "$AWAY/sports.tar.gz"
	one_error "not trusted (policy)"
	run -0 --separate-stderr pressbox show --statement "$AWAY/sports.tar.gz"
	[[ $output == *'"predicateType"'* ]]
	cp "$AWAY/sports.tar.gz" models/again.tar.gz
	run -0 --separate-stderr pressbox compare "$AWAY/sports.tar.gz" models/again.tar.gz
	[[ $output == "identical sha256:"* ]]
	run -1 --separate-stderr pressbox compare "$AWAY/sports.tar.gz" tests/golden/newsroom-0.1.0.tar.gz --json
	[[ $output == *'"identical": false'* ]]
}

@test "show prints the bill of materials of a model, or without one that of the environment" {
	run -0 --separate-stderr pressbox show --sbom "$AWAY/sports.tar.gz"
	[[ $output == *'"type": "machine-learning-model"'* ]]
	run -0 --separate-stderr pressbox show --sbom
	[[ $output == *'"bomFormat": "CycloneDX"'* ]]
	[[ $output != *'"machine-learning-model"'* ]]
	run -2 --separate-stderr pressbox show
	one_error "no model was named"
}

@test "show writes a page where it is told to, as a file of whoever runs it" {
	mkdir "$BATS_TEST_TMPDIR/pages"
	cd "$BATS_TEST_TMPDIR"
	run -0 --separate-stderr "$CHECKOUT/scripts/pressbox.sh" show "$AWAY/sports.tar.gz" --html pages/mine.html
	grep -q '<html' pages/mine.html
	[ "$(stat -c %u pages/mine.html)" = "$(id -u)" ]
	[ "$(ls -A pages)" = mine.html ]
	run -2 --separate-stderr "$CHECKOUT/scripts/pressbox.sh" show "$AWAY/sports.tar.gz" --html pages
	one_error "pages is a folder"
	run -2 --separate-stderr "$CHECKOUT/scripts/pressbox.sh" show "$AWAY/sports.tar.gz" --html nowhere/mine.html
	one_error "there is no folder nowhere"
}

@test "other signers and environments than the checkout's may be asked for" {
	mkdir "$BATS_TEST_TMPDIR/nobody"
	run -3 --separate-stderr pressbox verify --trusted "$BATS_TEST_TMPDIR/nobody" "$AWAY/sports.tar.gz"
	one_error "not trusted (keys)"
	cp -r gnupg "$BATS_TEST_TMPDIR/somebody"
	run -0 --separate-stderr pressbox verify --trusted "$BATS_TEST_TMPDIR/somebody" "$AWAY/sports.tar.gz"
	run -2 --separate-stderr pressbox verify --accepted "$BATS_TEST_TMPDIR/nowhere" "$AWAY/sports.tar.gz"
	one_error "there is no file or folder"
}

@test "replay trains again, from data that lies anywhere" {
	run -0 --separate-stderr pressbox replay --demo "$AWAY/sports.tar.gz"
	[[ $output == "identical sha256:"* ]]
	printf 'text,label\na ball,x\na bat,x\na bat or ball,x\na puck,y\na stick,y\nstick and puck,y\n' >"$BATS_TEST_TMPDIR/rows.csv"
	scripts/train.sh --door docker --data "$BATS_TEST_TMPDIR/rows.csv" --output "$BATS_TEST_TMPDIR/mine.tar.gz" 2>/dev/null
	run -0 --separate-stderr pressbox replay --demo --data "$BATS_TEST_TMPDIR/rows.csv" "$BATS_TEST_TMPDIR/mine.tar.gz"
	[[ $output == "identical sha256:"* ]]
}

# bats test_tags=podman
@test "predict takes texts as arguments, from a file and from standard input, in any encoding" {
	local model=$AWAY/sports.tar.gz texts=$BATS_TEST_TMPDIR/texts DOOR
	printf 'A googly beat the bat\nThe goalie made forty saves in overtime' >"$texts"
	iconv -f UTF-8 -t UTF-16 "$texts" >"$texts.16"
	for DOOR in docker devcontainer; do
		[ "$DOOR" = docker ] || { cp "$model" models/sports.tar.gz && model=models/sports.tar.gz; }
		run -0 --separate-stderr pressbox predict "$model" "A googly beat the bat" "The goalie made forty saves in overtime"
		local expected=$output
		[ "${#lines[@]}" = 2 ]
		run -0 --separate-stderr pressbox predict "$model" <"$texts"
		[ "$output" = "$expected" ]
		run -0 --separate-stderr pressbox predict "$model" --encoding utf-16 <"$texts.16"
		[ "$output" = "$expected" ]
		run -0 --separate-stderr pressbox predict "$model" </dev/null
		[ -z "$output" ]
	done
	DOOR=docker
	run -0 --separate-stderr pressbox predict "$model" --file "$texts"
	[ "$output" = "$expected" ]
	run -2 --separate-stderr pressbox --door devcontainer predict "$model" --file "$texts"
	one_error "sees the checkout alone"
	run -0 --separate-stderr pressbox predict "$model" --json -- "-1 at half time"
	[[ $output == '{"label": '* ]]
	run -2 --separate-stderr bash -c 'scripts/pressbox.sh predict "$1" <&-' bash "$model"
	one_error "standard input is closed"
}

@test "a table from anywhere is answered in a table anywhere" {
	local table=$AWAY/rows.csv
	printf 'id;headline\n7;A googly beat the bat\n' >"$table"
	run -0 --separate-stderr pressbox predict "$AWAY/sports.tar.gz" --file "$table" --text-column headline --delimiter ';' --all --output "$AWAY/answers.jsonl"
	[ -z "$output" ]
	[[ $(<"$AWAY/answers.jsonl") == '{"id": "7", "headline": "A googly beat the bat", "label": "cricket", '*'"probability of tennis": '* ]]
}

@test "what is longer than any buffer arrives as it is" {
	awk 'BEGIN { for (line = 0; line < 20000; line++) print "A googly beat the bat", line, "and what follows is only there to be long" }' >"$BATS_TEST_TMPDIR/long"
	pressbox predict "$AWAY/sports.tar.gz" --json <"$BATS_TEST_TMPDIR/long" >"$BATS_TEST_TMPDIR/piped"
	pressbox predict "$AWAY/sports.tar.gz" --json --file "$BATS_TEST_TMPDIR/long" >"$BATS_TEST_TMPDIR/read"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/piped")" = 20000 ]
	cmp "$BATS_TEST_TMPDIR/piped" "$BATS_TEST_TMPDIR/read"
}

# bats test_tags=podman
@test "a text is answered when it comes, and the script's end ends the command, whatever its input does" {
	local answers=$BATS_TEST_TMPDIR/answers feed=$BATS_TEST_TMPDIR/feed signal script container
	mkfifo "$feed"
	exec 6<>"$feed"
	for signal in KILL TERM; do
		: >"$answers"
		scripts/pressbox.sh --door docker predict "$AWAY/sports.tar.gz" <"$feed" >"$answers" 2>/dev/null 3>&- 6>&- &
		script=$!
		printf 'A googly beat the bat\nhalf a line' >&6
		when_line "[0-9]" "$answers"
		container=$(containers | xargs "$ENGINE" inspect --format '{{.Id}}{{range .Mounts}} {{.Source}}{{end}}' | grep -F "$BATS_FILE_TMPDIR" | cut -d ' ' -f 1)
		[ -n "$container" ]
		kill -s "$signal" "$script"
		timeout 60 "$ENGINE" wait "$container" || true
		wait "$script" || true
		# Nothing was made of the half.
		[ "$(wc -l <"$answers")" = 1 ]
		run -1 pgrep -f "pressbox.sh --door docker predict $AWAY"
	done
	exec 6>&-
}

@test "a command that fails does not wait for its input" {
	printf 'X' | cat "$AWAY/sports.tar.gz" - >"$BATS_TEST_TMPDIR/bad.tar.gz"
	run -3 --separate-stderr pressbox predict "$BATS_TEST_TMPDIR/bad.tar.gz" < <(exec sleep 120 3>&-)
	one_error "not trusted"
}

@test "fetch is a run with a network, and says where the archive is on the host" {
	export PRESSBOX_DATA_HOME=$BATS_TEST_TMPDIR/data
	mkdir "$BATS_TEST_TMPDIR/stubs"
	# An engine with the world behind it, which tests have not.
	cat >"$BATS_TEST_TMPDIR/stubs/docker" <<-STUB
		#!/usr/bin/env bash
		[ "\$1" = run ] || exec "$ENGINE" "\$@"
		[[ "\$*" == *"--network bridge"*"PRESSBOX_DATA_HOME=/mnt/downloads/"*" fetch newsgroups"* ]] || exit 1
		echo /mnt/downloads/somewhere/archive.tar.gz
	STUB
	chmod +x "$BATS_TEST_TMPDIR/stubs/docker"
	PATH=$BATS_TEST_TMPDIR/stubs:$PATH run -0 --separate-stderr pressbox fetch newsgroups
	[ "$output" = "$PRESSBOX_DATA_HOME/archive.tar.gz" ]
	run -2 --separate-stderr pressbox fetch golf
	one_error "unknown argument 'golf'"
}

@test "what is wrong with the arguments is one line, and needs no engine" {
	local arguments
	while IFS='|' read -r arguments said; do
		# shellcheck disable=SC2086 # arguments
		run -2 --separate-stderr env PATH=/usr/bin:/bin scripts/pressbox.sh $arguments
		one_error "$said"
	done <<-WRONG
		|which command?
		frobnicate|unknown argument 'frobnicate'
		verify|no model was named
		verify nowhere.tar.gz|there is no model 'nowhere.tar.gz'
		verify $AWAY/sports.tar.gz --frobnicate|unknown option '--frobnicate'
		verify $AWAY/sports.tar.gz another|unknown argument 'another'
		verify $AWAY/sports.tar.gz --name|--name needs a value
		compare $AWAY/sports.tar.gz|compare takes two models
		replay $AWAY/sports.tar.gz --data nowhere.csv|there is no source 'nowhere.csv'
		predict $AWAY/sports.tar.gz --file nowhere.txt|there is no file or folder 'nowhere.txt'
		keys|which command?
		fetch|no source was named
	WRONG
}

@test "each command has help and an example, on standard output" {
	local verb script
	for verb in '' verify show predict compare replay doctor keys fetch; do
		# shellcheck disable=SC2086 # none, or one
		run -0 --separate-stderr scripts/pressbox.sh $verb --help
		[[ $output == "usage: scripts/pressbox.sh"*example:* ]]
		[ -z "$stderr" ]
	done
	for script in verify doctor keys; do
		run -0 scripts/pressbox.sh "$script" --help
		local help=$output
		run -0 "scripts/$script.sh" --help
		[ "$output" = "$help" ]
	done
}

@test "on a terminal what must not be overlooked is coloured, and NO_COLOR is heeded" {
	scripts/train.sh >/dev/null 2>&1
	run -0 script -qec "TERM=xterm scripts/pressbox.sh verify models/sports.tar.gz" /dev/null
	[[ $output == *$'\e[1;31mNOT PROTECTED\e[0m: signed with'* ]]
	run -0 script -qec "NO_COLOR=1 TERM=xterm scripts/pressbox.sh verify models/sports.tar.gz" /dev/null
	[[ $output == *"NOT PROTECTED: signed with"* && $output != *$'\e'* ]]
}
