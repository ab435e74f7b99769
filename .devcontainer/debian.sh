#!/usr/bin/env -S bash -p
# Installs Debian's packages as debian.lock has them. The Dockerfile mounts it; it is in no image.
#
#   debian.sh install STAGE     install what debian.in lists for the stage, and what that needs
#   debian.sh check FOLDER      demand that exactly the packages of debian.lock are installed, here or in the
#                               stage whose /var/lib/dpkg is mounted there
#   debian.sh installed         print the name and version of each package
#   debian.sh lock DATE         print the lock of that date (20261101T000000Z) for every architecture
#
# apt knows where the archive of a date is. Where that cannot be reached, or network.sh has named a mirror, the
# present archive is used: debian.lock says whether what it has is the same.
set -euo pipefail

HERE=${0%/*}
LOCK=$HERE/debian.lock
ARCHITECTURES=(amd64 arm64)
PREFERENCES=/etc/apt/preferences.d/debian-lock
LOG=/tmp/debian.log

# fail WHAT REMEDY
fail() {
	printf 'error: %s; %s\n' "$1" "$2" >&2
	exit 1
}

# wanted [STAGE]: the packages of debian.in
wanted() {
	awk -v stage="${1:-}" '!/^#/ && (!stage || $1 == stage) { for (i = 2; i <= NF; i++) print $i }' "$HERE/debian.in"
}

# demand_lock: what a merge or an editor has made of it is no lock
demand_lock() {
	local number
	number=$(awk '!/^#/ && !($1 == "snapshot" && NF == 2) && !($1 == "release" && NF == 3) && NF != 5 { print NR; exit }' "$LOCK")
	[ -z "$number" ] || fail "line $number of debian.lock is not one of a lock" "resolve the conflict, or run scripts/update.sh debian"
	grep -q '^snapshot ' "$LOCK" || fail "debian.lock has no date" "restore it with git, or run scripts/update.sh debian"
}

# locked: name, version, architecture and SHA-256 of each package on the present architecture
locked() {
	awk -v on="$(dpkg --print-architecture)" '$1 == on { print $2, $3, $4, $5 }' "$LOCK"
}

# installed [FOLDER]: name and version of each package
installed() {
	dpkg-query ${1:+--admindir "$1"} --show --showformat '${db:Status-Status} ${Package} ${Version}\n' | sed -n 's/^installed //p'
}

# lists [APT-OPTION]...: apt's lists of packages; of the date in use, if there is one
lists() {
	# shellcheck disable=SC2016 # for apt to expand
	apt "$@" indextargets --format '$(FILENAME)' 'Created-By: Packages' | grep -F -e "$DATED" || true
}

# available [APT-OPTION]...: name, version, architecture and SHA-256 of each package in apt's lists
available() {
	local found
	mapfile -t found < <(lists "$@")
	[ "${#found[@]}" = 0 ] || /usr/lib/apt/apt-helper "$@" cat-file "${found[@]}" | awk '
		/^Package: / { name = $2 }
		/^Version: / { version = $2 }
		/^Architecture: / { architecture = $2 }
		/^SHA256: / { print name, version, architecture, $2 }'
}

# releases [APT-OPTION]...: each suite in apt's lists, and when its index was made, in seconds
releases() {
	local list suite date
	while IFS= read -r list; do
		suite=$(sed -n 's/^Codename: //p' "$list" | head -n 1)
		date=$(sed -n 's/^Date: //p' "$list" | head -n 1)
		printf '%s %s\n' "$suite" "$(date -d "$date" +%s)"
	done < <(find "$(apt-config "$@" shell lists Dir::State::Lists/d | sed "s/^lists='\(.*\)'$/\1/")" -name "*$DATED*_InRelease" | sort)
}

# apt OPTION...: with the archive of the date in use, if there is one
apt() {
	apt-get ${DATED:+--snapshot "$DATED"} "$@"
}

# fetch_lists DATE [APT-OPTION]...: apt's lists of that date, or else of today; all of them, or none
fetch_lists() {
	local date=$1 reason="apt does not know where it is"
	shift
	set -- "$@" -o APT::Update::Error-Mode=any -o Acquire::Languages=none
	DATED=$date
	[ -z "${DEBIAN_MIRRORED:-}" ] || DATED=
	# Where the archive of a mirror's dates is, apt says once it has seen whose mirror it is.
	for _ in first second; do
		[ -n "$DATED" ] || break
		if ! apt "$@" update >"$LOG" 2>&1; then
			demand_signed
			reason=$(why)
			break
		fi
		[ -z "$(lists "$@")" ] || return 0
	done
	[ -z "$DATED" ] ||
		printf 'the archive of %s cannot be used (%s); taking the present one, with debian.lock as judge\n' "$date" "$reason" >&2
	DATED=
	if ! apt "$@" update >"$LOG" 2>&1; then
		demand_signed
		! grep -q 'is expired (invalid since' "$LOG" ||
			fail "by this machine's clock, which says $(date -u +%F), the archive's index has expired" "set the clock; if it is right, use another mirror: this one is behind"
		fail "Debian's archive cannot be used ($(why))" "check the network, or name a proxy (HTTP_PROXY) or a mirror (PRESSBOX_DEBIAN_MIRROR)"
	fi
}

# refusal: the status with which a server or a proxy has refused something
refusal() {
	sed -n 's/^ *\(40[137] [A-Za-z ]*[a-z]\).*/\1/p' "$LOG" | tr -s ' ' | head -n 1
}

