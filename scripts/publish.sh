#!/usr/bin/env -S bash -p
HEEDS=(GNUPGHOME PRESSBOX_SIGNING_KEY PRESSBOX_SIGNING_PASSPHRASE)
# shellcheck source=scripts/lib/begin.sh
. -- "${0%"${0##*/}"}lib/begin.sh"
# shellcheck source=scripts/lib/signing.sh
. "$ROOT/scripts/lib/signing.sh"
# shellcheck source=scripts/lib/registry.sh
. "$ROOT/scripts/lib/registry.sh"

usage() {
	cat <<'USAGE'
usage: scripts/publish.sh [OPTION]... REGISTRY/NAME
Push the image to a registry, with a signed statement, and write name and digest into
.devcontainer/environment.lock, so that everybody pulls it who has these inputs. The last line of
standard output is the index: name@digest.

  --platform PLATFORMS
                   linux/amd64, linux/arm64, or both with a comma (default: that of the engine).
                   What is published already for another one of the same inputs stays in the index
  --signing-key FILE, --passphrase-file FILE
                   sign with this armoured secret key; default: the key in PRESSBOX_SIGNING_KEY and
                   its passphrase in PRESSBOX_SIGNING_PASSPHRASE, else the published demo key
  --signing-agent FINGERPRINT
                   sign with a trusted signer's key that your gpg-agent (of GNUPGHOME, or ~/.gnupg),
                   or its smartcard, holds
  --build          build the image, even if it is here or can be pulled
  --bootstrap      install and start what is missing: the engine, the base image (Debian, as root)
  --dry-run        print the commands, run nothing
  -h, --help       print this
  --version        print the version

Log in to the registry with docker login.

example: scripts/publish.sh registry.example/desk/pressbox
USAGE
}

read_options "$@"
no_more "${ARGUMENTS[@]:1}" "${REST[@]}"
name=${ARGUMENTS[0]:-} platforms='' key='' passphrase='' agent=''
for given in "${GIVEN[@]}"; do
	value=${given#*=}
	case $given in
	--platform=*) platforms=$value ;;
	--signing-key=*) key=$value ;;
	--passphrase-file=*) passphrase=$value ;;
	--signing-agent=*) agent=$value ;;
	esac
done
! inside_container || die "$EX_USAGE" "the image is published on the host, where the engine is; run this there"
[ -n "$name" ] || die "$EX_USAGE" "no place was named; e.g. scripts/publish.sh registry.example/desk/pressbox"
[[ $name =~ $IMAGE_NAME ]] || die "$EX_USAGE" "$name is not a registry and a name in it, without a tag; e.g. registry.example/desk/pressbox"
[ -z "$(another_base)" ] || die "$EX_USAGE" "what is published stands on the base that everybody has, not on $BASE_IMAGE; unset BASE_IMAGE"

