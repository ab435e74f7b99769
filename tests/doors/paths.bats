#!/usr/bin/env bats
# Any path will do; a link in the checkout leads nothing out of it; what lies elsewhere and cannot be
# used is one line.

load doors

setup_file() {
	export CHECKOUT=$BATS_FILE_TMPDIR/checkout
	copy_checkout "$CHECKOUT"
	mkdir -m 700 "$BATS_FILE_TMPDIR/keys"
	printf 'text,label\na ball,x\na bat,x\na bat or ball,x\na puck,y\na stick,y\nstick and puck,y\n' >"$BATS_FILE_TMPDIR/rows.csv"
}

setup() {
	cd "$CHECKOUT"
}

# Each has what option parsers, $(), globs, CSV, quotes and terminals stumble over.
ODD=(-x $'new\nline' $'ends in newline\n' 'a space' 'comma,comma' "quo\"te's" '*[?]' '$(false)' 'back\slash' '#%41' 'ü')

@test "data, output, keys and models may lie under any path" {
	local odd folder
	for odd in "${ODD[@]}"; do
		folder=$BATS_TEST_TMPDIR/$odd
		mkdir -- "$folder"
		cp "$BATS_FILE_TMPDIR/rows.csv" "$folder/$odd.csv"
		cp "$CHECKOUT/gnupg/demo.secret.asc" "$folder/$odd"
		cp "$CHECKOUT/gnupg/demo.passphrase" "$folder/$odd.passphrase"
		cd -- "$BATS_TEST_TMPDIR"
		# From within their folder, so that the names stand there as they are.
		run -0 --separate-stderr "$CHECKOUT/scripts/train.sh" --output "$odd/mine.tar.gz" --data "$odd/$odd.csv" \
			--test "$odd/$odd.csv" --signing-key "$odd/$odd" --passphrase-file "$odd/$odd.passphrase" --dry-run
		[ -z "$output" ]
	done
	# In truth, with two that have most of it.
	for odd in $'-x, "new"\nline\n' "it's *[?] \$(false) \\"; do
		folder=$BATS_TEST_TMPDIR/$odd
		mkdir -- "$folder"
		cd -- "$folder"
		cp "$BATS_FILE_TMPDIR/rows.csv" "./$odd.csv"
		cp "$CHECKOUT/gnupg/demo.secret.asc" "./$odd"
		cp "$CHECKOUT/gnupg/demo.passphrase" "./$odd.passphrase"
		run -0 --separate-stderr "$CHECKOUT/scripts/train.sh" --output "../$odd/mine.tar.gz" --data "$odd.csv" \
			--signing-key "$odd" --passphrase-file "$odd.passphrase"
		[ "$output" = "$folder/mine.tar.gz" ]
		cp mine.tar.gz "./$odd.tar.gz"
		run -0 --separate-stderr "$CHECKOUT/scripts/verify.sh" ./"$odd.tar.gz"
		run -0 --separate-stderr "$CHECKOUT/scripts/keys.sh" new 'A <a@b.example>' --out "$folder"
		[ -s "$(echo ./*.secret.asc)" ]
	done
}

