#!/usr/bin/env bats
# Drift in a real container: each way in which an environment can change stops the next training,
# and is named. A fresh container of the docker door has none, so these are changed by hand.

load doors

SITE=/opt/venv/lib/python3.13/site-packages

setup_file() {
	export CHECKOUT=$BATS_FILE_TMPDIR/checkout
	copy_checkout "$CHECKOUT"
	chmod -R a+rX "$BATS_FILE_TMPDIR"
	printf '%s\n' '{"text": "puck stick goal", "label": "hockey"}' '{"text": "stick puck net", "label": "hockey"}' \
		'{"text": "goal puck net", "label": "hockey"}' '{"text": "bat ball base", "label": "baseball"}' \
		'{"text": "base ball glove", "label": "baseball"}' '{"text": "bat glove ball", "label": "baseball"}' \
		>"$CHECKOUT/rows.jsonl"
}

# after USER CHANGE COMMAND: in a container in which CHANGE has been done
after() {
	"$ENGINE" run --rm --network none --user "$1" --env HOME=/tmp --volume "$CHECKOUT:/workspaces/pressbox" \
		"$TAGGED" bash -euc "exec 3>&1 >&2; $2"$'\n'"exec >&3; $3"
}

TRAIN="python train.py /tmp/drifted.tar.gz --data rows.jsonl"

# stops CHANGE TEXT [USER]: a training is refused, with status 4 and for TEXT, once CHANGE is done
stops() {
	run -4 --separate-stderr after "${3:-1000}" "$1" "$TRAIN"
	one_error "$2"
	[[ $stderr == *"--allow-drift"* || $stderr == *"rebuild the container"* ]]
}

@test "an environment as it was built trains" {
	run -0 after 1000 true "$TRAIN"
}

@test "pip install of a package is told" {
	stops "
		mkdir -p /tmp/w/nosuch-4.0.dist-info && cd /tmp/w
		echo 'x = 1' >nosuch.py
		printf 'Metadata-Version: 2.1\nName: nosuch\nVersion: 4.0\n' >nosuch-4.0.dist-info/METADATA
		printf 'Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n' >nosuch-4.0.dist-info/WHEEL
		printf 'nosuch.py,,\nnosuch-4.0.dist-info/METADATA,,\nnosuch-4.0.dist-info/WHEEL,,\nnosuch-4.0.dist-info/RECORD,,\n' >nosuch-4.0.dist-info/RECORD
		python -m zipfile -c /tmp/nosuch-4.0-py3-none-any.whl nosuch.py nosuch-4.0.dist-info
		pip install --no-index --quiet /tmp/nosuch-4.0-py3-none-any.whl
		cd /workspaces/pressbox" "Python package nosuch 4.0 is new"
}

@test "pip uninstall of a package is told" {
	stops "pip uninstall --quiet --yes funcy" "Python package funcy"
}

@test "another version of a package is told" {
	stops "mv $SITE/joblib-*.dist-info $SITE/joblib-0.1.dist-info" "Python package joblib is 0.1, was"
}

@test "an edited module is told" {
	stops "echo '# edited' >>$SITE/sklearn/linear_model/_logistic.py" "sklearn/linear_model/_logistic.py was changed"
}

@test "an edit that keeps size and time is told" {
	stops "
		cp -p $SITE/threadpoolctl.py /tmp/before
		sed -i '0,/threadpool/s//threadpoll/' $SITE/threadpoolctl.py
		[ \$(stat -c %s $SITE/threadpoolctl.py) = \$(stat -c %s /tmp/before) ]
		touch -r /tmp/before $SITE/threadpoolctl.py" "threadpoolctl.py was changed"
}

@test "a removed module is told" {
	stops "rm $SITE/joblib/parallel.py" "joblib/parallel.py is gone"
}

@test "a changed shared library of a wheel is told" {
	stops "echo >>\$(ls $SITE/numpy.libs/libscipy_openblas*)" "libscipy_openblas"
}

@test "a path file that runs code at each start is told" {
	stops "echo 'import os' >$SITE/mine.pth" "mine.pth is new"
}

@test "a Debian package of another version is told" {
	stops "sed -i '/^Package: libc6\$/,/^\$/s/^Version: .*/Version: 9.9/' /var/lib/dpkg/status" \
		"Debian package libc6 is 9.9, was" 0:0
}

@test "a changed library of the system is told" {
	stops "f=\$(ls /usr/lib/*/libm.so.6); cp \$f /tmp/m; echo >>/tmp/m; mv /tmp/m \$f" "libm.so.6 was changed" 0:0
}

@test "a module for the system's Python is told" {
	stops "echo 'x = 1' >/usr/lib/python3/dist-packages/mine.py" "mine.py is new" 0:0
}

