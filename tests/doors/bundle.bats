#!/usr/bin/env bats
# A bundle is all that a machine without a network needs, and is believed before anything in it is run.

load doors

setup_file() {
	need_root
	export CHECKOUT=$BATS_FILE_TMPDIR/checkout SMALL=$BATS_FILE_TMPDIR/small FAR=$BATS_FILE_TMPDIR/far
	copy_checkout "$CHECKOUT"
	commit_checkout
	# Another checkout, whose image no engine has: a small one will do, with 40 MB that cannot be compressed.
	copy_checkout "$SMALL"
	echo '# of the tests' >>"$SMALL/.dockerignore"
	commit_all "$SMALL"
	save_small amd64 "$BATS_FILE_TMPDIR/small.tar"
	bundle_small "$BATS_FILE_TMPDIR/small.tar" >"$BATS_FILE_TMPDIR/small.bundle"
	start_engine "$FAR"
}

setup() {
	cd "$SMALL"
	BUNDLE=$BATS_TEST_TMPDIR/small.bundle
	ln -s "$BATS_FILE_TMPDIR/small.bundle" "$BUNDLE"
}

teardown() {
	images | xargs --no-run-if-empty env "DOCKER_HOST=unix://$FAR/sock" "$ENGINE" image rm --force >/dev/null
	[ ! -f "$BATS_TEST_TMPDIR/engine/pid" ] || stop_engine "$BATS_TEST_TMPDIR/engine"
}

teardown_file() {
	[ ! -f "$FAR/pid" ] || stop_engine "$FAR"
}

# start_engine FOLDER [OPTION...]: a machine without a network: an engine and a network namespace with no route
start_engine() {
	mkdir -p "$1"
	: >"$1/log"
	unshare --net --mount dockerd --data-root "$1/root" --exec-root "$1/run" --pidfile "$1/pid" --host "unix://$1/sock" \
		--bridge none --iptables=false --ip6tables=false "${@:2}" >>"$1/log" 2>&1 </dev/null 3>&- &
	timeout 60 grep -q -m 1 'API listen on' <(tail -n +1 -F "$1/log" 2>/dev/null)
}

stop_engine() {
	local pid
	pid=$(cat "$1/pid")
	kill "$pid"
	tail --pid="$pid" -f /dev/null
}

# far COMMAND...: on that machine
far() {
	DOCKER_HOST=unix://$FAR/sock unshare --net "$@"
}

images() {
	far "$ENGINE" image ls --all --quiet --no-trunc | sort -u
}

# save_small ARCHITECTURE FILE: an image as an engine would save it
save_small() {
	local folder=$BATS_FILE_TMPDIR/image
	mkdir -p "$folder"
	[ -f "$folder/noise" ] || head -c 40000000 /dev/urandom >"$folder/noise"
	tar -C "$folder" -cf "$folder/layer.tar" noise
	printf '{"architecture":"%s","os":"linux","config":{"Cmd":["true"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
		"$1" "$(sha256sum <"$folder/layer.tar" | cut -d ' ' -f 1)" >"$folder/config.json"
	printf '[{"Config":"config.json","RepoTags":null,"Layers":["layer.tar"]}]' >"$folder/manifest.json"
	tar -C "$folder" -cf "$2" layer.tar config.json manifest.json
}

# in_scripts COMMAND...: a function of the scripts' libraries, in the small checkout
in_scripts() {
	bash -c '. "$1/scripts/lib/doors.sh"; . "$1/scripts/lib/bundle.sh"; "${@:2}"' bash "$SMALL" "$@"
}

# bundle_small IMAGE [OPTION...]: a bundle of the small checkout
bundle_small() {
	local image=$1
	"$ENGINE" run --rm --network none --tmpfs /tmp:mode=1777 --env HOME=/tmp --volume "$image:/small.tar:ro" \
		--volume "$SMALL:/workspaces/pressbox:ro" --volume "$BATS_FILE_TMPDIR:$BATS_FILE_TMPDIR:ro" --user 0 "$TAGGED" \
		python -m pressbox bundle /small.tar --tag pressbox:small --inputs "$(in_scripts bundle_inputs)" "${@:2}"
}

# take [@sha256:DIGEST]: what train.sh and test.sh do with a bundle before anything else
take() {
	far bash -c '. "$1/scripts/lib/doors.sh"; . "$1/scripts/lib/bundle.sh"; take_bundle "$2"' bash "$SMALL" "$BUNDLE${1:-}"
}

