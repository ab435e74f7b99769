# shellcheck shell=bash
# The tests of the page: in a real browser, Debian's chromium, on top of the image.
# Stands on doors.sh, which whoever sources this has sourced.

# browser_tests ARGUMENT...: build that browser when its inputs have changed, and test the page in it.
# What it looked like lands in .cache/screenshots, or where PRESSBOX_SCREENSHOTS says.
browser_tests() {
	local pictures=${PRESSBOX_SCREENSHOTS:-$ROOT/.cache/screenshots}
	inside_container && die "$EX_USAGE" "the browser is a container of its own; run this on the host"
	require_engine
	require_image
	build_browser
	[ -n "${PRESSBOX_SCREENSHOTS:-}" ] || own_place "$pictures"
	{ mkdir -p -- "$pictures" && resolve "$pictures"; } || die "$EX_FAILED" "$pictures cannot be created; name another folder in PRESSBOX_SCREENSHOTS"
	let_write screenshots "$RESOLVED" "$RESOLVED"
	VARIABLES+=(--env "PRESSBOX_SCREENSHOTS=${SEEN[screenshots]}")
	through_docker "$PYTHON" -m pytest tests/browser "$@"
	say "screenshots: $pictures"
}

# build_browser: TAGGED becomes the image with the browser on top of the one it named
build_browser() {
	local tag command log=$TEMPORARY/log made_of=("$ROOT"/tests/browser/{Dockerfile,requirements.txt} "$ROOT/.devcontainer/network.sh")
	tag=$IMAGE-browser:$(cat <(printf '%s\n' "$TAGGED") "${made_of[@]}" | sha256 | cut -c 1-12)
	if ! "$ENGINE" image inspect "$tag" >/dev/null 2>&1; then
		say "building the browser; the first time takes about a minute"
		require_network
		mkdir "$TEMPORARY/browser"
		cp "${made_of[@]}" "$TEMPORARY/browser"
		command=("$ENGINE" build "${BUILD_NETWORK[@]}" --tag "$tag" --build-arg "IMAGE=$TAGGED" "$TEMPORARY/browser")
		if ! (cd "$NETWORK_FOLDER" && "${command[@]}") >"$log" 2>&1; then
			tail -n 40 "$log" >&2
			die "$EX_FAILED" "the browser was not built; the failing step is above"
		fi
	fi
	TAGGED=$tag
}
