#!/usr/bin/env bats
# A company's network: an index that asks who is there, with a certificate of the company's own, behind a proxy.

load doors

setup_file() {
	export CHECKOUT=$BATS_FILE_TMPDIR/checkout COMPANY=$BATS_FILE_TMPDIR/company SERVER ADDRESS INDEX_PORT PROXY_PORT
	# New each time: an engine keeps what it was shown once.
	export PASSWORD=tell-nobody-$RANDOM$RANDOM
	copy_checkout "$CHECKOUT"
	mkdir -p "$COMPANY/files"
	SERVER=$("$ENGINE" run --detach --user "$(id -u):$(id -g)" --volume "$COMPANY:/company" --env PASSWORD \
		--volume "$REPOSITORY/tests/drivers/company.py:/company.py:ro" "$TAGGED" python /company.py /company)
	ADDRESS=$("$ENGINE" inspect --format '{{.NetworkSettings.IPAddress}}' "$SERVER")
	read -r _ INDEX_PORT PROXY_PORT < <(timeout 30 "$ENGINE" logs --follow "$SERVER" | sed '/^ports /q')
	# One wheel, the way the Dockerfile gets all of them.
	printf '%s\n' 'FROM scratch AS programs' 'COPY .devcontainer/layer.sh .devcontainer/network.sh /' \
		"FROM $TAGGED AS tools" 'ENV PIP_RETRIES=0' 'USER root' \
		'RUN --mount=type=bind,from=programs,target=/tmp/programs \' \
		'	--mount=type=secret,id=ca --mount=type=secret,id=index --mount=type=secret,id=netrc --mount=type=secret,id=proxies set -eux; \' \
		'	/tmp/programs/layer.sh begin; \' \
		"	echo '$(wheel)' >/tmp/wheels.txt; \\" \
		'	/tmp/programs/network.sh install pip download --quiet --no-cache-dir --no-deps --require-hashes --only-binary :all: --dest /opt/wheels --requirement /tmp/wheels.txt; \' \
		'	/tmp/programs/layer.sh collect /delta/tools' \
		"FROM scratch" 'COPY --from=tools /delta/tools/ /' >"$CHECKOUT/.devcontainer/Dockerfile"
	# Without any of it, as far as this host's own network goes.
	LOG=$BATS_FILE_TMPDIR/without.log build --no-cache --tag pressbox:without
	mkdir -p "$COMPANY/files/simple/iniconfig" "$COMPANY/files/empty/iniconfig" "$COMPANY/files/other/iniconfig"
	wheels pressbox:without | tar -x -C "$COMPANY/files/simple/iniconfig"
	(
		cd "$COMPANY/files/simple/iniconfig"
		printf '<a href="%s">%s</a>\n' "$(echo *.whl)" "$(echo *.whl)" >index.html
		cp ./*.whl index.html ../../other/iniconfig
		echo changed >>"$(echo ../../other/iniconfig/*.whl)"
		: >../../empty/iniconfig/index.html
	)
}

teardown_file() {
	"$ENGINE" rm --force "$SERVER" >/dev/null 2>&1 || true
	"$ENGINE" image rm pressbox:without pressbox:company pressbox:tools pressbox:leak pressbox:cached pressbox:editor >/dev/null 2>&1 || true
	"$ENGINE" tag "$TAGGED" pressbox
}

setup() {
	cd "$CHECKOUT"
	unset HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY http_proxy https_proxy no_proxy all_proxy NETRC
	export PRESSBOX_CA=$COMPANY/ca.crt HTTPS_PROXY=http://walker:$PASSWORD@$ADDRESS:$PROXY_PORT
	export PIP_INDEX_URL=https://reader:$PASSWORD@mirror.pressbox.example:$INDEX_PORT/simple
}

# wheel: one of poetry.lock, as pip demands it
wheel() {
	awk '/^name = /{ name = $3 } name == "\"iniconfig\"" && /^version = / { gsub(/"/, "", $3); version = $3 }
		name == "\"iniconfig\"" && /\.whl/ { sub(/.*hash = "/, ""); sub(/".*/, ""); print "iniconfig==" version " --hash=" $0; exit }' "$REPOSITORY/poetry.lock"
}

base() {
	local base=${BASE_IMAGE:-}
	[ -n "$base" ] || base=$(sed -n 's/^FROM ${BASE_IMAGE:-\(.*\)} AS base$/\1/p' "$REPOSITORY/.devcontainer/Dockerfile")
	printf '%s\n' "$base"
}