# image_for PLATFORM: sets PUBLISHED_TAG; of another architecture than the engine's, it is built under emulation
image_for() {
	local architecture=${1#linux/}
	PUBLISHED_TAG=$TAGGED
	[ "$architecture" != "$own" ] || return 0
	PUBLISHED_TAG=$IMAGE:$architecture-${TAGGED#*:}
	[ -n "$DRY_RUN" ] || "$ENGINE" image inspect "$PUBLISHED_TAG" >/dev/null 2>&1 && return
	if [ -z "$DRY_RUN" ] && ! "$ENGINE" run --rm --platform "$1" "${BASE_IMAGE:-$(default_base)}" true >/dev/null 2>&1; then
		die "$EX_UNAVAILABLE" "this engine builds nothing for $1; publish on a machine of that architecture, which adds to the same index, or install QEMU (docs/publishing.md)"
	fi
	build_image --platform "$1" --tag "$PUBLISHED_TAG"
}

# cache_for PLATFORM: sets CACHE_TAG, to the same image with what BuildKit needs to know to take its layers from a
# registry; to nothing where there is none. What the builder has forgotten is built once more: hence not under emulation.
cache_for() {
	CACHE_TAG=()
	if [ "${1#linux/}" != "$own" ] || [ -n "$PODMAN" ]; then return 0; fi
	CACHE_TAG=("$IMAGE:cache-${TAGGED#*:}")
	build_image --build-arg BUILDKIT_INLINE_CACHE=1 --tag "${CACHE_TAG[0]}"
}

# publish_image TAG [CACHE]: prints where the cache is, or an empty line; and the index
publish_image() {
	local work=$TEMPORARY/publishing
	mkdir -p "$work/out"
	hold "$1" || die "$EX_FAILED" "$1 has no passport; build it again: --build"
	"$ENGINE" save "$@" >"$work/image.tar" ||
		die "$EX_FAILED" "the image could not be saved to $work; make room there, or name another folder in TMPDIR"
	[ "$#" = 1 ] || "$ENGINE" image rm "$2" >/dev/null
	# The command is somebody else where root runs this; nobody else gets into our folder.
	chmod -R a+rX "$work" "$HELD"
	chmod a+rwx "$work/out"
	let_in image "$work/image.tar" ro
	let_in contents "$HELD" ro
	let_in work "$work/out" rw
	let_write_at "$ROOT/.devcontainer"
	choose_key "$key" "$passphrase" "$agent"
	enter_with_registry "$name" "$PYTHON" -m pressbox publish "$name" --image "${SEEN[image]}" --contents "${SEEN[contents]}" \
		--work "${SEEN[work]}" --inputs "sha256:$(inputs_digest)" --base "$(base_of "$1")" "${KEY_OPTIONS[@]}"
}

# name_in_prebuilt INDEX: the definition for editors that only pull
name_in_prebuilt() {
	local file=$ROOT/.devcontainer/prebuilt/devcontainer.json
	sed "s#^\(\t\"image\": \).*#\1\"$1\",#" "$file" >"$TEMPORARY/prebuilt" && cat "$TEMPORARY/prebuilt" >"$file"
}

# name_in_definition [CACHE]: the definition for editors that build. What it has for another architecture of the same
# inputs stays there.
name_in_definition() {
	local file=$ROOT/.devcontainer/devcontainer.json cache named=''
	for cache in ${1:+"$1"} $(sed -n '/^\t\t"cacheFrom": /s/[][",]/ /gp' "$file" | sed 's/.*cacheFrom *: *//'); do
		[[ $cache == "$name:cache-"*"-${TAGGED#*:}@"* && $named != *"\"${cache%@*}@"* ]] || continue
		named+="${named:+, }\"$cache\""
	done
	awk -v named="$named" '
		/^\t\t"cacheFrom": / { next }
		{ print }
		/^\t\t"context": / && named { print "\t\t\"cacheFrom\": [" named "]," }' "$file" >"$TEMPORARY/definition" &&
		cat "$TEMPORARY/definition" >"$file"
}

choose_door ''
temporary
require_engine
require_image
own=$(engine_architecture)
IFS=, read -r -a wanted <<<"${platforms:-linux/$own}"
for platform in "${wanted[@]}"; do
	[[ $platform =~ ^linux/(amd64|arm64)$ ]] || die "$EX_USAGE" "--platform is '$platform'; give linux/amd64, linux/arm64, or both"
done
for platform in "${wanted[@]}"; do
	image_for "$platform"
	cache_for "$platform"
	if [ -n "$DRY_RUN" ]; then
		run "$ENGINE" save "$PUBLISHED_TAG" "${CACHE_TAG[@]}"
		continue
	fi
	say "publishing the image for $platform"
	(publish_image "$PUBLISHED_TAG" "${CACHE_TAG[@]}") >"$TEMPORARY/published"
	{ read -r cache && read -r index; } <"$TEMPORARY/published"
	name_in_definition "$cache"
	rm -rf "$TEMPORARY/publishing"
done
[ -z "$DRY_RUN" ] || exit 0
name_in_prebuilt "$index"
say "commit it: git add .devcontainer && git commit"
printf '%s\n' "$index"
