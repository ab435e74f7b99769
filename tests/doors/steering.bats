#!/usr/bin/env bats
# Nothing that happens to be set steers a script: neither a variable that its --help does not name,
# nor a function, an option of bash or a place where commands are looked for.

load doors

setup_file() {
	export CHECKOUT=$BATS_FILE_TMPDIR/checkout
	copy_checkout "$CHECKOUT"
	cd "$CHECKOUT"
	scripts/train.sh --door docker --output models/sports.tar.gz 2>/dev/null
	cp models/sports.tar.gz models/bad.tar.gz
	printf 'X' | dd of=models/bad.tar.gz bs=1 seek=5000 conv=notrunc status=none
}

setup() {
	cd "$CHECKOUT"
}

# outcomes: what the scripts say and with which status, apart from what no two runs share
outcomes() {
	local command
	for command in "verify.sh models/bad.tar.gz" "verify.sh models/bad.tar.gz --json" "verify.sh models/sports.tar.gz" \
		"keys.sh list" "doctor.sh" "pressbox.sh predict models/sports.tar.gz" "pressbox.sh show models/sports.tar.gz" "train.sh --dry-run" "train.sh --frobnicate" "train.sh --output nowhere/a.tar.gz" \
		"bench.sh --runs" "test.sh --frobnicate" "train.sh --data newsgroups --dry-run" "train.sh --help"; do
		printf '== %s\n' "$command"
		# shellcheck disable=SC2086 # a command and its arguments
		"$@" scripts/$command </dev/null 2>"$BATS_TEST_TMPDIR/said" || printf 'status %s\n' "$?"
		# Which of the two streams comes first is chance.
		cat "$BATS_TEST_TMPDIR/said"
	done | grep -v ' tag pressbox:'
}

