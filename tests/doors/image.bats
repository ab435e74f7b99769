#!/usr/bin/env bats
# The image, seen from outside. tests/integration/environment/test_environment.py looks at it from inside.

load doors

setup_file() {
	export CHECKOUT=$BATS_FILE_TMPDIR/checkout
	copy_checkout "$CHECKOUT"
}

inspect() {
	"$ENGINE" image inspect --format "$1" pressbox
}

@test "plain docker run of the image trains" {
	# shellcheck disable=SC2154 # set by bats
	run -0 "$ENGINE" run --rm --user "$(id -u)" --volume "$CHECKOUT:/workspaces/pressbox" pressbox \
		python train.py models/plain.tar.gz
	[ -s "$CHECKOUT/models/plain.tar.gz" ]
}

@test "without the environment, pip install and Debian's GnuPG are enough to verify and predict" {
	cp -a "$CHECKOUT" "$BATS_TEST_TMPDIR/downstream"
	chmod -R a+rX "$BATS_TEST_TMPDIR"
	run -0 networked run --rm --tmpfs /tmp:exec,mode=1777 --env HOME=/tmp --env VIRTUAL_ENV= \
		--env PATH=/usr/bin:/bin --env PYTHONNOUSERSITE=1 --workdir /tmp \
		--volume "$BATS_TEST_TMPDIR/downstream:/downstream:ro" pressbox /downstream/.devcontainer/network.sh run bash -euc '
			python3 -m venv --system-site-packages own
			cp -r /downstream source
			own/bin/pip install --quiet ./source
			rm -r source
			own/bin/pressbox verify /downstream/tests/golden/newsroom-0.1.0.tar.gz --trusted /downstream/tests/gnupg
			own/bin/pressbox predict /downstream/tests/golden/newsroom-0.1.0.tar.gz --trusted /downstream/tests/gnupg "A googly beat the bat"
		'
	[[ $output == *"trusted"*"True"* ]]
	[[ $(last_line) == cricket* ]]
}

@test "the image is at most 650 MB" {
	[ "$(inspect '{{.Size}}')" -le 650000000 ]
}

@test "the image is at most 210 MB as a registry holds it" {
	local layer bytes=0 folder=$BATS_TEST_TMPDIR/image
	mkdir "$folder"
	"$ENGINE" save "$TAGGED" | tar -x -C "$folder"
	while IFS= read -r layer; do
		bytes=$((bytes + $(gzip --stdout "$layer" | wc -c)))
	done < <(find "$folder" -name layer.tar -o -path '*/blobs/sha256/*' -size +100k)
	echo "$bytes bytes"
	[ "$bytes" -ge 100000000 ] && [ "$bytes" -le 210000000 ]
}

@test "the image runs as vscode" {
	[ "$(inspect '{{.Config.User}}')" = vscode ]
}

@test "no layer holds a private key but special_k's published test key" {
	local layer folder=$BATS_TEST_TMPDIR/image
	mkdir "$folder"
	"$ENGINE" save "$TAGGED" | tar -x -C "$folder"
	while IFS= read -r layer; do
		mkdir "$layer.files"
		tar -x -f "$layer" -C "$layer.files" --exclude 'dev/*'
		rm "$layer"
	done < <(find "$folder" -name layer.tar -o -path '*/blobs/sha256/*' -size +100k)
	run -0 grep -rlI "BEGIN PGP PRIVATE KEY BLOCK" "$folder"
	[ "${#lines[@]}" = 1 ]
	[[ ${lines[0]} == */special_k/tests/fake_keys/testing.secret.asc ]]
	run -1 grep -rl "$(sed -n 5p "$REPOSITORY/tests/gnupg/demo.secret.asc")" "$folder"
}

@test "the history of the image names no secret" {
	run -0 "$ENGINE" history --no-trunc pressbox
	[[ $output != *PASSPHRASE* ]]
	[[ $output != *"PRIVATE KEY"* ]]
}

@test "a changed Dockerfile is built again before the next training" {
	cp -a "$CHECKOUT" "$BATS_TEST_TMPDIR/changed"
	cd "$BATS_TEST_TMPDIR/changed"
	run -0 --separate-stderr scripts/train.sh --dry-run
	[[ $stderr != *"build --file"* ]]
	echo "# changed" >>.devcontainer/Dockerfile
	run -0 --separate-stderr scripts/train.sh --dry-run
	[[ $stderr == *"build --file"* ]]
}

# changed_checkout: a copy of the checkout to change, where we are then
changed_checkout() {
	cp -a "$CHECKOUT" "$BATS_TEST_TMPDIR/changed"
	cd "$BATS_TEST_TMPDIR/changed"
	export TMPDIR=$BATS_TEST_TMPDIR/tmp
	mkdir "$TMPDIR"
}

# log_is_kept TEXT: the log that the error names, the only one, has the text
log_is_kept() {
	local logs=("$TMPDIR"/pressbox-build.*)
	[[ $stderr == *"${logs[*]}"* ]]
	grep -q "$1" "${logs[0]}"
}

