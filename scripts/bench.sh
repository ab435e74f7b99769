#!/usr/bin/env -S bash -p
HEEDS=(PRESSBOX_REAL_DATA)
# shellcheck source=scripts/lib/begin.sh
. -- "${0%"${0##*/}"}lib/begin.sh"

usage() {
	cat <<'USAGE'
usage: scripts/bench.sh [OPTION]...
Measure builds, trainings and verifications side by side: a table on standard error, JSON on
standard output. Times are medians in seconds.

  --bootstrap      install and start what is missing: engine, base image, Node.js (Debian, as root)
  --cold           build without any cache too, and the same packages in the textbook's one stage;
                   empties the engine's caches of downloads. Pull the published image, if
                   environment.lock names one of these inputs
  --large          seal and open a model of 96 MiB and train on 100,000 texts too; takes minutes
  --runs N         how often each thing is done (default: 5; builds once)
  -h, --help       print this
  --version        print the version

PRESSBOX_REAL_DATA names a folder with real data, to train on that beside scikit-learn's defaults.

example: scripts/bench.sh --cold >bench.json
USAGE
}

cold='' large='' runs=5
read_options "$@"
for given in "${GIVEN[@]}"; do
	case $given in
	--cold) cold=yes ;;
	--large) large=--large ;;
	--runs=*) runs=${given#*=} && demand_number --runs "$runs" ;;
	esac
done
no_more "${ARGUMENTS[@]}" "${REST[@]}"

rows=()

# row NAME VALUE UNIT
row() {
	rows+=("{\"name\": \"$1\", \"value\": $2, \"unit\": \"$3\"}")
	printf '%-58s %10s %s\n' "$1" "$2" "$3" >&2
}

# median: of the numbers on standard input
median() {
	sort -n | awk '{ t[NR] = $1 } END { printf "%.2f", t[int((NR + 1) / 2)] }'
}

# megabytes IMAGE
megabytes() {
	"$ENGINE" image inspect --format '{{.Size}}' "$1" | awk '{ printf "%d", $1 / 1e6 }'
}

# measure NAME RUNS COMMAND...: the median of its wall-clock times
measure() {
	local name=$1 count=$2 run start log=$TEMPORARY/log times=''
	shift 2
	for ((run = 0; run < count; run++)); do
		start=${EPOCHREALTIME/[.,]/}
		if ! "$@" >"$log" 2>&1; then
			cat "$log" >&2
			die "$EX_FAILED" "$name failed; its output is above"
		fi
		times+=$((${EPOCHREALTIME/[.,]/} - start))$'\n'
	done
	row "$name" "$(printf %s "$times" | awk '{ print $1 / 1e6 }' | median)" s
}

inside_container && die "$EX_USAGE" "the bench runs on the host, where the engine is"
require_engine
require_image
require_devcontainer_cli
choose_base
trap 'rm -f "$ROOT/models/bench.tar.gz"; finish' EXIT

# pull_published: the image that the lock names, where none of its layers is here
pull_published() {
	local image=$PUBLISHED_NAME@$PUBLISHED_DIGEST
	"$ENGINE" image rm --force "$TAGGED" "$IMAGE" >/dev/null 2>&1 || true
	measure "pull" 1 fetch "$image"
	row "pulled" "$("$ENGINE" manifest inspect --insecure "$image" | awk '/"size":/ { sum += $2 } END { printf "%d", sum / 1e6 }')" MB
	"$ENGINE" tag "$image" "$TAGGED"
	"$ENGINE" tag "$image" "$IMAGE"
	"$ENGINE" image rm "$image" >/dev/null
}

if [ -n "$cold" ] && read_published; then pull_published; fi
require_network
cd "$NETWORK_FOLDER"
build=("$ENGINE" build "${BUILD_NETWORK[@]}" --file "$ROOT/.devcontainer/Dockerfile" --tag "$TAGGED" --build-arg "BASE_IMAGE=$BASE_IMAGE")
if [ -n "$cold" ]; then
	"$ENGINE" builder prune --force --filter type=exec.cachemount >/dev/null
	measure "build, cold" 1 "${build[@]}" --no-cache "$ROOT"
	textbook=("$ENGINE" build --file "$ROOT/bench/textbook.Dockerfile" --tag "$IMAGE-textbook"
		--build-arg "BASE_IMAGE=${BASE_IMAGE:-$(default_base)}")
	measure "build of the textbook's image, cold" 1 "${textbook[@]}" --no-cache "$ROOT"
	row "the textbook's image" "$(megabytes "$IMAGE-textbook")" MB
	"$ENGINE" image rm "$IMAGE-textbook" >/dev/null
fi
measure "build, nothing changed" 1 "${build[@]}" "$ROOT"
row "image" "$(megabytes "$TAGGED")" MB
row "image, compressed" "$("$ENGINE" save "$TAGGED" | gzip | wc -c | awk '{ printf "%d", $1 / 1e6 }')" MB

train=("$ROOT/scripts/train.sh" --output "$ROOT/models/bench.tar.gz")
measure "train.sh, docker door" "$runs" "${train[@]}" --door docker
"${train[@]}" --door devcontainer >/dev/null 2>&1
measure "train.sh, dev container door" "$runs" "${train[@]}" --door devcontainer
measure "verify.sh, docker door" "$runs" "$ROOT/scripts/verify.sh" --door docker "$ROOT/models/bench.tar.gz"

# within COMMAND...: in one container that runs already, to leave its start out of the figures
running_dev_container || die "$EX_FAILED" "the dev container is gone; start it with scripts/train.sh --door devcontainer"
within() {
	"$ENGINE" exec --user "$(user_in_dev_container)" --env HOME=/tmp --workdir "$INSIDE" "$CONTAINER" "$@"
}
measure "docker exec of nothing" "$runs" within true
measure "train.py" "$runs" within python train.py /tmp/bench.tar.gz
measure "train.py --no-page" "$runs" within python train.py /tmp/bench.tar.gz --no-page
measure "python -m pressbox verify" "$runs" within python -m pressbox verify models/bench.tar.gz
measure "python -m pressbox predict" "$runs" within python -m pressbox predict models/bench.tar.gz "a text"
row "predict 10,000 lines" "$(within python bench/predicting.py models/bench.tar.gz | median)" "texts/s"
measure "import pressbox" "$runs" within python -c 'import pressbox'
row "check of the passport" "$(for ((run = 0; run < runs; run++)); do within python bench/checking.py; done | median)" s
row "deep check" "$(within python bench/checking.py --deep | median)" s

# training: in a container of its own, which may see folders outside of the checkout
training() {
	let_in_real_data
	choose_door docker
	enter "$PYTHON" bench/training.py "${large:---small}"
}

while IFS=$'\t' read -r name value unit; do
	row "$name" "$value" "$unit"
done < <(within python bench/opening.py models/bench.tar.gz "${large:---small}" && training)

printf '[\n  %s\n]\n' "$(printf '%s' "${rows[0]}" && printf ',\n  %s' "${rows[@]:1}")"
