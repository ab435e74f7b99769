# shellcheck shell=bash
# The same image from two engines: it is built without any cache on the engine at hand and on Debian
# trixie's own, which lives only as long as the test, in namespaces and a root folder of its own.
# Stands on image.sh, which whoever sources this has sourced.

# What both engines call the base and the image while the test runs.
TEST_BASE=pressbox-base:layers
TEST_IMAGE=pressbox:layers

# test_layers: 0 if both engines give the same layers; else prints what differs in them
test_layers() {
	local folder
	! inside_container || die "$EX_USAGE" "the layers are compared on the host, where the engine is"
	[ "$(id -u)" = 0 ] || die "$EX_UNAVAILABLE" "only root can start a second engine; run this with sudo"
	require_engine
	[ -z "$PODMAN" ] || die "$EX_UNAVAILABLE" "podman is installed, but two Docker engines are compared; install Docker"
	require_image
	require_commands mmdebstrap slirp4netns
	# Not in /tmp, which may be memory: a root folder, an engine's images and archives, 6 GB together.
	folder=$(mktemp -d /var/tmp/pressbox-layers.XXXXXX)
	# shellcheck disable=SC2064 # this folder
	trap "forget_layers ${folder@Q}" EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	tag_test_base
	require_network
	cp -R "$NETWORK_FOLDER" "$folder/secrets"
	build_cold "$folder/ours" "$ENGINE" -- || die "$EX_FAILED" "the engine at hand did not build the image; see above"
	"$ENGINE" save --output "$folder/base.tar" "$TEST_BASE"
	make_second_root "$folder/root"
	# A PID namespace, so that whatever was started in it ends with it; its mounts end with it too.
	# shellcheck disable=SC2016 # expanded by that bash
	unshare --mount --pid --fork --kill-child --mount-proc \
		bash -c '. "$1/scripts/lib/image.sh"; . "$1/tests/drivers/layers.sh"; BUILD_NETWORK=("${@:5}"); second_engine "${@:2:3}"' \
		bash "$ROOT" "$folder" "$ENGINE" "$TAGGED" "${BUILD_NETWORK[@]}" ||
		die "$EX_FAILED" "the second engine did not build the image; see above"
	report_layers "$folder"
}

# require_commands PACKAGE...: Debian packages with one command each, of the same name
require_commands() {
	local command missing=()
	for command in "$@"; do
		has "$command" || missing+=("$command")
	done
	[ "${#missing[@]}" -gt 0 ] || return 0
	[ -n "$BOOTSTRAP" ] || die "$EX_UNAVAILABLE" "missing: ${missing[*]}; install them, or run this again with --bootstrap"
	require_apt "${missing[*]}"
	apt_install debian-archive-keyring "${missing[@]}"
}

forget_layers() {
	trap - EXIT
	finish
	"$ENGINE" image rm "$TEST_BASE" >/dev/null 2>&1 || true
	"$ENGINE" image rm "$TEST_IMAGE" >/dev/null 2>&1 || true
	rm -rf --one-file-system "$1"
}

# tag_test_base: give the base a name under which it can be saved, which one by digest cannot
tag_test_base() {
	local base=${BASE_IMAGE:-$(default_base)}
	"$ENGINE" image inspect "$base" >/dev/null 2>&1 || run "$ENGINE" pull --quiet "$base"
	"$ENGINE" tag "$base" "$TEST_BASE"
}

# build_cold PREFIX CLIENT... -- OPTION...: build without any cache; leaves PREFIX.built, the layers
# as this engine writes them, and PREFIX.layers, those it has once the archive of the image is
# rewritten in the canonical form and loaded again; beside them PREFIX.id and PREFIX.engine
build_cold() {
	local prefix=$1 client=()
	shift
	while [ "$1" != -- ]; do
		client+=("$1")
		shift
	done
	shift
	"${client[@]}" version --format '{{.Server.Version}}' >"$prefix.engine"
	say "building without any cache on Docker $(cat "$prefix.engine")"
	if ! (cd "$(dirname "$prefix")/secrets" && "${client[@]}" build --no-cache --progress plain "${BUILD_NETWORK[@]}" "$@" --file "$ROOT/.devcontainer/Dockerfile" \
		--build-arg "BASE_IMAGE=$TEST_BASE" --tag "$TEST_IMAGE" "$ROOT") >"$prefix.log" 2>&1; then
		tail -n 40 "$prefix.log" >&2
		return 1
	fi
	"${client[@]}" image inspect --format '{{join .RootFS.Layers "\n"}}' "$TEST_IMAGE" >"$prefix.built"
	"${client[@]}" save --output "$prefix.built.tar" "$TEST_IMAGE"
	"${client[@]}" image rm "$TEST_IMAGE" >/dev/null
	in_image "$(dirname "$prefix")" canonical_image.py "$prefix.built.tar" "$prefix.tar"
	rm "$prefix.built.tar"
	"${client[@]}" load --input "$prefix.tar" >/dev/null
	"${client[@]}" image inspect --format '{{join .RootFS.Layers "\n"}}' "$TEST_IMAGE" >"$prefix.layers"
	"${client[@]}" image inspect --format '{{.Id}}' "$TEST_IMAGE" >"$prefix.id"
}

