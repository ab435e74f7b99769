#!/usr/bin/env bats
# What every engine has to do: the one at hand, podman with root and without, and rootless Docker, all real. The present
# image is loaded into the others.

load doors

ALL=(docker podman rootless-podman rootless-docker)
SITE=/opt/venv/lib/python3.13/site-packages

setup_file() {
	local engine pids=() reason failed=
	reason=$(driver why_no_engines)
	[ -z "$reason" ] || skip "$reason"
	export FOLDER
	FOLDER=$(mktemp -d /var/tmp/pressbox-engines.XXXXXX)
	driver start_engines "$FOLDER" >/dev/null 2>&1 3>&-
	driver save_image "$FOLDER" "$TAGGED"
	# The slowest part of each: unpacking the image, and a training.
	for engine in "${ALL[@]}"; do
		prepare "$engine" >"$FOLDER/$engine.log" 2>&1 3>&- &
		pids+=($!)
	done
	for engine in "${pids[@]}"; do wait "$engine" || failed=yes; done
	[ -z "$failed" ] || { tail -n 5 "$FOLDER"/*.log >&2 && return 1; }
	facts docker >"$FOLDER/docker.json"
	# As podman-docker has it.
	mkdir "$FOLDER/names"
	printf '#!/bin/sh\nexec podman "$@"\n' >"$FOLDER/names/docker"
	chmod 755 "$FOLDER/names/docker"
}

teardown_file() {
	[ -z "${FOLDER:-}" ] || driver end_engines "$FOLDER"
}

# driver FUNCTION ARGUMENT...: of tests/drivers/engines.sh, in a shell of its own: bats has a `run` too
driver() {
	# shellcheck disable=SC2016 # expanded by that bash
	bash -c '. "$1/scripts/lib/image.sh"; . "$1/tests/drivers/engines.sh"; "${@:2}"' bash "$REPOSITORY" "$@"
}

# prepare ENGINE: the image, a checkout of its user's, and in that a model
prepare() {
	local engine=$1 checkout=$FOLDER/$1/checkout
	copy_checkout "$checkout"
	case $engine in
	rootless-*) chown -R "$(stat -c %u:%g "$FOLDER/home")" "$FOLDER/$engine" ;;
	*) chown -R 0:0 "$FOLDER/$engine" ;;
	esac
	[ "$engine" = docker ] || driver load_into "$FOLDER" "$engine" "$TAGGED" || return
	in_checkout "$engine" scripts/train.sh --door "$(client "$engine")"
}

# client ENGINE: its command, and the name of its door
client() {
	case $1 in
	*podman) echo podman ;;
	*) echo docker ;;
	esac
}

# in_checkout ENGINE COMMAND...: of its user's
in_checkout() {
	local engine=$1
	shift
	(cd "$FOLDER/$engine/checkout" && driver on "$FOLDER" "$engine" "$@")
}

# facts ENGINE [MODEL]: what verify says of its model
facts() {
	in_checkout "$1" scripts/verify.sh --door "$(client "$1")" "${2:-models/sports.tar.gz}" --json 2>/dev/null
}

# same_facts FILE DOOR: 0 if they are those of the engine at hand, but for the door, and nothing has drifted
same_facts() {
	local fact said
	for fact in model_digest environment_digest; do
		said=$(grep -o "\"$fact\": \"sha256:[0-9a-f]*\"" "$1")
		[ -n "$said" ] && echo "$2 $said" && [[ $(cat "$FOLDER/docker.json") == *"$said"* ]] || return 1
	done
	grep -q "\"door\": \"$2\"" "$1" && grep -q '"drift": \[\]' "$1"
}

@test "every engine trains the same model in the same environment, and verifies it" {
	local engine
	for engine in "${ALL[@]}"; do
		[ "$engine" = docker ] || facts "$engine" >"$FOLDER/$engine.json"
		same_facts "$FOLDER/$engine.json" "$(client "$engine")"
	done
}

@test "what is written belongs to the caller, who may change it" {
	local engine
	for engine in "${ALL[@]}"; do
		run -0 in_checkout "$engine" bash -c 'stat -c "%a %u:%g" models/sports.*; id -u; id -g; echo >>models/sports.html'
		[ "${lines[*]}" = "644 ${lines[2]}:${lines[3]} 644 ${lines[2]}:${lines[3]} ${lines[2]} ${lines[3]}" ]
		[ "$(ls -A "$FOLDER/$engine/checkout/models")" = "$(printf '%s\n' .gitignore sports.html sports.tar.gz)" ]
	done
}

@test "doctor names the engine, and finds no drift" {
	local engine
	for engine in "${ALL[@]}"; do
		run -0 in_checkout "$engine" scripts/doctor.sh --door "$(client "$engine")"
		case $engine in
		docker) [[ ${lines[0]} == *"engine       Docker "*" at "* && ${lines[0]} != *rootless* ]] ;;
		podman) [[ ${lines[0]} == *"engine       podman "*" at "* && ${lines[0]} != *rootless* ]] ;;
		rootless-podman) [[ ${lines[0]} == *"engine       podman "*", rootless, at "* ]] ;;
		rootless-docker) [[ ${lines[0]} == *"engine       Docker "*", rootless, at "* ]] ;;
		esac
		[[ $output == *"up to date"*"drift        none"* && $output != *WRONG* && $output != *emplate* ]]
	done
}

@test "predict reads standard input to its end" {
	local engine
	for engine in "${ALL[@]}"; do
		run --separate-stderr in_checkout "$engine" scripts/pressbox.sh predict --door "$(client "$engine")" models/sports.tar.gz \
			< <(printf 'puck and stick\n' && sleep 0.2 && printf 'bat and wicket\n')
		echo "$engine: $stderr"
		[[ $status = 0 && ${lines[0]} == "ice hockey"* && ${lines[1]} == cricket* ]]
	done
}

# changed ENGINE OPTION...: what doctor says in a container in which a module was edited
changed() {
	local engine=$1
	shift
	run in_checkout "$engine" "$(client "$engine")" run --rm --network none --env HOME=/tmp --volume "$FOLDER/$engine/checkout:/workspaces/pressbox" \
		"$@" "$TAGGED" bash -c "$CHANGE python -m pressbox doctor"
}

@test "an edit of the image's files is told, also where the engine has copied them; a copy is no drift" {
	local engine user
	user=$(stat -c %u:%g "$FOLDER/home")
	for engine in "${ALL[@]}"; do
		CHANGE="echo '# edited' >>$SITE/threadpoolctl.py;" changed "$engine" --user 0
		[ "$status" = 4 ]
		[[ $output == *"WRONG drift        $SITE/threadpoolctl.py was changed"* ]]
	done
	CHANGE='' changed rootless-podman --userns keep-id --user "$user"
	[[ $status = 0 && $output == *"drift        none"* ]]
	# Its group may write there.
	CHANGE="echo '# edited' >>$SITE/threadpoolctl.py;" changed rootless-podman --userns keep-id --user "${user%:*}:990"
	[[ $status = 4 && $output == *"threadpoolctl.py was changed"* ]]
}

@test "Ctrl-C ends the container and leaves the earlier model" {
	local engine screen=$BATS_TEST_TMPDIR/screen before
	for engine in "${ALL[@]}"; do
		long_source "$FOLDER/$engine/checkout/long.csv"
		before=$(sha256sum <"$FOLDER/$engine/checkout/models/sports.tar.gz")
		: >"$screen"
		run -130 script -qefc "env --default-signal=INT bash -c '
			. $REPOSITORY/scripts/lib/engine.sh
			. $REPOSITORY/tests/drivers/engines.sh
			cd $FOLDER/$engine/checkout
			on $FOLDER $engine scripts/train.sh --door $(client "$engine") --data long.csv'" "$screen" < <(
			when_line "texts to train on" "$screen"
			printf '\003'
			timeout 60 tail -f /dev/null --pid="$(pgrep -f "train.sh --door $(client "$engine") --data long.csv" | head -n 1)"
		)
		grep -q "error: .*nothing was changed" "$screen"
		# On the engine at hand others run containers, too.
		[ "$engine" = docker ] || [ -z "$(in_checkout "$engine" "$(client "$engine")" ps --quiet)" ]
		[ "$(sha256sum <"$FOLDER/$engine/checkout/models/sports.tar.gz")" = "$before" ]
	done
}

@test "podman under the name of docker is podman" {
	mkdir "$BATS_TEST_TMPDIR/names"
	ln -s "$(command -v podman)" "$BATS_TEST_TMPDIR/names/docker"
	PATH=$BATS_TEST_TMPDIR/names:$PATH run -0 in_checkout podman scripts/doctor.sh
	[[ ${lines[0]} == *"engine       podman "*" at $BATS_TEST_TMPDIR/names/docker" ]]
}

# in_dev_container ENGINE: train there, and have doctor look at it as it is, and after an edit; prints what was said
in_dev_container() {
	local engine=$1 container client
	client=$(client "$engine")
	# Where docker is, podman is not asked.
	[ "$engine" != podman ] || export PATH=$FOLDER/names:$PATH
	in_checkout "$engine" scripts/train.sh --door devcontainer --output models/inside.tar.gz || return
	container=$(in_checkout "$engine" "$client" ps --quiet --filter "label=devcontainer.local_folder=$FOLDER/$engine/checkout")
	in_checkout "$engine" scripts/doctor.sh || return
	in_checkout "$engine" "$client" exec --user 0 "$container" bash -c "echo '# edited' >>$SITE/threadpoolctl.py" || return
	in_checkout "$engine" scripts/doctor.sh || echo "edited: $?"
}

@test "the dev container of each trains the same model, for the caller, and doctor looks into it" {
	local engine pids=() others=("${ALL[@]:1}")
	for engine in "${others[@]}"; do
		in_dev_container "$engine" >"$FOLDER/$engine.log" 2>&1 3>&- &
		pids+=($!)
	done
	for engine in "${pids[@]}"; do wait "$engine"; done || true
	for engine in "${others[@]}"; do
		# Later tests look at containers of their own.
		in_checkout "$engine" "$(client "$engine")" ps --all --quiet --filter "label=devcontainer.local_folder" |
			(in_checkout "$engine" xargs --no-run-if-empty "$(client "$engine")" rm --force)
		echo "$engine:" && cat "$FOLDER/$engine.log"
		[[ $(grep drift "$FOLDER/$engine.log") == "      drift        none"*$'\n'"WRONG drift        $SITE/threadpoolctl.py was changed"* ]]
		grep -qx 'edited: 4' "$FOLDER/$engine.log"
		facts "$engine" models/inside.tar.gz >"$FOLDER/$engine.json"
		same_facts "$FOLDER/$engine.json" devcontainer
		[ "$(stat -c %u:%g "$FOLDER/$engine/checkout"/models/inside.* | uniq)" = "$(stat -c %u:%g "$FOLDER/$engine/checkout/models")" ]
	done
}

@test "what the doors' own tests tag as podman's holds with it" {
	local suites=("$REPOSITORY"/tests/doors/{train,keys,pressbox}.bats) ours tagged
	tagged=$(cat "${suites[@]}" | grep -c '^# bats test_tags=podman$')
	mapfile -t ours < <(compgen -e BATS_ | sed 's/^/--unset=/')
	run -0 driver on "$FOLDER" podman env "${ours[@]}" --unset=BASE_IMAGE ENGINE="$FOLDER/names/docker" PATH="$FOLDER/names:$PATH" \
		"$REPOSITORY/.devcontainer/toolchain/node_modules/bats/bin/bats" --tap --timing --print-output-on-failure --filter-tags podman "${suites[@]}" 3>&-
	[ "${lines[0]}" = "1..$tagged" ]
	[[ $output != *"# skip"* ]]
}

@test "podman builds on a base that was made here" {
	mkdir "$BATS_TEST_TMPDIR/base"
	tar --create --file "$BATS_TEST_TMPDIR/base/base.tar" --directory "$REPOSITORY" train.py
	# shellcheck disable=SC2016 # expanded by that bash
	run -0 in_checkout podman bash -c '
		. scripts/lib/image.sh
		ENGINE=podman
		load_base pressbox-small:base "$(dpkg --print-architecture)" "$1"
		printf "FROM pressbox-small:base\nENV A=b\n" | podman build --quiet --tag pressbox-small:built -' bash "$BATS_TEST_TMPDIR/base"
}
