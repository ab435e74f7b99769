#!/usr/bin/env bats
# Debian's packages are those of debian.lock. An archive on loopback has two dates: then, and the future.

load doors

THEN=20260101T000000Z
FUTURE=20270101T000000Z

setup_file() {
	local base=${BASE_IMAGE:-}
	export ARCHIVE=$BATS_FILE_TMPDIR/archive PROGRAMS=$BATS_FILE_TMPDIR/programs SERVER PORT
	[ -n "$base" ] || base=$(sed -n 's/^FROM ${BASE_IMAGE:-\(.*\)} AS base$/\1/p' "$REPOSITORY/.devcontainer/Dockerfile")
	mkdir "$ARCHIVE" "$PROGRAMS"
	"$ENGINE" run --rm --user 0 --volume "$REPOSITORY/tests/drivers/debian_archive.sh:/debian_archive.sh:ro" \
		--volume "$ARCHIVE:/archive" "$TAGGED" bash /debian_archive.sh /archive
	# The host's own loopback, and a port that is free.
	SERVER=$("$ENGINE" run --detach --network host --env PYTHONUNBUFFERED=1 --volume "$ARCHIVE:/archive:ro" "$TAGGED" \
		python -m http.server --bind 127.0.0.1 --directory /archive 0)
	PORT=$(timeout 30 "$ENGINE" logs --follow "$SERVER" | sed -n '/port/{s/.*port \([0-9]*\).*/\1/p;q}')
	printf 'FROM %s\nCOPY key.asc /usr/share/keyrings/test.asc\nRUN rm -f /etc/apt/sources.list.d/* && %s && %s\n' "$base" \
		"echo 'deb [signed-by=/usr/share/keyrings/test.asc] http://127.0.0.1:$PORT/now trixie main' >/etc/apt/sources.list" \
		"echo 'Acquire::Snapshots::URI::Override::Origin::Pressbox \"http://127.0.0.1:$PORT/@SNAPSHOTID@/\";' >/etc/apt/apt.conf.d/dated" |
		"$ENGINE" build --quiet --tag pressbox-base:dated --file - "$ARCHIVE"
	cp "$REPOSITORY/.devcontainer/debian.sh" "$REPOSITORY/.devcontainer/layer.sh" "$PROGRAMS"
	echo "os media-types publicsuffix" >"$PROGRAMS/debian.in"
	at "$THEN"
	# What the base consists of is not in this archive: as it is, it is what the lock has.
	{
		debian lock "$THEN"
		debian installed | sed "s/^/$(architecture) /; s/\$/ - -/"
	} >"$PROGRAMS/debian.lock"
	cp "$PROGRAMS/debian.lock" "$BATS_FILE_TMPDIR/debian.lock"
}

setup() {
	cp "$BATS_FILE_TMPDIR/debian.lock" "$PROGRAMS"
}

teardown_file() {
	"$ENGINE" rm --force "$SERVER" >/dev/null 2>&1 || true
	"$ENGINE" image rm pressbox-base:dated pressbox:then pressbox:future >/dev/null 2>&1 || true
}

architecture() {
	"$ENGINE" run --rm pressbox-base:dated dpkg --print-architecture
}

# at DATE [DATED]: what the archive has at present; and whether it also has what it had before (yes, unless no)
at() {
	rm -rf "$ARCHIVE/now" "${ARCHIVE:?}/$THEN.hidden"
	[ -d "$ARCHIVE/$THEN" ] || mv "$BATS_FILE_TMPDIR/$THEN" "$ARCHIVE/$THEN"
	cp -a "$ARCHIVE/$1" "$ARCHIVE/now"
	[ "${2:-yes}" = yes ] || mv "$ARCHIVE/$THEN" "$BATS_FILE_TMPDIR/$THEN"
}

# debian VERB...: of debian.sh, on a base that knows this archive alone
debian() {
	"$ENGINE" run --rm --user 0 --network host --volume "$PROGRAMS:/programs:ro" pressbox-base:dated /programs/debian.sh "$@"
}

