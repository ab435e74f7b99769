#!/usr/bin/env bats
# Options are read in one way by each script: as its help names them.

load doors

setup() {
	cd "$REPOSITORY"
	SCRIPTS=(train pressbox verify doctor keys test bench update publish bundle)
}

# options_in: the long options that a help text on standard input names
options_in() {
	sed -nE 's/^  ([^ ].*)$/\1/p' | sed 's/  .*//' | grep -oE -- '--[a-z][a-z-]*' | sort -u
}

@test "-h is --help, and each help has the options that all scripts have" {
	local script
	for script in "${SCRIPTS[@]}"; do
		run -0 --separate-stderr "scripts/$script.sh" --help
		[[ $output == usage:*--bootstrap*"-h, --help"*--version* ]]
		[ -z "$stderr" ]
		local help=$output
		run -0 --separate-stderr "scripts/$script.sh" -h
		[ "$output" = "$help" ]
	done
	run -0 scripts/pressbox.sh verify -h
	[ "$output" = "$(scripts/verify.sh --help)" ]
}

@test "--version is that of the package" {
	local script version
	version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' pressbox/__init__.py)
	[ -n "$version" ]
	for script in "${SCRIPTS[@]}"; do
		run -0 --separate-stderr "scripts/$script.sh" --version
		[ "$output" = "pressbox $version" ]
	done
	run -0 scripts/pressbox.sh --door docker verify --version
	[ "$output" = "pressbox $version" ]
}

@test "--option=value is --option value" {
	run -0 --separate-stderr scripts/train.sh --dry-run --door docker --text-column body --data tests/data/polars.csv --output models/a.tar.gz
	[[ $stderr == *"--text-column=body"* && $stderr == *a.tar.gz* && $stderr == *polars.csv* ]]
	local said=$stderr
	run -0 --separate-stderr scripts/train.sh --dry-run --door=docker --text-column=body --data=tests/data/polars.csv --output=models/a.tar.gz
	[ "$stderr" = "$said" ]
	local value
	for value in = @ '*' - ';' -topic; do
		run -0 --separate-stderr scripts/train.sh --dry-run --door=docker "--delimiter=$value"
		said=$stderr
		[[ $said == *"--delimiter=$(printf %q "$value")"* || $said == *"$(printf %q "--delimiter=$value")"* ]]
		run -0 --separate-stderr scripts/train.sh --dry-run --door=docker --delimiter "$value"
		[ "$stderr" = "$said" ]
	done
}

@test "each option that a help names is read, and nothing but that" {
	local script option
	for script in train.sh bench.sh test.sh publish.sh bundle.sh "pressbox.sh verify" "pressbox.sh show" "pressbox.sh predict" \
		"pressbox.sh compare" "pressbox.sh replay" "pressbox.sh doctor" "pressbox.sh keys" "pressbox.sh fetch"; do
		# shellcheck disable=SC2086 # a script and its command
		set -- scripts/$script
		[ "$("$@" --help | options_in | grep -c .)" -ge 3 ]
		while IFS= read -r option; do
			# The end comes with the next one, which there is not.
			run -2 --separate-stderr "$@" "$option=" --frobnicate
			[[ $stderr == "error: $option needs a value; give it as $option "* || $stderr == "error: $option takes no value; "* ]]
		done < <("$@" --help | options_in)
		run -2 --separate-stderr "$@" --frobnicate
		one_error "unknown option '--frobnicate'"
	done
}

@test "each option of a command inside is one of its script" {
	local command missing=''
	while IFS= read -r command; do
		# shellcheck disable=SC2086 # a command and its own
		run -0 "$ENGINE" run --rm --volume "$REPOSITORY:/workspaces/pressbox:ro" "$TAGGED" python ${command#*:} --help
		[[ $output == usage:*--help* ]]
		missing+=$(options_in <<<"$output" | grep -vxE -- '--(agent-socket|shown-as)' |
			comm -23 - <(scripts/${command%%:*} --help | options_in) | sed "s/^/ $command /")
	done <<-COMMANDS
		train.sh:train.py
		verify.sh:-m pressbox verify
		pressbox.sh show:-m pressbox show
		pressbox.sh predict:-m pressbox predict
		pressbox.sh compare:-m pressbox compare
		pressbox.sh replay:-m pressbox replay
		doctor.sh:-m pressbox doctor
		keys.sh:-m pressbox keys new
		keys.sh:-m pressbox keys list
		keys.sh:-m pressbox keys trust
		keys.sh:-m pressbox keys revoke
		keys.sh:-m pressbox keys rotate
	COMMANDS
	printf '%s\n' "$missing"
	[ -z "$missing" ]
}

@test "what is wrong is one line, which names the nearest that there is or the form" {
	local arguments said
	while IFS='|' read -r arguments said; do
		# shellcheck disable=SC2086 # arguments
		run -2 --separate-stderr scripts/$arguments
		[ "$stderr" = "error: $said" ]
		[ -z "$output" ]
	done <<-WRONG
		train.sh --ouput x|unknown option '--ouput'; did you mean --output? see scripts/train.sh --help
		train.sh --no-pages|unknown option '--no-pages'; did you mean --no-page? see scripts/train.sh --help
		train.sh --replace|unknown option '--replace'; did you mean --replace-newer? see scripts/train.sh --help
		train.sh --frobnicate|unknown option '--frobnicate'; see scripts/train.sh --help
		train.sh -x|unknown option '-x'; see scripts/train.sh --help
		train.sh texts.csv|unknown argument 'texts.csv'; see scripts/train.sh --help
		train.sh --output|--output needs a value; give it as --output FILE
		train.sh --output --dry-run|--output needs a value; give it as --output FILE
		train.sh --output=|--output needs a value; give it as --output FILE
		train.sh --release=yes|--release takes no value; omit '=yes'
		train.sh --door window|there is no door 'window'; choose docker, podman, devcontainer or inside
		pressbox.sh verfy --json x|unknown argument 'verfy'; did you mean verify? see scripts/pressbox.sh --help
		verify.sh --jsno x|unknown option '--jsno'; did you mean --json? see scripts/pressbox.sh verify --help
		keys.sh new --day=3|unknown option '--day'; did you mean --days? see scripts/pressbox.sh keys --help
		keys.sh new somebody --days soon|--days is 'soon'; give a whole number, for example 5
		test.sh unti|unknown argument 'unti'; did you mean unit? see scripts/test.sh --help
		bench.sh --runs 0|--runs is '0'; give a whole number, for example 5
		bench.sh --runs=many|--runs is 'many'; give a whole number, for example 5
		bench.sh --runs 2 now|unknown argument 'now'; see scripts/bench.sh --help
	WRONG
}

@test "a help says what is done by default" {
	local script text
	while IFS='|' read -r script text; do
		# shellcheck disable=SC2086 # a script and its command
		run -0 scripts/$script --help
		[[ $output == *"$text"* ]]
	done <<-DEFAULTS
		train.sh|(default: models/sports.tar.gz)
		train.sh|newsroom (default)
		train.sh|(default: text, label)
		train.sh|default: the nearest one
		train.sh|PRESSBOX_MEMORY the memory of a container (default: 4g)
		bench.sh|(default: 5; builds once)
		test.sh|Default: all.
		verify.sh|(default: gnupg/,
		pressbox.sh compare|(default: gnupg/)
		pressbox.sh predict|(default: standard input)
		pressbox.sh predict|(default: UTF-8)
		keys.sh|(default: 365)
		keys.sh|(default: in
	DEFAULTS
}
