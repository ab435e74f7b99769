# shellcheck shell=bash
# The one reader of options. What a script takes is what its usage() says: lines that begin with two
# blanks and name options, "--name" or "--name VALUE", up to the next two blanks. -h, --help, --version,
# --bootstrap, --build and --dry-run mean the same everywhere. Stands on common.sh.

# What was given: options as "--name" or "--name=value", arguments, and what follows "--".
GIVEN=() ARGUMENTS=() REST=()
# What usage() declares: by the option's name what it calls the value, or nothing.
declare -A TAKES=()
# What the first argument may be, for a script that has commands.
COMMANDS=()
# Not empty: an option that is not declared, and all after it, is for the program that the script runs.
HANDS_ON=

# read_options "$@": sets GIVEN, ARGUMENTS, REST, BOOTSTRAP and DRY_RUN; ends the script after --help
# and --version. usage() may ask for ARGUMENTS[0], where options depend on a command.
read_options() {
	local word name value
	while [ $# -gt 0 ]; do
		word=$1
		shift
		case $word in
		--)
			REST=("$@")
			return
			;;
		-?*) ;;
		*)
			take_argument "$word"
			continue
			;;
		esac
		declare_options
		name=${word%%=*}
		if [ -z "${TAKES[$name]+declared}" ]; then
			# A file's name may begin with a dash, too.
			if [ -e "$word" ]; then
				take_argument "$word"
				continue
			fi
			if [ -z "$HANDS_ON" ] || [ "${#ARGUMENTS[@]}" = 0 ]; then unknown option "$name" "${!TAKES[@]}"; fi
			REST=("$word" "$@")
			return
		fi
		if [ -z "${TAKES[$name]}" ]; then
			[ "$word" = "$name" ] || die "$EX_USAGE" "$name takes no value; omit '=${word#*=}'"
			take_flag "$name"
			continue
		fi
		value=${word#"$name"}
		value=${value#=}
		# Another option is not a value.
		if [ "$word" = "$name" ] && [ -n "${1:-}" ] && [[ $1 != -* || -z ${TAKES[$1]+declared} ]]; then
			value=$1
			shift
		fi
		[ -n "$value" ] || die "$EX_USAGE" "$name needs a value; give it as $name ${TAKES[$name]}"
		GIVEN+=("$name=$value")
	done
}

# declare_options: sets TAKES
declare_options() {
	local line pattern='(^|[[ ])(--?[a-z][a-z-]*)( [A-Z]+)?(.*)$'
	TAKES=()
	while IFS= read -r line; do
		[[ $line =~ ^\ \ ([^\ ].*)$ ]] || continue
		line=${BASH_REMATCH[1]%%  *}
		while [[ $line =~ $pattern ]]; do
			TAKES[${BASH_REMATCH[2]}]=${BASH_REMATCH[3]# }
			line=${BASH_REMATCH[4]}
		done
	done < <(usage)
}

# take_argument ARGUMENT
take_argument() {
	if [ "${#COMMANDS[@]}" -gt 0 ] && [ "${#ARGUMENTS[@]}" = 0 ]; then
		[[ " ${COMMANDS[*]} " == *" $1 "* ]] || unknown argument "$1" "${COMMANDS[@]}"
	fi
	ARGUMENTS+=("$1")
}

# take_flag NAME
take_flag() {
	case $1 in
	--bootstrap) BOOTSTRAP=yes ;;
	--build) BUILD=yes ;;
	--dry-run) DRY_RUN=yes ;;
	-h | --help)
		usage
		heeded_variables
		exit 0
		;;
	--version)
		sed -n 's/^version = "\(.*\)"$/pressbox \1/p' "$ROOT/pyproject.toml"
		exit 0
		;;
	*) GIVEN+=("$1") ;;
	esac
}

# demand_number NAME VALUE: a usage error unless it is a whole number from 1 on
demand_number() {
	[[ $2 =~ ^[1-9][0-9]{0,8}$ ]] || die "$EX_USAGE" "$1 is '$2'; give a whole number, for example 5"
}

# no_more [ARGUMENT]...: a usage error if there are some
no_more() {
	[ $# = 0 ] || unknown argument "$1"
}

# unknown KIND WORD KNOWN...: a usage error that names the nearest that there is
unknown() {
	local kind=$1 word=$2 known near='' distance least=3 chosen=
	shift 2
	[ "${#COMMANDS[@]}" = 0 ] || chosen=${ARGUMENTS[0]:-}
	# Of less than four letters, anything would be near.
	[ "${#word}" -ge 4 ] || set --
	for known in "$@"; do
		distance=$(distance "$word" "$known")
		[[ $known != "$word"* ]] || distance=1
		if [ "$distance" -lt "$least" ]; then
			near=$known least=$distance
		fi
	done
	die "$EX_USAGE" "unknown $kind '$word'; ${near:+did you mean $near? }see scripts/${0##*/}${chosen:+ $chosen} --help"
}

# distance A B: prints how many letters of A have to be changed, added or taken away to make it B
distance() {
	local a=$1 b=$2 i j corner above row=()
	for ((j = 0; j <= ${#b}; j++)); do row[j]=$j; done
	for ((i = 1; i <= ${#a}; i++)); do
		corner=${row[0]} row[0]=$i
		for ((j = 1; j <= ${#b}; j++)); do
			above=${row[j]}
			[ "${a:i-1:1}" = "${b:j-1:1}" ] || corner=$((corner + 1))
			((row[j] = above < row[j - 1] ? above + 1 : row[j - 1] + 1))
			[ "${row[j]}" -le "$corner" ] || row[j]=$corner
			corner=$above
		done
	done
	printf '%s\n' "${row[${#b}]}"
}