@test "a build that fails shows the step once, its last lines and where the log is, and leaves the earlier model" {
	changed_checkout
	printf 'earlier' >models/sports.tar.gz
	# shellcheck disable=SC2016 # expanded in the build
	echo 'RUN for i in $(seq 40); do echo line $i >&2; done; echo what is wrong >&2; exit 7' >>.devcontainer/Dockerfile
	run -1 --separate-stderr scripts/train.sh
	one_error "the image was not built: step [stage-"
	[[ $stderr == *" 2/2] failed; its last lines are above"* ]]
	[ "$(grep -c 'RUN for i in' <<<"$stderr")" = 1 ]
	[[ $stderr == *$'\nline 40\nwhat is wrong\n'* && $stderr != *"line 9"* && $stderr != *registr* ]]
	[ "$(wc -l <<<"$stderr")" -le 20 ]
	log_is_kept 'line 9$'
	[ "$(cat models/sports.tar.gz)" = earlier ]
}

@test "a package that is not there is in the last lines of the step that wants it" {
	changed_checkout
	echo "os no-such-package" >>.devcontainer/debian.in
	run -1 --separate-stderr scripts/train.sh
	one_error "the image was not built: step [os 1/2] failed"
	[[ $stderr == *"Unable to locate package no-such-package"* && $stderr != *registr* ]]
}

@test "a base that cannot be fetched is named, with the hint how to have one" {
	changed_checkout
	BASE_IMAGE=nowhere.invalid/debian:1 run -1 --separate-stderr scripts/train.sh
	one_error "the base image nowhere.invalid/debian:1 could not be fetched (no such host)"
	[[ $stderr == *"; correct BASE_IMAGE, or unset it"* && $(wc -l <<<"$stderr") = 2 ]]
	log_is_kept nowhere.invalid
}

@test "a Dockerfile that cannot be read is named with its line" {
	changed_checkout
	printf 'FRUM here\n' >>.devcontainer/Dockerfile
	run -1 --separate-stderr scripts/train.sh
	one_error ".devcontainer/Dockerfile cannot be read (line $(wc -l <.devcontainer/Dockerfile): unknown instruction: FRUM)"
}

@test "what a build says of its end is told in one line" {
	# A log as an engine would leave it in a state that a test cannot bring about.
	changed_checkout
	mkdir "$BATS_TEST_TMPDIR/stubs"
	cat >"$BATS_TEST_TMPDIR/stubs/docker" <<-STUB
		#!/usr/bin/env bash
		case \$1 in
		image) exit 1 ;;
		build) cat "$BATS_TEST_TMPDIR/log" && exit 1 ;;
		*) exec "$ENGINE" "\$@" ;;
		esac
	STUB
	chmod +x "$BATS_TEST_TMPDIR/stubs/docker"
	local log said
	while IFS='|' read -r log said; do
		printf '%b\n' "$log" >"$BATS_TEST_TMPDIR/log"
		BASE_IMAGE='' PATH=$BATS_TEST_TMPDIR/stubs:$PATH run -1 --separate-stderr scripts/train.sh
		one_error "$said"
		[[ $stderr != *"could not be fetched"* || $stderr == *"; run this again with --bootstrap, which makes one"* ]]
	done <<-'LOGS'
		#7 [os 1/2] RUN apt-get\n#7 1.2 write /var: no space left on device\n#7 ERROR: exit code: 1|no space is left where the engine keeps images
		#3 [internal] load metadata for docker.io/library/debian:1\n#3 ERROR: dial tcp: i/o timeout|the base image docker.io/library/debian:1 could not be fetched (i/o timeout)
		#9 [venv  2/9] COPY a b\n#9 ERROR: failed to compute cache key: "/a": not found|the image was not built: step [venv 2/9] failed
		STEP 3/9: RUN false\nError: building at STEP "RUN false": while running runtime: exit status 1|the image was not built: step [3/9] failed
		Error: creating build container: initializing source docker://debian:1: pinging: no route to host|could not be fetched (no route to host)
		#19 6.575 pyproject.toml changed significantly since poetry.lock was last generated. Run `poetry lock`|pyproject.toml and poetry.lock disagree
		something else|the image was not built
	LOGS
}

@test "a lock that is not that of pyproject.toml is told before the build" {
	changed_checkout
	sed 's/^scikit-learn = .*/scikit-learn = "1.7.1"/' pyproject.toml >"$BATS_TEST_TMPDIR/pyproject.toml"
	cp "$BATS_TEST_TMPDIR/pyproject.toml" pyproject.toml
	run -1 --separate-stderr scripts/train.sh
	[ "$stderr" = "error: pyproject.toml and poetry.lock disagree; run poetry lock in the container, and commit both" ]
}

@test "on a terminal the steps of a build are named when they begin" {
	changed_checkout
	printf 'RUN echo first\nRUN exit 7\n' >>.devcontainer/Dockerfile
	run -1 script -qefc scripts/train.sh "$BATS_TEST_TMPDIR/screen" </dev/null
	grep -q '^  \[stage-[0-9]* 2/3\] RUN echo first' "$BATS_TEST_TMPDIR/screen"
	grep -q 'error: the image was not built: step \[stage-[0-9]* 3/3\] failed' "$BATS_TEST_TMPDIR/screen"
}
