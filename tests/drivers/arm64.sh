# shellcheck shell=bash
# The same model on another architecture: trained in the arm64 image, under QEMU, and natively.
# Stands on doors.sh, which whoever sources this has sourced.

ARM64_BASE=pressbox-base:trixie-arm64

# test_arm64: 0 if each source gives the same model digest on both; prints a table
test_arm64() {
	local folder native failed=0
	! inside_container || die "$EX_USAGE" "arm64 is emulated on the host, where the engine is"
	[ "$(uname -m)" = x86_64 ] || die "$EX_USAGE" "this host is not amd64 but $(uname -m), which scripts/test.sh all tests natively; there is nothing to emulate"
	require_engine
	require_image
	native=$TAGGED
	require_emulation
	require_arm64_image
	folder=$TEMPORARY/models
	mkdir "$folder"
	# Who root is inside writes there.
	[ "$(id -u)" != 0 ] || chown "$NOBODY" "$folder"
	printf '%-12s %-12s %8s  %-71s  %s\n' source architecture seconds 'model digest' 'environment digest'
	compare_architectures "$folder" newsroom "$native" newsroom || failed=1
	if [ -n "${PRESSBOX_REAL_DATA:-}" ]; then
		tar --extract --file "$PRESSBOX_REAL_DATA/20news-bydate-sport.tar.xz" --directory "$folder"
		chmod -R a+rX "$folder"
		compare_architectures "$folder" newsgroups "$native" "$folder/20news" || failed=1
	else
		say "newsgroups was left out; PRESSBOX_REAL_DATA names the folder that has it"
	fi
	return "$failed"
}

# emulates_arm64: 0 if arm64 programs run here, in containers too (F: the kernel holds QEMU open)
emulates_arm64() {
	has arch-test && arch-test arm64 >/dev/null && grep -q '^flags:.*F' /proc/sys/fs/binfmt_misc/qemu-aarch64
}

require_emulation() {
	! emulates_arm64 || return 0
	[ -n "$BOOTSTRAP" ] || die "$EX_UNAVAILABLE" "arm64 programs do not run here; install arch-test, binfmt-support and qemu-user-static, or run this again with --bootstrap"
	require_apt "QEMU"
	apt_install arch-test binfmt-support qemu-user-static
	# systemd does it when the package is installed.
	if [ ! -d /run/systemd/system ]; then
		mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
		update-binfmts --enable qemu-aarch64
	fi
	emulates_arm64 || die "$EX_UNAVAILABLE" "QEMU is installed, but the kernel does not run arm64 programs with it; see update-binfmts --display qemu-aarch64"
}

# require_arm64_image: sets TAGGED, a tag that names what the image is made of
require_arm64_image() {
	# A base from a registry has both architectures; the one made here has this host's alone.
	if [ "$BASE_IMAGE" = "$LOCAL_BASE" ]; then
		BASE_IMAGE=$ARM64_BASE
		if ! "$ENGINE" image inspect "$ARM64_BASE" >/dev/null 2>&1; then
			[ -n "$BOOTSTRAP" ] || die "$EX_UNAVAILABLE" "there is no $ARM64_BASE; run this again with --bootstrap, which makes it"
			make_base "$ARM64_BASE" arm64
		fi
	fi
	TAGGED=$IMAGE:arm64-$(inputs_digest | cut -c 1-12)
	if ! "$ENGINE" image inspect "$TAGGED" >/dev/null 2>&1; then
		say "under QEMU, the image takes 20 minutes or more"
		build_image --platform linux/arm64 --tag "$TAGGED"
	fi
}

# compare_architectures FOLDER NAME NATIVE SOURCE: 0 if both images make the same model of it
compare_architectures() {
	local folder=$1 name=$2 native=$3 source=$4 architecture tagged seconds shown digest first=
	for architecture in amd64 arm64; do
		tagged=$native
		[ "$architecture" = amd64 ] || tagged=$TAGGED
		seconds=$(train_with "$tagged" "$folder/$name-$architecture.tar.gz" "$source") || return 1
		# Each is opened on amd64, by whoever runs this.
		shown=$(show_with "$native" "$folder/$name-$architecture.tar.gz") || return 1
		digest=$(digest_in "$shown" model)
		[ -n "$digest" ] || die "$EX_FAILED" "the model from $architecture shows no digest; see: python -m pressbox show"
		printf '%-12s %-12s %8d  %s  %s\n' "$name" "$architecture" "$seconds" "$digest" "$(digest_in "$shown" environment)"
		[ "${first:=$digest}" = "$digest" ] || {
			printf '%-12s NOT the same model\n' "$name"
			return 1
		}
	done
	printf '%-12s the same model\n' "$name"
}

# train_with TAGGED MODEL SOURCE: prints the seconds that it took
train_with() (
	folder=$(dirname "$2") source=$3 start=$SECONDS
	TAGGED=$1
	if [ -e "$source" ]; then
		let_in data "$source" ro
		source=${SEEN[data]}
	fi
	let_write models "$folder" "$folder"
	through_docker "$PYTHON" train.py "${SEEN[models]}/$(basename "$2")" --data "$source" >&2 || exit 1
	printf '%d\n' "$((SECONDS - start))"
)

# show_with TAGGED MODEL: prints what `show` says of it, as JSON
show_with() (
	TAGGED=$1
	let_in model "$2" ro
	through_docker "$PYTHON" -m pressbox show "${SEEN[model]}" --json
)

# digest_in JSON NAME
digest_in() {
	sed -n "s/^ *\"$2_digest\": \"\(sha256:[0-9a-f]*\)\".*/\1/p" <<<"$1"
}
