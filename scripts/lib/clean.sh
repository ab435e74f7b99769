# shellcheck shell=bash
# What earlier builds and trainings have left on the engine and in this checkout, and nothing else. What is in use
# stays: nothing is forced. Stands on doors.sh.

# clean_up: prints what was removed, and how much room that made; with --dry-run, what it would remove
clean_up() {
	local before cached
	choose_tag
	before=$(engine_bytes) cached=$(cache_bytes)
	remove_dev_containers
	remove_images
	own_place "$ROOT/.cache"
	[ "$cached" = 0 ] || run rm -rf "$ROOT/.cache"
	[ -z "$DRY_RUN" ] || return 0
	[ "$cached" = 0 ] || printf 'removed %s\n' "$ROOT/.cache"
	printf 'freed %d MB\n' $(((before - $(engine_bytes) + cached) / 1000000))
}

# remove_dev_containers: those of this checkout that do not run, and the images that were made for them
remove_dev_containers() {
	local container image
	while read -r container; do
		if [ "$("$ENGINE" inspect --format '{{.State.Running}}' "$container")" = true ]; then
			printf 'kept the dev container %s, which is running\n' "$container"
			continue
		fi
		image=$("$ENGINE" inspect --format '{{.Config.Image}}' "$container")
		remove container "$container"
		[[ $image != vsc-* ]] || remove image "$image"
	done < <("$ENGINE" ps --all --filter "label=devcontainer.local_folder=$ROOT" --format '{{.ID}}')
}

# remove_images: of Pressbox, but for the present one; those on top of it are made again by the tests
remove_images() {
	local name id present
	present=$("$ENGINE" image inspect --format '{{.Id}}' "$TAGGED" 2>/dev/null || true)
	while read -r name id; do
		case $name in
		pressbox-browser:* | pressbox-style:*) remove image "$name" ;;
		# podman says what kind of digest it is in one of the two places alone.
		"$IMAGE":*) [ "${id#sha256:}" = "${present#sha256:}" ] || remove image "$name" ;;
		esac
	done < <("$ENGINE" image ls --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}' | sed 's#^localhost/##')
}

# remove KIND NAME: unless it is in use
remove() {
	if [ -n "$DRY_RUN" ]; then
		run "$ENGINE" "$1" rm "$2"
	elif "$ENGINE" "$1" rm "$2" >/dev/null 2>&1; then
		printf 'removed the %s %s\n' "$1" "$2"
	else
		printf 'kept the %s %s, which is in use\n' "$1" "$2"
	fi
}

# engine_bytes: what images and containers take
engine_bytes() {
	"$ENGINE" system df --format '{{.Type}} {{.Size}}' | awk '
		/^(Images|Containers) / {
			size = $2 + 0
			unit = $2; gsub(/[0-9.]/, "", unit)
			sum += size * (unit == "TB" ? 1e12 : unit == "GB" ? 1e9 : unit == "MB" ? 1e6 : unit ~ /^[kK]B$/ ? 1e3 : 1)
		}
		END { printf "%.0f", sum }'
}

cache_bytes() {
	if [ -d "$ROOT/.cache" ]; then du -sk "$ROOT/.cache" | awk '{ printf "%.0f", $1 * 1024 }'; else printf 0; fi
}
