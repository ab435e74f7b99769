# shellcheck shell=bash
# The image: built when what it is made of has changed, and the base it stands on.

# shellcheck source=scripts/lib/engine.sh
. -- "${BASH_SOURCE[0]%/*}/engine.sh"
# shellcheck source=scripts/lib/ready_made.sh
. -- "${BASH_SOURCE[0]%/*}/ready_made.sh"
# shellcheck source=scripts/lib/network.sh
. -- "${BASH_SOURCE[0]%/*}/network.sh"

IMAGE=pressbox
# Made by --bootstrap where no registry answers.
LOCAL_BASE=pressbox-base:trixie
# Everything the image is made of.
INPUTS=(
	.dockerignore .devcontainer/Dockerfile .devcontainer/compile.py .devcontainer/debian.in .devcontainer/debian.lock
	.devcontainer/debian.sh .devcontainer/font_list.py .devcontainer/layer.sh .devcontainer/network.sh
	.devcontainer/pressbox_checkout.py .devcontainer/slim.py .devcontainer/slim.txt .devcontainer/tools.txt
	pressbox/environment/passport.py pyproject.toml poetry.lock
	third_party/special_k/pyproject.toml third_party/special_k/repackage.py
)

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

# another_base: prints the base that the caller names, unless it is one that would be chosen anyway
another_base() {
	[ "${BASE_IMAGE:-$LOCAL_BASE}" = "$LOCAL_BASE" ] || printf '%s\n' "$BASE_IMAGE"
}

# input_sums: what the image is made of, as /opt/pressbox/inputs.sha256 has it
input_sums() {
	(cd "$ROOT" && if has sha256sum; then sha256sum "${INPUTS[@]}"; else shasum -a 256 "${INPUTS[@]}"; fi) | sort -k 2
}

# inputs_digest: one number for everything the image is made of, the same on each machine. Debian's packages are
# those of debian.lock on any base; what another base may have besides is part of the number.
inputs_digest() {
	local base
	base=$(another_base)
	{
		input_sums
		[ -z "$base" ] || "$ENGINE" image inspect --format '{{.Id}}' "$base" 2>/dev/null || printf '%s\n' "$base"
	} | sha256
}

# choose_tag: sets TAGGED, the tag that names what the image is made of
choose_tag() {
	TAGGED=$IMAGE:$(inputs_digest | cut -c 1-12)
}

