# shellcheck shell=bash
# A command that talks to a registry: it sees the network as the engine does, and is told on a pipe who logs in.
# Stands on doors.sh, which whoever sources this has sourced.

# enter_with_registry NAME COMMAND...: NAME is the image's, with its registry
enter_with_registry() {
	local host=${1%%/*} authority options=()
	shift
	NETWORK=host
	FRESH="a registry is reached from a fresh container"
	INPUT=input
	authority=$(authority_of "$host")
	if [ -n "$authority" ]; then
		let_in_file authority "$authority"
		options=(--authority "${SEEN[authority]}")
	fi
	enter "$@" "${options[@]}" < <(login_of "$host")
}

# authority_of HOST: prints the file with the authorities that an engine trusts for it, if there is one
authority_of() {
	local folder
	for folder in "${HOME:-}/.docker" /etc/docker "${XDG_CONFIG_HOME:-${HOME:-}/.config}/containers" /etc/containers; do
		if [ -r "$folder/certs.d/$1/ca.crt" ]; then
			printf %s "$folder/certs.d/$1/ca.crt"
			return
		fi
	done
}

# login_of HOST: prints in Base64, a line each, the file in which a login is kept, and what the credential helper
# that it names says; empty where there is none
login_of() {
	local file config='' helper='' server=$1
	[ "$server" != docker.io ] || server=https://index.docker.io/v1/
	for file in "${DOCKER_CONFIG:-${HOME:-}/.docker}/config.json" "${XDG_RUNTIME_DIR:-}/containers/auth.json"; do
		[ -z "$config" ] && [ -r "$file" ] && config=$(tr -d '\n\t ' <"$file")
	done
	if [[ $config =~ \"credHelpers\":\{[^}]*\""$server"\":\"([A-Za-z0-9_-]+)\" || $config =~ \"credsStore\":\"([A-Za-z0-9_-]+)\" ]]; then
		helper=docker-credential-${BASH_REMATCH[1]}
	fi
	printf '%s' "$config" | base64 | tr -d '\n'
	printf '\n'
	[ -z "$helper" ] || { printf '%s' "$server" | "$helper" get 2>/dev/null || true; } | grep '^{' | base64 | tr -d '\n' || true
	printf '\n'
}

# base_of IMAGE: prints name@digest of what it stands on. That of the stand-in is the ID of an image on this engine.
base_of() {
	local ours base
	ours=$(layers_of "$1")
	base=$(layers_of "$LOCAL_BASE" 2>/dev/null || true)
	if [ -n "$base" ] && [ "${ours#"$base"}" != "$ours" ]; then
		printf '%s@%s' "$LOCAL_BASE" "$("$ENGINE" image inspect --format '{{.Id}}' "$LOCAL_BASE")"
	else
		default_base
	fi
}

# prove: builds the image without any cache, compares it with the published one, and verifies the statement about
# that. Whoever runs this goes on with the image that was built here.
prove() {
	local image built=$IMAGE:built
	temporary
	require_engine
	choose_base
	choose_tag
	[ -z "$(another_base)" ] || die "$EX_USAGE" "what is published does not stand on $BASE_IMAGE; unset BASE_IMAGE"
	read_published || die "$EX_FAILED" "environment.lock names no image of these inputs for this engine; publish one: scripts/publish.sh"
	image=$PUBLISHED_NAME@$PUBLISHED_DIGEST
	if [ -n "$DRY_RUN" ]; then
		run "$ENGINE" pull "$image"
		build_image --no-cache --tag "$built"
		return
	fi
	say "pulling the published image"
	fetch "$image" || die "$EX_FAILED" "the published image cannot be compared: $(why_not_pulled "$TEMPORARY/pull.log")"
	build_image --no-cache --tag "$built"
	compare_layers "$image" "$built"
	keep_contents published "$image"
	keep_contents built "$built"
	"$ENGINE" tag "$built" "$TAGGED"
	"$ENGINE" image rm "$image" "$built" >/dev/null
	enter_with_registry "$PUBLISHED_NAME" "$PYTHON" -m pressbox prove --contents "${SEEN[published]}" --built "${SEEN[built]}"
}

# keep_contents NAME IMAGE: let in what is in its /opt/pressbox, by this name
keep_contents() {
	hold "$2" || die "$EX_FAILED" "$2 has no passport; build it again: --build"
	mv "$HELD" "$TEMPORARY/$1"
	chmod -R a+rX "$TEMPORARY/$1"
	let_in "$1" "$TEMPORARY/$1" ro
}

# compare_layers PUBLISHED BUILT: engines of other makes write the same files in other bytes, so that is no fault
compare_layers() {
	if [ "$(layers_of "$1")" = "$(layers_of "$2")" ]; then
		finding '' layers "the same, bit for bit"
	else
		finding '' layers "not the same bytes; another engine has written them"
	fi
}
