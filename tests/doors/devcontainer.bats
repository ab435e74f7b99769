#!/usr/bin/env bats
# The dev container: what VS Code, Codespaces and the devcontainer CLI make of devcontainer.json.

load doors

setup_file() {
	export CHECKOUT=$BATS_FILE_TMPDIR/checkout
	copy_checkout "$CHECKOUT"
	long_source "$CHECKOUT/long.csv"
	# What the scripts see to by themselves, for calls of the CLI by hand.
	export DOCKER_BUILDKIT=1
	if "$ENGINE" image inspect pressbox-base:trixie >/dev/null 2>&1; then
		export BASE_IMAGE=${BASE_IMAGE:-pressbox-base:trixie}
	fi
	devcontainer up >/dev/null 2>&1
}

teardown_file() {
	container | xargs --no-run-if-empty "$ENGINE" rm --force >/dev/null
}

setup() {
	cd "$CHECKOUT"
}

# What ends the command, from the checkout that is mounted.
SUPERVISOR=/workspaces/pressbox/scripts/lib/supervise.sh

devcontainer() {
	local command=$1
	shift
	"$CHECKOUT/.devcontainer/toolchain/node_modules/.bin/devcontainer" "$command" \
		--docker-path "$ENGINE" --workspace-folder "$CHECKOUT" "$@"
}

container() {
	"$ENGINE" ps --all --quiet --filter "label=devcontainer.local_folder=$CHECKOUT"
}

# within COMMAND...: as an editor's terminal has it, as somebody who may write into the checkout
within() {
	"$ENGINE" exec --user "$(id -u)" --workdir /workspaces/pressbox "$(container)" "$@"
}

@test "devcontainer exec runs python of the image as vscode and hands on the status" {
	run -0 devcontainer exec python -c 'import getpass, sys; print(getpass.getuser(), sys.prefix)'
	[ "$output" = "vscode /opt/venv" ]
	run -7 devcontainer exec bash -c 'exit 7'
}

@test "it is made of the same layers as the image of plain docker" {
	local ours theirs
	ours=$("$ENGINE" image inspect --format '{{json .RootFS.Layers}}' "$TAGGED")
	theirs=$("$ENGINE" inspect --format '{{.Image}}' "$(container)" |
		xargs "$ENGINE" image inspect --format '{{json .RootFS.Layers}}')
	[[ $theirs == "${ours%]}"* ]]
}

@test "the image is tagged pressbox by this door too" {
	[ "$("$ENGINE" image inspect --format '{{index .Config.Labels "devcontainer.metadata"}}' pressbox | wc -c)" -gt 10 ]
}

@test "without --door a training goes through the running dev container" {
	run -0 --separate-stderr scripts/train.sh --dry-run
	[[ $stderr == *" exec "*"$(container)"*"$SUPERVISOR"* ]]
	run -0 --separate-stderr scripts/train.sh
	[ "$output" = "$CHECKOUT/models/sports.tar.gz" ]
}

@test "both doors give the same model and the same environment digest" {
	run -0 scripts/train.sh --door devcontainer --output models/one.tar.gz
	run -0 scripts/train.sh --door docker --output models/two.tar.gz
	local digests
	digests=$(for model in one two; do
		scripts/verify.sh "models/$model.tar.gz" --json 2>/dev/null | grep -E '"(model|environment)_digest"'
	done | sort | uniq -c | grep -c ' 2 ')
	[ "$digests" = 2 ]
}

@test "inside, the scripts train at once" {
	run -0 within scripts/train.sh --output models/inside.tar.gz
	[ "$(last_line)" = /workspaces/pressbox/models/inside.tar.gz ]
	run -0 within scripts/verify.sh models/inside.tar.gz
	run -2 within scripts/train.sh --door docker
	[[ $output == "error: this is already the container"* ]]
}

@test "the status of a failing training is handed on" {
	printf 'text\n' >models/rows.csv
	run -1 --separate-stderr scripts/train.sh --door devcontainer --data models/rows.csv
	one_error "has no label"
	rm models/rows.csv
}

@test "data outside the checkout is refused by this door and takes the other one by default" {
	run -2 --separate-stderr scripts/train.sh --door devcontainer --data /etc
	one_error "sees the checkout alone"
	run -0 --separate-stderr scripts/train.sh --data /etc --dry-run
	[[ $stderr == *" run "*"--network none"* ]]
}

@test "a signing key is handed to the dev container too" {
	PRESSBOX_SIGNING_KEY=$(cat gnupg/demo.secret.asc) PRESSBOX_SIGNING_PASSPHRASE=wrong \
		run -1 --separate-stderr scripts/train.sh --door devcontainer
	one_error "does not sign (Bad passphrase)"
}

@test "kill -9 of the script ends the training in the dev container, which goes on running" {
	local progress=$BATS_TEST_TMPDIR/progress script trainer
	cp models/sports.tar.gz "$BATS_TEST_TMPDIR/earlier"
	scripts/train.sh --door devcontainer --data long.csv >/dev/null 2>"$progress" 3>&- &
	script=$!
	when_line "texts to train on" "$progress"
	trainer=$(within pgrep -f 'python train.py')
	kill -KILL "$script"
	for trainer in $trainer; do
		within timeout 20 tail -f /dev/null --pid="$trainer"
	done
	run -1 within pgrep -f 'python train.py'
	cmp models/sports.tar.gz "$BATS_TEST_TMPDIR/earlier"
	[ "$(cd models && ls -A | grep -c '^\.sports')" = 0 ]
}

@test "packages can be added, whoever the user is, and poetry sync brings the environment back" {
	run -0 within bash -c 'test -w /opt/venv/lib/python3.13/site-packages'
	run -0 devcontainer exec bash -c 'echo "x = 1" >/opt/venv/lib/python3.13/site-packages/added.py && python -c "import added"'
	run -0 devcontainer exec rm /opt/venv/lib/python3.13/site-packages/added.py
	run -0 devcontainer exec poetry sync --no-root
	[[ $output != *Removing*special-k* ]]
	run -0 devcontainer exec python -c 'import gpg, special_k'
	run -0 devcontainer exec pip check
}

@test "devcontainer.json steers no training and says what editors need" {
	run -0 devcontainer read-configuration --include-merged-configuration
	local configuration
	configuration=$(last_line)
	[[ $configuration != *containerEnv\":\{\"* ]]
	[[ $configuration != *remoteEnv\":\{\"* ]]
	local word
	for word in ms-python.python ms-toolsai.jupyter charliermarsh.ruff /opt/venv/bin/python \
		pytestEnabled hostRequirements PRESSBOX_SIGNING_KEY disableAutomaticConfiguration; do
		[[ $configuration == *"$word"* ]]
	done
}

@test "a dev container older than the Dockerfile is made anew" {
	local before
	before=$(container)
	# The last layer stays a copy of the venv: another variable is enough to be another image.
	sed -i 's|^USER vscode|COPY poetry.lock /etc/changed\nUSER vscode|' .devcontainer/Dockerfile
	run -0 --separate-stderr scripts/train.sh --door devcontainer
	[ "$(container)" != "$before" ]
	run -0 within test -f /etc/changed
}
