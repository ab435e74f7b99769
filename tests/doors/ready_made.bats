#!/usr/bin/env bats
# An image that is ready is used: one that is here under any name, or the published one. A registry is believed
# nothing. The images are small ones that say they are made of this checkout, so that only a build is played.

load doors
load registry

setup_file() {
	export CHECKOUT=$BATS_FILE_TMPDIR/checkout
	copy_checkout "$CHECKOUT"
	# Nobody has an image of these inputs.
	echo "# of a test" >>"$CHECKOUT/.devcontainer/tools.txt"
	prepare_registry
	small right "$(inputs)"
	small wrong "$(inputs | sed '1s/^........../0000000000/')"
	serve plain
	export PLAIN=$HOST PLAIN_SERVER=${STARTED[0]} RIGHT WRONG
	RIGHT=$(push_small right)
	WRONG=$(push_small wrong)
}

setup() {
	cd "$CHECKOUT"
	STARTED=()
}

teardown() {
	end_registries
	"$ENGINE" tag "$TAGGED" pressbox
	forget "$(tag)"
	git_in "$CHECKOUT" checkout --quiet .devcontainer/environment.lock
}

teardown_file() {
	forget pressbox-test:right pressbox-test:wrong
	"$ENGINE" rm --force "$PLAIN_SERVER" >/dev/null 2>&1 || true
}

@test "an image of these inputs is used, whatever it is called, and one of others is not" {
	"$ENGINE" tag pressbox-test:right elsewhere.example/desk:7
	"$ENGINE" tag pressbox-test:wrong pressbox
	forget pressbox-test:right
	run -0 of_image require_image
	[[ $output != *BUILT* ]]
	[ "$(id_of "$(tag)")" = "$(id_of elsewhere.example/desk:7)" ]
	[ "$(id_of pressbox)" = "$(id_of elsewhere.example/desk:7)" ]
	"$ENGINE" tag elsewhere.example/desk:7 pressbox-test:right
	forget elsewhere.example/desk:7
}

@test "an image that was saved and loaded is used, even without a name" {
	local right
	right=$(id_of pressbox-test:right)
	"$ENGINE" save "$right" >"$BATS_TEST_TMPDIR/image.tar"
	forget pressbox-test:right
	! "$ENGINE" image inspect "$right" >/dev/null 2>&1
	"$ENGINE" load <"$BATS_TEST_TMPDIR/image.tar"
	run -0 of_image require_image
	[[ $output != *BUILT* ]]
	[ "$(id_of "$(tag)")" = "$right" ]
	"$ENGINE" tag "$right" pressbox-test:right
}

@test "what is not made of these inputs alone, or not for this engine, is built" {
	forget pressbox-test:right
	run -0 of_image require_image
	[[ $output == *"BUILT --tag pressbox --tag $(tag)"* ]]
	small top "$(inputs)" "ENV ON_TOP=1"
	run -0 of_image require_image
	[[ $output == *BUILT* ]]
	small foreign "$(inputs)" "" --platform linux/s390x
	run -0 of_image require_image
	[[ $output == *BUILT* ]]
	forget pressbox-test:top pressbox-test:foreign
	small right "$(inputs)"
	run -0 of_image require_image
	[[ $output != *BUILT* ]]
}

@test "--build builds what is there, and so does another base" {
	run -0 of_image eval 'BUILD=yes require_image'
	[[ $output == *BUILT* ]]
	BASE_IMAGE=elsewhere.example/debian:1 run -0 of_image require_image
	[[ $output == *BUILT* ]]
}

# push_small NAME: to the plain registry; prints its digest
push_small() {
	local pushed
	"$ENGINE" tag "pressbox-test:$1" "$PLAIN/desk/pressbox"
	"$ENGINE" push "$PLAIN/desk/pressbox" >/dev/null
	pushed=$("$ENGINE" image inspect --format '{{index .RepoDigests 0}}' "$PLAIN/desk/pressbox")
	forget "$PLAIN/desk/pressbox" "$pushed"
	printf '%s' "${pushed#*@}"
}

# lock_names HOST DIGEST: the lock says that this is the image of these inputs, and nothing of them is on the engine
lock_names() {
	forget pressbox-test:right
	git_in "$CHECKOUT" checkout --quiet .devcontainer/environment.lock
	"$ENGINE" run --rm --user "$(stat -c %u "$CHECKOUT")" --volume "$CHECKOUT:/workspaces/pressbox" "$TAGGED" python -c '
import hashlib, sys
from pathlib import Path
from pressbox.environment import lock
name, digest, inputs, machine = sys.argv[1:]
passport = hashlib.sha256(Path("/opt/pressbox/passport.json").read_bytes()).hexdigest()
images = {machine: lock.Image(digest, f"sha256:{passport}")}
lock.publish(lock.Published(f"{name}/desk/pressbox", f"sha256:{inputs}", digest, images))' \
		"$1" "$2" "$(of_image inputs_digest)" "$(uname -m)"
}

@test "the image that the lock names is pulled by its digest, and has no other name than one that was built" {
	lock_names "$PLAIN" "$RIGHT"
	run -0 of_image require_image
	[[ $output == *"pulling the image from $PLAIN"* && $output != *BUILT* ]]
	[ "$("$ENGINE" image inspect --format '{{len .RepoTags}} {{len .RepoDigests}}' "$(tag)")" = "2 0" ]
	run -0 of_image require_image
	[[ $output != *pulling* ]]
}

