#!/usr/bin/env bash
# shellcheck source=scripts/lib/doors.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/doors.sh"

usage() {
	cat <<'USAGE'
usage: scripts/bench.sh [OPTION]...
Measure builds, trainings and verifications side by side: a table on standard error, JSON on
standard output. Times are medians in seconds.

  --bootstrap      install and start what is missing: engine, base image, Node.js (Debian, as root)
  --cold           build without any cache too; empties the engine's caches of downloads
  --large          seal and open a model of 256 MiB too; takes minutes
  --runs N         how often each thing is done (default: 5; builds once)
  --help           print this

example: scripts/bench.sh --cold >bench.json
USAGE
}

bootstrap='' cold='' large='' runs=5
while [ $# -gt 0 ]; do
	case $1 in
	--bootstrap) bootstrap=yes ;;
	--cold) cold=yes ;;
	--large) large=--large ;;
	--runs) needs_value "$@" && runs=$2 && shift ;;
	--help) usage && exit 0 ;;
	*) unknown_option "$1" ;;
	esac
	shift
done

rows=()

# row NAME VALUE UNIT
row() {
	rows+=("{\"name\": \"$1\", \"value\": $2, \"unit\": \"$3\"}")
	printf '%-34s %10s %s\n' "$1" "$2" "$3" >&2
}

# measure NAME RUNS COMMAND...: the median of its wall-clock times
measure() {
	local name=$1 count=$2 run start log times=''
	shift 2
	log=$(mktemp)
	for ((run = 0; run < count; run++)); do
		start=${EPOCHREALTIME/[.,]/}
		if ! "$@" >"$log" 2>&1; then
			cat "$log" >&2
			die "$EX_FAILED" "$name failed; its output is above"
		fi
		times+=$((${EPOCHREALTIME/[.,]/} - start))$'\n'
	done
	rm -f "$log"
	row "$name" "$(printf %s "$times" | sort -n | awk '{ t[NR] = $1 } END { printf "%.2f", t[int((NR + 1) / 2)] / 1e6 }')" s
}

inside_container && die "$EX_USAGE" "the bench runs on the host, where the engine is"
require_engine "$bootstrap"
require_image "$bootstrap"
require_devcontainer_cli "$bootstrap"
choose_base
trap 'rm -f "$ROOT/models/bench.tar.gz"' EXIT

build=("$ENGINE" build --file "$ROOT/.devcontainer/Dockerfile" --tag "$TAGGED" --build-arg "BASE_IMAGE=$BASE_IMAGE")
if [ -n "$cold" ]; then
	"$ENGINE" builder prune --force --filter type=exec.cachemount >/dev/null
	measure "build, cold" 1 "${build[@]}" --no-cache "$ROOT"
fi
measure "build, nothing changed" 1 "${build[@]}" "$ROOT"
row "image" "$("$ENGINE" image inspect --format '{{.Size}}' "$TAGGED" | awk '{ printf "%d", $1 / 1e6 }')" MB

train=("$ROOT/scripts/train.sh" --output "$ROOT/models/bench.tar.gz")
measure "train.sh, docker door" "$runs" "${train[@]}" --door docker
"${train[@]}" --door devcontainer >/dev/null 2>&1
measure "train.sh, dev container door" "$runs" "${train[@]}" --door devcontainer
measure "verify.sh, docker door" "$runs" "$ROOT/scripts/verify.sh" --door docker "$ROOT/models/bench.tar.gz"

# within COMMAND...: in one container that runs already, to leave its start out of the figures
running_dev_container || die "$EX_FAILED" "the dev container is gone; start it with scripts/train.sh --door devcontainer"
within() {
	"$ENGINE" exec --user "$(user_inside)" --env HOME=/tmp --workdir "$INSIDE" "$CONTAINER" "$@"
}
measure "docker exec of nothing" "$runs" within true
measure "train.py" "$runs" within python train.py models/bench.tar.gz
measure "python -m pressbox verify" "$runs" within python -m pressbox verify models/bench.tar.gz
measure "python -m pressbox predict" "$runs" within python -m pressbox predict models/bench.tar.gz "a text"
measure "import pressbox" "$runs" within python -c 'import pressbox'

while IFS=$'\t' read -r name value unit; do
	row "$name" "$value" "$unit"
done < <(within python scripts/lib/bench_opening.py models/bench.tar.gz "${large:---small}")

printf '[\n  %s\n]\n' "$(printf '%s' "${rows[0]}" && printf ',\n  %s' "${rows[@]:1}")"