@test "messages call data and models as they are called here" {
	local rows=$BATS_TEST_TMPDIR/my\ rows.csv
	printf 'headline,label,note\na ball,x,\n' >"$rows"
	run -1 --separate-stderr scripts/train.sh --data "$rows"
	one_error "$rows has no text, but: 'headline', 'label', 'note'"
	printf 'text,label\na ball,x\n\xc5l,y\n' >"$rows"
	run -1 --separate-stderr scripts/train.sh --data "$rows"
	one_error "line 3 of $rows is not UTF-8"
	mkdir models/texts
	cp "$rows" models/texts/rows.csv
	run -1 --separate-stderr scripts/train.sh --data models/texts
	one_error "line 3 of $CHECKOUT/models/texts/rows.csv is not UTF-8"
	rm -r models/texts
	[[ $stderr != */mnt/* && $stderr != */workspaces/* ]]
}

@test "an option's value that begins with a dash is a value" {
	cd "$BATS_TEST_TMPDIR"
	cp "$BATS_FILE_TMPDIR/rows.csv" ./-rows.csv
	mkdir ./-dash
	run -0 --separate-stderr "$CHECKOUT/scripts/train.sh" --data -rows.csv --output -dash/mine.tar.gz
	[ -s ./-dash/mine.tar.gz ]
	cp ./-dash/mine.tar.gz -- -mine.tar.gz
	run -0 --separate-stderr "$CHECKOUT/scripts/verify.sh" -mine.tar.gz --json
	run -2 --separate-stderr "$CHECKOUT/scripts/verify.sh" -nowhere.tar.gz
	one_error "unknown option '-nowhere.tar.gz'"
	cp "$CHECKOUT/gnupg/demo.pub.asc" ./-key.asc
	run -0 --separate-stderr "$CHECKOUT/scripts/keys.sh" trust -key.asc
	run -2 --separate-stderr "$CHECKOUT/scripts/keys.sh" trust -nowhere.asc
	one_error "unknown option '-nowhere.asc'"
	run -2 --separate-stderr "$CHECKOUT/scripts/keys.sh" trust -- -nowhere.asc
	one_error "there is no file"
}

@test "what is not there is one line, whatever it is called" {
	local odd
	for odd in "${ODD[@]}"; do
		run -2 --separate-stderr scripts/train.sh --data "nowhere/$odd"
		one_error "there is no source"
		[ "$(grep -c . <<<"$stderr")" = 1 ]
		run -2 --separate-stderr scripts/train.sh --output "nowhere/$odd/a.tar.gz"
		[ "$(grep -c . <<<"$stderr")" = 1 ]
		run -2 --separate-stderr scripts/verify.sh "nowhere/$odd"
		[ "$(grep -c . <<<"$stderr")" = 1 ]
	done
}

@test "a checkout may have any path; a dev container says where it cannot" {
	local odd=$'-x, "it\'s" *[?] $(false) \\\nline\n'
	cp -a "$CHECKOUT" "$BATS_TEST_TMPDIR/$odd"
	run -0 --separate-stderr "$BATS_TEST_TMPDIR/$odd/scripts/train.sh"
	[ -s "$BATS_TEST_TMPDIR/$odd/models/sports.tar.gz" ]
	cd "$BATS_TEST_TMPDIR/$odd/scripts"
	run -0 --separate-stderr bash verify.sh ../models/sports.tar.gz
	run -2 --separate-stderr ./train.sh --door devcontainer
	one_error "cannot mount a checkout with such a path"
	[[ $stderr == *"use --door docker"* ]]
}

@test "verify.sh lets in the one file" {
	mkdir "$BATS_TEST_TMPDIR/downloads"
	cp tests/golden/*.tar.gz "$BATS_TEST_TMPDIR/downloads/a.tar.gz"
	echo secret >"$BATS_TEST_TMPDIR/downloads/other"
	run -0 --separate-stderr scripts/verify.sh --dry-run "$BATS_TEST_TMPDIR/downloads/a.tar.gz"
	[[ $stderr == *"source=$BATS_TEST_TMPDIR/downloads/a.tar.gz\\\""* ]]
	[[ $stderr != *"source=$BATS_TEST_TMPDIR/downloads\\\""* ]]
	ln -s a.tar.gz "$BATS_TEST_TMPDIR/downloads/link.tar.gz"
	run -3 --separate-stderr scripts/verify.sh "$BATS_TEST_TMPDIR/downloads/link.tar.gz"
	one_error "not trusted (file)"
	run -3 --separate-stderr scripts/verify.sh "$BATS_TEST_TMPDIR/downloads/link.tar.gz" --json
	[[ $output == *'"reason": "file"'* ]]
}

@test "a link in the checkout leads no writing out of it, unless an option does" {
	local away=$BATS_TEST_TMPDIR/away place command
	mkdir "$away"
	while IFS='|' read -r place command; do
		rm -rf "$BATS_TEST_TMPDIR/linked"
		cp -a "$CHECKOUT" "$BATS_TEST_TMPDIR/linked"
		cd "$BATS_TEST_TMPDIR/linked"
		rm -rf "$place"
		mkdir -p "$(dirname "$place")"
		ln -s "$away" "$place"
		# shellcheck disable=SC2086 # a command and its arguments
		run -2 --separate-stderr scripts/$command
		one_error "$place is a symbolic link"
		[ -z "$(ls -A "$away")" ]
	done <<-PLACES
		models|train.sh
		.cache|train.sh --data newsgroups
		.cache/scikit_learn_data|train.sh --test newsgroups
		.cache|test.sh browser
		.cache/screenshots|test.sh browser
		gnupg|keys.sh revoke D4021E7D4529EC2E3058A92277DDEEAA3A5411D4
		.devcontainer|doctor.sh --accept
		.devcontainer/toolchain|train.sh --door devcontainer
		.devcontainer/toolchain/node_modules|train.sh --door devcontainer
	PLACES
	ln -s "$away" "$CHECKOUT/models/away"
	run -0 --separate-stderr scripts/train.sh --output "$CHECKOUT/models/away/mine.tar.gz"
	[ -s "$away/mine.tar.gz" ]
}

@test "a folder for temporary files that cannot be used is one line, before anything else" {
	local folder=$BATS_TEST_TMPDIR/temporary script
	mkdir "$folder"
	need_root
	mount -t tmpfs -o size=4k,ro tmpfs "$folder"
	for script in "train.sh" "verify.sh tests/golden/newsroom-0.1.0.tar.gz" "keys.sh list" "doctor.sh"; do
		for TMPDIR in "$BATS_TEST_TMPDIR/nowhere" "$folder"; do
			# shellcheck disable=SC2086 # a command and its arguments
			TMPDIR=$TMPDIR run -1 --separate-stderr scripts/$script
			one_error "nothing can be written to $TMPDIR"
		done
	done
	mount -o remount,rw,size=4k "$folder"
	TMPDIR=$folder run -1 --separate-stderr scripts/train.sh
	umount "$folder"
	one_error "nothing can be written to $folder"
}

@test "sizes and folders in variables that cannot be used are one line" {
	local size
	for size in much 0 -1 4x 1.5q '4g --privileged'; do
		PRESSBOX_MEMORY=$size run -2 --separate-stderr scripts/train.sh
		one_error "PRESSBOX_MEMORY is '$size'"
	done
	PRESSBOX_MEMORY=512M run -0 --separate-stderr scripts/train.sh --dry-run
	PRESSBOX_DATA_HOME=/dev/null/data run -2 --separate-stderr scripts/train.sh --data newsgroups
	one_error "/dev/null/data cannot be created"
	PRESSBOX_REAL_DATA=/nowhere/at/all run -2 --separate-stderr scripts/test.sh unit
	one_error "PRESSBOX_REAL_DATA"
}

@test "data that root alone may read is one line, before anything slow" {
	need_root
	local folder=$BATS_TEST_TMPDIR/data
	mkdir -p "$folder/x"
	cp "$BATS_FILE_TMPDIR/rows.csv" "$folder/x/a.txt"
	chmod 600 "$folder/x/a.txt"
	run -1 --separate-stderr scripts/train.sh --data "$folder"
	one_error "x/a.txt cannot be read by user"
	[[ $stderr != *texts* ]]
}
