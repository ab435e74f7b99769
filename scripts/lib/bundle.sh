# shellcheck shell=bash
# A bundle, as pressbox/runs/bundling.py writes it: believed, and its image and toolchain put in place. All of
# that happens before anything in it is run, with tar, gpg and the engine alone. Stands on doors.sh.

readonly EX_NOT_TRUSTED=3 EX_STALE=4

# The file, and the lines of its manifest once it is believed.
BUNDLE='' MANIFEST=''
# Not empty: a release, for which the demo key and those for experiments do not vouch.
BUNDLE_OF_RELEASE=
readonly DEMO=D4021E7D4529EC2E3058A92277DDEEAA3A5411D4
# What such a text takes at most.
readonly MANIFEST_BYTES=16384
# What a signature may be made with (RFC 9580, 9.5): SHA-256, 384, 512 and 224.
readonly HASHES=" 8 9 10 11 "

# take_bundle FILE[@sha256:DIGEST]: from there come the image, unless the engine has it, and the toolchain
take_bundle() {
	local digest=
	BUNDLE=$1
	if [[ $1 =~ ^(.*)@sha256:([0-9a-fA-F]{64})$ ]]; then
		BUNDLE=${BASH_REMATCH[1]} digest=${BASH_REMATCH[2],,}
	fi
	! inside_container || die "$EX_USAGE" "the image of a bundle is for the engine; run this on the host"
	[[ -f $BUNDLE && -r $BUNDLE ]] || die "$EX_USAGE" "there is no bundle '$BUNDLE' that can be read; make one with scripts/bundle.sh"
	# A name with a colon would be another machine to tar.
	resolve "$BUNDLE" && BUNDLE=$RESOLVED
	require_engine "$DOOR"
	believe "$digest"
	demand_fitting
	load_image
	unpack_toolchain
}

# member NAME: what the bundle has under that name, on standard output
member() {
	tar -xOf "$BUNDLE" "$1" 2>/dev/null
}

# believe DIGEST: sets MANIFEST once it is known who made the bundle and that it has not changed since
believe() {
	local clearsigned=$TEMPORARY/manifest.asc sum part
	say "checking $BUNDLE"
	member manifest.asc | head -c "$MANIFEST_BYTES" >"$clearsigned" || true
	grep -q '^pressbox bundle ' "$clearsigned" ||
		die "$EX_NOT_TRUSTED" "$BUNDLE is not a bundle, or its beginning is damaged; copy it again from where it was made"
	if [ -n "$1" ]; then
		sum=$(sha256 <"$BUNDLE")
		[ "$sum" = "$1" ] ||
			die "$EX_NOT_TRUSTED" "$BUNDLE was cut off or changed: its SHA-256 is $sum, not $1; copy it again from where it was made"
		MANIFEST=$(sed -n '/^pressbox bundle /,/^-----BEGIN PGP SIGNATURE/p' "$clearsigned" | sed '$d')
	else
		verify_signature "$clearsigned"
		for part in checkout.tar.gz toolchain.tar.gz image.tar; do
			sum=$(member "$part" | sha256) || true
			grep -qxF -- "$sum  $part" <<<"$MANIFEST" ||
				die "$EX_NOT_TRUSTED" "$BUNDLE was cut off or changed after it was signed: $part is not what its maker put in; copy it again from where it was made"
		done
	fi
	[ "${MANIFEST%%$'\n'*}" = "pressbox bundle 1" ] ||
		die "$EX_FAILED" "$BUNDLE was made by another version of Pressbox; use the checkout in it, or make a new one"
}

