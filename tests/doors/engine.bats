#!/usr/bin/env bats
# The engine is found, never assumed.

load doors

setup_file() {
	export CHECKOUT=$BATS_FILE_TMPDIR/checkout
	copy_checkout "$CHECKOUT"
	# The tools of this machine, without any engine.
	export BARE=$BATS_FILE_TMPDIR/bare
	mkdir "$BARE"
	local tool
	for tool in apt-get basename bash cat cut dirname env find grep head id mktemp printf rm sed sha256sum stat; do
		ln -s "$(command -v "$tool")" "$BARE/$tool"
	done
}

# stub NAME: reads the script from standard input
stub() {
	mkdir -p "$BATS_TEST_TMPDIR/stubs"
	cat >"$BATS_TEST_TMPDIR/stubs/$1"
	chmod +x "$BATS_TEST_TMPDIR/stubs/$1"
}

@test "without an engine there is one error, status 69, and the line that helps" {
	PATH=$BARE run -69 --separate-stderr "$CHECKOUT/scripts/train.sh"
	one_error "there is no container engine"
	[[ $stderr == *--bootstrap* ]]
	[ -z "$output" ]
}

@test "an engine that does not answer is told from one that is not there" {
	DOCKER_HOST=unix://$BATS_TEST_TMPDIR/nobody run -69 --separate-stderr "$CHECKOUT/scripts/train.sh"
	one_error "no engine answers at DOCKER_HOST=unix://$BATS_TEST_TMPDIR/nobody"
}

@test "a docker without BuildKit is named, with what it lacks" {
	stub docker <<-'STUB'
		#!/usr/bin/env bash
		[ "$1" = version ] && echo "28.2.2 28.2.2"
	STUB
	PATH=$BATS_TEST_TMPDIR/stubs:$BARE run -69 --separate-stderr "$CHECKOUT/scripts/train.sh"
	one_error "has no BuildKit"
}

@test "a docker without BuildKit does not hide one that has it" {
	stub docker <<-'STUB'
		#!/usr/bin/env bash
		[ "$1" = version ] && echo "28.2.2 28.2.2"
	STUB
	PATH=$BATS_TEST_TMPDIR/stubs:$PATH run -0 --separate-stderr "$CHECKOUT/scripts/train.sh" --dry-run
	[[ $stderr == *"$ENGINE run "* ]]
}

@test "bootstrap changes nothing where an engine runs" {
	stub apt-get <<-'STUB'
		#!/usr/bin/env bash
		echo "apt-get was called" >&2
		exit 1
	STUB
	PATH=$BATS_TEST_TMPDIR/stubs:$PATH run -0 --separate-stderr "$CHECKOUT/scripts/train.sh" --bootstrap
	[[ $stderr != *"apt-get was called"* ]]
}

@test "bootstrap says that the clock is wrong, where apt takes good lists for bad ones" {
	need_root
	local said
	for said in "Verifying signature: Not live until 2099-01-01T00:00:00Z" "E: Release file for x is expired (invalid since 394d)"; do
		# This machine's clock is right.
		stub apt-get <<-STUB
			#!/usr/bin/env bash
			echo "$said" >&2
			exit 100
		STUB
		ln -sf "$(command -v date)" "$BATS_TEST_TMPDIR/stubs/date"
		PATH=$BATS_TEST_TMPDIR/stubs:$BARE run -1 --separate-stderr "$CHECKOUT/scripts/train.sh" --bootstrap
		one_error "by this machine's clock, which says $(date -u +%F), Debian's archive is not valid"
		[[ $stderr == *"$said"* ]]
	done
}

@test "bootstrap without root says that it needs root" {
	need_root
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR"
	run -69 --separate-stderr setpriv --reuid 4711 --regid 4711 --clear-groups \
		env PATH="$BARE" "$CHECKOUT/scripts/train.sh" --bootstrap
	grep -q "^error: .*--bootstrap" <<<"$stderr"
}

# stub_podman: one, which says when it is used
stub_podman() {
	stub podman <<-STUB
		#!/usr/bin/env bash
		echo "podman was called" >>"$BATS_TEST_TMPDIR/called"
	STUB
}

@test "an engine that was named is used, or the error names it; nothing else is taken instead" {
	stub_podman
	local set
	mkdir "$BATS_TEST_TMPDIR/config"
	echo '{"currentContext": "elsewhere"}' >"$BATS_TEST_TMPDIR/config/config.json"
	for set in "DOCKER_HOST=unix://$BATS_TEST_TMPDIR/nobody" DOCKER_HOST=nonsense DOCKER_CONTEXT=nowhere \
		"DOCKER_CONFIG=$BATS_TEST_TMPDIR/config"; do
		run -69 --separate-stderr env "$set" PATH="$BATS_TEST_TMPDIR/stubs:$PATH" "$CHECKOUT/scripts/train.sh" --bootstrap
		[[ $stderr == "error: no engine answers at $set"*"; start it, correct DOCKER_HOST, or unset it" ||
			$stderr == "error: there is no such context: $set; "* ||
			$stderr == "error: there is no such context: the docker context elsewhere; "* ]]
		[ ! -e "$BATS_TEST_TMPDIR/called" ]
	done
	PATH=$BATS_TEST_TMPDIR/stubs:$BARE run -69 --separate-stderr "$CHECKOUT/scripts/train.sh" --door docker
	one_error "podman is installed, but docker is not"
	[ ! -e "$BATS_TEST_TMPDIR/called" ]
	PATH=$BARE run -69 --separate-stderr "$CHECKOUT/scripts/train.sh" --door podman
	one_error "podman is not installed"
}