# build OPTION...: as the scripts do; the whole log is in $LOG
build() {
	(cd "$CHECKOUT" && bash -c '
		. scripts/lib/doors.sh
		require_engine
		choose_base
		log=$1
		build_image "${@:2}"
		cp "$TEMPORARY/build.log" "$log"' bash "${LOG:-/dev/null}" "$@")
}

# wheels IMAGE: a tar archive of them
wheels() {
	local container
	container=$("$ENGINE" create "$1" none)
	"$ENGINE" cp "$container:/opt/wheels/." -
	"$ENGINE" rm "$container" >/dev/null
}

layers() {
	"$ENGINE" image inspect --format '{{join .RootFS.Layers "\n"}}' "$1"
}

# found PASSWORD IMAGE...: each place that has it, of those that an engine keeps or shows
found() {
	local password=$1 image root
	shift
	for image in "$@"; do
		! "$ENGINE" history --no-trunc "$image" | grep -F "$password" || echo "history of $image"
		! "$ENGINE" image inspect "$image" | grep -F "$password" || echo "inspect $image"
		! "$ENGINE" save "$image" | grep -aF "$password" || echo "layers of $image"
	done
	root=$("$ENGINE" info --format '{{.DockerRootDir}}')/buildkit
	[ ! -r "$root" ] || find "$root" -name '*.db' -exec grep -laF "$password" {} + || true
}

@test "behind a proxy, with authorities and an index of one's own, the layers are what they are without" {
	local seen=$BATS_TEST_TMPDIR/seen watcher
	# What ps shows of each process of this host, while it lasts.
	until [ -e "$seen.enough" ]; do cat /proc/[0-9]*/cmdline 2>/dev/null || true; done | tr '\0' ' ' >"$seen" &
	watcher=$!
	LOG=$BATS_TEST_TMPDIR/log build --no-cache --tag pressbox:company
	touch "$seen.enough"
	wait "$watcher"
	[ "$(layers pressbox:company)" = "$(layers pressbox:without)" ]
	wheels pressbox:company | tar -t | grep -q '/iniconfig-.*whl$'
	"$ENGINE" logs "$SERVER" | grep -q "^CONNECT mirror.pressbox.example:$INDEX_PORT$"
	# The log is one, and no process was overlooked.
	grep -q 'pip download' "$BATS_TEST_TMPDIR/log"
	grep -qa 'docker build' "$seen"
	run ! grep -qaF "$PASSWORD" "$BATS_TEST_TMPDIR/log" "$seen"
	# Neither is a reason to build again.
	build --target tools --tag pressbox:tools
	PRESSBOX_CA='' HTTPS_PROXY='' PIP_INDEX_URL='' LOG=$BATS_TEST_TMPDIR/log build --tag pressbox:cached
	[ "$(grep -c CACHED "$BATS_TEST_TMPDIR/log")" -ge 2 ]
	run -0 found "$PASSWORD" pressbox:company
	[ -z "$output" ]
	# Nor does what is thrown away lie in the builder's cache.
	run -0 "$ENGINE" run --rm --interactive pressbox:tools sh -c 'cat >/dev/shm/it; find / -xdev -newer /start -type f -exec grep -laF -f /dev/shm/it {} + || true' <<<"$PASSWORD"
	[ -z "$output" ]
}

@test "what tells of a password would be found" {
	local other=told-$RANDOM$RANDOM
	printf 'FROM %s\nENV A=%s\nRUN echo %s >/tmp/left\n' "$(base)" "$other" "$other" | "$ENGINE" build --quiet --tag pressbox:leak -
	run -0 found "$other" pressbox:leak
	[[ $output == *"history of pressbox:leak"*"inspect pressbox:leak"*"layers of pressbox:leak"* ]]
	[[ ! -r $("$ENGINE" info --format '{{.DockerRootDir}}')/buildkit || $output == *.db ]]
}

@test "authorities may be text or a folder, credentials may be in a netrc file, proxies in small letters" {
	local index=https://mirror.pressbox.example:$INDEX_PORT/simple
	mkdir "$BATS_TEST_TMPDIR/folder"
	sed 's/$/\r/' "$COMPANY/ca.crt" >"$BATS_TEST_TMPDIR/folder/company.crt"
	cp "$COMPANY/expired.crt" "$BATS_TEST_TMPDIR/folder"
	printf 'machine elsewhere login nobody password elsewhere-secret\nmachine mirror.pressbox.example\n\tlogin reader\n\tpassword %s\n' "$PASSWORD" >"$BATS_TEST_TMPDIR/netrc"
	PRESSBOX_CA=$BATS_TEST_TMPDIR/folder PIP_INDEX_URL=$index NETRC=$BATS_TEST_TMPDIR/netrc \
		all_proxy=$HTTPS_PROXY HTTPS_PROXY='' build --no-cache --target tools
	PRESSBOX_CA=$(cat "$COMPANY/ca.crt") https_proxy=$HTTPS_PROXY HTTPS_PROXY=http://127.0.0.1:9 build --no-cache --target tools
	# Of a netrc file, nothing goes there that is for somebody else.
	PIP_INDEX_URL=$index NETRC=$BATS_TEST_TMPDIR/netrc run -0 bash -c '
		. scripts/lib/doors.sh
		require_network
		cat "$NETWORK_FOLDER/netrc"'
	[[ $output == *"login reader"* && $output != *elsewhere* ]]
}

# refused TEXT: what a step says that downloads, in its last line, which has no password
refused() {
	# shellcheck disable=SC2016 # expanded in the container
	run ! networked run --rm --env PIP_RETRIES=0 --env "WHEEL=$(wheel)" --volume "$CHECKOUT/.devcontainer:/programs:ro" "$TAGGED" bash -c '
		echo "$WHEEL" >/tmp/wheel.txt
		/programs/network.sh install pip download --quiet --no-deps --require-hashes --only-binary :all: --dest /tmp/wheels --requirement /tmp/wheel.txt'
	[[ $(last_line) == "error: $1"*"; "* ]]
	[[ $output != *"$PASSWORD"* ]]
}

@test "each refusal of the network is one line that says what to do" {
	local mirror=mirror.pressbox.example:$INDEX_PORT
	PIP_INDEX_URL=https://reader:wrong@$mirror/simple refused "the package index does not know us (401)"
	PIP_INDEX_URL=https://stranger:$PASSWORD@$mirror/simple refused "the package index does not let us in (403)"
	PIP_INDEX_URL=https://reader:$PASSWORD@$mirror/empty refused "the package index does not have iniconfig=="
	PIP_INDEX_URL=https://reader:$PASSWORD@$mirror/other refused "the package index has another iniconfig=="
	PRESSBOX_CA='' refused "the package index has a certificate that is not trusted (unable to get local issuer certificate)"
	HTTPS_PROXY=http://walker:wrong@$ADDRESS:$PROXY_PORT refused "the proxy lets nobody through to the package index (407 Proxy Authentication Required)"
	HTTPS_PROXY=http://$ADDRESS:1 refused "the package index cannot be reached (Connection refused)"
	HTTPS_PROXY='' refused "the package index cannot be reached (Name or service not known)"
}

@test "a script hands it on, as one line of its own" {
	# What has been built once needs no network.
	sed -i "s/^ENV PIP_RETRIES.*/ENV PIP_RETRIES=0 NUMBER=$RANDOM/" .devcontainer/Dockerfile
	PIP_INDEX_URL=https://reader:wrong@mirror.pressbox.example:$INDEX_PORT/simple run -1 --separate-stderr scripts/train.sh
	one_error "the package index does not know us (401)"
	[ "$(wc -l <<<"$stderr")" = 2 ]
	PRESSBOX_CA=/nowhere run -2 --separate-stderr scripts/train.sh
	one_error "PRESSBOX_CA names /nowhere, which is not there"
}

# wrong TEXT: what a script says of its variables
wrong() {
	run -2 --separate-stderr bash -c '. scripts/lib/doors.sh; require_network'
	one_error "$1"
	[[ $stderr != *"$PASSWORD"* ]]
}

@test "what is wrong with a variable is said before anything is built" {
	printf 'no certificate\n' >"$BATS_TEST_TMPDIR/text.crt"
	mkdir "$BATS_TEST_TMPDIR/empty"
	PRESSBOX_CA=$BATS_TEST_TMPDIR/empty wrong "in which there is no .crt, .pem or .cer file"
	PRESSBOX_CA=$BATS_TEST_TMPDIR/text.crt wrong "text.crt is not a PEM certificate"
	PRESSBOX_CA=$COMPANY/ca.key wrong "ca.key holds a private key"
	PRESSBOX_CA=$(cat "$COMPANY/ca.crt" "$COMPANY/ca.key") wrong "PRESSBOX_CA holds a private key"
	PRESSBOX_CA=$COMPANY/expired.crt wrong "the certificates in PRESSBOX_CA have expired (Feb  1 00:00:00 2020 GMT)"
	PRESSBOX_CA=$(sed 4d "$COMPANY/ca.crt") wrong "what PRESSBOX_CA names is not a certificate, or is cut off"
	PIP_INDEX_URL=mirror/$PASSWORD wrong "PIP_INDEX_URL is not the address of a server"
	PRESSBOX_DEBIAN_MIRROR="http://a b" wrong "PRESSBOX_DEBIAN_MIRROR is not the address of a server"
	NETRC=/nowhere wrong "NETRC names /nowhere, which cannot be read"
}

@test "a container that downloads trusts the authorities and knows the proxy, and shows no password" {
	local said=$BATS_TEST_TMPDIR/said run container
	bash -c '
		. scripts/lib/doors.sh
		require_image() { :; }
		NETWORK=bridge
		enter bash -c "$1"' bash '
			pip download --quiet --no-deps --dest /tmp/wheels iniconfig && ls /tmp/wheels
			python -c "
import os, re, urllib.error, urllib.request
try: urllib.request.urlopen(re.sub(\"//.*@\", \"//\", os.environ[\"PIP_INDEX_URL\"]))
except urllib.error.HTTPError as answer: print(answer.code)"
			grep -c BEGIN "$NODE_EXTRA_CA_CERTS"
			echo done && sleep 60' >"$said" 2>&1 &
	run=$!
	when_line '^done$' "$said"
	container=$("$ENGINE" ps --quiet --filter "ancestor=$TAGGED" --filter "since=$SERVER" | head -n 1)
	run -0 "$ENGINE" inspect "$container"
	[[ $output == *"/network.sh"* && $output != *"$PASSWORD"* ]]
	kill "$run"
	wait "$run" || true
	grep -q '^iniconfig-.*whl$' "$said"
	grep -qx 401 "$said"
}

# editor_builds VARIABLE=VALUE...: as VS Code and the devcontainer CLI build it, each time another image
editor_builds() {
	sed -i "s/^ENV PIP_RETRIES.*/ENV PIP_RETRIES=0 NUMBER=$RANDOM/" .devcontainer/Dockerfile
	env "$@" DOCKER_BUILDKIT=1 .devcontainer/toolchain/node_modules/.bin/devcontainer build --docker-path "$ENGINE" \
		--workspace-folder "$CHECKOUT" --image-name pressbox:editor 2>&1
}

@test "an editor builds in the same network, and says what it cannot read" {
	# The CLI asks for a user, and Debian for a shell, where the image of the tests is but a wheel.
	sed -i "s|^FROM scratch|FROM $(base)|" .devcontainer/Dockerfile
	run -0 editor_builds "PRESSBOX_CA=$(cat "$COMPANY/ca.crt")"
	[[ $output != *"$PASSWORD"* ]]
	wheels pressbox:editor | tar -t | grep -q '/iniconfig-.*whl$'
	run -0 found "$PASSWORD" pressbox:editor
	[ -z "$output" ]
	run -1 editor_builds
	[[ $output == *"error: PRESSBOX_CA is not PEM text, and an editor's build cannot read files of the host; run scripts/doctor.sh on the host first"* ]]
	[[ $output != *"$PASSWORD"* ]]
}

@test "the image itself is the same, and is built of the same cache" {
	cp "$REPOSITORY/.devcontainer/Dockerfile" .devcontainer
	# Whatever is not taken from the cache fails.
	PIP_INDEX_URL=https://nobody:$PASSWORD@nowhere.invalid/simple HTTPS_PROXY=http://127.0.0.1:9 HTTP_PROXY=http://127.0.0.1:9 \
		PRESSBOX_DEBIAN_MIRROR=http://nobody:$PASSWORD@nowhere.invalid/debian build --tag pressbox:cached
	[ "$(layers pressbox:cached)" = "$(layers "$TAGGED")" ]
	run -0 found "$PASSWORD" pressbox:cached
	[ -z "$output" ]
}
