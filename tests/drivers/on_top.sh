# shellcheck shell=bash
# Images on top of the image, for what tests need and nobody trains with: a browser, and what checks the style.
# Stands on doors.sh, which whoever sources this has sourced.

# build_on_top NAME WHAT: TAGGED becomes the image of tests/NAME on top of the one it named, built when its
# inputs have changed
build_on_top() {
	local tag command file log=$TEMPORARY/log folder=$TEMPORARY/on_top made_of=("$ROOT/.devcontainer/network.sh")
	for file in "$ROOT/tests/$1"/{Dockerfile,*.txt,*.sh}; do
		[ ! -f "$file" ] || made_of+=("$file")
	done
	tag=$IMAGE-$1:$(cat <(printf '%s\n' "$TAGGED") "${made_of[@]}" | sha256 | cut -c 1-12)
	if ! "$ENGINE" image inspect "$tag" >/dev/null 2>&1; then
		say "building $2; the first time takes about a minute"
		require_network
		mkdir "$folder"
		cp "${made_of[@]}" "$folder"
		command=("$ENGINE" build "${BUILD_NETWORK[@]}" --tag "$tag" --build-arg "IMAGE=$TAGGED" "$folder")
		if ! (cd "$NETWORK_FOLDER" && "${command[@]}") >"$log" 2>&1; then
			tail -n 40 "$log" >&2
			die "$EX_FAILED" "$2 could not be built; the failing step is above"
		fi
	fi
	TAGGED=$tag
}

# style_tests ARGUMENT...: what checks the style, in its own image; in the container, installed by install.sh
style_tests() {
	if inside_container; then
		has pyright || die "$EX_FAILED" "what checks the style is not installed here; run tests/style/install.sh"
		choose_door inside
		enter "$PYTHON" -m pytest tests/style "$@"
	fi
	require_engine
	require_image
	build_on_top style "what checks the style"
	# Pyright runs Node.js, whose threads are many.
	through_docker "$PYTHON" -m pytest tests/style --numprocesses 2 "$@"
}

# browser_tests ARGUMENT...: the page in a real browser, Debian's chromium.
# What it looked like lands in .cache/screenshots, or where PRESSBOX_SCREENSHOTS says.
browser_tests() {
	local pictures=${PRESSBOX_SCREENSHOTS:-$ROOT/.cache/screenshots}
	inside_container && die "$EX_USAGE" "the browser is a container of its own; run this on the host"
	require_engine
	require_image
	build_on_top browser "the browser"
	[ -n "${PRESSBOX_SCREENSHOTS:-}" ] || own_place "$pictures"
	{ mkdir -p -- "$pictures" && resolve "$pictures"; } || die "$EX_FAILED" "$pictures cannot be created; name another folder in PRESSBOX_SCREENSHOTS"
	let_write screenshots "$RESOLVED" "$RESOLVED"
	VARIABLES+=(--env "PRESSBOX_SCREENSHOTS=${SEEN[screenshots]}")
	through_docker "$PYTHON" -m pytest tests/browser "$@"
	say "screenshots: $pictures"
}