# refused STATUS TEXT [OPTION...]: by train.sh, which leaves no image and no toolchain
refused() {
	run "-$1" --separate-stderr far scripts/train.sh --bundle "$BUNDLE" "${@:3}"
	one_error "$2"
	[ -z "$output" ]
	[ -z "$(images)" ]
	[ -z "$(find .devcontainer/toolchain -name '.node_modules*')" ]
}

# change NAME COMMAND...: the bundle with another member of that name: what the command makes of it
change() {
	local folder=$BATS_TEST_TMPDIR/members
	mkdir -p "$folder"
	tar -C "$folder" -xf "$BATS_FILE_TMPDIR/small.bundle"
	"${@:2}" <"$folder/$1" >"$folder/new"
	mv "$folder/new" "$folder/$1"
	rm -f "$BUNDLE"
	tar -C "$folder" -cf "$BUNDLE" manifest.asc checkout.tar.gz toolchain.tar.gz image.tar
}

# commands NUMBER: of a block of docs/offline.md
commands() {
	awk -v number="$1" '/^```console$/ { block++ } block == number && sub(/^\$ /, "")' "$REPOSITORY/docs/offline.md"
}

@test "with a bundle, an engine and no network, the commands of the document train and verify the model" {
	need_default
	local there=$BATS_TEST_TMPDIR/there said
	cp -a "$CHECKOUT" "$BATS_TEST_TMPDIR/here"
	cd "$BATS_TEST_TMPDIR/here"
	run -0 --separate-stderr bash -euc "$(commands 1)"
	said=$(last_line)
	[[ $said == "$BATS_TEST_TMPDIR"/pressbox.bundle@sha256:* ]]
	[ "$(cut -c 1-64 ../pressbox.bundle.sha256)" = "${said##*:}" ]
	[ "$(find .. -maxdepth 1 -name '*pressbox*' | sort)" = ../pressbox.bundle$'\n'../pressbox.bundle.sha256 ]
	mkdir "$there"
	mv ../pressbox.bundle* "$there"
	cd "$there"
	run -0 far ip route
	[ -z "$output" ]
	# There, nobody has git or Node.js.
	run -0 --separate-stderr far bash -euo pipefail -c "$(commands 2)"
	[ "$(grep -c "loading the image" <<<"$stderr")" = 1 ]
	[[ $output == *" passed"*"dirty"*False* ]]
	cd pressbox
	grep -qxF -- "$(grep '^model digest ' <<<"$stderr")" README.md
	[ -x .devcontainer/toolchain/node_modules/.bin/devcontainer ]
	[ "$(git_in . rev-parse HEAD)" = "$(git_in "$CHECKOUT" rev-parse HEAD)" ]
	[ -z "$(git_in . status --porcelain)" ]
}

@test "where there is no network, --bootstrap says in one line what it would need" {
	cd "$CHECKOUT"
	SECONDS=0
	run -1 --separate-stderr far env -u BASE_IMAGE scripts/train.sh --bootstrap
	one_error "Debian's archive cannot be reached, and --bootstrap needs it: on this host "
	[[ $stderr == *" docker.io/library/debian:trixie-slim as the base, and for the image what debian.lock"*bundle* ]]
	# Without an engine. What is installed, apt does not look for.
	run -69 --separate-stderr unshare --net bash -c '. "$1/scripts/lib/engine.sh"; temporary; has() { return 1; }; apt_install docker.io-of-nobody' bash "$CHECKOUT"
	[[ $stderr == *"on this host docker.io docker-buildx mmdebstrap debian-archive-keyring nodejs npm, "*"; install docker.io from a medium of yours, "* ]]
	[ "$SECONDS" -lt 60 ]
}

@test "a bundle that is as it was signed is loaded, once" {
	rm -rf .devcontainer/toolchain/node_modules
	run -0 --separate-stderr take
	[[ $stderr == *"NOT PROTECTED: the bundle is signed with the demo key"*"loading the image"* ]]
	[ "$(images | wc -l)" = 1 ]
	[ -x .devcontainer/toolchain/node_modules/.bin/devcontainer ]
	run -0 --separate-stderr take
	[[ $stderr != *"loading the image"* ]]
	# Under another name it is still the one.
	far "$ENGINE" tag "$(images)" other:name
	far "$ENGINE" image rm pressbox:small "$(far "$ENGINE" image ls --format '{{.Repository}}:{{.Tag}}' pressbox | grep -v small)" >/dev/null
	run -0 --separate-stderr take
	[[ $stderr != *"loading the image"* ]]
}

