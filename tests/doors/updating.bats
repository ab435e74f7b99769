#!/usr/bin/env bats
# docs/updating.md: a newsroom's repository, made of the release that the golden model was trained by,
# takes the Pressbox of today, by the commands of that page.

load doors

setup_file() {
	local commit
	commit=$(tar -xzOf "$REPOSITORY/tests/golden/newsroom-0.1.0.tar.gz" --wildcards '*/statement.json' |
		grep -o '"gitCommit": *"[0-9a-f]*' | grep -o '[0-9a-f]*$')
	need_history "$commit"
	export UPSTREAM=$BATS_FILE_TMPDIR/upstream KEYS=$BATS_FILE_TMPDIR/keys DESK=$BATS_FILE_TMPDIR/desk
	copy_checkout "$UPSTREAM"
	CHECKOUT=$UPSTREAM commit_checkout
	git_in "$UPSTREAM" tag v0.1.0 "$commit"
	git_in "$UPSTREAM" tag v0.2.0
	mkdir -m 700 "$KEYS"
	"$UPSTREAM/scripts/keys.sh" new 'Sports desk <sports@desk.example>' --out "$KEYS" >/dev/null 2>&1
	newsroom_of_0.1.0
}

# need_history COMMIT
need_history() {
	git_in "$REPOSITORY" cat-file -e "$1^{commit}" 2>/dev/null && return
	if [ "$(git_in "$REPOSITORY" rev-parse --is-shallow-repository)" = true ]; then
		echo "this clone is shallow and lacks commit $1; fetch the rest: git fetch --unshallow" >&2
		return 1
	fi
	skip "this repository was not cloned from Pressbox's: it lacks commit $1"
}

# newsroom_of_0.1.0: a train.py, texts and keys of its own; nobody else is trusted
newsroom_of_0.1.0() {
	local signers=$BATS_FILE_TMPDIR/signers
	git_in . clone --quiet "$UPSTREAM" "$DESK" 2>/dev/null
	cd "$DESK"
	git checkout --quiet -B main v0.1.0
	git remote remove origin
	git tag --delete v0.2.0 v0.1.0 >/dev/null
	git config user.name T
	git config user.email t@t.example
	# The address of the page is nobody's.
	git config "url.$UPSTREAM.insteadOf" "$(commands How | sed -n 's/^git remote add pressbox //p')"
	git config safe.directory '*'
	sed -i 's/LogisticRegression(C=30/LogisticRegression(C=10/' train.py
	mkdir texts
	printf 'text,label\n' >texts/desk.csv
	for i in {10..40}; do
		printf 'a wicket fell in over %s,cricket\nthe caddie took club %s,golf\n' "$i" "$i" >>texts/desk.csv
	done
	# 0.1.0 kept its signers as today; its own image need not be built to say who they are.
	cp -a "$UPSTREAM" "$signers"
	"$signers/scripts/keys.sh" trust "$(echo "$KEYS"/*.pub.asc)" >/dev/null 2>&1
	"$signers/scripts/keys.sh" revoke D4021E7D4529EC2E3058A92277DDEEAA3A5411D4 >/dev/null 2>&1
	rm -r gnupg
	cp -r "$signers/gnupg" gnupg
	git add --all
	git commit --quiet --message "Make it the desk's"
}

# commands SECTION: of the page, in its order
commands() {
	sed -n "/^## $1\$/,/^## /{/^\`\`\`console\$/,/^\`\`\`\$/s/^\\\$ //p}" "$REPOSITORY/docs/updating.md"
}

# edit: the newsroom's parameter, where the new train.py has it
edit() {
	sed -i 's/LogisticRegression(C=30/LogisticRegression(C=10/' train.py
}

setup() {
	cd "$DESK"
}

