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
	[ -z "${OTHER:-}" ] || end_other_engine
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

@test "for editors that build, the image's layers are there once more, with the builder's cache" {
	local cache named
	named=$(sed -n 's/^\t\t"cacheFrom": \["\([^"]*\)"\],$/\1/p' .devcontainer/devcontainer.json)
	[[ $named == "$PLACE:cache-$(of_image engine_architecture)-${TAGGED#*:}@sha256:"* ]]
	cache=$(ask "manifests/${named##*@}")
	[ "$(digests <<<"$cache" | tail -n +2)" = "$(ask "manifests/$(locked digest "$(uname -m)")" | digests | tail -n +2)" ]
	[[ $(ask "blobs/$(digests <<<"$cache" | head -n 1)") == *'"moby.buildkit.cache.v0":'* ]]
	[[ $(ask "blobs/$IMAGE_ID") != *'"moby.buildkit.cache.v0":'* ]]
	[ "$(git_in . diff HEAD^ --numstat -- .devcontainer/devcontainer.json)" = $'1\t0\t.devcontainer/devcontainer.json' ]
}

# other_engine FOLDER: one without images or networks, so that no step of a build can run there. It sees nothing but
# the same registry: that has the same address in a network of its own.
other_engine() {
	local container pid port=${PLACE%%/*}
	container=$("$ENGINE" run --detach --network none --user 0 --volume "$REPOSITORY/tests/drivers/registry.sh:/registry.sh:ro" \
		--volume "$REGISTRY:$REGISTRY" "$TAGGED" bash /registry.sh "$REGISTRY" serve login 127.0.0.1 "${port#*:}")
	echo "$container" >"$1/registry"
	grep -q -m 1 'listening on' < <(timeout 30 "$ENGINE" logs --follow "$container" 2>&1)
	pid=$("$ENGINE" inspect --format '{{.State.Pid}}' "$container")
	: >"$1/log"
	nsenter --target "$pid" --net unshare --mount dockerd --data-root "$1/root" --exec-root "$1/run" --pidfile "$1/pid" \
		--host "unix://$1/sock" --bridge none --iptables=false --ip6tables=false >>"$1/log" 2>&1 </dev/null 3>&- &
	timeout 60 grep -q -m 1 'API listen on' <(tail -n +1 -F "$1/log" 2>/dev/null)
}

end_other_engine() {
	local pid
	if [ -f "$OTHER/pid" ]; then
		pid=$(cat "$OTHER/pid")
		kill "$pid"
		tail --pid="$pid" -f /dev/null
	fi
	"$ENGINE" rm --force "$(cat "$OTHER/registry")" >/dev/null
	rm -rf --one-file-system "$OTHER"
}

layers() {
	"$ENGINE" image inspect --format '{{json .RootFS.Layers}}' "$1"
}

# build_there: as an editor does
build_there() {
	DOCKER_HOST=unix://$OTHER/sock DOCKER_BUILDKIT=1 BASE_IMAGE=pressbox-test:base .devcontainer/toolchain/node_modules/.bin/devcontainer build \
		--docker-path "$ENGINE" --workspace-folder . --image-name pressbox-test:editor
}

@test "an editor's build runs no step where the cache has all, and every step where the registry is down" {
	need_root
	local base
	# shellcheck disable=SC2016 # expanded there
	base=$(of_image eval 'choose_base && printf %s "${BASE_IMAGE:-$(default_base)}"')
	"$ENGINE" image inspect "$base" >/dev/null 2>&1 || "$ENGINE" pull --quiet "$base"
	"$ENGINE" tag "$base" pressbox-test:base
	OTHER=$(mktemp -d /var/tmp/pressbox-other.XXXXXX)
	other_engine "$OTHER"
	"$ENGINE" save pressbox-test:base | DOCKER_HOST=unix://$OTHER/sock "$ENGINE" load
	forget pressbox-test:base
	run -0 build_there
	[[ $output != *"ERROR"* ]]
	[ "$(DOCKER_HOST=unix://$OTHER/sock layers pressbox-test:editor)" = "$(layers "$IMAGE_ID")" ]
	# Without the registry the build goes on to the steps, of which none can run there.
	DOCKER_HOST=unix://$OTHER/sock "$ENGINE" builder prune --all --force >/dev/null
	DOCKER_HOST=unix://$OTHER/sock "$ENGINE" image rm --force pressbox-test:editor pressbox >/dev/null
	"$ENGINE" stop --time 0 "$(cat "$OTHER/registry")" >/dev/null
	run build_there
	[[ $status != 0 && $output == *"importing cache manifest from $PLACE"*"ERROR"*"failed"*"debian.sh install"* ]]
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
	# Nothing is built for the cache of another architecture; what is there of this one stays.
	[ -z "$(git_in . diff -- .devcontainer/devcontainer.json)" ]
	grep -qF "\"cacheFrom\": [\"$PLACE:cache-" .devcontainer/devcontainer.json
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