@test "a bundle that was cut off or changed is refused" {
	local size at
	size=$(stat -L -c %s "$BUNDLE")
	for at in 100 5000 "$((size - 20000000))" "$((size - 20000))"; do
		rm -f "$BUNDLE"
		head -c "$at" "$BATS_FILE_TMPDIR/small.bundle" >"$BUNDLE"
		if [ "$at" -lt 1000 ]; then
			refused 3 "$BUNDLE is not a bundle, or its beginning is damaged"
		else
			refused 3 "$BUNDLE was cut off or changed after it was signed"
		fi
	done
	rm -f "$BUNDLE"
	cp "$BATS_FILE_TMPDIR/small.bundle" "$BUNDLE"
	printf x | dd of="$BUNDLE" bs=1 seek="$((size - 9000000))" conv=notrunc status=none
	refused 3 "image.tar is not what its maker put in"
	change toolchain.tar.gz sh -c 'cat; echo'
	refused 3 "toolchain.tar.gz is not what its maker put in"
	change checkout.tar.gz gzip
	refused 3 "checkout.tar.gz is not what its maker put in"
	change manifest.asc sed 's/^architecture .*/architecture arm64/'
	refused 3 "$BUNDLE is not trusted: its manifest was changed after it was signed"
	change manifest.asc sed '/^Hash: /d; /^-----BEGIN PGP SIGNED/d; /^-----BEGIN PGP SIGNATURE/,$d'
	refused 3 "$BUNDLE is not trusted: it has not exactly one good signature"
	change manifest.asc cat
	take 2>/dev/null
}

@test "a checksum vouches for a bundle where there is no GnuPG" {
	local tool digest bin=$BATS_TEST_TMPDIR/bin
	digest=$(sha256sum <"$BUNDLE" | cut -d ' ' -f 1)
	mkdir "$bin"
	for tool in awk bash cat chmod cut date env find fold grep gzip head id mkdir mktemp mv rm sed sha256sum sh sort stat tail tar tr unshare; do
		ln -s "$(type -P "$tool")" "$bin/$tool"
	done
	ln -s "$ENGINE" "$bin/docker"
	PATH=$bin refused 3 "GnuPG is not installed, and without it nobody can say who made $BUNDLE"
	BUNDLE+=@sha256:${digest/[0-8]/9} PATH=$bin refused 3 "was cut off or changed: its SHA-256 is $digest"
	PATH=$bin run -0 --separate-stderr take "@sha256:${digest^^}"
	[[ $stderr == *"loading the image"* && $stderr != *"NOT PROTECTED"* ]]
}

# key NAME EXPIRY: a signing key; sets FINGERPRINT
key() {
	local home=$BATS_FILE_TMPDIR/$1
	mkdir -m 700 "$home"
	GNUPGHOME=$home gpg --batch --quiet --passphrase '' --quick-generate-key "$1 <$1@desk.example>" ed25519 sign "$2" 2>/dev/null
	GNUPGHOME=$home gpg --batch --armor --export-secret-keys >"$home/secret.asc"
	GNUPGHOME=$home gpg --batch --armor --export >"$home/$1.pub.asc"
	FINGERPRINT=$(GNUPGHOME=$home gpg --batch --with-colons --list-keys 2>/dev/null | sed -n 's/^fpr:*\([0-9A-F]*\):$/\1/p')
	GNUPGHOME=$home gpgconf --kill all
	chmod -R a+rX "$home"
}

# trust NAME: as scripts/keys.sh does it, in the small checkout, whose image nobody has
trust() {
	cp "$BATS_FILE_TMPDIR/$1/$1.pub.asc" gnupg
	sed -i "s/^{/{\n  \"$1.pub.asc\": \"$FINGERPRINT\",/" gnupg/keyname-to-fingerprint.json
	echo "$FINGERPRINT:6:" >>gnupg/trustdb.txt
}

