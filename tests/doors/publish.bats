#!/usr/bin/env bats
# What one publishes, others pull, and can prove. The registry is a real one, and demands a login.

load doors
load registry

setup_file() {
	export CHECKOUT=$BATS_FILE_TMPDIR/checkout DOCKER_CONFIG=$BATS_FILE_TMPDIR/docker SERVER PLACE INDEX IMAGE_ID
	unset BASE_IMAGE
	copy_checkout "$CHECKOUT"
	"$CHECKOUT/scripts/doctor.sh" --door docker --accept
	commit_all "$CHECKOUT"
	prepare_registry
	serve login
	SERVER=${STARTED[0]} PLACE=$HOST/desk/pressbox
	"$ENGINE" login --username desk --password-stdin "$HOST" <<<"pass word" >/dev/null 2>&1
	IMAGE_ID=$(id_of "$TAGGED")
	INDEX=$("$CHECKOUT/scripts/publish.sh" "$PLACE")
	commit_all "$CHECKOUT"
}

teardown_file() {
	STARTED=("$SERVER")
	end_registries
	container | xargs --no-run-if-empty "$ENGINE" rm --force >/dev/null
}

setup() {
	cd "$CHECKOUT"
}

teardown() {
	git_in "$CHECKOUT" checkout --quiet .
	"$ENGINE" tag "$IMAGE_ID" "$TAGGED"
	"$ENGINE" tag "$IMAGE_ID" pressbox
}

container() {
	"$ENGINE" ps --all --quiet --filter "label=devcontainer.local_folder=$CHECKOUT"
}

# ask PLACE: what the registry has there
ask() {
	curl --silent --fail --user "desk:pass word" --header "Accept: application/vnd.oci.image.index.v1+json" \
		--header "Accept: application/vnd.oci.image.manifest.v1+json" "http://${PLACE%%/*}/v2/desk/pressbox/$1"
}

# digests: on standard input, in the order in which they come
digests() {
	grep -oE '"digest": ?"sha256:[0-9a-f]{64}"' | grep -oE 'sha256:[0-9a-f]*'
}

# locked FIELD [ARCHITECTURE]: as scripts/lib/ready_made.sh reads it
locked() {
	of_image published "$@"
}

