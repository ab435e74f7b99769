# shellcheck shell=bash
# An image that is ready: one that is here under another name, because it was loaded or pulled, or the one that
# .devcontainer/environment.lock says was published. What is in it is compared, once, before it is called TAGGED.
# Stands on engine.sh; image.sh, which sources this, has INPUTS.

LOCK=$ROOT/.devcontainer/environment.lock
# How long a registry may take to answer at all, and then for each layer.
ANSWER_TIMEOUT_S=30 LAYER_TIMEOUT_S=600
# A registry and a name in it, as pressbox/environment/lock.py has it.
IMAGE_NAME='^[a-z0-9][a-z0-9.:-]*(/[a-z0-9][a-z0-9._-]*)+$'
# What is in an image's /opt/pressbox; see hold.
HELD=
# The image of the lock for this engine; see read_published.
PUBLISHED_NAME='' PUBLISHED_DIGEST='' PUBLISHED_ENVIRONMENT=''

# find_ready: leaves TAGGED; 1 if there is no image of these inputs
find_ready() {
	temporary
	recognise || pull
}

# engine_architecture: as images have it, amd64 or arm64
engine_architecture() {
	if [ -n "$PODMAN" ]; then "$ENGINE" info --format '{{.Host.Arch}}'; else "$ENGINE" version --format '{{.Server.Arch}}'; fi
}

# recognise: of the images on this engine, the first that is made of the inputs
recognise() {
	local id
	while read -r id; do
		if made_of_inputs "$id"; then
			run "$ENGINE" tag "$id" "$TAGGED"
			return 0
		fi
	done < <(candidates)
	return 1
}

# candidates: the IDs of images for this engine that say they are Pressbox's. Those with another tag of ours are
# made of other inputs, or on another base.
candidates() {
	local architecture
	architecture=$(engine_architecture)
	"$ENGINE" image ls --quiet --no-trunc | awk '!seen[$0]++' |
		xargs "$ENGINE" image inspect --format '{{.Id}} {{.Architecture}} {{range .RepoTags}}{{.}} {{end}}{{range .Config.Env}}{{.}} {{end}}' 2>/dev/null |
		awk -v architecture="$architecture" '$2 == architecture && / PRESSBOX_INSIDE=1 / && !/[ \/]pressbox:[0-9a-f]+ / { print $1 }'
}

# made_of_inputs IMAGE: 0 if it is what the Dockerfile makes of these inputs, and not something on top of that.
# Leaves what is in its /opt/pressbox in HELD.
made_of_inputs() {
	local last
	# On a base without a history, BuildKit adds a line for the layers that it cannot explain.
	last=$("$ENGINE" history --no-trunc --format '{{.CreatedBy}}' "$1" 2>/dev/null | awk '!found && $0 != "fileop target" { print; found = 1 }')
	[[ $last == *'CMD ["bash"]'* ]] && hold "$1" &&
		cmp -s <(input_sums | grep -v ' \.dockerignore$') <(sort -k 2 "$HELD/inputs.sha256")
}

# hold IMAGE: nothing of it is run
hold() {
	HELD=$TEMPORARY/held
	rm -rf "$HELD"
	(
		container=$("$ENGINE" create --user 0:0 "$1" 2>/dev/null) || exit 1
		trap '"$ENGINE" rm "$container" >/dev/null 2>&1' EXIT
		# Its folder is read-only, also for whoever is to remove it.
		"$ENGINE" cp "$container:/opt/pressbox" "$HELD" >/dev/null 2>&1 && chmod -R u+w "$HELD"
	)
}

# published FIELD [ARCHITECTURE]: what the lock says of the published images, or of one of them. Python writes
# it, and always in the same way: pressbox/environment/lock.py.
published() {
	awk -F'"' -v field="$1" -v architecture="${2:-}" '
		/^ "published": \{/ { within = 1 }
		/^ \}/ { within = 0 }
		!within { next }
		/^   "/ { image = $2 }
		/^  "/ { image = "" }
		$2 == field && $4 != "" && image == architecture { print $4; exit }' "$LOCK" 2>/dev/null || true
}