@test "nothing is pulled for other inputs, or on another base" {
	lock_names "$PLAIN" "$RIGHT"
	BASE_IMAGE=elsewhere.example/debian:1 run -0 of_image require_image
	[[ $output == *BUILT* && $output != *pulling* ]]
	echo "# more" >>.devcontainer/tools.txt
	run -0 of_image require_image
	sed -i '$d' .devcontainer/tools.txt
	[[ $output == *BUILT* && $output != *pulling* ]]
}

# refused TEXT: the published image is not used, in one line with the text, and the image is built
refused() {
	run -0 of_image require_image
	printf '%s\n' "$output"
	[ "$(grep -c '^the published image ' <<<"$output")" = 1 ]
	[[ $(grep '^the published image ' <<<"$output") == *" is not used: $1"* ]]
	[[ $output == *BUILT* ]]
	! "$ENGINE" image inspect "$(tag)" >/dev/null 2>&1
}

@test "an image that is not what the lock says is not used" {
	lock_names "$PLAIN" "$WRONG"
	refused "it is not made of this checkout's files, although environment.lock says so"
	# Of these inputs, with a passport that nobody has accepted.
	lock_names "$PLAIN" "$RIGHT"
	local environment
	environment=$(sed -n 's/^    "environment": "\(.*\)".*/\1/p' .devcontainer/environment.lock)
	sed -i "s/^    \"environment\": .*/    \"environment\": \"sha256:$(printf '0%.0s' {1..64})\"/" .devcontainer/environment.lock
	refused "its passport is not the one that environment.lock names"
	lock_names "$PLAIN" "$RIGHT"
	sed -i "s/^    \"digest\": \"$environment\"/    \"digest\": \"sha256:$(printf '0%.0s' {1..64})\"/" .devcontainer/environment.lock
	refused "its passport is not the one that environment.lock names"
}

@test "a registry that is down, has nothing, lies or hangs is named, and the image is built" {
	serve lies
	lock_names "$HOST" "$RIGHT"
	refused "$HOST serves something else under its digest"
	lock_names "$PLAIN" "sha256:$(printf '0%.0s' {1..64})"
	refused "$PLAIN does not have it"
	lock_names 127.0.0.1:1 "$RIGHT"
	refused "127.0.0.1:1 does not answer ("
	serve hangs
	lock_names "$HOST" "$RIGHT"
	refused "$HOST does not answer (silent for 5 s)"
}

@test "a registry without TLS, with a certificate of nobody or with a login is named, and what to do" {
	local address
	address=$(bridge)
	serve plain "$address"
	lock_names "$HOST" "$RIGHT"
	refused "$HOST has no TLS; serve it with TLS, or name it in insecure-registries of the engine"
	serve stranger "$address"
	lock_names "$HOST" "$RIGHT"
	refused "the certificate of $HOST is not trusted ("
	serve login
	lock_names "$HOST" "$RIGHT"
	refused "$HOST wants a login; run docker login $HOST"
}

@test "with a login, or with an authority that the engine trusts, it is pulled" {
	need_root
	local address
	serve login
	lock_names "$HOST" "$RIGHT"
	export DOCKER_CONFIG=$BATS_TEST_TMPDIR
	"$ENGINE" login --username desk --password-stdin "$HOST" <<<"pass word" >/dev/null 2>&1
	run -0 of_image require_image
	[[ $output != *BUILT* ]]
	forget "$(tag)" pressbox
	address=$(bridge)
	serve tls "$address"
	lock_names "$HOST" "$RIGHT"
	mkdir -p "/etc/docker/certs.d/$HOST"
	cp "$REGISTRY/ca.pem" "/etc/docker/certs.d/$HOST/ca.crt"
	run -0 of_image require_image
	rm -r "/etc/docker/certs.d/$HOST"
	[[ $output != *BUILT* ]]
}

@test "a lock that names something else than an image is refused" {
	lock_names "$PLAIN" "$RIGHT"
	sed -i 's|"name": ".*"|"name": "--help"|' .devcontainer/environment.lock
	run -1 of_image require_image
	[[ $output == *"error: "*"environment.lock does not name the published image; "* ]]
}

# with_podman COMMAND...: of_image, through podman, which does not take a loopback for a registry without TLS by itself
with_podman() {
	HOME=$BATS_TEST_TMPDIR/home XDG_CONFIG_HOME='' DOOR=podman of_image "$@"
}

@test "podman pulls it, finds it under another name, and says what is wrong with a registry" {
	command -v podman >/dev/null || skip "podman is not installed"
	local named
	mkdir -p "$BATS_TEST_TMPDIR/home/.config/containers"
	lock_names "$PLAIN" "$RIGHT"
	named=$(tag)
	run -0 with_podman require_image
	[[ $output == *"the published image $PLAIN/desk/pressbox is not used: $PLAIN has no TLS"* && $output == *BUILT* ]]
	printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' "$PLAIN" >"$BATS_TEST_TMPDIR/home/.config/containers/registries.conf"
	run -0 with_podman require_image
	[[ $output == *"pulling the image from $PLAIN"* && $output != *BUILT* ]]
	podman tag "$named" elsewhere.example/desk:7
	podman image rm "$named" pressbox
	run -0 with_podman require_image
	[[ $output != *pulling* && $output != *BUILT* ]]
	podman image rm "$named" pressbox elsewhere.example/desk:7
	lock_names 127.0.0.1:1 "$RIGHT"
	run -0 with_podman require_image
	[[ $output == *"is not used: 127.0.0.1:1 does not answer ("* && $output == *BUILT* ]]
	lock_names "$PLAIN" "sha256:$(printf '0%.0s' {1..64})"
	run -0 with_podman require_image
	[[ $output == *"is not used: $PLAIN does not have it"* && $output == *BUILT* ]]
}