@test "the lock, the tag and the definition for editors that pull name one index, which has the image" {
	[ "$INDEX" = "$(locked name)@$(locked digest)" ]
	[ "$(locked inputs)" = "sha256:$(of_image inputs_digest)" ]
	grep -qF "\"image\": \"$INDEX\"," .devcontainer/prebuilt/devcontainer.json
	[ "$(ask "manifests/${TAGGED#*:}" | sha256sum | cut -d ' ' -f 1)" = "${INDEX#*@sha256:}" ]
	[ "$(ask "manifests/${TAGGED#*:}" | digests)" = "$(locked digest "$(uname -m)")" ]
}

@test "manifest and index say where the image comes from, and its ID is what it was" {
	local manifest field
	manifest=$(ask "manifests/$(locked digest "$(uname -m)")")
	for field in version revision licenses base.name base.digest; do
		[[ $manifest == *"org.opencontainers.image.$field"* ]]
		[[ $(ask "manifests/${INDEX#*@}") == *"org.opencontainers.image.$field"* ]]
	done
	[[ $manifest == *"$(git_in . rev-parse HEAD^)"* ]]
	[ "$(digests <<<"$manifest" | head -n 1)" = "$IMAGE_ID" ]
}

# attached TYPE: the document of this type that is attached to the image of this architecture
attached() {
	local image artifact
	image=$(locked digest "$(uname -m)")
	artifact=$(ask "manifests/${image/:/-}" | grep -oE '\{[^{}]*\}' | grep -F "\"$1\"" | digests)
	ask "blobs/$(ask "manifests/$artifact" | grep -oE '"layers": ?\[[^]]*' | digests)"
}

@test "a bill of materials and a signed statement are attached to it" {
	local image
	image=$(locked digest "$(uname -m)")
	run -0 attached application/vnd.cyclonedx+json
	[[ $output == *'"bomFormat": "CycloneDX"'* && $output == *"${image#sha256:}"* && $output == *scikit-learn* ]]
	run -0 attached application/vnd.in-toto+json
	[[ $output == "-----BEGIN PGP SIGNED MESSAGE-----"*"\"sha256\":\"${image#sha256:}\""* ]]
}

# empty_engine: the scripts find no image that was built; on an engine that others use, not all can be removed
empty_engine() {
	forget "$TAGGED" pressbox
	mkdir -p "$BATS_TEST_TMPDIR/empty"
	printf '%s\n' '#!/bin/sh' '[ "$1 $2" = "image ls" ] || exec '"$ENGINE"' "$@"' >"$BATS_TEST_TMPDIR/empty/docker"
	chmod +x "$BATS_TEST_TMPDIR/empty/docker"
}

@test "where it is not here, it is pulled, trains the same model, and is the same image" {
	empty_engine
	PATH=$BATS_TEST_TMPDIR/empty:$PATH run -0 --separate-stderr scripts/train.sh --door docker --output models/pulled.tar.gz
	[[ $stderr == *"pulling the image from ${PLACE%%/*}"* && $stderr != *"building the image"* ]]
	[ "$(id_of "$TAGGED")" = "$IMAGE_ID" ]
	run -0 scripts/verify.sh --door docker models/pulled.tar.gz
	[[ $output == *"environment digest"*"$(locked environment "$(uname -m)")"* ]]
}

@test "the dev container is made of the pulled image, through the script and the CLI" {
	empty_engine
	PATH=$BATS_TEST_TMPDIR/empty:$PATH run -0 --separate-stderr scripts/train.sh --door devcontainer --output models/pulled.tar.gz
	[[ $stderr == *"pulling the image from"* && $stderr != *"building the image"* ]]
	container | xargs "$ENGINE" rm --force
	forget "$TAGGED" pressbox
	.devcontainer/toolchain/node_modules/.bin/devcontainer up --docker-path "$ENGINE" --workspace-folder . \
		--config .devcontainer/prebuilt/devcontainer.json >/dev/null 2>&1
	run -0 of_image require_image
	[[ $output != *BUILT* ]]
	run -0 --separate-stderr scripts/train.sh --output models/pulled.tar.gz --dry-run
	[[ $stderr == *" exec "*"$(container)"* ]]
}

# play_build TAG: the image that a build without the cache is to give; it takes minutes
play_build() {
	mkdir "$BATS_TEST_TMPDIR/stubs"
	cat >"$BATS_TEST_TMPDIR/stubs/docker" <<-STUB
		#!/usr/bin/env bash
		case "\$1 \$*" in
		build*" --no-cache "*) exec "$ENGINE" tag "$1" pressbox:built ;;
		*) exec "$ENGINE" "\$@" ;;
		esac
	STUB
	chmod +x "$BATS_TEST_TMPDIR/stubs/docker"
	PATH=$BATS_TEST_TMPDIR/stubs:$PATH
}

@test "the published image is proved by one that is built anew, and by its signature" {
	run -0 --separate-stderr scripts/doctor.sh --prove --dry-run
	[[ $stderr == *" pull $PLACE@$(locked digest "$(uname -m)")"* && $stderr == *"build "*" --no-cache "* ]]
	play_build "$IMAGE_ID"
	run -0 --separate-stderr scripts/doctor.sh --prove
	[[ $output == *"layers       the same, bit for bit"* ]]
	[[ $output == *" files and the passport are the same"* ]]
	[[ $output == *"signed by    the published demo key: anybody could have signed it"* ]]
}

@test "an image that is built otherwise is no proof, and says what differs" {
	printf '%s\n' "FROM $TAGGED" 'USER 0' \
		'RUN cd /opt/pressbox && python -c "import hashlib, json; p = json.load(open(\"passport.json\")); p[\"base\"] = \"debian 99\"; s = json.dumps(p, sort_keys=True, indent=1) + \"\\n\"; open(\"passport.json\", \"w\").write(s); open(\"passport.sha256\", \"w\").write(hashlib.sha256(s.encode()).hexdigest() + \"  passport.json\")"' |
		"$ENGINE" build --quiet --tag pressbox:other -
	play_build pressbox:other
	run -4 --separate-stderr scripts/doctor.sh --prove
	forget pressbox:other
	[[ $output == *"WRONG "*"base is debian 99, was debian 13"* ]]
	[[ $output == *"layers       not the same bytes"* ]]
	one_error "the published image is not what is built here"
}

@test "a statement that nobody trusted has signed is no proof" {
	play_build "$IMAGE_ID"
	sed -i 's/D4021E7D4529EC2E3058A92277DDEEAA3A5411D4/56BC24E20C87C09D3F8C76A96FD20A3075CFFAF2/' gnupg/*.json gnupg/trustdb.txt
	run -3 --separate-stderr scripts/doctor.sh --prove
	[[ $stderr == "error: not trusted "* || $stderr == *$'\n'"error: not trusted "* ]]
}

# foreign_image: a small image whose passport is one of another architecture, and accepted; sets MACHINE and PLATFORM
foreign_image() {
	MACHINE=aarch64 PLATFORM=arm64
	[ "$(uname -m)" = x86_64 ] || MACHINE=x86_64 PLATFORM=amd64
	"$ENGINE" run --rm --user 0 --volume "$CHECKOUT:/workspaces/pressbox" --volume "$BATS_FILE_TMPDIR/small/pressbox:/small" "$TAGGED" \
		python -c '
import json, sys
from datetime import date
from pathlib import Path
from pressbox.environment import drift, lock, passport
file = Path("/small/passport.json")
issued = {**json.loads(file.read_bytes()), "architecture": sys.argv[1]}
file.write_bytes(passport.canonical(issued))
lock.accept(drift.Environment(issued, passport.digest(file.read_bytes())), date(2026, 11, 26))' "$MACHINE"
	small foreign "$(inputs)" "" --platform "linux/$PLATFORM"
	"$ENGINE" tag pressbox-test:foreign "pressbox:$PLATFORM-${TAGGED#*:}"
}

@test "an image of another architecture joins the index, and stays there" {
	local index here
	foreign_image
	here=$(locked digest "$(uname -m)")
	run -0 --separate-stderr scripts/publish.sh --platform "linux/$PLATFORM" "$PLACE"
	index=$output
	forget pressbox-test:foreign "pressbox:$PLATFORM-${TAGGED#*:}"
	[ "$(locked name)@$(locked digest)" = "$index" ]
	[ "$(locked digest "$(uname -m)")" = "$here" ]
	[ "$(ask "manifests/${index#*@}" | digests | sort)" = "$(printf '%s\n' "$here" "$(locked digest "$MACHINE")" | sort)" ]
	[[ $(ask "manifests/${index#*@}") == *"\"architecture\":\"$PLATFORM\""* ]]
}

@test "who may not push, and what is not a place for an image, is told" {
	run -2 --separate-stderr scripts/publish.sh
	one_error "no place was named"
	run -2 --separate-stderr scripts/publish.sh pressbox:1
	one_error "pressbox:1 is not a registry and a name in it"
	BASE_IMAGE=elsewhere.example/debian:1 run -2 --separate-stderr scripts/publish.sh "$PLACE"
	one_error "not on elsewhere.example/debian:1"
	run -2 --separate-stderr scripts/publish.sh "$PLACE" --platform linux/s390x
	one_error "--platform is 'linux/s390x'"
}
