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
	run -0 "$ENGINE" run --rm --tmpfs /tmp:exec,mode=1777 --env HOME=/tmp --env VIRTUAL_ENV= \
		--env PATH=/usr/bin:/bin --env PYTHONNOUSERSITE=1 --workdir /tmp \
		--volume "$BATS_TEST_TMPDIR/downstream:/downstream:ro" pressbox bash -euc '
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

@test "the image is at most 1,250 MB" {
	[ "$(inspect '{{.Size}}')" -le 1250000000 ]
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

@test "a build that fails shows the step and leaves the earlier model" {
	cp -a "$CHECKOUT" "$BATS_TEST_TMPDIR/broken"
	cd "$BATS_TEST_TMPDIR/broken"
	printf 'earlier' >models/sports.tar.gz
	echo "RUN echo what is wrong >&2; exit 7" >>.devcontainer/Dockerfile
	run -1 --separate-stderr scripts/train.sh
	one_error "the image was not built"
	[[ $stderr == *"what is wrong"* ]]
	[ "$(cat models/sports.tar.gz)" = earlier ]
}
