# shellcheck shell=bash
# Engines besides the one at hand: podman with root, podman without, Docker without. They are Debian's, live in a
# folder of their own and end with end_engines: podman, rootless-podman and rootless-docker. Stands on image.sh, which whoever sources this has sourced.

# Who the rootless ones belong to, while they are there.
ENGINE_USER=pressbox-engines

# What each needs, and the package of Debian's that has it.
declare -A NEEDED=([newuidmap]=uidmap [podman]=podman [rootlesskit]=rootlesskit [runc]=runc [slirp4netns]=slirp4netns)

# install_engines: with --bootstrap
install_engines() {
	local command missing=()
	for command in "${!NEEDED[@]}"; do
		has "$command" || missing+=("${NEEDED[$command]}")
	done
	[ "${#missing[@]}" = 0 ] && return
	apt_install "${missing[@]}"
}

# why_no_engines: prints what keeps them from being started here, if anything does
why_no_engines() {
	local command
	if [ "$(id -u)" != 0 ]; then
		echo "needs root, to start other engines"
		return
	fi
	for command in docker "${!NEEDED[@]}"; do
		has "$command" || { echo "needs $command; scripts/test.sh --bootstrap installs it" && return; }
	done
}

# start_engines FOLDER: there, which has to be new
start_engines() {
	local folder=$1 home=$1/home
	chmod 755 "$folder"
	id "$ENGINE_USER" >/dev/null 2>&1 || useradd --home-dir "$home" --user-group --shell /bin/bash "$ENGINE_USER"
	mkdir "$folder/root" "$home" "$folder/run"
	chmod 700 "$folder/run"
	chown "$ENGINE_USER:$ENGINE_USER" "$home" "$folder/run"
	configure_podman "$folder/root" "$folder/root"
	configure_podman "$home" "$folder/run"
	# A device that everybody may use where udev runs; seen by these engines alone.
	mknod -m 666 "$folder/tun" c 10 200
	# shellcheck disable=SC2016 # expanded by that bash
	setsid unshare --mount --propagation slave bash -c '
		mount --make-rshared /
		mount --bind "$1/tun" /dev/net/tun
		echo $$ >"$1/holder.part" && mv "$1/holder.part" "$1/holder"
		exec sleep infinity' bash "$folder" </dev/null >/dev/null 2>&1 &
	await_file "$folder/holder"
	start_rootless_docker "$folder"
}

# await_file FILE: block until somebody has put it there
await_file() {
	local tries
	for tries in {1..600}; do
		[ ! -e "$1" ] || return 0
		sleep 0.1
	done
	die "$EX_FAILED" "$1 did not appear in ${#tries} tries; look at the processes"
}

# configure_podman FOLDER RUN: on any cgroups, with limits that nobody has to raise. Without root it keeps images in HOME.
configure_podman() {
	cat >"$1/storage.conf" <<-STORAGE
		[storage]
		driver = "overlay"
		graphroot = "$1/podman"
		runroot = "$2/podman"
	STORAGE
	cat >"$1/containers.conf" <<-CONTAINERS
		[containers]
		default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
		[engine]
		cgroup_manager = "cgroupfs"
		events_logger = "file"
		runtime = "runc"
		tmp_dir = "$2/libpod"
	CONTAINERS
}

start_rootless_docker() {
	local folder=$1 log=$1/dockerd.log script
	script=$(command -v dockerd-rootless.sh || echo /usr/share/docker.io/contrib/dockerd-rootless.sh)
	: >"$log"
	on "$folder" rootless-docker setsid "$script" --data-root "$folder/home/docker" >>"$log" 2>&1 </dev/null &
	echo $! >"$folder/dockerd.pid"
	# Nothing but the daemon stays behind, with nothing of ours open.
	if ! grep -q -m 1 'API listen on' <(exec tail -n +1 -f --pid="$!" "$log" 2>/dev/null); then
		tail -n 5 "$log" >&2
		die "$EX_FAILED" "rootless Docker did not start; its last lines are above"
	fi
}

# on FOLDER ENGINE COMMAND...: become the command, as whoever uses that engine; "docker" is the one at hand
on() {
	local folder=$1 engine=$2 home=$1/home settings=()
	shift 2
	case $engine in
	podman) settings=(CONTAINERS_CONF="$folder/root/containers.conf" CONTAINERS_STORAGE_CONF="$folder/root/storage.conf") ;;
	rootless-podman) settings=(CONTAINERS_CONF="$home/containers.conf" CONTAINERS_STORAGE_CONF="$home/storage.conf") ;;
	rootless-docker) settings=(DOCKER_HOST="unix://$folder/run/docker.sock") ;;
	esac
	if [[ $engine == rootless-* ]]; then
		set -- nsenter --target "$(cat "$folder/holder")" --mount --wd="$PWD" \
			setpriv --reuid "$ENGINE_USER" --regid "$ENGINE_USER" --init-groups \
			env HOME="$home" XDG_RUNTIME_DIR="$folder/run" USER="$ENGINE_USER" "$@"
	fi
	exec env "${settings[@]}" "$@"
}

# save_image FOLDER IMAGE: from Docker, with its base
save_image() {
	local images=("$2")
	! docker image inspect "$LOCAL_BASE" >/dev/null 2>&1 || images+=("$LOCAL_BASE")
	docker save --output "$1/image.tar" "${images[@]}"
	chmod a+r "$1/image.tar"
}

# load_into FOLDER ENGINE: what was saved
load_into() {
	local client=podman
	[ "$2" != rootless-docker ] || client=docker
	(on "$1" "$2" "$client" load --input "$1/image.tar")
}

# end_engines FOLDER: by their own numbers; with all that they have written
end_engines() {
	local folder=$1 file
	(on "$folder" podman podman rm --all --force) >/dev/null 2>&1 || true
	(on "$folder" rootless-podman podman rm --all --force) >/dev/null 2>&1 || true
	for file in dockerd.pid run/libpod/pause.pid holder; do
		[ ! -e "$folder/$file" ] || end_process "$(cat "$folder/$file")"
	done
	umount --quiet "$folder/root/podman/overlay" || true
	userdel "$ENGINE_USER" >/dev/null 2>&1 || true
	# The next of that name may have another number, and could not write to what the devcontainer CLI has left.
	rm -rf --one-file-system "$folder" "${TMPDIR:-/tmp}/devcontainercli-$ENGINE_USER"
}

# end_process PID: and block until it has ended
end_process() {
	kill "$1" 2>/dev/null || return 0
	tail --pid="$1" -f /dev/null
}
