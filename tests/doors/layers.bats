#!/usr/bin/env bats
# The image can be built again. `scripts/test.sh layers` compares two engines, without any cache.

load doors

teardown() {
	"$ENGINE" image rm pressbox:again >/dev/null 2>&1 || true
}

layers() {
	"$ENGINE" image inspect --format '{{join .RootFS.Layers "\n"}}' "$1"
}

@test "a build without the cache gives the layers of the image" {
	run -0 "$ENGINE" build --no-cache --file "$REPOSITORY/.devcontainer/Dockerfile" \
		--build-arg "BASE_IMAGE=${BASE_IMAGE:-}" --tag pressbox:again "$REPOSITORY"
	[ "$(layers pressbox:again)" = "$(layers "$TAGGED")" ]
}
