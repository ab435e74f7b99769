#!/usr/bin/env -S bash -p
# Makes a layer of what a stage of the Dockerfile adds. It is mounted there, and in no image.
#
#   layer.sh begin            what is written from now on is what the stage adds
#   layer.sh collect FOLDER   copy that into FOLDER, and set its times
#   layer.sh date FOLDER      set the times of what the stage itself has put into FOLDER
set -euo pipefail

case $1 in
begin)
	touch /start
	sleep 0.01 # what is written within the same tick of the clock would not be newer
	;;
collect)
	mkdir -p "$2"
	# Not what the engine mounts into each container, nor the mount points of this build.
	find / -xdev -cnewer /start \
		! -path / ! -path /start ! -path '/delta*' ! -path '/dev*' ! -path '/proc*' ! -path '/sys*' ! -path '/tmp*' \
		! -path /etc/hostname ! -path /etc/hosts ! -path /etc/resolv.conf -print0 |
		sort -z |
		tar --create --null --no-recursion --files-from - |
		tar --extract --directory "$2"
	"$0" date "$2"
	;;
date)
	find "$2" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
	;;
esac
