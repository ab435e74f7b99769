#!/usr/bin/env bats
# A repository that a newsroom has made its own: another train.py, other texts. Its own suite tests its
# model, and what tests Pressbox stays green.

load doors

setup_file() {
	export CHECKOUT=$BATS_FILE_TMPDIR/checkout
	copy_checkout "$CHECKOUT"
	learns 'return fit(rows, TfidfVectorizer(ngram_range=(1, 3)), LogisticRegression(C=10))'
	# Two sports, and none of the words that tests ask the default model about.
	awk 'BEGIN {
		srand(1)
		for (row = 0; row < 60; row++) {
			sport = row % 2 ? "chess" : "rowing"
			printf "{\"text\": \"%s number %d", sport, row
			for (word = 0; word < 20; word++) printf " %s%d", substr(sport, 1, 3), int(rand() * 40)
			printf "\", \"label\": \"%s\"}\n", sport
		}
	}' >"$CHECKOUT/corpus/newsroom.jsonl"
	commit_checkout
}

setup() {
	cd "$CHECKOUT"
}

# learns LINE...: the part of train.py that a newsroom edits
learns() {
	{
		printf '%s\n' '"""Train."""' '' 'from pressbox.cli.options import Training, run' '' 'def learn(rows):' \
			'    from sklearn.feature_extraction.text import TfidfVectorizer' \
			'    from sklearn.linear_model import LogisticRegression' '    from pressbox import fit'
		printf '    %s\n' "$@"
		sed -n '/^def train/,$p' "$REPOSITORY/tests/support/train.py"
	} >"$CHECKOUT/train.py"
}

@test "the newsroom's suite is green for its own model, on its own texts and on those of a file" {
	run -0 scripts/test.sh newsroom
	[[ $output == *"your own: corpus/newsroom.jsonl, train.py"*"4 passed"* ]]
	sed 's/"text"/"body"/' corpus/newsroom.jsonl >"$BATS_TEST_TMPDIR/rows.jsonl"
	run -0 scripts/test.sh newsroom --data "$BATS_TEST_TMPDIR/rows.jsonl" --text-column=body
	[[ $output == *"4 passed"* ]]
}

@test "the newsroom's suite is red for a train.py that makes another model each time" {
	learns 'import os' 'C = 1 + os.urandom(1)[0]' \
		'return fit(rows, TfidfVectorizer(), LogisticRegression(C=C))'
	run -1 scripts/test.sh newsroom
	[[ $output == *"FAILED"*"test_it_is_the_same_model_twice"* ]]
	[[ $output == *"FAILED"*"test_it_is_replayed"* ]]
	git_in . checkout --quiet train.py
}

# Those that trained with the newsroom's train.py, or knew the corpus, while the tests had no model of
# their own.
@test "with the newsroom's train.py and texts, the tests of Pressbox are green" {
	run -0 scripts/test.sh unit -k "corpus or options or screen"
	[[ $output == *" passed"* ]]
	run -0 scripts/test.sh integration -k "notebook or own_model or full_disk or rows_than_those_that_are_signed or named_wherever \
		or whatever_the_tree_is_now or key_in_the_environment"
	[[ $output == *" passed"* ]]
	[[ $output != *" failed"* ]]
}

@test "with the newsroom's train.py, the README's figures are not looked for, and that is said" {
	run -0 env ENGINE="$ENGINE" TAGGED="$TAGGED" "$REPOSITORY/.devcontainer/toolchain/node_modules/bats/bin/bats" --tap \
		-f "README's training" tests/doors/docs.bats
	[[ $output == *"# skip train.py or the corpus is a newsroom's own"* ]]
	cp "$REPOSITORY"/tests/support/train.py .
	cp "$REPOSITORY"/corpus/newsroom.jsonl corpus
	(cd "$CHECKOUT" && sha256sum corpus/newsroom.jsonl train.py >tests/support/default.sha256)
	run env ENGINE="$ENGINE" TAGGED="$TAGGED" "$REPOSITORY/.devcontainer/toolchain/node_modules/bats/bin/bats" --tap \
		-f "README's training" tests/doors/docs.bats
	[[ $output != *"# skip"* ]]
}

@test "what follows a suite is for pytest or bats, and only for them" {
	run -0 scripts/test.sh unit -k 'fits_on_a_screen or empty_texts' --collect-only --quiet
	[[ $output == *"selected"* ]]
	local arguments
	while IFS='|' read -r arguments said; do
		# shellcheck disable=SC2086 # arguments
		run -2 --separate-stderr scripts/test.sh $arguments
		one_error "$said"
	done <<-WRONG
		-k corpus|unknown option '-k'
		unit integration|unknown argument 'integration'
		arm64 -k corpus|unknown argument '-k'
		unit --data x.csv|--data is for the newsroom's own model
		newsroom --data|--data needs a value
		newsroom --data nowhere.csv|there is no source 'nowhere.csv'
	WRONG
}