@test "somebody who is not in the group docker is told so" {
	need_root
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR"
	run -69 --separate-stderr setpriv --reuid 4711 --regid 4711 --clear-groups \
		env HOME=/ TMPDIR=/tmp "$CHECKOUT/scripts/train.sh"
	one_error "may not use the engine"
	[[ $stderr == *"usermod -aG docker"* ]]
}

# client WORDS: a docker that says them, or does what they say
client() {
	stub docker <<-STUB
		#!/usr/bin/env bash
		[ "\$1" = version ] || exit 1
		$1
	STUB
}

# podman_with STATUS: one that says why it does not work, if it does not
podman_with() {
	stub podman <<-STUB
		#!/usr/bin/env bash
		[ $1 = 0 ] || echo "Error: cannot connect to the machine" >&2
		exit $1
	STUB
}

@test "each state of the engines is one line that says what to do" {
	local podman answer set said
	local down='echo "28.2.2 "; echo "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?" >&2; exit 1'
	local closed='echo "28.2.2 "; echo "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock" >&2; exit 1'
	local odd='echo "error during connect: Get \"http://%2Fx/version\": EOF" >&2; exit 1'
	local nowhere='echo "Failed to initialize: unable to resolve docker endpoint: context \"nowhere\": context not found: open x: no such file or directory" >&2; exit 1'
	while IFS='|' read -r podman answer set said; do
		rm -rf "$BATS_TEST_TMPDIR/stubs"
		mkdir "$BATS_TEST_TMPDIR/stubs"
		[ -z "$answer" ] || client "${!answer}"
		[ -z "$podman" ] || podman_with "$podman"
		# shellcheck disable=SC2086 # a variable and an option, or neither
		run -69 --separate-stderr env -u DOCKER_HOST -u DOCKER_CONTEXT PATH="$BATS_TEST_TMPDIR/stubs:$BARE" ${set/--door*/} \
			"$CHECKOUT/scripts/train.sh" ${set/DOCKER_*/}
		[[ $stderr == "error: $said"* ]] || { printf '%s\n' "$podman|$answer|$set" "$stderr" && return 1; }
		one_error "${said%%; *}"
		[ -z "$output" ]
	done <<-STATES
		|||there is no container engine; install Docker or podman, or run this again with --bootstrap
		||--door docker|there is no container engine; install Docker or podman
		||--door podman|podman is not installed; install it, or omit --door
		||DOCKER_HOST=tcp://far:2375|DOCKER_HOST=tcp://far:2375 names an engine, but docker is not installed; install its client, or unset that
		|down||docker is installed, but its engine does not answer; start it (Linux, as root: systemctl start docker; macOS, Windows: Docker Desktop), or run this again with --bootstrap
		1|down||docker is installed, but its engine does not answer; start it
		0|down|--door docker|docker is installed, but its engine does not answer; start it
		|closed||this user may not use the engine; as root: usermod -aG docker USER, then log in again, or run this with sudo
		0|closed|--door docker|this user may not use the engine; as root: usermod -aG docker USER
		|odd||docker is installed, but its engine does not answer (EOF); start it
		1|||podman is installed, but podman info fails (Error: cannot connect to the machine); correct that, or install Docker
		1||--door podman|podman is installed, but podman info fails (Error: cannot connect to the machine); correct that
		0||--door docker|podman is installed, but docker is not; omit --door, or install Docker
		0|down|DOCKER_HOST=tcp://far:2375|no engine answers at DOCKER_HOST=tcp://far:2375; start it, correct DOCKER_HOST, or unset it
		0|odd|DOCKER_HOST=tcp://far:2375|no engine answers at DOCKER_HOST=tcp://far:2375 (EOF); start it, correct DOCKER_HOST, or unset it
		0|closed|DOCKER_HOST=unix:///run/d.sock|this user may not use the engine at DOCKER_HOST=unix:///run/d.sock; as root: usermod
		0|nowhere|DOCKER_CONTEXT=nowhere|there is no such context: DOCKER_CONTEXT=nowhere; choose one that docker context ls shows
		0|down|DOCKER_CONTEXT=desktop|no engine answers at DOCKER_CONTEXT=desktop; start it, or choose another: docker context use default
	STATES
}

@test "podman is taken where the engine of docker is down, unless docker was asked for" {
	client 'echo "28.2.2 "; echo "Cannot connect. Is the docker daemon running?" >&2; exit 1'
	stub podman <<-STUB
		#!/usr/bin/env bash
		[ "\$1" = info ] || echo "podman \$*" >&2
	STUB
	PATH=$BATS_TEST_TMPDIR/stubs:$BARE run -0 --separate-stderr "$CHECKOUT/scripts/train.sh" --dry-run
	[[ $stderr == *"$BATS_TEST_TMPDIR/stubs/podman run "* ]]
}