@test "the page's commands update a newsroom's repository, keep what is its own, and train" {
	local command before
	before=$(git rev-parse HEAD)
	PRESSBOX_SIGNING_KEY=$(cat "$KEYS"/*.secret.asc)
	PRESSBOX_SIGNING_PASSPHRASE=$(cat "$KEYS"/*.passphrase)
	export PRESSBOX_SIGNING_KEY PRESSBOX_SIGNING_PASSPHRASE
	while IFS= read -r command; do
		echo "\$ $command"
		case $command in
		"git merge "*)
			run -1 bash -c "$command"
			# Of what the newsroom changed, one file is Pressbox's, too.
			[ "$(grep -c '^CONFLICT' <<<"$output")" = 1 ]
			[[ $output == *"CONFLICT (content): Merge conflict in train.py"* ]]
			# The merge alone would take other texts.
			run -1 git diff --quiet "$before" -- corpus
			run -1 --separate-stderr scripts/train.sh --data texts/desk.csv
			one_error "train.py has a merge conflict in it, at line "
			run scripts/doctor.sh --door docker
			[[ $output == *"WRONG merge        train.py has a merge conflict in it, at line "* ]]
			;;
		"git checkout --theirs train.py") bash -c "$command" && edit ;;
		*) bash -c "$command" </dev/null ;;
		esac
	done < <(commands How)
	[ -z "$(git status --porcelain)" ]
	git diff --quiet "$before" HEAD -- corpus gnupg texts
	git diff --quiet v0.2.0 HEAD -- .devcontainer docs pressbox scripts tests
	grep -q 'C=10' train.py
	run -0 --separate-stderr scripts/verify.sh models/updated.tar.gz --json
	[[ $output == *"$(basename "$KEYS"/*.pub.asc .pub.asc)"* ]]
	[[ $output == *'"demo": false'* ]]
}

@test "a repository that was not cloned says once what it was made of, and then only its own changes conflict" {
	local unpacked=$BATS_TEST_TMPDIR/unpacked
	mkdir "$unpacked"
	git archive v0.1.0 | tar -x -C "$unpacked"
	cd "$unpacked"
	git init --quiet
	git config user.name T
	git config user.email t@t.example
	edit
	git add --all
	git commit --quiet --message "Begin"
	git fetch --quiet --tags "$UPSTREAM"
	run git merge --no-commit --allow-unrelated-histories v0.2.0
	[ "$(grep -c '^CONFLICT' <<<"$output")" -gt 20 ]
	git merge --abort
	bash -c "$(commands "A repository that was not cloned")" >/dev/null
	git diff --quiet HEAD^
	run -1 git merge --no-commit --no-ff v0.2.0
	[ "$(grep '^CONFLICT' <<<"$output")" = "CONFLICT (content): Merge conflict in train.py" ]
}

@test "a conflict in what is merged is one line of train.sh's, whichever file it is in" {
	local file
	cd "$UPSTREAM"
	for file in train.py poetry.lock pyproject.toml gnupg/keyname-to-fingerprint.json gnupg/trustdb.txt \
		.devcontainer/environment.lock .devcontainer/Dockerfile pressbox/own/__init__.py; do
		printf '<<<<<<< HEAD\nours\n=======\ntheirs\n>>>>>>> v0.2.0\n' >>"$file"
		run -1 --separate-stderr scripts/train.sh
		one_error "$file has a merge conflict in it, at line "
		[ "$(wc -l <<<"$stderr")" = 1 ]
		git checkout --quiet "$file"
	done
	# What the image is made of, no command can do without.
	printf '<<<<<<< HEAD\n' >>poetry.lock
	run -1 --separate-stderr scripts/doctor.sh
	one_error "poetry.lock has a merge conflict in it, at line "
	git checkout --quiet poetry.lock
}

@test "a shallow clone is told what it lacks" {
	git clone --quiet --depth 1 "file://$UPSTREAM" "$BATS_TEST_TMPDIR/shallow"
	REPOSITORY=$BATS_TEST_TMPDIR/shallow run -1 need_history "$(git -C "$UPSTREAM" rev-parse v0.1.0)"
	[[ $output == *"this clone is shallow"*"git fetch --unshallow" ]]
}
