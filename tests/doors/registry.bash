# shellcheck shell=bash
# What the tests share that need registries, and images that are small. Stands on doors.bash.

# prepare_registry: sets REGISTRY, where the server and its certificates are, and makes room for small images
prepare_registry() {
	local container
	export REGISTRY=$BATS_FILE_TMPDIR/registry
	container=$("$ENGINE" create "$TAGGED")
	mkdir "$BATS_FILE_TMPDIR/small" "$REGISTRY"
	"$ENGINE" cp "$container:/opt/pressbox" "$BATS_FILE_TMPDIR/small"
	"$ENGINE" rm "$container" >/dev/null
	chmod -R u+w "$BATS_FILE_TMPDIR/small"
	"$ENGINE" run --rm --user 0 --volume "$REPOSITORY/tests/drivers/registry.sh:/registry.sh:ro" --volume "$REGISTRY:$REGISTRY" \
		"$TAGGED" bash /registry.sh "$REGISTRY" "$(bridge)"
}

# serve KIND [ADDRESS]: sets HOST to where such a registry listens
serve() {
	local container port
	case $1 in
	lies | hangs)
		container=$("$ENGINE" run --detach --network host --volume "$REPOSITORY/tests/drivers/bad_registry.py:/bad_registry.py:ro" \
			"$TAGGED" python /bad_registry.py "$1")
		;;
	*)
		container=$("$ENGINE" run --detach --network host --user 0 --volume "$REPOSITORY/tests/drivers/registry.sh:/registry.sh:ro" \
			--volume "$REGISTRY:$REGISTRY" "$TAGGED" bash /registry.sh "$REGISTRY" serve "$1" "${2:-127.0.0.1}")
		;;
	esac
	STARTED+=("$container")
	port=$(sed -nE '/(listening on|port)/{s/.*(:|port )([0-9]+)("|,|$).*/\2/p;q}' < <(timeout 30 "$ENGINE" logs --follow "$container" 2>&1))
	export HOST=${2:-127.0.0.1}:$port
}

end_registries() {
	[ "${#STARTED[@]}" = 0 ] || "$ENGINE" rm --force "${STARTED[@]}" >/dev/null 2>&1 || true
}

# bridge: an address of this host that no engine takes for a loopback
bridge() {
	"$ENGINE" network inspect bridge --format '{{(index .IPAM.Config 0).Gateway}}'
}

# forget IMAGE...: those that are there
forget() {
	local image
	for image in "$@"; do
		"$ENGINE" image rm --force "$image" >/dev/null 2>&1 || true
	done
}

id_of() {
	"$ENGINE" image inspect --format '{{.Id}}' "$1"
}

# of_image COMMAND...: with the functions of scripts/lib/image.sh; a build is only said
of_image() {
	# shellcheck disable=SC2016 # expanded there
	bash -c '. scripts/lib/image.sh
		require_engine "${DOOR:-docker}"
		build_image() { say "BUILT $*"; }
		demand_agreement() { :; }
		ANSWER_TIMEOUT_S=5
		"$@"' bash "$@"
}

tag() {
	cd "$CHECKOUT" || return
	# shellcheck disable=SC2016 # expanded there
	of_image eval 'choose_tag && printf %s "$TAGGED"'
}

inputs() {
	cd "$CHECKOUT" && of_image input_sums | grep -v ' \.dockerignore$'
}

# small NAME INPUTS [LAST] [OPTION...]: pressbox-test:NAME, which says it was built from these
small() {
	printf '%s\n' "$2" >"$BATS_FILE_TMPDIR/small/pressbox/inputs.sha256"
	printf '%s\n' 'FROM scratch' 'COPY pressbox /opt/pressbox' 'ENV PRESSBOX_INSIDE=1' 'USER vscode' 'CMD ["bash"]' "${3:-}" |
		"$ENGINE" build --quiet --tag "pressbox-test:$1" "${@:4}" --file - "$BATS_FILE_TMPDIR/small" >/dev/null
}