# read_published: sets PUBLISHED_…; 1 if nothing was published that is made of these inputs, for this engine
read_published() {
	local architecture
	[ "$(published inputs)" = "sha256:$(inputs_digest)" ] || return 1
	case $(engine_architecture) in
	amd64) architecture=x86_64 ;;
	arm64) architecture=aarch64 ;;
	*) return 1 ;;
	esac
	PUBLISHED_NAME=$(published name)
	PUBLISHED_DIGEST=$(published digest "$architecture")
	PUBLISHED_ENVIRONMENT=$(published environment "$architecture")
	[ -n "$PUBLISHED_DIGEST" ] || return 1
	# Whatever somebody has written there is no option, and names nothing but an image.
	[[ $PUBLISHED_NAME =~ $IMAGE_NAME && $PUBLISHED_DIGEST =~ ^sha256:[0-9a-f]{64}$ ]] ||
		die "$EX_FAILED" "$LOCK does not name the published image; restore it with git checkout"
}

# pull: leaves the published image under TAGGED; 1 if there is none, after a word about the reason
pull() {
	local image reason
	read_published || return 1
	image=$PUBLISHED_NAME@$PUBLISHED_DIGEST
	if [ -n "$DRY_RUN" ]; then
		run "$ENGINE" pull "$image"
		run "$ENGINE" tag "$image" "$TAGGED"
		return 0
	fi
	say "pulling the image from ${PUBLISHED_NAME%%/*}"
	if ! fetch "$image"; then
		reason=$(why_not_pulled "$TEMPORARY/pull.log")
	elif ! made_of_inputs "$image"; then
		reason="it is not made of this checkout's files, although environment.lock says so"
	elif ! accepted_passport; then
		reason="its passport is not the one that environment.lock names"
	else
		run "$ENGINE" tag "$image" "$TAGGED"
		# From here on it has the name of an image that was built, and goes as such.
		"$ENGINE" image rm "$image" >/dev/null 2>&1 || true
		return 0
	fi
	"$ENGINE" image rm "$image" >/dev/null 2>&1 || true
	say "the published image $PUBLISHED_NAME is not used: $reason"
	return 1
}

accepted_passport() {
	[ "sha256:$(sha256 <"$HELD/passport.json")" = "$PUBLISHED_ENVIRONMENT" ] &&
		grep -qxF "    \"digest\": \"$PUBLISHED_ENVIRONMENT\"," "$LOCK"
}

# fetch IMAGE: 0 if the engine has pulled it; what the engine said is in pull.log
fetch() {
	local line client limit=$ANSWER_TIMEOUT_S status=0 log=$TEMPORARY/pull.log
	: >"$log"
	exec 8< <(exec "$ENGINE" pull "$1" 2>&1 </dev/null)
	client=$!
	while IFS= read -r -t "$limit" line <&8 || { status=$? && [ "$status" -gt 128 ] && line=; }; do
		if [ "$status" != 0 ]; then
			printf 'silent for %d s\n' "$limit" >>"$log"
			kill "$client" 2>/dev/null || true
			break
		fi
		printf '%s\n' "$line" >>"$log"
		# Podman says that before it has asked.
		[[ $line == "Trying to pull "* ]] || limit=$LAYER_TIMEOUT_S
		[ ! -t 2 ] || [[ $line != *": Pull complete" ]] || say "  $line"
	done
	exec 8<&-
	wait "$client" && [ "$status" -le 128 ]
}

# why_not_pulled LOG: in words, and what to do
why_not_pulled() {
	local host=${PUBLISHED_NAME%%/*} said
	said=$(grep . "$1" | tail -n 1)
	said=${said##*Error response from daemon: }
	case $said in
	*"server gave HTTP response to HTTPS client"*) printf '%s has no TLS; serve it with TLS, or name it in insecure-registries of the engine' "$host" ;;
	*x509:* | *"certificate"*) printf 'the certificate of %s is not trusted (%s); put its authority into /etc/docker/certs.d/%s/ca.crt' "$host" "${said##*x509: }" "$host" ;;
	*unauthorized* | *"no basic auth credentials"* | *denied* | *"authentication required"*) printf '%s wants a login; run docker login %s' "$host" "$host" ;;
	*"verif"* | *"digest"*"match"* | *"does not match"*) printf '%s serves something else under its digest (%s)' "$host" "${said##*: }" ;;
	*"manifest unknown"* | *"not found"*) printf '%s does not have it' "$host" ;;
	*"no space left"*) printf 'no space is left where the engine keeps images; make room, e.g. with scripts/doctor.sh --clean' ;;
	*) printf '%s does not answer (%s)' "$host" "${said##*: }" ;;
	esac
}