# build TAG: a layer of two packages, made as the Dockerfile makes its own
build() {
	printf '%s\n' 'FROM scratch AS programs' 'COPY . /' \
		'FROM pressbox-base:dated AS os' 'ENV SOURCE_DATE_EPOCH=1764000000' \
		"RUN --mount=type=bind,from=programs,target=/p /p/layer.sh begin && /p/debian.sh install os && /p/debian.sh check /var/lib/dpkg && /p/layer.sh collect /delta/os" \
		'FROM pressbox-base:dated' 'COPY --from=os /delta/os/ /' |
		"$ENGINE" build --no-cache --network host --tag "pressbox:$1" --file - "$PROGRAMS"
}

layers() {
	"$ENGINE" image inspect --format '{{join .RootFS.Layers "\n"}}' "$1"
}

@test "in the future the old date gives the old layers, bit for bit" {
	at "$THEN"
	build then
	at "$FUTURE"
	build future
	[ "$(layers pressbox:then)" = "$(layers pressbox:future)" ]
	# They are not the same because nothing is in them.
	"$ENGINE" run --rm pressbox:future test -s /usr/share/publicsuffix/public_suffix_list.dat
}

@test "another date gives another lock" {
	at "$FUTURE"
	run -0 debian lock "$THEN"
	[[ $output == *" media-types "* && $output == *" publicsuffix "* && $output != *+later* ]]
	echo "os media-types" >"$PROGRAMS/debian.in"
	run -0 debian lock "$FUTURE"
	echo "os media-types publicsuffix" >"$PROGRAMS/debian.in"
	[[ $output == *"+later "* && $output != *publicsuffix* ]]
}

@test "where there is no archive of the date, the present one will do while it has the same" {
	at "$THEN" no
	run -0 debian install os
	[[ $output == *"the archive of $THEN cannot be used"* ]]
}

@test "each package that has moved is named, with the ways out" {
	at "$FUTURE" no
	run -1 debian install os
	[[ $output == *"error: Debian's archive no longer has media-types "*" is now "*"+later, publicsuffix "*" is now gone; name a mirror "*", pull the published image, take a bundle "*", or run scripts/update.sh debian"* ]]
}

@test "a package that is not the one of the lock is refused by its SHA-256" {
	at "$THEN"
	sed -i '/ media-types /s/[0-9a-f]\{64\}/'"$(printf '0%.0s' {1..64})/" "$PROGRAMS/debian.lock"
	run -1 debian install os
	[[ $output == *"error: these packages are not those of debian.lock, by their SHA-256: media-types "* ]]
}

@test "an index that was forged is refused, and nothing is taken from elsewhere" {
	at "$THEN"
	mv "$ARCHIVE/$THEN/dists/trixie/InRelease" "$BATS_TEST_TMPDIR"
	sed 's/^Label: .*/Label: Forged/' "$BATS_TEST_TMPDIR/InRelease" >"$ARCHIVE/$THEN/dists/trixie/InRelease"
	run -1 debian install os
	mv "$BATS_TEST_TMPDIR/InRelease" "$ARCHIVE/$THEN/dists/trixie/InRelease"
	[[ $output == *"error: the archive is not what Debian has signed"* ]]
	at "$THEN" no
	sed -i 's/^Label: .*/Label: Forged/' "$ARCHIVE/now/dists/trixie/InRelease"
	run -1 debian install os
	[[ $output == *"error: the archive is not what Debian has signed"* ]]
}

@test "a clock that is slow or fast is named, and no mirror is blamed for a forgery" {
	at unborn no
	run -1 debian install os
	[[ $output == *"error: by this machine's clock, which says $(date -u +%F), the archive is from the future; set the clock" ]]
	run -1 debian lock "$THEN"
	[[ $output == *"the archive is from the future; set the clock" ]]
	at expired no
	run -1 debian install os
	[[ $output == *"error: by this machine's clock, which says $(date -u +%F), the archive's index has expired; set the clock; "* ]]
}