# heeded: the names in the scripts' lists of variables
heeded() {
	sed -n 's/^HEEDS=(\(.*\))$/\1/p' scripts/*.sh
	sed -n '/^COMMON=(/,/^)/p' scripts/lib/begin.sh | grep -v '[()]'
}

# others: every name that the scripts use as a variable or could be told by, but those
others() {
	{
		grep -ohE '\$\{?[A-Za-z_][A-Za-z0-9_]*' scripts/*.sh scripts/lib/*.sh tests/drivers/*.sh | tr -d '${'
		grep -ohE '\b[A-Za-z_][A-Za-z0-9_]*\+?=' scripts/*.sh scripts/lib/*.sh tests/drivers/*.sh | tr -d '+='
		printf '%s\n' BASH_ENV ENV CDPATH GLOBIGNORE POSIXLY_CORRECT GREP_OPTIONS GREP_COLOR TMP TEMP TEMPDIR TAR_OPTIONS GZIP XZ_OPT \
			GIT_DIR GIT_WORK_TREE GIT_CONFIG_GLOBAL GIT_INDEX_FILE GIT_EXEC_PATH GNUPGBIN GPG_AGENT_INFO LC_ALL LANG LANGUAGE \
			PYTHONPATH PYTHONSTARTUP PYTHONHOME PRESSBOX_INSIDE PRESSBOX_DOOR PRESSBOX_SIGNING_FD PRESSBOX_TERMINAL PRESSBOX_CALLED \
			DOCKER_DEFAULT_PLATFORM DOCKER_CLI_PLUGIN_EXTRA_DIRS BUILDX_BUILDER COMPOSE_FILE CONTAINER_HOST SOURCE_DATE_EPOCH PS4 BASH_XTRACEFD COLUMNS
	} | sort -u | grep -vxF "$(heeded | tr -s ' \t' '\n')" |
		grep -vxE 'BASH|BASHPID|BASH_SOURCE|EPOCHREALTIME|EUID|PPID|UID|SHELLOPTS|BASHOPTS|BASH_VERSINFO|[A-Za-z]|_'
}

@test "no variable steers a script that its help does not name" {
	local names name value set
	mapfile -t names < <(others)
	[ "${#names[@]}" -gt 150 ]
	[[ " ${names[*]} " == *" DRY_RUN "*" WRITES "* ]]
	outcomes env >"$BATS_TEST_TMPDIR/without"
	grep -q '^status 3$' "$BATS_TEST_TMPDIR/without"
	for value in 0 "$BATS_TEST_TMPDIR/nowhere"; do
		set=()
		for name in "${names[@]}"; do
			set+=("$name=$value")
		done
		# What bash complains of before it reads a script's first line.
		outcomes env "${set[@]}" | grep -vE '^bash: (BASH_XTRACEFD|warning: setlocale)' >"$BATS_TEST_TMPDIR/with"
		diff "$BATS_TEST_TMPDIR/without" "$BATS_TEST_TMPDIR/with"
	done
}

@test "no function, start file or option of the caller's bash steers a script" {
	outcomes env >"$BATS_TEST_TMPDIR/without"
	printf 'echo steered\nexit 0\n' >"$BATS_TEST_TMPDIR/start"
	outcomes env "BASH_FUNC_docker%%=() { echo steered; exit 0; }" "BASH_FUNC_die%%=() { echo steered; }" \
		"BASH_FUNC_printf%%=() { echo steered; exit 0; }" "BASH_FUNC_exec%%=() { echo steered; exit 0; }" \
		"BASH_FUNC_cd%%=() { echo steered; exit 0; }" "BASH_FUNC_mktemp%%=() { echo steered; exit 0; }" \
		BASH_ENV="$BATS_TEST_TMPDIR/start" ENV="$BATS_TEST_TMPDIR/start" \
		SHELLOPTS=noexec:noglob:xtrace BASHOPTS=failglob:nocasematch >"$BATS_TEST_TMPDIR/with"
	diff "$BATS_TEST_TMPDIR/without" "$BATS_TEST_TMPDIR/with"
}

@test "each variable that a script heeds is named by its help" {
	local script name
	for script in train pressbox verify doctor keys test bench; do
		run -0 "scripts/$script.sh" --help
		for name in $(sed -n 's/^HEEDS=(\(.*\))$/\1/p' "scripts/$script.sh") $(sed -n '/^COMMON=(/,/^)/p' scripts/lib/begin.sh | grep -v '[()]'); do
			grep -qw -- "$name" <<<"$output"
		done
	done
}

@test "each script begins with the shell that nothing steers" {
	local script command
	for script in scripts/*.sh; do
		command=$(basename "$script" .sh)
		# shellcheck disable=SC2016 # as it stands there
		if [ "$(cat "$script")" = '#!/usr/bin/env -S bash -p
exec -a bash "$BASH" -p -- "${0%"${0##*/}"}pressbox.sh" '"$command"' "$@"' ]; then continue; fi
		# shellcheck disable=SC2016 # as it stands there
		[ "$(grep -v '^HEEDS=(\|^# shellcheck' "$script" | sed -n '1p;2p')" = '#!/usr/bin/env -S bash -p
. -- "${0%"${0##*/}"}lib/begin.sh"' ]
	done
}

@test "a host that says it was inside is not believed" {
	PRESSBOX_INSIDE=1 run -0 --separate-stderr scripts/train.sh --dry-run
	[[ $stderr == *"$ENGINE run "* ]]
	PRESSBOX_INSIDE=1 run -2 --separate-stderr scripts/train.sh --door inside
	one_error "in the container"
}

@test "a container sees no variable of the host's" {
	FOREIGN=host PRESSBOX_MEMORY=1g run -0 --separate-stderr bash -c '
		. scripts/lib/doors.sh
		choose_door docker
		enter env'
	[[ $output != *FOREIGN* && $output != *PRESSBOX_MEMORY* ]]
	[[ $output == *PRESSBOX_DOOR=docker* ]]
}
