#!/usr/bin/env -S bash -p
# shellcheck disable=SC2034 # begin.sh reads it
HEEDS=(PRESSBOX_REAL_DATA)
# shellcheck source=scripts/lib/begin.sh
. -- "${0%"${0##*/}"}lib/begin.sh"

usage() {
	cat <<'USAGE'
usage: scripts/update.sh [OPTION]... [debian | python | tools | all]
Move the environment to what there is today, build it, test it, and accept it: afterwards the
changes are in the working tree, to be looked at and committed. What changed is printed.

  debian           the date of Debian's archive, debian.lock, and the base image's digest
  python           poetry.lock, within what pyproject.toml allows
  tools            what builds the image (tools.txt) and what runs on the host (toolchain/)
  all              all of them (default)

  --tests SUITE    what scripts/test.sh has to pass: all (default), unit, integration …, or none
  --bootstrap      install and start what is missing: engine, base image, Node.js (Debian, as root)
  --dry-run        print the commands, run nothing
  -h, --help       print this
  --version        print the version

example: scripts/update.sh debian --tests unit
USAGE
}

COMMANDS=(debian python tools all)
read_options "$@"
no_more "${ARGUMENTS[@]:1}" "${REST[@]}"
what=${ARGUMENTS[0]:-all} tests=all
for given in "${GIVEN[@]}"; do
	case $given in
	--tests=*) tests=${given#*=} ;;
	esac
done
! inside_container || die "$EX_USAGE" "the image is built on the host; run this there"

SETTINGS=$ROOT/.devcontainer
# What is moved.
UPDATED=(.devcontainer/Dockerfile .devcontainer/debian.lock .devcontainer/tools.txt
	.devcontainer/toolchain/package.json .devcontainer/toolchain/package-lock.json poetry.lock)

# in_image IMAGE COMMAND...: as who we are, with the network; $new is /new there
in_image() {
	run "$ENGINE" run --rm "${SHARING[@]}" --user "$(caller_inside)" --env HOME=/tmp --volume "$new:/new" --volume "$SETTINGS:/programs:ro" \
		"${MOUNTS[@]}" --workdir /new "$1" /programs/network.sh run "${@:2}"
}

update_debian() {
	local date base
	date=$(date -u +%Y%m%dT000000Z)
	say "Debian's archive of $date"
	run_into "$new/.devcontainer/debian.lock" "$ENGINE" run --rm --user 0 "${SHARING[@]}" \
		--volume "$SETTINGS:/programs:ro" "${MOUNTS[@]}" "${BASE_IMAGE:-$(default_base)}" \
		/programs/network.sh run /programs/debian.sh lock "$date" || return
	base=$(default_base)
	if [ -n "$DRY_RUN" ]; then
		run "$ENGINE" pull "${base%@*}"
	elif run "$ENGINE" pull --quiet "${base%@*}" 2>/dev/null; then
		base=$("$ENGINE" image inspect --format '{{index .RepoDigests 0}}' "${base%@*}") || return
		sed -i.old "s/@sha256:[0-9a-f]*} AS base\$/@${base#*@}} AS base/" "$new/.devcontainer/Dockerfile"
	else
		say "no registry has ${base%@*}: the base image stays as it is"
	fi
}

# run_into FILE COMMAND...: what the command prints becomes the file, whole
run_into() {
	local file=$1
	shift
	if [ -n "$DRY_RUN" ]; then run "$@"; else "$@" >"$file.part" && mv "$file.part" "$file"; fi
}

update_python() {
	say "Python's packages"
	# shellcheck disable=SC2016 # expanded there; the index is pip's
	in_image "$before" bash -euc '
		: "${POETRY_PYPI_MIRROR_URL:=$(/opt/venv/bin/python -c "from pip._internal.models.index import PyPI; print(PyPI.simple_url)")}"
		export POETRY_PYPI_MIRROR_URL
		poetry update --lock --no-interaction'
}

update_tools() {
	local tools=$new/.devcontainer/toolchain names
	say "the tools"
	# uv, by the hash that tools.txt has, writes the next tools.txt.
	in_image "$before" bash -euc '
		python3 -m venv /tmp/uv
		/tmp/uv/bin/pip install --quiet --no-deps --require-hashes --only-binary :all: --requirement .devcontainer/tools.txt
		cd .devcontainer
		/tmp/uv/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate \
			--python-version 3.13 tools.in --output-file tools.txt' || return
	require_npm
	mapfile -t names < <(sed -n '/"dependencies"/,/}/s/^ *"\(.*\)": "[0-9].*/\1@latest/p' "$tools/package.json")
	run_npm install --package-lock-only --save-exact --silent --no-audit --no-fund --prefix "$tools" "${names[@]}"
}

# files_of IMAGE: what lies in it where code is loaded from
files_of() {
	"$ENGINE" run --rm "$1" cat /opt/pressbox/files.json
}

require_engine
choose_base
# What there was last has the tools. The inputs of today may be for the update to make good.
before=$IMAGE
"$ENGINE" image inspect "$before" >/dev/null 2>&1 || require_image
new=$TEMPORARY/new
mount_network
mkdir -p "$new/.devcontainer/toolchain" "$TEMPORARY/kept"
cp -R "$ROOT/pyproject.toml" "$ROOT/poetry.lock" "$ROOT/third_party" "$new"
cp "$SETTINGS/Dockerfile" "$SETTINGS/tools.in" "$SETTINGS/tools.txt" "$new/.devcontainer"
cp "$SETTINGS/debian.lock" "$new/.devcontainer"
cp "$SETTINGS/toolchain/.npmrc" "$SETTINGS/toolchain/"*.json "$new/.devcontainer/toolchain"
for part in debian python tools; do
	if [ "$what" = all ] || [ "$what" = "$part" ]; then
		"update_$part" || die "$EX_FAILED" "$part could not be updated, and nothing was changed; see above"
	fi
done
[ -z "$DRY_RUN" ] || exit 0

moved=no
for file in "${UPDATED[@]}"; do
	cmp -s "$new/$file" "$ROOT/$file" && continue
	moved=yes
	# In one step, each: whoever looks meanwhile sees the one or the other.
	cp "$new/$file" "$ROOT/$file.part" && mv "$ROOT/$file.part" "$ROOT/$file"
done
[ "$moved" = yes ] || { say "everything is up to date" && exit 0; }
files_of "$before" >"$TEMPORARY/files.json"
require_image
[ "$tests" = none ] || "$BASH" -p "$ROOT/scripts/test.sh" "$tests" ||
	die "$EX_FAILED" "the tests fail in the new environment; correct that, or go back: git restore ${UPDATED[*]}"
"$BASH" -p "$ROOT/scripts/pressbox.sh" doctor --accept --files-before "$TEMPORARY/files.json"
say "commit it: git add ${UPDATED[*]} .devcontainer/environment.lock && git commit"