# demand_merged PATH...: no file of the checkout there has a merge conflict in it
demand_merged() {
	local found
	found=$(grep -rIn -m 1 --exclude-dir node_modules '^<<<<<<< ' "$@" 2>/dev/null | head -n 1) || true
	[ -n "$found" ] || return 0
	found=${found#"$ROOT"/} found=${found%%:<<<<<<< *}
	die "$EX_FAILED" "${found%:*} has a merge conflict in it, at line ${found##*:}; resolve it: docs/updating.md says how"
}

# require_image: leave an up-to-date image under the tag pressbox, and under TAGGED. It is built unless it is there,
# under whatever name, or can be pulled; see ready_made.sh.
require_image() {
	demand_merged "$ROOT"/{.devcontainer/{Dockerfile,*.py,*.sh,*.txt},poetry.lock,pressbox,pyproject.toml,third_party}
	choose_base
	choose_tag
	if [ -z "$BUILD" ]; then
		if "$ENGINE" image inspect "$TAGGED" >/dev/null 2>&1 || { [ -z "$(another_base)" ] && find_ready; }; then
			name_image
			return 0
		fi
	fi
	demand_agreement
	if [ -n "$BOOTSTRAP" ] && [ -z "$BASE_IMAGE" ] && ! pull_base; then
		say "no registry has debian:trixie-slim"
		make_base "$LOCAL_BASE"
		choose_base
	fi
	build_image --tag "$IMAGE" --tag "$TAGGED"
}

# name_image: the image that is there is also the one called pressbox, whichever was built last
name_image() {
	[ "$(layers_of "$TAGGED" 2>/dev/null)" = "$(layers_of "$IMAGE" 2>/dev/null)" ] ||
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

# make_base TAG [ARCHITECTURE]: a stand-in for debian:trixie-slim from Debian's signed archive, the same on each host
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
	# apt knows archives of a date since its version 3. Where none is reached, debian.lock judges the present one.
	if ! populate_base "$architecture" "$folder" "$(sed -n 's/^snapshot //p' "$ROOT/.devcontainer/debian.lock")" &&
		! populate_base "$architecture" "$folder"; then
		demand_network "$folder/log"
		tail -n 20 "$folder/log" >&2
		demand_clock "$folder/log"
		die "$EX_FAILED" "making the base failed; its last lines are above"
	fi
	load_base "$tag" "$architecture" "$folder"
	rm -rf "$folder"
}

# populate_base ARCHITECTURE FOLDER [DATE]: FOLDER/base.tar, from the archive of that date or of today
populate_base() {
	local dated=()
	if [ -n "${3:-}" ]; then
		apt-get --help | grep -q '^apt [3-9]' || return 1
		dated=(--aptopt="APT::Snapshot \"$3\"" --aptopt='APT::Update::Error-Mode "any"')
	fi
	SOURCE_DATE_EPOCH=1764000000 mmdebstrap --architectures="$1" --variant=minbase --include=ca-certificates "${dated[@]}" \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-include=/usr/share/doc/*/copyright' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		trixie "$2/base.tar" >"$2/log" 2>&1
}

# load_base TAG ARCHITECTURE FOLDER: make an image of FOLDER/base.tar. Its ID depends on nothing else;
# `docker import` would add the date, and on Docker 20.10 calls every image the host's architecture. podman builds on
# no image whose history does not name its layers.
load_base() {
	printf '{"architecture":"%s","os":"linux","config":{"Cmd":["bash"]},"history":[{"created_by":"mmdebstrap"}],"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}\n' \
		"$2" "$(sha256 <"$3/base.tar")" >"$3/config.json"
	printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["base.tar"]}]\n' "$1" >"$3/manifest.json"
	tar --create --directory "$3" manifest.json config.json base.tar | "$ENGINE" load >/dev/null
}

# demand_agreement: whether the lock is that of pyproject.toml is for Poetry to say, which the image of
# before has; where there is none, and for all else that is wrong with them, the build says it
demand_agreement() {
	local said
	if [ -n "$DRY_RUN" ] || ! "$ENGINE" image inspect "$IMAGE" >/dev/null 2>&1; then return 0; fi
	said=$(tar -C "$ROOT" -cf - pyproject.toml poetry.lock third_party | "$ENGINE" run --rm --interactive --network none "$IMAGE" \
		sh -c 'mkdir /tmp/locks && cd /tmp/locks && tar -x && poetry check --lock' 2>&1) || true
	[[ $said != *"$LOCK_IS_OLDER"* ]] || lock_is_older
}

# What Poetry says.
LOCK_IS_OLDER="changed significantly since poetry.lock was last generated"

lock_is_older() {
	die "$EX_FAILED" "pyproject.toml and poetry.lock disagree; run poetry lock in the container, and commit both"
}

# build_image OPTION...: on the base that choose_base chose
build_image() {
	local command log=$TEMPORARY/build.log
	require_network
	command=("$ENGINE" build --file "$ROOT/.devcontainer/Dockerfile" "${BUILD_NETWORK[@]}" "$@")
	[ -z "$BASE_IMAGE" ] || command+=(--build-arg "BASE_IMAGE=$BASE_IMAGE")
	[ -n "$PODMAN" ] || command+=(--progress plain)
	if [ -n "$DRY_RUN" ]; then
		run "${command[@]}" "$ROOT"
		return
	fi
	say "building the image; the first time takes about a minute"
	if ! (cd "$NETWORK_FOLDER" && "${command[@]}" "$ROOT") 2>&1 | tee "$log" | steps; then build_failed "$log"; fi
}

# steps: of the log of a build on standard input, what a step is called when it begins, for somebody
# who looks at it
steps() {
	[ -t 2 ] || exec cat >/dev/null
	awk '/^#[0-9]+ \[[^]]* [0-9]+\/[0-9]+\]/ && !seen[$1]++ { print "  " substr($0, length($1) + 2, 90); fflush() }
		/^STEP / { print "  " substr($0, 1, 90); fflush() }' >&2
}

# build_failed LOG: an error that says why; if a step failed, after its name and its last lines
build_failed() {
	local log=$1 kept step='' why='' said
	! grep -qF "$LOCK_IS_OLDER" "$log" || lock_is_older
	# debian.sh and network.sh say in such a line what is wrong, and what to do.
	said=$(sed -n 's/^\(#[0-9]* [0-9.]* \)\{0,1\}error: \(.*; .*\)$/\2/p' "$log" | head -n 1)
	[ -z "$said" ] || die "$EX_FAILED" "$said"
	{
		IFS= read -r step && IFS= read -r why
		said=$(tail -n 15)
	} < <(failed_step "$log") || true
	{ kept=$(mktemp "${TMPDIR:-/tmp}/pressbox-build.XXXXXX") && cat "$log" >"$kept"; } ||
		die "$EX_FAILED" "the image was not built, and ${TMPDIR:-/tmp} has no room for the log; make some"
	if grep -qi 'no space left on device' "$log"; then
		die "$EX_FAILED" "the image was not built: no space is left where the engine keeps images; make room, e.g. with $ENGINE system prune (log: $kept)"
	fi
	case $step in
	*"load metadata for "* | *"] FROM "*) base_failed "${step##*"for "}" "$why" "$kept" ;;
	?*)
		say "$step" && say "${said:-$why}"
		die "$EX_FAILED" "the image was not built: step ${step%%]*}] failed; its last lines are above, the whole log is $kept"
		;;
	esac
	why=$(sed -n 's/.*dockerfile parse error[: on]*//p' "$log" | tail -n 1)
	[ -z "$why" ] || die "$EX_FAILED" "the image was not built: .devcontainer/Dockerfile cannot be read ($why); correct it"
	why=$(grep 'initializing source docker://' "$log" | tail -n 1) || true
	[ -z "$why" ] || base_failed "${BASE_IMAGE:-$(default_base)}" "$why" "$kept"
	tail -n 15 "$log" >&2
	die "$EX_FAILED" "the image was not built; the last lines of the log are above, all of it is $kept"
}

# base_failed BASE WHY LOG
base_failed() {
	local remedy="run this again with --bootstrap, which makes one, or name another in BASE_IMAGE"
	[ -z "$BASE_IMAGE" ] || remedy="correct BASE_IMAGE, or unset it"
	die "$EX_FAILED" "the base image ${1##*FROM } could not be fetched (${2##*: }); $remedy (log: $3)"
}

# failed_step LOG: if one failed, three things of it, a line each: its name, why, what it said
failed_step() {
	awk '
		/^#[0-9]+ \[/ && !($1 in name) { name[$1] = substr($0, length($1) + 2) }
		/^#[0-9]+ ERROR/ && !failed { failed = $1; why = $0; sub(/^#[0-9]+ ERROR:? */, "", why) }
		/^#[0-9]+ [0-9]+\.[0-9]+ / { line = $0; sub(/^#[0-9]+ [0-9.]+ /, "", line); said[$1] = said[$1] line "\n" }
		# podman
		/^STEP [0-9]/ { step = $0; sub(/^STEP /, "[", step); sub(/:/, "]", step); said["podman"] = "" }
		step && !/^(STEP|Error:) / { said["podman"] = said["podman"] $0 "\n" }
		/^Error: building at STEP / { failed = "podman"; name[failed] = step; why = $0 }
		END {
			if (!failed) exit
			step = name[failed]
			gsub(/--mount=[^ ]* |set -eux; */, "", step)
			gsub(/[ \t]+/, " ", step)
			if (length(step) > 90) step = substr(step, 1, 90) "..."
			printf "%s\n%s\n%s", step, why, said[failed]
		}' "$1"
}
