#!/usr/bin/env -S bash -p
HEEDS=(PRESSBOX_DATA_HOME PRESSBOX_FUZZ_SECONDS PRESSBOX_REAL_DATA PRESSBOX_SCREENSHOTS)
# shellcheck source=scripts/lib/begin.sh
. -- "${0%"${0##*/}"}lib/begin.sh"
# shellcheck source=scripts/lib/sources.sh
. "$ROOT/scripts/lib/sources.sh"
# shellcheck source=scripts/lib/bundle.sh
. "$ROOT/scripts/lib/bundle.sh"
# shellcheck source=tests/drivers/on_top.sh
. "$ROOT/tests/drivers/on_top.sh"
# shellcheck source=tests/drivers/engines.sh
. "$ROOT/tests/drivers/engines.sh"

usage() {
	cat <<'USAGE'
usage: scripts/test.sh [OPTION]... [SUITE [ARGUMENT]...]
Run the tests. Default: all. What follows unit, integration, style, newsroom, browser or doors is
for pytest or bats, beginning with an option of theirs.

  unit, integration  pytest, inside the image
  style              pytest, with ruff, pyright, shellcheck, shfmt and zizmor on top of the image
  browser            pytest, with Debian's chromium on top of the image: the page of a model
  doors              bats, on the host, against the real engine; as root on Debian also against podman
                     and rootless ones, which the tests start and end
  sameness           of those, the two that train again and again and demand one model digest
  all                all of the above

Not part of all:
  newsroom           your own train.py on your own texts: the model is trained, sealed, opened and
                     replayed, and is the same twice. Needs no key
  layers             build without any cache on this engine and on Debian's newest, and compare
  arm64              build and train for arm64 under QEMU, and demand the model of this machine
  fuzz               attack the opening of models for ten minutes (PRESSBOX_FUZZ_SECONDS)

  --data SOURCE, --test SOURCE, --text-column NAME, --label-column NAME, --delimiter CHARACTER,
  --encoding NAME  for newsroom, as for train.sh
  --bundle FILE    take the image and the toolchain from what scripts/bundle.sh has written, as
                   train.sh does. Default then: unit and integration, which need no network
  --bootstrap      install and start what is missing: engine, base image, Node.js, the engines of the
                   tests (Debian, as root)
  --build          build the image, even if it is here or can be pulled
  -h, --help       print this
  --version        print the version

PRESSBOX_REAL_DATA names a folder with real data, for the tests that measure on it;
PRESSBOX_SCREENSHOTS one for pictures of the page (default: .cache/screenshots).

example: scripts/test.sh unit -k corpus
USAGE
}

COMMANDS=(unit integration style newsroom browser doors sameness all layers arm64 fuzz)
HANDS_ON=yes
read_options "$@"
suite=${ARGUMENTS[0]:-all}
no_more "${ARGUMENTS[@]:1}"
case $suite in
unit | integration | style | newsroom | browser | doors) ;;
*) no_more "${REST[@]}" ;;
esac
bundle='' taken=()
for given in "${GIVEN[@]}"; do
	case $given in
	--bundle=*) bundle=${given#*=} ;;
	*) taken+=("$given") ;;
	esac
done
[ "$suite" = newsroom ] || [ "${#taken[@]}" = 0 ] || die "$EX_USAGE" "${taken[0]%%=*} is for the newsroom's own model; use it with newsroom"
if [ -n "$bundle" ]; then
	take_bundle "$bundle"
	[ "${#ARGUMENTS[@]}" -gt 0 ] || suite=offline
fi

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
	local options=() given name value
	choose_door "$(inside_container || printf docker)"
	for given in "${taken[@]}"; do
		name=${given%%=*} value=${given#*=}
		case $name in
		--data | --test) let_in_source "${name#--}" "$value" && value=${SEEN[${name#--}]} ;;
		esac
		options+=("--training=$name=$value")
	done
	set -- "$@" --numprocesses 0
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
	[ -z "$BOOTSTRAP" ] || [ "$(id -u)" != 0 ] || ! has apt-get || install_engines
	export ENGINE TAGGED
	local log=$TEMPORARY/log status=0
	"$TOOLCHAIN/node_modules/bats/bin/bats" --tap --timing --print-output-on-failure "$@" | tee "$log" || status=1
	printf 'doors: %d passed, %d failed, %d skipped\n' "$(grep -c '^ok ' "$log" || true)" \
		"$(grep -c '^not ok ' "$log" || true)" "$(grep -c '^ok .* # skip' "$log" || true)"
	return "$status"
}

case $suite in
offline) pytest_inside tests/unit tests/integration ;;
unit | integration) pytest_inside "tests/$suite" "${REST[@]}" ;;
newsroom) newsroom_tests "${REST[@]}" ;;
style) style_tests "${REST[@]}" ;;
browser) browser_tests "${REST[@]}" ;;
doors) bats_outside "${REST[@]}" "$ROOT/tests/doors" ;;
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
	(style_tests) || failed=1
	(browser_tests) || failed=1
	(bats_outside "$ROOT/tests/doors") || failed=1
	exit "$failed"
	;;
esac
