# shellcheck shell=bash
# The image: built when what it is made of has changed, and the base it stands on.

# shellcheck source=scripts/lib/engine.sh
. -- "${BASH_SOURCE[0]%/*}/engine.sh"

IMAGE=pressbox
# Made by --bootstrap where no registry answers.
LOCAL_BASE=pressbox-base:trixie

sha256() {
	if has sha256sum; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1
}

# choose_base: BASE_IMAGE if given, else the local base if there is one, else what the Dockerfile says
choose_base() {
	if [ -z "${BASE_IMAGE:-}" ] && "$ENGINE" image inspect "$LOCAL_BASE" >/dev/null 2>&1; then
		BASE_IMAGE=$LOCAL_BASE
	fi
	export BASE_IMAGE=${BASE_IMAGE:-}
}

# inputs_digest: one number for everything the image is made of
inputs_digest() {
	(
		cd "$ROOT"
		cat .dockerignore .devcontainer/Dockerfile .devcontainer/font_list.py .devcontainer/layer.sh \
			.devcontainer/pressbox_checkout.py .devcontainer/tools.txt \
			pressbox/environment/passport.py pyproject.toml poetry.lock \
			third_party/special_k/pyproject.toml third_party/special_k/*.py
		if [ -n "$BASE_IMAGE" ]; then
			"$ENGINE" image inspect --format '{{.Id}}' "$BASE_IMAGE" 2>/dev/null || printf '%s\n' "$BASE_IMAGE"
		fi
	) | sha256
}

# demand_merged PATH...: no file of the checkout there has a merge conflict in it
demand_merged() {
	local found
	found=$(grep -rIn -m 1 --exclude-dir node_modules '^<<<<<<< ' "$@" 2>/dev/null | head -n 1) || true
	[ -n "$found" ] || return 0
	found=${found#"$ROOT"/} found=${found%%:<<<<<<< *}
	die "$EX_FAILED" "${found%:*} has a merge conflict in it, at line ${found##*:}; resolve it: docs/updating.md says how"
}

# require_image: leave an up-to-date image under the tag pressbox. Sets TAGGED, the tag
# that names what it is made of.
require_image() {
	demand_merged "$ROOT"/{.devcontainer/{Dockerfile,*.py,*.sh,tools.txt},poetry.lock,pressbox,pyproject.toml,third_party}
	choose_base
	TAGGED=$IMAGE:$(inputs_digest | cut -c 1-12)
	if "$ENGINE" image inspect "$TAGGED" >/dev/null 2>&1; then
		name_image
		return 0
	fi
	if [ -n "$BOOTSTRAP" ] && [ -z "$BASE_IMAGE" ] && ! pull_base; then
		say "no registry has debian:trixie-slim"
		make_base "$LOCAL_BASE"
		choose_base
		TAGGED=$IMAGE:$(inputs_digest | cut -c 1-12)
	fi
	build_image --tag "$IMAGE" --tag "$TAGGED"
}

# name_image: the image that is there is also the one called pressbox, whichever was built last
name_image() {
	local layers='{{join .RootFS.Layers ","}}'
	[ "$("$ENGINE" image inspect --format "$layers" "$TAGGED")" = "$("$ENGINE" image inspect --format "$layers" "$IMAGE" 2>/dev/null)" ] ||
		run "$ENGINE" tag "$TAGGED" "$IMAGE"
}

# default_base: what the Dockerfile names
default_base() {
	# shellcheck disable=SC2016 # the Dockerfile has it so, unexpanded
	sed -n 's/^FROM ${BASE_IMAGE:-\(.*\)} AS base$/\1/p' "$ROOT/.devcontainer/Dockerfile"
}

pull_base() {
	local base
	base=$(default_base)
	"$ENGINE" image inspect "$base" >/dev/null 2>&1 || run "$ENGINE" pull --quiet "$base" 2>/dev/null
}

# make_base TAG [ARCHITECTURE]: a stand-in for debian:trixie-slim from Debian's signed archive, with
# this host's own certificate authorities, which a network that intercepts TLS needs
make_base() {
	local tag=$1 architecture=${2:-} folder
	say "making a stand-in for debian:trixie-slim from Debian's archive"
	if ! has mmdebstrap; then
		require_apt mmdebstrap
		apt_install mmdebstrap debian-archive-keyring
	fi
	[ -z "$DRY_RUN" ] || return 0
	[ -n "$architecture" ] || architecture=$(dpkg --print-architecture)
	folder=$TEMPORARY/base
	mkdir "$folder"
	# shellcheck disable=SC2016 # $1 is the new root, for mmdebstrap's hook
	if ! SOURCE_DATE_EPOCH=1764000000 mmdebstrap --architectures="$architecture" --variant=minbase --include=ca-certificates \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--customize-hook='find /usr/local/share/ca-certificates -name "*.crt" -exec cp -L {} "$1/usr/local/share/ca-certificates/" \; && chroot "$1" update-ca-certificates' \
		trixie "$folder/base.tar" >"$folder/log" 2>&1; then
		tail -n 20 "$folder/log" >&2
		die "$EX_FAILED" "making the base failed; its last lines are above"
	fi
	load_base "$tag" "$architecture" "$folder"
	rm -rf "$folder"
}

# load_base TAG ARCHITECTURE FOLDER: make an image of FOLDER/base.tar. Its ID depends on nothing else;
# `docker import` would add the date, and on Docker 20.10 calls every image the host's architecture.
load_base() {
	printf '{"architecture":"%s","os":"linux","config":{"Cmd":["bash"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}\n' \
		"$2" "$(sha256 <"$3/base.tar")" >"$3/config.json"
	printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["base.tar"]}]\n' "$1" >"$3/manifest.json"
	tar --create --directory "$3" manifest.json config.json base.tar | "$ENGINE" load >/dev/null
}

# build_image OPTION...: on the base that choose_base chose
build_image() {
	local command log=$TEMPORARY/log
	command=("$ENGINE" build --file "$ROOT/.devcontainer/Dockerfile" "$@")
	[ -z "$BASE_IMAGE" ] || command+=(--build-arg "BASE_IMAGE=$BASE_IMAGE")
	if [ -n "$DRY_RUN" ] || [ -t 2 ]; then
		run "${command[@]}" "$ROOT" || build_failed
		return
	fi
	say "building the image; the first time takes about a minute"
	[ -n "$PODMAN" ] || command+=(--progress plain)
	if ! "${command[@]}" "$ROOT" >"$log" 2>&1; then
		tail -n 40 "$log" >&2
		build_failed
	fi
}

build_failed() {
	die "$EX_FAILED" "the image was not built; the failing step is above (no registry at hand? --bootstrap makes a base, BASE_IMAGE names one)"
}