# at DATE COMMAND...: where the clock says so
at() {
	local bin=$BATS_TEST_TMPDIR/clock shift
	mkdir -p "$bin"
	shift=$(($(date -d "$1" +%s) - $(date +%s)))
	printf '#!/bin/sh\nexec /usr/bin/gpg --faked-system-time %s "$@"\n' "$(date -u -d "$1" +%Y%m%dT%H%M%S)" >"$bin/gpg"
	printf '#!/bin/sh\nexec /bin/date --date="%s seconds" "$@"\n' "$shift" >"$bin/date"
	chmod 755 "$bin"/*
	PATH=$bin:$PATH "${@:2}"
}

@test "a bundle is believed of a signer who is trusted today, and of nobody else" {
	rm "$BUNDLE"
	key desk 30d
	cp -a "$SMALL" "$BATS_TEST_TMPDIR/desk"
	SMALL=$BATS_TEST_TMPDIR/desk
	cd "$SMALL"
	trust desk
	commit_all .
	bundle_small "$BATS_FILE_TMPDIR/small.tar" --signing-key "$BATS_FILE_TMPDIR/desk/secret.asc" >"$BUNDLE"
	run -0 --separate-stderr take
	[[ $stderr != *"NOT PROTECTED"* ]]
	far "$ENGINE" image rm --force "$(images)" >/dev/null
	at "+1 year" refused 3 "its signer's key has expired, by this machine's clock"
	at "-1 year" refused 3 "it was signed in the future, by this machine's clock"
	printf '{"%s": "2026-01-31"}\n' "$FINGERPRINT" >gnupg/retiring.json
	refused 3 "its signer was retired on 2026-01-31"
	rm gnupg/retiring.json
	printf '["%s"]\n' "$FINGERPRINT" >gnupg/experiments.json
	refused 3 "a key that is trusted for experiments only" --release
	rm gnupg/experiments.json
	git_in . checkout --quiet HEAD~1 -- gnupg
	rm gnupg/desk.pub.asc
	refused 3 "its signer is not trusted here (${FINGERPRINT: -16})"
}

@test "a release does not rely on a bundle that the demo key has signed" {
	refused 3 "is signed with the demo key, which everybody has, and this is a release" --release
}

@test "what does not fit is named before anything is loaded" {
	save_small arm64 "$BATS_TEST_TMPDIR/arm64.tar"
	rm "$BUNDLE"
	[ "$(uname -m)" = x86_64 ] || skip "the other processor is arm64"
	bundle_small "$BATS_TEST_TMPDIR/arm64.tar" >"$BUNDLE"
	refused 1 "the image in $BUNDLE is for arm64, and this engine runs on amd64"
	rm "$BUNDLE"
	ln -s "$BATS_FILE_TMPDIR/small.bundle" "$BUNDLE"
	echo '# another' >>poetry.lock
	refused 4 "the image in $BUNDLE was made from another Dockerfile or other locks than this checkout has"
	git_in . checkout --quiet -- poetry.lock
	mkdir "$BATS_TEST_TMPDIR/folder"
	local file
	for file in "$BATS_TEST_TMPDIR/folder" "$BATS_TEST_TMPDIR/nothing"; do
		BUNDLE=$file refused 2 "there is no bundle '$file' that can be read"
	done
	BUNDLE=$SMALL/README.md refused 3 "README.md is not a bundle"
}

@test "without room for the image the engine keeps nothing of it" {
	local engine=$BATS_TEST_TMPDIR/engine
	mkdir -p "$engine/root"
	# Its namespace has the mount; it ends with the engine.
	FAR=$engine
	: >"$engine/log"
	unshare --net --mount sh -c 'mount -t tmpfs -o size=64m none "$1/root" && exec dockerd --data-root "$1/root" --exec-root "$1/run" \
		--pidfile "$1/pid" --host "unix://$1/sock" --bridge none --iptables=false --ip6tables=false --storage-driver vfs' \
		sh "$engine" >>"$engine/log" 2>&1 </dev/null 3>&- &
	timeout 60 grep -q -m 1 'API listen on' <(tail -n +1 -F "$engine/log" 2>/dev/null)
	refused 1 "the image was not loaded: no space is left where the engine keeps images"
}

@test "a bundle is the same but for its signature, whoever makes it" {
	local once=$BATS_TEST_TMPDIR/once again=$BATS_TEST_TMPDIR/again other=$BATS_TEST_TMPDIR/other
	git_in "$BATS_TEST_TMPDIR" clone --quiet "$SMALL" "$other"
	cp -a "$SMALL/.devcontainer/toolchain/node_modules" "$other/.devcontainer/toolchain"
	SMALL=$other bundle_small "$BATS_FILE_TMPDIR/small.tar" >"$BATS_TEST_TMPDIR/other.bundle"
	mkdir "$once" "$again"
	tar -C "$once" -xf "$BUNDLE"
	tar -C "$again" -xf "$BATS_TEST_TMPDIR/other.bundle"
	rm "$once/manifest.asc" "$again/manifest.asc"
	diff -r "$once" "$again"
}

@test "the history in a bundle is what there is of it, with nothing of anybody's settings" {
	local tiny=$BATS_TEST_TMPDIR/tiny.tar folder=$BATS_TEST_TMPDIR/tiny there=$BATS_TEST_TMPDIR/there
	mkdir "$folder" "$there"
	printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}' >"$folder/config.json"
	printf '[{"Config":"config.json","RepoTags":null,"Layers":[]}]' >"$folder/manifest.json"
	tar -C "$folder" -cf "$tiny" config.json manifest.json
	git_in "$BATS_TEST_TMPDIR" clone --quiet --depth 1 "file://$SMALL" "$BATS_TEST_TMPDIR/shallow"
	SMALL=$BATS_TEST_TMPDIR/shallow
	cp -a "$CHECKOUT/.devcontainer/toolchain/node_modules" "$SMALL/.devcontainer/toolchain"
	git_in "$SMALL" checkout --quiet --detach
	git_in "$SMALL" config filter.evil.smudge "touch $BATS_TEST_TMPDIR/ran"
	git_in "$SMALL" config filter.evil.clean "touch $BATS_TEST_TMPDIR/ran"
	echo '* filter=evil' >"$SMALL/.git/info/attributes"
	bundle_small "$tiny" >"$BATS_TEST_TMPDIR/tiny.bundle"
	[ ! -e "$BATS_TEST_TMPDIR/ran" ]
	tar -xOf "$BATS_TEST_TMPDIR/tiny.bundle" checkout.tar.gz | tar -xz -C "$there"
	cd "$there/pressbox"
	[ "$(git_in . log --format=%H)" = "$(git_in "$SMALL" rev-parse HEAD)" ]
	[ -z "$(git_in . status --porcelain)" ]
	git_in . fsck --strict --no-progress
	[ -z "$(git_in . config --get-regexp '^(filter|remote)\.')" ]
	[ -z "$(find . -name hooks -o -name logs)" ]
}

@test "a bundle holds a commit, and nothing that is not committed" {
	cp -r "$CHECKOUT" "$BATS_TEST_TMPDIR/changed"
	cd "$BATS_TEST_TMPDIR/changed"
	echo '# mine' >>train.py
	local file=$BATS_TEST_TMPDIR/mine.bundle
	run -1 --separate-stderr scripts/bundle.sh "$file"
	one_error "train.py is not as it was committed, and a bundle holds a commit"
	[ -z "$(find "$BATS_TEST_TMPDIR" -maxdepth 1 -name '*mine.bundle*')" ]
}

@test "what is wrong with the place for a bundle is said at once" {
	cd "$CHECKOUT"
	run -2 --separate-stderr scripts/bundle.sh
	one_error "no file was named"
	run -2 --separate-stderr scripts/bundle.sh models
	one_error "models is a folder"
	run -2 --separate-stderr scripts/bundle.sh nowhere/pressbox.bundle
	one_error "there is no folder nowhere"
	run -2 --separate-stderr scripts/bundle.sh "$BATS_TEST_TMPDIR/a.bundle" --signing-key nowhere.asc
	one_error "the signing key nowhere.asc cannot be read"
}

@test "a full disk leaves no bundle, and the one before" {
	local disk=$BATS_TEST_TMPDIR/disk
	mkdir "$disk"
	# shellcheck disable=SC2016 # expanded there
	run -1 --separate-stderr unshare --mount bash -c 'mount -t tmpfs -o size=9m none "$1" && echo before >"$1/a.bundle" &&
		{ "$2/scripts/bundle.sh" "$1/a.bundle"; status=$?; } ; find "$1" -mindepth 1; cat "$1/a.bundle"; exit "$status"' bash "$disk" "$CHECKOUT"
	one_error "$disk has 9 MB of room, and a bundle takes up to "
	[ "$output" = "$disk/a.bundle"$'\n'before ]
}
