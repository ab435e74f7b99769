#!/usr/bin/env bats
# The image can be built again. `scripts/test.sh layers` compares two engines, without any cache.

load doors

teardown() {
	"$ENGINE" image rm pressbox:again pressbox:cached pressbox:poisoned >/dev/null 2>&1 || true
}

layers() {
	"$ENGINE" image inspect --format '{{join .RootFS.Layers "\n"}}' "$1"
}

@test "a build without the cache gives the layers of the image" {
	run -0 networked build --no-cache --file "$REPOSITORY/.devcontainer/Dockerfile" \
		--build-arg "BASE_IMAGE=${BASE_IMAGE:-}" --tag pressbox:again "$REPOSITORY"
	[ "$(layers pressbox:again)" = "$(layers "$TAGGED")" ]
}

# with_cache NUMBER OPTION...: build the packages with a cache of the test's own, anew for each number
with_cache() {
	local number=$1
	shift
	sed 's/--mount=type=cache,/&id=pressbox-test,/; s/^FROM os AS tools$/&\nARG NUMBER/' "$REPOSITORY/.devcontainer/Dockerfile" >"$BATS_TEST_TMPDIR/Dockerfile"
	networked build --target venv --file "$BATS_TEST_TMPDIR/Dockerfile" --build-arg "BASE_IMAGE=${BASE_IMAGE:-}" \
		--build-arg "NUMBER=$number" "$@" "$REPOSITORY"
}

# installed IMAGE: the digest of each file that was installed
installed() {
	"$ENGINE" run --rm "$1" bash -c 'find /delta/venv -type f -print0 | sort -z | xargs -0 sha256sum' | sha256sum
}

@test "a build believes nothing that another one has changed in the cache" {
	with_cache "$RANDOM.1" --tag pressbox:cached
	# Not by --no-cache, which hands out an empty cache too.
	printf 'FROM pressbox:cached\nARG NUMBER\n%s\n' \
		'RUN --mount=type=cache,id=pressbox-test,target=/c find /c -type f -size +1k -exec sh -c '"'"'for f; do echo "# changed" >>"$f"; done; echo changed $#'"'"' sh {} +' \
		>"$BATS_TEST_TMPDIR/Poison"
	run -0 "$ENGINE" build --build-arg "NUMBER=$RANDOM" --progress plain --tag pressbox:poisoned --file "$BATS_TEST_TMPDIR/Poison" "$BATS_TEST_TMPDIR"
	[[ $output == *"changed "[1-9]* ]]
	run with_cache "$RANDOM.2" --progress plain --tag pressbox:again
	if [ "$status" = 0 ]; then
		[ "$(installed pressbox:again)" = "$(installed pressbox:cached)" ]
	else
		[[ $output == *"DO NOT MATCH THE HASHES"* || $output == *"Hash mismatch"* ]]
	fi
}