# in_image FOLDER SCRIPT ARGUMENT...: run one of tests/drivers with the image's Python; it sees the folder
in_image() {
	local folder=$1 script=$2
	shift 2
	"$ENGINE" run --rm --network none --user 0:0 --volume "$folder:$folder" \
		--volume "$ROOT/tests/drivers:$INSIDE/tests/drivers:ro" "$TAGGED" python "$INSIDE/tests/drivers/$script" "$@"
}

make_second_root() {
	say "installing Debian trixie's Docker in a folder of its own"
	if ! mmdebstrap --variant=minbase --include=ca-certificates,docker-buildx,docker-cli,docker.io \
		trixie "$1" >"$1.log" 2>&1; then
		tail -n 20 "$1.log" >&2
		die "$EX_FAILED" "it could not be installed; its last lines are above"
	fi
}

# second_engine FOLDER ENGINE TAGGED: start it and build there; runs in namespaces of its own
second_engine() {
	local folder=$1 root=$1/root within ready engine
	ENGINE=$2 TAGGED=$3
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	# dockerd pivots its root, which therefore has to be a mount.
	mount --bind "$root" "$root"
	mount -t proc proc "$root/proc"
	mount --rbind /sys "$root/sys"
	mount --rbind /dev "$root/dev"
	mkdir -p "$root$ROOT" "$root$folder"
	mount --bind -o ro "$ROOT" "$root$ROOT"
	mount --bind "$folder" "$root$folder"
	# A network of its own: engines that share one delete each other's bridge. The way out of it
	# is a process, so that nothing of the host's network is changed.
	touch "$folder/network"
	unshare --net="$folder/network" true
	[ "$(stat -L -c %i "$folder/network")" != "$(stat -L -c %i /proc/self/ns/net)" ]
	exec {ready}< <(exec slirp4netns --configure --mtu 65520 --disable-host-loopback --ready-fd 3 \
		--netns-type path "$folder/network" tap0 3>&1 >"$folder/network.log" 2>&1)
	if ! read -r -N 1 -u "$ready"; then
		cat "$folder/network.log" >&2
		return 1
	fi
	printf 'nameserver 10.0.2.3\n' >"$root/etc/resolv.conf"
	# Builds there use that network as it is. A date of the caller's is none of the image's business.
	within=(nsenter "--net=$folder/network" chroot "$root"
		env -i -C "$folder/secrets" PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root SOURCE_DATE_EPOCH=1)
	: >"$folder/dockerd.log"
	"${within[@]}" dockerd --bridge none --iptables=false --ip6tables=false >>"$folder/dockerd.log" 2>&1 </dev/null &
	engine=$!
	# shellcheck disable=SC2064 # this engine
	trap "kill $engine 2>/dev/null || true; wait $engine || true" EXIT
	if ! grep -q -m 1 'API listen on' <(tail -n +1 -f --pid="$engine" "$folder/dockerd.log"); then
		tail -n 5 "$folder/dockerd.log" >&2
		return 1
	fi
	"${within[@]}" docker load --input "$folder/base.tar" >/dev/null
	build_cold "$folder/theirs" "${within[@]}" docker -- --network host
}

# report_layers FOLDER: a table for standard output; 1 if the layers differ, after what differs
report_layers() {
	local folder=$1 kind
	printf '%-10s %-22s %s\n' '' "Docker $(cat "$folder/ours.engine")" "Docker $(cat "$folder/theirs.engine")"
	for kind in built layers id; do
		paste "$folder/ours.$kind" "$folder/theirs.$kind" | sed 's/sha256://g' |
			awk -v kind="${kind/layers/canonical}" '{ printf "%-10s %-22s %-22s %s\n", kind, substr($1, 1, 16), substr($2, 1, 16), $1 == $2 ? "same" : "differs" }'
	done
	if cmp --silent "$folder/ours.layers" "$folder/theirs.layers" && cmp --silent "$folder/ours.id" "$folder/theirs.id"; then
		printf 'layers: the same from both engines\n'
	else
		in_image "$folder" compare_images.py "$folder/ours.tar" "$folder/theirs.tar"
		printf 'layers: not the same; see above\n'
		return 1
	fi
}