# verify_signature FILE: sets MANIFEST to the text in it that one of the trusted signers has signed
verify_signature() {
	local home=$TEMPORARY/gnupg status=$TEMPORARY/status
	has gpg || die "$EX_NOT_TRUSTED" "GnuPG is not installed, and without it nobody can say who made $BUNDLE; install gpg, or give the checksum that its maker has told you: --bundle $BUNDLE@sha256:DIGEST"
	mkdir -m 700 "$home"
	gpg_in "$home" --import "$ROOT"/gnupg/*.pub.asc >/dev/null 2>&1 || true
	MANIFEST=$(gpg_in "$home" --status-fd 3 --trust-model always --output - --decrypt "$1" 3>"$status" 2>/dev/null) || true
	demand_signature "$(sed -n 's/^\[GNUPG:\] //p' "$status")"
}

# gpg_in HOME ARGUMENT...: GnuPG that heeds no configuration, asks no server and starts nothing. Of a key from the
# future it would know nothing at all: that the clock is wrong is said by whoever looks at the time of the signature.
gpg_in() {
	gpg --homedir "$1" --no-options --batch --no-tty --quiet --no-autostart --disable-dirmngr --no-auto-key-retrieve \
		--no-auto-check-trustdb --no-allow-non-selfsigned-uid --ignore-time-conflict "${@:2}"
}

# demand_signature STATUS: GnuPG has reported exactly one good signature over a text, by a trusted signer
demand_signature() {
	local why='' today made hash kind signer
	today=$(date -u +%Y-%m-%d)
	case $'\n'$1 in
	*$'\n'REVKEYSIG*) why="its signer's key has been revoked; ask for one that is signed with another" ;;
	*$'\n'EXPKEYSIG*) why="its signer's key has expired, by this machine's clock ($today); set the clock, or ask for one that is signed with another" ;;
	*$'\n'NO_PUBKEY*) why="its signer is not trusted here ($(awk '$1 == "NO_PUBKEY" { print $2 }' <<<"$1")); if it should be: scripts/keys.sh trust" ;;
	*$'\n'BADSIG*) why="its manifest was changed after it was signed; copy it again from where it was made" ;;
	esac
	# GnuPG's doc/DETAILS has what follows VALIDSIG.
	read -r made hash kind signer < <(awk '$1 == "VALIDSIG" { print $4, $9, $10, $11 }' <<<"$1") || true
	if [ -z "$why" ]; then
		if [ "$(grep -cE '^(NEWSIG|GOODSIG|VALIDSIG)( |$)' <<<"$1")" != 3 ] || [[ $HASHES != *" $hash "* || $kind != 01 ]]; then
			why="it has not exactly one good signature, by this machine's clock ($today); set the clock, or ask its maker for a new one"
		elif [ "$made" -gt "$(date +%s)" ]; then
			why="it was signed in the future, by this machine's clock ($today); set the clock"
		fi
	fi
	[ -z "$why" ] || die "$EX_NOT_TRUSTED" "$BUNDLE is not trusted: $why"
	demand_signer "$signer"
}

# demand_signer FINGERPRINT: unless it is trusted today for what is done
demand_signer() {
	local until
	grep -qF "\"$1\"" "$ROOT/gnupg/keyname-to-fingerprint.json" ||
		die "$EX_NOT_TRUSTED" "$BUNDLE is not trusted: the key $1 is not that of a trusted signer; if it should be: scripts/keys.sh trust"
	until=$(sed -n "s/^.*\"$1\": \"\([0-9-]*\)\".*/\1/p" "$ROOT/gnupg/retiring.json" 2>/dev/null) || true
	[ -z "$until" ] || [[ ! $(date -u +%Y-%m-%d) > $until ]] ||
		die "$EX_NOT_TRUSTED" "$BUNDLE is not trusted: its signer was retired on $until; ask for one that is signed with the key that replaced it"
	if [ "$1" = "$DEMO" ]; then
		[ -z "$BUNDLE_OF_RELEASE" ] || die "$EX_NOT_TRUSTED" "$BUNDLE is signed with the demo key, which everybody has, and this is a release; sign the bundle with a key of your own"
		say "NOT PROTECTED: the bundle is signed with the demo key, which everybody has"
	elif [ -n "$BUNDLE_OF_RELEASE" ] && grep -qsF "\"$1\"" "$ROOT/gnupg/experiments.json"; then
		die "$EX_NOT_TRUSTED" "$BUNDLE is signed with a key that is trusted for experiments only, and this is a release; sign it with a key for releases"
	fi
}

# bundled NAME: what the manifest says about it
bundled() {
	sed -n "s/^$1 //p" <<<"$MANIFEST"
}

# bundle_inputs: one number for what image and toolchain are made of, whatever base this engine has
bundle_inputs() {
	cat "${INPUTS[@]/#/$ROOT/}" "$TOOLCHAIN/package-lock.json" | sha256
}

# demand_fitting: the image is for this engine, and it is that of this checkout
demand_fitting() {
	local here
	here=$(engine_architecture)
	[ "$here" = "$(bundled architecture)" ] ||
		die "$EX_FAILED" "the image in $BUNDLE is for $(bundled architecture), and this engine runs on $here; make a bundle on a machine like this one"
	[ "$(bundled inputs)" = "$(bundle_inputs)" ] ||
		die "$EX_STALE" "the image in $BUNDLE was made from another Dockerfile or other locks than this checkout has; use the checkout in it (docs/offline.md), or commit $(bundled commit)"
}

# image_id: prints what the engine calls the image, if it has it
image_id() {
	local id
	for id in $(bundled image); do
		if "$ENGINE" image inspect "$id" >/dev/null 2>&1; then
			printf '%s\n' "$id"
			return 0
		fi
	done
	return 1
}

# load_image: unless it is there; under the name by which require_image looks for it
load_image() {
	local log=$TEMPORARY/load.log
	choose_base
	choose_tag
	! "$ENGINE" image inspect "$TAGGED" >/dev/null 2>&1 || return 0
	if ! image_id >/dev/null; then
		say "loading the image"
		if [ -n "$DRY_RUN" ]; then
			say "tar -xOf ${BUNDLE@Q} image.tar | ${ENGINE@Q} load"
			return
		fi
		if ! member image.tar | "$ENGINE" load >"$log" 2>&1; then loading_failed "$log"; fi
		# By its digest: whatever was read the second time, the manifest names this image.
		image_id >/dev/null || die "$EX_NOT_TRUSTED" "$BUNDLE was changed while it was read; copy it again from where it was made"
	fi
	run "$ENGINE" tag "$(image_id)" "$TAGGED"
}

# loading_failed LOG
loading_failed() {
	if grep -qi 'no space left on device' "$1"; then
		die "$EX_FAILED" "the image was not loaded: no space is left where the engine keeps images; make room, e.g. with $ENGINE system prune"
	fi
	die "$EX_FAILED" "the image was not loaded ($(tail -n 1 "$1")); correct that, and try again"
}

# unpack_toolchain: unless the one that is there is that of the lock
unpack_toolchain() {
	local part=$TOOLCHAIN/.node_modules.$$
	own_place "$TOOLCHAIN/node_modules"
	if [ -n "$DRY_RUN" ] || toolchain_is_there; then return 0; fi
	PART=$part
	# With times of now: the lock is older.
	if ! { mkdir "$part" && member toolchain.tar.gz | tar -xzmf - -C "$part" --no-same-owner; } 2>"$TEMPORARY/log"; then
		die "$EX_FAILED" "the toolchain was not unpacked to $TOOLCHAIN ($(tail -n 1 "$TEMPORARY/log")); make room there"
	fi
	rm -rf "$TOOLCHAIN/node_modules"
	mv "$part/node_modules" "$TOOLCHAIN/node_modules"
	rm -rf "$part"
	PART=
}
