#!/usr/bin/env -S bash -p
HEEDS=(PRESSBOX_DATA_HOME PRESSBOX_FUZZ_SECONDS PRESSBOX_REAL_DATA PRESSBOX_SCREENSHOTS)
# shellcheck source=scripts/lib/begin.sh
. -- "${0%"${0##*/}"}lib/begin.sh"
# shellcheck source=scripts/lib/sources.sh
. "$ROOT/scripts/lib/sources.sh"
# shellcheck source=tests/drivers/browser.sh
. "$ROOT/tests/drivers/browser.sh"

usage() {
	cat <<'USAGE'
usage: scripts/test.sh [OPTION]... [SUITE [ARGUMENT]...]
Run the tests. Default: all. What follows unit, integration, newsroom, browser or doors is for
pytest or bats, beginning with an option of theirs.

  unit, integration  pytest, inside the image
  browser            pytest, with Debian's chromium on top of the image: the page of a model
  doors              bats, on the host, against the real engine
  sameness           of those, the two that train again and again and demand one model digest
  all                all of the above

Not part of all:
  newsroom           your own train.py on your own texts: the model is trained, sealed, opened and
                     replayed, and is the same twice. Needs no key; --data SOURCE, --test SOURCE,
                     --text-column, --label-column, --delimiter and --encoding as for train.sh
  layers             build without any cache on this engine and on Debian's newest, and compare
  arm64              build and train for arm64 under QEMU, and demand the model of this machine
  fuzz               attack the opening of models for ten minutes (PRESSBOX_FUZZ_SECONDS)

  --bootstrap      install and start what is missing: engine, base image, Node.js (Debian, as root)
  -h, --help       print this

PRESSBOX_REAL_DATA names a folder with real data, for the tests that measure on it;
PRESSBOX_SCREENSHOTS one for pictures of the page (default: .cache/screenshots).

example: scripts/test.sh unit -k corpus
USAGE
	heeded_variables
}

suite='' training=() arguments=()
while [ $# -gt 0 ]; do
	case $1 in
	--bootstrap) BOOTSTRAP=yes ;;
	-h | --help) usage && exit 0 ;;
	--data=* | --test=* | --text-column=* | --label-column=* | --delimiter=* | --encoding=*)
		set -- "${1%%=*}" "${1#*=}" "${@:2}"
		continue
		;;
	--data | --test | --text-column | --label-column | --delimiter | --encoding)
		needs_value "$@"
		training+=("$1" "$2")
		shift
		;;
	-*)
		[ -n "$suite" ] || unknown_option "$1"
		arguments=("$@")
		break
		;;
	unit | integration | newsroom | browser | doors | sameness | all | layers | arm64 | fuzz)
		[ -z "$suite" ] || die "$EX_USAGE" "one suite at a time; omit $suite or $1"
		suite=$1
		;;
	*) unknown_option "$1" ;;
	esac
	shift
done
suite=${suite:-all}
case $suite in
unit | integration | newsroom | browser | doors) ;;
*) [ "${#arguments[@]}" = 0 ] || unknown_option "${arguments[0]}" ;;
esac
[ "$suite" = newsroom ] || [ "${#training[@]}" = 0 ] || die "$EX_USAGE" "${training[0]} is for the newsroom's own model; use it with newsroom"

# pytest_inside FOLDER...
pytest_inside() {
	let_in_real_data
	choose_door "$(inside_container || printf docker)"
	# Root would be let in everywhere: it tests as the image's own user.
	[ "$(id -u)" != 0 ] || RUN_AS=1000:1000
	# On all processors, as far as PRESSBOX_MEMORY goes: each takes about a GiB.
	enter "$PYTHON" -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal "$@"
}

# newsroom_tests ARGUMENT...: one after the other, on the model that they share
newsroom_tests() {
	local options=() option value
	choose_door "$(inside_container || printf docker)"
	set -- "$@" --numprocesses 0
	while [ "${#training[@]}" -gt 0 ]; do
		option=${training[0]} value=${training[1]}
		case $option in
		--data | --test) let_in_source "${option#--}" "$value" && value=${SEEN[${option#--}]} ;;
		esac
		options+=("--training=$option=$value")
		training=("${training[@]:2}")
	done
	pytest_inside tests/newsroom "${options[@]}" "$@"
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
	inside_container && die "$EX_USAGE" "the tests of the doors need the engine; run them on the host"
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
unit | integration) pytest_inside "tests/$suite" "${arguments[@]}" ;;
newsroom) newsroom_tests "${arguments[@]}" ;;
browser) browser_tests "${arguments[@]}" ;;
doors) bats_outside "${arguments[@]}" "$ROOT/tests/doors" ;;
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
