#!/usr/bin/env bats
# Which commit a training is of: in a worktree and a submodule, whose history lies elsewhere; and a
# .git file leads to nothing that does not name this checkout.

load doors

setup_file() {
	export CHECKOUT=$BATS_FILE_TMPDIR/checkout GIT_CONFIG_GLOBAL=$BATS_FILE_TMPDIR/gitconfig
	printf '[user]\n\tname = A\n\temail = a@b.example\n[safe]\n\tdirectory = *\n[protocol "file"]\n\tallow = always\n' >"$GIT_CONFIG_GLOBAL"
	copy_checkout "$CHECKOUT"
	git -C "$CHECKOUT" add --all
	git -C "$CHECKOUT" commit --quiet --allow-empty --message present
}

# names_commit FOLDER: a model trained there says the commit, and nothing of a difference
names_commit() {
	run -0 --separate-stderr "$1/scripts/train.sh" --door docker
	run -0 --separate-stderr "$1/scripts/verify.sh" --door docker "$1/models/sports.tar.gz" --json
	[[ $output == *"\"commit\": \"$(git -C "$CHECKOUT" rev-parse HEAD)\""* ]]
	[[ $output == *'"dirty": false'* ]]
}

@test "a worktree with relative paths names its commit, also as a newer Git writes it" {
	git -C "$CHECKOUT" worktree add --quiet --detach "$BATS_TEST_TMPDIR/tree"
	local folder
	folder=$(sed 's/^gitdir: //' "$BATS_TEST_TMPDIR/tree/.git")
	echo "gitdir: $(realpath --relative-to="$BATS_TEST_TMPDIR/tree" "$folder")" >"$BATS_TEST_TMPDIR/tree/.git"
	realpath --relative-to="$folder" "$BATS_TEST_TMPDIR/tree/.git" >"$folder/gitdir"
	names_commit "$BATS_TEST_TMPDIR/tree"
	git -C "$CHECKOUT" config core.repositoryformatversion 1
	git -C "$CHECKOUT" config extensions.relativeWorktrees true
	run -0 --separate-stderr "$BATS_TEST_TMPDIR/tree/scripts/train.sh" --door docker
	run -0 --separate-stderr "$BATS_TEST_TMPDIR/tree/scripts/verify.sh" --door docker "$BATS_TEST_TMPDIR/tree/models/sports.tar.gz"
	[[ $output == *"commit $(cat "$CHECKOUT/.git/refs/heads/main"), dirty False"* ]]
	sed -i '/relativeWorktrees/d; /^\[extensions\]$/d' "$CHECKOUT/.git/config"
	git -C "$CHECKOUT" config core.repositoryformatversion 0
}

@test "a submodule names its commit" {
	git init --quiet "$BATS_TEST_TMPDIR/newsroom"
	git -C "$BATS_TEST_TMPDIR/newsroom" submodule --quiet add "$CHECKOUT" tools/press
	names_commit "$BATS_TEST_TMPDIR/newsroom/tools/press"
}

@test "a .git file leads to nothing that does not name this checkout" {
	local secret=$BATS_TEST_TMPDIR/secret forged=$BATS_TEST_TMPDIR/forged
	git init --quiet "$secret"
	mkdir -p "$secret/.git/worktrees/other"
	echo "$secret/other/.git" >"$secret/.git/worktrees/other/gitdir"
	cp -a "$CHECKOUT" "$forged"
	rm -rf "$forged/.git"
	# In the archive itself, with a way out of it.
	mkdir -p "$forged/hidden/worktrees/x"
	echo "$forged/.git" >"$forged/hidden/worktrees/x/gitdir"
	echo "$secret" >"$forged/hidden/worktrees/x/commondir"
	local line
	for line in "$secret/.git" "$secret" ../secret/.git "$secret/.git/worktrees/other" hidden/worktrees/x . .. / /etc ""; do
		echo "gitdir: $line" >"$forged/.git"
		run -0 --separate-stderr "$forged/scripts/train.sh" --door docker --dry-run
		[[ $stderr != *"source=$secret"* && $stderr != *"source=/etc"* && $stderr != *"source=/\\\""* && $stderr != *hidden* ]]
	done
	run -0 --separate-stderr "$forged/scripts/train.sh" --door docker
	run -0 --separate-stderr "$forged/scripts/verify.sh" --door docker "$forged/models/sports.tar.gz"
	[[ $output == *"commit unknown"* ]]
}

@test "no Git of the host's is asked, so that no configuration of a stranger's tree is obeyed" {
	mkdir "$BATS_TEST_TMPDIR/stubs"
	printf '#!/bin/sh\necho git was called >&2\nexit 1\n' >"$BATS_TEST_TMPDIR/stubs/git"
	chmod +x "$BATS_TEST_TMPDIR/stubs/git"
	git -C "$CHECKOUT" worktree add --quiet --detach "$BATS_TEST_TMPDIR/tree"
	PATH=$BATS_TEST_TMPDIR/stubs:$PATH run -0 --separate-stderr "$BATS_TEST_TMPDIR/tree/scripts/train.sh" --door docker
	[[ $stderr != *"git was called"* ]]
}