# why: what apt says first of its failure, without the credentials in an address
why() {
	local refusal
	refusal=$(refusal)
	if [ -n "$refusal" ]; then printf '%s\n' "$refusal" && return; fi
	sed -n 's/^E: //p' "$LOG" | head -n 1 | sed 's#://[^/@ ]*@#://#g'
}

# demand_signed: nothing is taken from elsewhere because somebody forged an index here
demand_signed() {
	local line
	# A signature from the future is one that a slow clock makes of a good one.
	! grep -q -e 'Not live until' -e 'is not valid yet' "$LOG" ||
		fail "by this machine's clock, which says $(date -u +%F), the archive is from the future" "set the clock"
	# apt calls what it could not even read unsigned.
	[ -z "$(refusal)" ] || return 0
	line=$(grep -i -e 'signature' -e 'not signed' -e 'hash sum mismatch' -e 'NO_PUBKEY' "$LOG" | head -n 1 || true)
	[ -z "$line" ] || fail "the archive is not what Debian has signed (${line#"${line%%[! ]*}"})" "use another mirror, and tell its operators"
}

# judge: fail unless apt's lists have the packages of the lock
judge() {
	local verdicts
	verdicts=$(awk '
		FILENAME == ARGV[1] { version[$1] = $2; hash[$1] = $4; next }
		FILENAME == ARGV[2] { have[$1 " " $2]; next }
		!($1 in version) { next }
		{ now[$1] = now[$1] " " $2 }
		$2 == version[$1] { found[$1]; if ($4 != hash[$1]) print "forged", $1, $2 }
		END {
			for (name in version)
				if (!(name in found) && !((name " " version[name]) in have))
					print "moved", name, version[name], "is now" (name in now ? now[name] : " gone")
		}' <(locked) <(installed) <(available) | sort)
	[[ $verdicts != *forged\ * ]] ||
		fail "these packages are not those of debian.lock, by their SHA-256: $(printf '%s' "$verdicts" | listed forged)" "use another mirror, and tell its operators"
	[ -z "$verdicts" ] ||
		fail "Debian's archive no longer has $(printf '%s' "$verdicts" | listed moved)" \
			"name a mirror that keeps that date (PRESSBOX_DEBIAN_MIRROR), pull the published image, take a bundle (docs/offline.md), or run scripts/update.sh debian"
	awk '
		FILENAME == ARGV[1] { if ($1 == "release") made[$2] = $3; next }
		$1 in made && $2 < made[$1] { print $1 }' "$LOCK" <(releases) | while IFS= read -r suite; do
		fail "the index of $suite is older than debian.lock" "use another mirror: this one is behind"
	done
}

# listed WORD: of the verdicts, what follows that word, on one line
listed() {
	sed -n "s/^$1 //p" | paste -s -d ';' | sed 's/;/, /g'
}

install_stage() {
	local packages
	mapfile -t packages < <(wanted "$1")
	fetch_lists "$(sed -n 's/^snapshot //p' "$LOCK")"
	judge
	# No other version than that of the lock, older ones of the base replaced; and nothing else.
	{
		locked | awk '{ printf "Package: %s\nPin: version %s\nPin-Priority: 1001\n\n", $1, $2 }'
		printf 'Package: *\nPin: release *\nPin-Priority: -1\n'
	} >"$PREFERENCES"
	apt install -y --no-install-recommends --allow-downgrades "${packages[@]}"
	apt full-upgrade -y --no-install-recommends --allow-downgrades
	rm -rf "$PREFERENCES" "$LOG" /var/lib/apt/lists/* /var/cache/* /var/log/*
	demand_nothing_else
}

# demand_nothing_else: what is installed is in the lock
demand_nothing_else() {
	local others
	others=$(installed | grep -v -x -F -f <(locked | cut -d ' ' -f 1,2) | paste -s -d ';' | sed 's/;/, /g' || true)
	[ -z "$others" ] ||
		fail "debian.lock does not have $others" "use another base image, or add what it holds to debian.in and run scripts/update.sh debian"
}

check() {
	local missing
	demand_nothing_else
	missing=$(locked | cut -d ' ' -f 1,2 | grep -v -x -F -f <(installed && installed "$1") | paste -s -d ';' | sed 's/;/, /g' || true)
	[ -z "$missing" ] || fail "the image lacks $missing of debian.lock" "run scripts/update.sh debian"
}

# print_lock DATE: what a system of nothing but debian.in needs, on each architecture
print_lock() {
	local architecture folder options packages
	mapfile -t packages < <(wanted)
	printf '%s\n' "# Every Debian package of the image: architecture, name, version, its own architecture, SHA-256." \
		"# scripts/update.sh debian writes this." "snapshot $1"
	for architecture in "${ARCHITECTURES[@]}"; do
		folder=$(mktemp -d)
		mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
		: >"$folder/status"
		options=(-o "APT::Architecture=$architecture" -o "APT::Architectures::=$architecture" -o "APT::Sandbox::User=root"
			-o "Dir::State::Lists=$folder/lists" -o "Dir::State::status=$folder/status" -o "Dir::Cache=$folder/cache")
		fetch_lists "$1" "${options[@]}"
		[ "$architecture" != "${ARCHITECTURES[0]}" ] || releases "${options[@]}" | sed 's/^/release /'
		# What a base image of the least variant consists of is essential or required, and apt.
		apt "${options[@]}" install --simulate --no-install-recommends \
			'?essential' '?priority(required)' '?exact-name(apt)' "${packages[@]}" |
			awk -v on="$architecture" '
				FILENAME == ARGV[1] { hash[$1 " " $2] = $3 " " $4; next }
				$1 == "Inst" { version = substr($3, 2); print on, $2, version, hash[$2 " " version] }' \
				<(available "${options[@]}") - | sort
	done
}

DATED=
case ${1:-} in
install) demand_lock && install_stage "$2" ;;
check) demand_lock && check "$2" ;;
installed) installed ;;
lock) print_lock "$2" ;;
*)
	printf "usage: debian.sh install STAGE | check FOLDER | installed | lock DATE\n" >&2
	exit 2
	;;
esac
