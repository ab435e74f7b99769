"""train.py as it is run: what it leaves, and what it leaves alone."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys

import fastparquet
import pandas
import pytest
from conftest import ROOT, assert_refused, python, trust

from pressbox import keys, signing, tarball


def train(path, source="newsroom", **options):
    return python("train.py", path, "--data", source, **options)


def start(path, source="newsroom", env=()):
    return subprocess.Popen(
        [sys.executable, "train.py", str(path), "--data", str(source)],
        cwd=ROOT,
        env={**os.environ, **dict(env)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_training_prints_the_path_and_leaves_the_model_there(table, corpus, tmp_path):
    path = tmp_path / "sports.tar.gz"
    done = train(path, table)
    assert (done.returncode, done.stdout) == (0, f"{path}\n"), done.stderr
    assert list(tmp_path.iterdir()) == [path]
    facts = tarball.describe(path)
    assert (facts["name"], facts["source"]) == ("sports", "small.jsonl")
    assert (facts["labels"], facts["data_digest"]) == (corpus.labels, corpus.digest)
    assert f"model digest {facts['model_digest']}\n" in done.stderr


@pytest.mark.real_data
def test_real_articles_are_told_apart(real_data, tmp_path):
    done = train(tmp_path / "news.tar.gz", real_data)
    assert done.returncode == 0, done.stderr
    facts = tarball.describe(tmp_path / "news.tar.gz")
    assert facts["labels"] == ["rec.sport.baseball", "rec.sport.hockey"]
    assert facts["metrics"]["rows"] > 700
    assert facts["metrics"]["accuracy"] >= 0.95


def test_the_model_does_not_depend_on_hash_seed_threads_or_kernel(tmp_path):
    other = {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    with (
        start(tmp_path / "one.tar.gz") as one,
        start(tmp_path / "two.tar.gz", env={**other, "OPENBLAS_CORETYPE": "Prescott"}) as two,
    ):
        said = [training.communicate()[1] for training in (one, two)]
    digests = [re.search(r"model digest (sha256:\w{64})", lines).group(1) for lines in said]
    assert digests[0] == digests[1]


def test_two_trainings_into_one_file_leave_one_intact_model(table, earlier):
    with start(earlier, table) as one, start(earlier, table) as two:
        one.communicate()
        two.communicate()
    assert (one.returncode, two.returncode) == (0, 0)
    assert tarball.describe(earlier)["name"] == "sports"
    assert list(earlier.parent.iterdir()) == [earlier]


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (["{}/model.tar.gz", "--nonsense"], "--nonsense"),
        ([], "model_path"),
        (["{}/nowhere/model.tar.gz"], "no folder"),
        (["{}"], "is a folder"),
        (["{}/model.tar.gz", "--data", "nonsense"], "no source"),
    ],
)
def test_wrong_usage_is_said_in_one_line(arguments, saying, earlier, untouched):
    done = python("train.py", *(argument.format(earlier.parent) for argument in arguments))
    assert_refused(done, 2, saying)
    assert done.stdout == ""
    untouched()


def test_a_folder_that_is_read_only_is_said_in_one_line(table, earlier, untouched):
    earlier.parent.chmod(0o500)
    done = train(earlier, table)
    earlier.parent.chmod(0o700)
    assert_refused(done, 1, str(earlier.parent))
    untouched()


@pytest.mark.parametrize(
    ("limit", "what"), [(100_000, "the model could not be written"), (100, "key")]
)
def test_a_full_disk_leaves_the_earlier_model(limit, what, earlier, untouched):
    """No file can grow beyond the limit: not the model, or not even what GnuPG keeps."""
    done = train(
        earlier, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    assert_refused(done, 1, what)
    untouched()


@pytest.mark.parametrize(
    ("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_a_training_that_is_stopped_leaves_the_earlier_model(
    sent, status, table, earlier, untouched
):
    before = set(keys.MEMORY.iterdir())
    with start(earlier, table) as training:
        assert any("accuracy" in line for line in iter(training.stderr.readline, ""))
        training.send_signal(sent)
        output, rest = training.communicate()
    left = set(keys.MEMORY.iterdir()) - before
    for home in left:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)
        shutil.rmtree(home)
    assert (training.returncode, output) == (status, "")
    if sent != signal.SIGKILL:
        assert rest.splitlines()[-1].startswith("error: ")
        assert "Traceback" not in rest
        assert not left
    untouched()


def test_a_missing_key_is_said_at_once(table, earlier, untouched, checkout):
    (checkout / "gnupg" / "demo.secret.asc").unlink()
    done = train(earlier, table, cwd=checkout)
    assert_refused(done, 1, "demo.secret.asc")
    assert "texts to train on" not in done.stderr
    untouched()


def test_a_wrong_passphrase_is_said_in_one_line(table, earlier, untouched):
    env = {
        "PRESSBOX_SIGNING_KEY": signing.demo_key().armoured.decode(),
        "PRESSBOX_SIGNING_PASSPHRASE": "wrong",
    }
    assert_refused(train(earlier, table, env=env), 1, "passphrase")
    untouched()


def test_a_key_in_the_environment_signs(table, stranger, earlier, checkout):
    trust(checkout / "gnupg", stranger)
    env = {
        "PRESSBOX_SIGNING_KEY": stranger.signing.armoured.decode(),
        "PRESSBOX_SIGNING_PASSPHRASE": stranger.signing.passphrase,
    }
    done = train(earlier, table, cwd=checkout, env=env)
    assert done.returncode == 0, done.stderr
    facts = tarball.describe(earlier, checkout / "gnupg")
    assert facts["signer"]["fingerprint"] == stranger.fingerprint


# A reader of Parquet that believes what it reads can crash: these two are no unit tests.
def test_200_megabytes_in_the_frame_of_a_parquet_are_refused(earlier, untouched, tmp_path):
    source = tmp_path / "garbage.parquet"
    with source.open("wb") as file:
        file.write(b"PAR1" + os.urandom(1 << 20))
        file.seek(200 << 20)
        file.write((100 << 20).to_bytes(4, "little") + b"PAR1")
    assert_refused(train(earlier, source), 1, "garbage.parquet")
    untouched()


def test_a_damaged_parquet_is_refused(rows, earlier, untouched, tmp_path):
    source = tmp_path / "damaged.parquet"
    fastparquet.write(str(source), pandas.DataFrame(rows, columns=["text", "label"]))
    text = rows[0][0].encode()
    intact = len(text).to_bytes(4, "little") + text
    assert intact in source.read_bytes()
    source.write_bytes(source.read_bytes().replace(intact, b"\xff\xff\xff\x7f" + text))
    assert_refused(train(earlier, source), 1, "damaged.parquet")
    untouched()
