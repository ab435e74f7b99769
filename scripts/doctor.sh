#!/usr/bin/env -S bash -p
exec -a bash "$BASH" -p -- "${0%"${0##*/}"}pressbox.sh" doctor "$@"
