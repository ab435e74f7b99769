#!/usr/bin/env bats
# The commands that the documents show are run, in their order, and print what they say.

load doors

setup_file() {
	export CHECKOUT=$BATS_FILE_TMPDIR/checkout
	copy_checkout "$CHECKOUT"
}

setup() {
	cd "$CHECKOUT"
}

# commands FILE: the lines with a prompt in its console blocks
commands() {
	sed -n '/^```console$/,/^```$/s/^\$ //p' "$1"
}

@test "the commands of the documents work in their order" {
	local command ran=0
	# Whoever reads them has a home and a name.
	export HOME=$BATS_TEST_TMPDIR/home
	mkdir "$HOME"
	git config --global user.name Reader
	git config --global user.email reader@example.org
	git config --global safe.directory '*'
	while IFS= read -r command; do
		echo "\$ $command"
		# Each document begins with the keys of a new clone.
		[ "$command" != begin ] || {
			bring_own "$CHECKOUT"
			continue
		}
		case $command in
		# What CI runs; it would run itself.
		"scripts/test.sh --bootstrap") ;;
		python* | pressbox* | echo*pressbox*)
			"$ENGINE" run --rm --user "$(id -u)" --volume "$CHECKOUT:/workspaces/pressbox" "$TAGGED" bash -c "$command"
			;;
		*) bash -c "$command" </dev/null ;;
		esac
		ran=$((ran + 1))
	done < <(for document in README.md docs/*.md; do
		# updating.bats does what that page says, in a repository that is a newsroom's, and bundle.bats what the other
		# says, on two machines.
		[[ $document == docs/@(updating|offline).md ]] || { echo begin && commands "$document"; }
	done)
	[ "$ran" -ge 10 ]
}

@test "CI runs the README's test command" {
	run -0 commands README.md
	[[ $output == *"scripts/test.sh --bootstrap"* ]]
	[ "$(tail -n 1 .ci/run)" = "scripts/test.sh --bootstrap" ]
}

@test "the README's training prints what the README says" {
	need_default
	run -0 --separate-stderr scripts/train.sh
	local line
	while IFS= read -r line; do
		grep -qxF -- "$line" README.md || {
			echo "not in the README: $line"
			false
		}
	done < <(grep -vF /workspaces/ <<<"$stderr")
}

@test "the files that the documents link to are there" {
	local document link links=0
	for document in README.md CONTRIBUTING.md SECURITY.md docs/*.md; do
		for link in $(grep -o '](\([^)h][^)]*\))' "$document" | tr -d '()]'); do
			echo "$document: $link"
			[ -e "$(dirname "$document")/${link%%#*}" ]
			links=$((links + 1))
		done
	done
	[ "$links" -ge 20 ]
}