@test "an undeclared variable that steers BLAS is told, with the line that undoes it" {
	stops "export OPENBLAS_CORETYPE=Haswell" "variable OPENBLAS_CORETYPE is set"
	[[ $stderr == *"; unset OPENBLAS_CORETYPE, or"* ]]
}

@test "another number of threads is told" {
	stops "export OMP_NUM_THREADS=4" "variable OMP_NUM_THREADS is 4, not 1"
	[[ $stderr == *"; export OMP_NUM_THREADS=1, or"* ]]
}

@test "a variable of the image that was unset is told" {
	stops "unset PYTHONHASHSEED" "variable PYTHONHASHSEED is not set"
}

@test "a folder put before the packages is told" {
	stops "export PYTHONPATH=/tmp" "variable PYTHONPATH is set"
}

@test "an edit that chown, touch and cp -a cover up is told" {
	local file=$SITE/threadpoolctl.py cover
	for cover in "chown -R 1000 /opt" "find /opt -exec touch {} +" "cp -a /opt/pressbox /opt/p; rm -r /opt/pressbox; mv /opt/p /opt/pressbox" \
		"chown -R --from=0 0 /opt /usr/lib /usr/share /var /etc 2>/dev/null"; do
		stops "echo '# edited' >>$file; $cover" "threadpoolctl.py was changed" 0:0
	done
}

@test "a folder that is mounted over the packages is told" {
	mkdir "$BATS_TEST_TMPDIR/joblib"
	run -4 --separate-stderr "$ENGINE" run --rm --network none --user 1000 --env HOME=/tmp --volume "$CHECKOUT:/workspaces/pressbox" \
		--volume "$BATS_TEST_TMPDIR/joblib:/opt/venv/share/mine" "$TAGGED" bash -c "$TRAIN"
	one_error "something is mounted at /opt/venv/share/mine"
}

@test "a value that may be a secret is not told" {
	run -4 --separate-stderr after 1000 "export LD_ACCESS_TOKEN=hunter2" "$TRAIN"
	one_error "variable LD_ACCESS_TOKEN is set"
	run -0 after 1000 "export LD_ACCESS_TOKEN=hunter2" "$TRAIN --allow-drift; pressbox show /tmp/drifted.tar.gz --statement"
	[[ $output == *LD_ACCESS_TOKEN* && $output != *hunter2* ]]
}

@test "a missing passport is told" {
	stops "mv /opt/pressbox /opt/elsewhere" "no passport" 0:0
}

@test "an edited passport is told" {
	stops "sed -i 's/debian 13/debian 12/' /opt/pressbox/passport.json" "has been edited" 0:0
}

@test "an environment older than the lock is told" {
	cp -a "$CHECKOUT" "$BATS_TEST_TMPDIR/newer"
	echo '# newer' >>"$BATS_TEST_TMPDIR/newer/poetry.lock"
	CHECKOUT=$BATS_TEST_TMPDIR/newer stops true "poetry.lock is not what this environment was built from"
}

@test "the deep check finds nothing in a fresh container, and what an edit of the lists hides" {
	run -0 after 1000 true "pressbox doctor --deep"
	run -4 after 0:0 "
		python - <<-'EDIT'
			import hashlib, json, pathlib
			folder = pathlib.Path('/opt/pressbox')
			passport = json.loads((folder / 'passport.json').read_text())
			passport['python_packages']['numpy']['files'] = 'sha256:0'
			content = (json.dumps(passport, sort_keys=True, indent=1) + '\n').encode()
			(folder / 'passport.json').write_bytes(content)
			(folder / 'passport.sha256').write_text(hashlib.sha256(content).hexdigest() + '  passport.json\n')
		EDIT" "pressbox doctor --deep"
	[[ $output == *"WRONG drift        files of Python package numpy"* ]]
}

@test "with --allow-drift it trains, and the model says so for ever; a release refuses both" {
	run -0 after 1000 "export OPENBLAS_CORETYPE=Haswell" "$TRAIN --allow-drift; pressbox show /tmp/drifted.tar.gz --json"
	[[ $output == *'"variable OPENBLAS_CORETYPE is set"'* ]]
	run -3 after 1000 "export OPENBLAS_CORETYPE=Haswell" "$TRAIN --allow-drift; pressbox verify /tmp/drifted.tar.gz --release"
	[[ $output == *"not trusted (policy)"* ]]
}

@test "doctor says what has drifted, and what mends it" {
	run -4 after 1000 "pip uninstall --quiet --yes funcy" "pressbox doctor"
	[[ $output == *"WRONG drift        Python package funcy"*"rebuild the container"* ]]
}