@test "an engine that says nothing is not waited for without end" {
	client "exec $(command -v sleep) 60"
	PATH=$BATS_TEST_TMPDIR/stubs:$BARE run -69 --separate-stderr bash -c '
		. "$1/scripts/lib/engine.sh"
		ENGINE_TIMEOUT_S=1
		require_engine' bash "$CHECKOUT"
	one_error "docker is installed, but its engine does not answer (it says nothing for 1 s)"
	run -1 pgrep -f "$BATS_TEST_TMPDIR/stubs/docker"
}

# docker_that SAYS: a docker whose engine says that of itself, and which has each image
docker_that() {
	stub docker <<-STUB
		#!/usr/bin/env bash
		case \$1 in
		version) echo "20.10.24 20.10.24" ;;
		info) echo '$1' ;;
		esac
	STUB
}

# run_by UID: sets stderr to the command with which somebody would train
run_by() {
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR"
	run -0 --separate-stderr setpriv --reuid "$1" --regid "$1" --clear-groups \
		env HOME=/ TMPDIR=/tmp PATH="$BATS_TEST_TMPDIR/stubs:$PATH" "$CHECKOUT/scripts/train.sh" --dry-run
}

@test "files belong to the caller on every engine, SELinux lets it read, and lost limits are told" {
	need_root
	local says wanted word
	while IFS='|' read -r says wanted; do
		docker_that "$says"
		run_by 4711
		for word in $wanted; do
			[[ ${stderr//=/ } == *" ${word//=/ }"* ]] || { printf '%s\n' "$says: $word" "$stderr" && return 1; }
		done
		[[ $wanted == *label* || $stderr != *label* ]]
	done <<-'ENGINES'
		["name=seccomp"] memory=true pids=true Debian|--user=4711:4711 --memory=4g --pids-limit=512
		["name=rootless"] memory=true pids=true Debian|--user=0:0 --memory=4g --pids-limit=512
		["name=rootless"] memory=false pids=true Debian|--user=0:0 limit=memory --pids-limit=512
		["name=rootless"] memory=false pids=false Debian|limit=memory=and=processes
		["name=userns"] memory=true pids=true Debian|--user=4711:4711 --userns=host
		["name=seccomp"] memory=true pids=true Docker Desktop|--user=0:0
		["name=selinux"] memory=true pids=true Fedora|--security-opt=label=disable
	ENGINES
}

@test "a dev container is defined with what its engine needs" {
	local said wanted
	while IFS='|' read -r said wanted; do
		docker_that "$said"
		PATH=$BATS_TEST_TMPDIR/stubs:$PATH run -0 bash -c '. "$1/scripts/lib/doors.sh" && require_engine && TAGGED=pressbox:x && define_dev_container' bash "$CHECKOUT"
		[ "${lines[4]}" = "	\"image\": \"pressbox:x\", \"runArgs\": [$wanted]," ]
		[ "${#lines[@]}" = "$(wc -l <"$CHECKOUT/.devcontainer/prebuilt/devcontainer.json")" ]
	done <<-'ENGINES'
		["name=seccomp"]|
		["name=userns"]|"--userns", "host"
		["name=userns","name=selinux"]|"--userns", "host", "--security-opt", "label=disable"
	ENGINES
}

@test "root is refused by an engine that is somebody else's" {
	need_root
	docker_that '["name=rootless"] memory=true pids=true Debian'
	PATH=$BATS_TEST_TMPDIR/stubs:$PATH run -69 --separate-stderr "$CHECKOUT/scripts/train.sh"
	one_error "is rootless, and root is not its user"
}

@test "podman is known under the name of docker, and behind it" {
	stub docker <<-'STUB'
		#!/usr/bin/env bash
		case $* in
		version) echo "Client:       Podman Engine" ;;
		version*) printf '4.3.1 ' && echo "Error: template: can't evaluate field Client" >&2 && exit 125 ;;
		esac
	STUB
	PATH=$BATS_TEST_TMPDIR/stubs:$PATH run -0 --separate-stderr "$CHECKOUT/scripts/train.sh" --door docker --dry-run
	[[ $stderr == *"$BATS_TEST_TMPDIR/stubs/docker run "*" PRESSBOX_DOOR=podman "* ]]
	DOCKER_HOST=unix:///run/d.sock PATH=$BATS_TEST_TMPDIR/stubs:$BARE run -69 --separate-stderr "$CHECKOUT/scripts/train.sh"
	one_error "is podman, which does not heed that"
	client 'echo "28.2.2 4.3.1"'
	DOCKER_HOST=unix:///run/d.sock PATH=$BATS_TEST_TMPDIR/stubs:$BARE run -69 --separate-stderr "$CHECKOUT/scripts/train.sh"
	one_error "the engine at DOCKER_HOST=unix:///run/d.sock is podman's, which does not have docker's BuildKit"
}
