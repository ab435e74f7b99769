#!/usr/bin/env -S bash -p
HEEDS=(PRESSBOX_FUZZ_SECONDS PRESSBOX_REAL_DATA PRESSBOX_SCREENSHOTS)
# shellcheck source=scripts/lib/begin.sh
. -- "${0%"${0##*/}"}lib/begin.sh"
# shellcheck source=tests/drivers/browser.sh
. "$ROOT/tests/drivers/browser.sh"

usage() {
	cat <<'USAGE'
usage: scripts/test.sh [OPTION]... [SUITE]
Run the tests. Default: all.

  unit, integration  pytest, inside the image
  browser            pytest, with Debian's chromium on top of the image: the page of a model
  doors              bats, on the host, against the real engine
  sameness           of those, the two that train again and again and demand one model digest
  all                all of the above

No part of all are:
  layers             build without any cache on this engine and on Debian's newest, and compare
  arm64              build and train for arm64 under QEMU, and demand the model of this machine
  fuzz               attack the opening of models for ten minutes (PRESSBOX_FUZZ_SECONDS)

  --bootstrap      install and start what is missing: engine, base image, Node.js (Debian, as root)
  --help           print this

PRESSBOX_REAL_DATA names a folder with real data, for the tests that measure on it;
PRESSBOX_SCREENSHOTS one for pictures of the page (default: .cache/screenshots).

example: scripts/test.sh unit
USAGE
	heeded_variables
}

suite=all
while [ $# -gt 0 ]; do
	case $1 in
	--bootstrap) BOOTSTRAP=yes ;;
	--help) usage && exit 0 ;;
	unit | integration | browser | doors | sameness | all | layers | arm64 | fuzz) suite=$1 ;;
	*) unknown_option "$1" ;;
	esac
	shift
done

# pytest_inside FOLDER...
pytest_inside() {
	let_in_real_data
	choose_door "$(inside_container || printf docker)"
	# Root would be let in everywhere: it tests as the image's own user.
	[ "$(id -u)" != 0 ] || RUN_AS=1000:1000
	# On all processors, as far as PRESSBOX_MEMORY goes: each takes about a GiB.
	enter "$PYTHON" -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal "$@"
}

# The fuzzer is no part of the environment: it is installed, by hash, beside it for this one run.
fuzz_inside() {
	choose_door "$(inside_container || printf docker)"
	[ "$(id -u)" != 0 ] || RUN_AS=1000:1000
	NETWORK=bridge
	TMP=mode=1777,exec
	VARIABLES+=(--env PYTHONPATH=/tmp/fuzz)
	# shellcheck disable=SC2016 # expanded in the container
	enter bash -c '
		pip install --quiet --target /tmp/fuzz --require-hashes --requirement tests/fuzz/requirements.txt
		python tests/fuzz/fuzz_opening.py -max_total_time="$1"' bash "${PRESSBOX_FUZZ_SECONDS:-600}"
}

# bats_outside FILE...
bats_outside() {
	inside_container && die "$EX_USAGE" "the tests of the doors run on the host, where the engine is"
	require_engine
	require_image
	require_devcontainer_cli
	export ENGINE TAGGED
	local log=$TEMPORARY/log status=0
	"$TOOLCHAIN/node_modules/bats/bin/bats" --tap --timing --print-output-on-failure "$@" | tee "$log" || status=1
	printf 'doors: %d passed, %d failed, %d skipped\n' "$(grep -c '^ok ' "$log" || true)" \
		"$(grep -c '^not ok ' "$log" || true)" "$(grep -c '^ok .* # skip' "$log" || true)"
	return "$status"
}

case $suite in
unit | integration) pytest_inside "tests/$suite" ;;
browser) browser_tests ;;
doors) bats_outside "$ROOT/tests/doors" ;;
sameness)
	failed=0
	(pytest_inside tests/integration/test_sameness.py -s --numprocesses 0) || failed=1
	(bats_outside "$ROOT/tests/doors/sameness.bats") || failed=1
	exit "$failed"
	;;
layers)
	# shellcheck source=tests/drivers/layers.sh
	. "$ROOT/tests/drivers/layers.sh"
	test_layers
	;;
arm64)
	# shellcheck source=tests/drivers/arm64.sh
	. "$ROOT/tests/drivers/arm64.sh"
	test_arm64
	;;
fuzz) fuzz_inside ;;
all)
	# Each suite is run, whatever the other says. Subshells: both choose their own door.
	failed=0
	(pytest_inside tests/unit tests/integration) || failed=1
	(browser_tests) || failed=1
	(bats_outside "$ROOT/tests/doors") || failed=1
	exit "$failed"
	;;
esac