@test "an index that is older than the lock is refused" {
	at "$THEN" no
	sed -i 's/^release trixie .*/release trixie 4000000000/' "$PROGRAMS/debian.lock"
	run -1 debian install os
	[[ $output == *"error: the index of trixie is older than debian.lock; "* ]]
}

@test "a base that holds something else is refused, and so is a package that is missing" {
	at "$THEN"
	sed -i '/ publicsuffix /d' "$PROGRAMS/debian.lock"
	run -100 debian install os
	sed -i '/ tar /d' "$PROGRAMS/debian.lock"
	echo "os media-types" >"$PROGRAMS/debian.in"
	run -1 debian install os
	echo "os media-types publicsuffix" >"$PROGRAMS/debian.in"
	[[ $output == *"error: debian.lock does not have tar "*"; use another base image"* ]]
	run -1 debian check /var/lib/dpkg
	[[ $output == *"error: "* ]]
}

@test "a lock with a merge conflict, or that was cut off, is named" {
	at "$THEN"
	sed -i '1a <<<<<<< HEAD' "$PROGRAMS/debian.lock"
	run -1 debian install os
	[[ $output == *"error: line 2 of debian.lock is not one of a lock; "* ]]
	head -n 2 "$BATS_FILE_TMPDIR/debian.lock" >"$PROGRAMS/debian.lock"
	run -1 debian install os
	[[ $output == *"error: debian.lock has no date; "* ]]
}

@test "a mirror is used instead, with the company's authorities and who we are there, and the lock judges it" {
	local company=$BATS_TEST_TMPDIR/company secrets=$BATS_TEST_TMPDIR/secrets address port number
	mkdir -p "$company" "$secrets"
	at "$THEN"
	cp -a "$ARCHIVE/now" "$company/files"
	number=$("$ENGINE" run --detach --user "$(id -u):$(id -g)" --env PASSWORD=tell-nobody --volume "$company:/company" \
		--volume "$REPOSITORY/tests/drivers/company.py:/company.py:ro" "$TAGGED" python /company.py /company)
	address=$("$ENGINE" inspect --format '{{.NetworkSettings.IPAddress}}' "$number")
	read -r _ port _ < <(timeout 30 "$ENGINE" logs --follow "$number" | sed '/^ports /q')
	cp "$company/ca.crt" "$secrets/ca"
	echo "https://reader:tell-nobody@mirror.pressbox.example:$port/debian/" >"$secrets/mirror"
	mkdir "$company/files/debian"
	mv "$company/files/dists" "$company/files/pool" "$company/files/debian"
	echo "deb [signed-by=/usr/share/keyrings/test.asc] http://nowhere.invalid/debian trixie main" >"$BATS_TEST_TMPDIR/sources.list"
	echo 'Acquire::Retries "0";' >"$BATS_TEST_TMPDIR/retries"
	cp "$REPOSITORY/.devcontainer/network.sh" "$PROGRAMS"
	mirrored() {
		"$ENGINE" run --rm --user 0 --add-host "mirror.pressbox.example:$address" --volume "$PROGRAMS:/programs:ro" \
			--volume "$secrets:/run/secrets:ro" --volume "$BATS_TEST_TMPDIR/sources.list:/etc/apt/sources.list:ro" \
			--volume "$BATS_TEST_TMPDIR/retries:/etc/apt/apt.conf.d/retries:ro" \
			pressbox-base:dated /programs/network.sh run /programs/debian.sh install os
	}
	run -0 mirrored
	[[ $output == *mirror.pressbox.example* && $output != *tell-nobody* ]]
	echo "https://reader:wrong@mirror.pressbox.example:$port/debian" >"$secrets/mirror"
	run -1 mirrored
	[[ $output == *"error: Debian's archive cannot be used ("*401*"); check the network, or name a proxy (HTTP_PROXY) or a mirror (PRESSBOX_DEBIAN_MIRROR)"* ]]
	[[ $output != *wrong@* ]]
	rm "$secrets/ca"
	run -1 mirrored
	[[ $output == *"error: Debian's archive cannot be used ("*ertificate* ]]
	"$ENGINE" rm --force "$number" >/dev/null
}
