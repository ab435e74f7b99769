"""train.py as it is run: what it leaves, and what it leaves alone."""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys

import pyarrow
import pytest
from pyarrow import parquet
from support import KEYS
from support.checkouts import shared_copy
from support.keys import trust
from support.models import write_jsonl
from support.processes import assert_refused, python

from pressbox.sealing import tarball
from pressbox.trust import gnupg, signing_key


def train(path, source, *arguments, **options):
    return python("train.py", path, "--data", source, *arguments, **options)


def start(path, source, env=()):
    return subprocess.Popen(
        [sys.executable, "train.py", str(path), "--data", str(source)],
        cwd=shared_copy(),
        env={**os.environ, **dict(env)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_training_prints_the_path_and_leaves_the_model_there(table, corpus, tmp_path):
    path = tmp_path / "sports.tar.gz"
    done = train(path, table)
    assert (done.returncode, done.stdout) == (0, f"{path}\n"), done.stderr
    assert set(tmp_path.iterdir()) == {path, path.with_name("sports.html")}
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


def test_two_trainings_into_one_file_leave_one_intact_model(table, earlier):
    with start(earlier, table) as one, start(earlier, table) as two:
        one.communicate()
        two.communicate()
    assert (one.returncode, two.returncode) == (0, 0)
    assert tarball.describe(earlier)["name"] == "sports"
    assert set(earlier.parent.iterdir()) == {earlier, earlier.with_name("sports.html")}


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
def test_a_full_disk_leaves_the_earlier_model(limit, what, earlier, untouched, tmp_path):
    """No file can grow beyond the limit: not the model, or not even what GnuPG keeps."""
    words = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(5000)]
    texts = [" ".join(words[start : start + 50]) for start in range(0, 5000, 50)]
    rows = [(f"{text} {copy}", text[0]) for text in texts for copy in ("once", "twice")]
    large = write_jsonl(tmp_path / "large.jsonl", rows)
    done = train(
        earlier, large, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    assert_refused(done, 1, what)
    untouched()


@pytest.mark.alone
@pytest.mark.parametrize(
    ("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_a_training_that_is_stopped_leaves_the_earlier_model(
    sent, status, table, earlier, untouched
):
    before = set(gnupg.MEMORY.iterdir())
    with start(earlier, table) as training:
        assert any("accuracy" in line for line in iter(training.stderr.readline, ""))
        training.send_signal(sent)
        output, rest = training.communicate()
    left = set(gnupg.MEMORY.iterdir()) - before
    for home in left:
        shutil.rmtree(home, ignore_errors=True)
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


DEMO_KEY = signing_key.demo_key()


@pytest.mark.parametrize(
    ("key", "passphrase", "saying"),
    [
        (DEMO_KEY.armoured, "wrong", "Bad passphrase"),
        (DEMO_KEY.armoured, "", "No passphrase"),
        ((KEYS / "demo.pub.asc").read_bytes(), DEMO_KEY.passphrase, "is a public key"),
    ],
    ids=["wrong passphrase", "no passphrase", "public key"],
)
def test_a_key_that_does_not_sign_is_said_before_the_training(
    key, passphrase, saying, table, earlier, untouched
):
    variables = {"PRESSBOX_SIGNING_KEY": key.decode(), "PRESSBOX_SIGNING_PASSPHRASE": passphrase}
    done = train(earlier, table, env=variables)
    assert_refused(done, 1, saying)
    assert "texts to train on" not in done.stderr
    untouched()


def closed(folder):
    folder.chmod(0o500)


def with_a_folder_for_a_page(folder):
    (folder / "sports.html").mkdir()


@pytest.mark.parametrize(
    ("spoil", "saying"),
    [(closed, "no model can be written"), (with_a_folder_for_a_page, "the page cannot be written")],
)
@pytest.mark.parametrize("option", [(), ("--no-page",)], ids=["page", "no page"])
def test_a_path_that_cannot_be_written_is_said_before_the_training(
    spoil, saying, option, table, earlier, sealed
):
    spoil(earlier.parent)
    try:
        done = train(earlier, table, *option)
    finally:
        earlier.parent.chmod(0o700)
    assert_refused(done, 1, saying)
    assert "texts to train on" not in done.stderr
    assert earlier.read_bytes() == sealed


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


# A reader of Parquet that believes what it reads could crash: these are no unit tests.
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
    texts, labels = zip(*rows, strict=True)
    plain = {"compression": "none", "use_dictionary": False}
    parquet.write_table(pyarrow.table({"text": texts, "label": labels}), source, **plain)
    text = rows[0][0].encode()
    intact = len(text).to_bytes(4, "little") + text
    assert intact in source.read_bytes()
    source.write_bytes(source.read_bytes().replace(intact, b"\xff\xff\xff\x7f" + text))
    assert_refused(train(earlier, source), 1, "damaged.parquet")
    untouched()


def test_the_page_lies_beside_the_model_and_is_made_again_from_it(table, tmp_path):
    path = tmp_path / "sports.tar.gz"
    assert train(path, table).returncode == 0
    page = tmp_path / "sports.html"
    assert tarball.describe(path)["model_digest"] in page.read_text()
    done = python("-m", "pressbox", "show", path, "--html", tmp_path / "again.html")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_the_page_tells_what_has_changed_since_the_model_it_replaces(table, rows, tmp_path):
    path = tmp_path / "sports.tar.gz"
    train(path, table)
    assert "This model replaces" not in (tmp_path / "sports.html").read_text()
    sealed_at = tarball.describe(path)["sealed_at"]
    train(path, write_jsonl(tmp_path / "less.jsonl", rows[1:]))
    page = (tmp_path / "sports.html").read_text()
    assert f'This model replaces the one sealed on <time datetime="{sealed_at}">' in page


def test_without_a_page_none_is_left_and_the_model_holds_no_text(table, tmp_path):
    path = tmp_path / "sports.tar.gz"
    (tmp_path / "sports.html").write_text("an earlier one")
    assert train(path, table, "--no-page").returncode == 0
    assert [file.name for file in tmp_path.iterdir()] == ["sports.tar.gz"]
    statement = json.dumps(tarball.verify(path).statement.content)
    assert '"mistakes": []' in statement


def test_a_script_in_a_text_and_a_label_does_not_reach_the_page(rows, tmp_path):
    evil = "<script>alert(1)</script>"
    spoilt = [(f"{text} {evil}", evil if label == "golf" else label) for text, label in rows]
    path = tmp_path / "sports.tar.gz"
    assert train(path, write_jsonl(tmp_path / "evil.jsonl", spoilt)).returncode == 0
    page = (tmp_path / "sports.html").read_text()
    assert evil not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_page_that_cannot_be_written_leaves_the_model_and_says_so(table, tmp_path):
    path = tmp_path / "sports.tar.gz"
    with start(path, table) as training:
        while "texts to train on" not in training.stderr.readline():
            assert training.poll() is None
        (tmp_path / "sports.html").mkdir()
        said = training.stderr.read()
    done = subprocess.CompletedProcess(training.args, training.returncode, stderr=said)
    assert_refused(done, 1, "the page could not be written")
    assert tarball.describe(path)["name"] == "sports"


def test_another_source_is_evaluated_on_and_the_model_is_the_same(table, tmp_path):
    other = write_jsonl(tmp_path / "other.jsonl", [("a birdie", "golf"), ("an ace", "tennis")])
    one, two = tmp_path / "one.tar.gz", tmp_path / "two.tar.gz"
    train(one, table)
    assert train(two, table, "--test", other).returncode == 0
    facts = [tarball.describe(path) for path in (one, two)]
    assert facts[0]["model_digest"] == facts[1]["model_digest"]
    assert facts[1]["metrics"]["rows"] == 2


def test_the_statement_says_that_rounding_had_one_outcome(table, tmp_path):
    path = tmp_path / "sports.tar.gz"
    train(path, table)
    certificate = tarball.verify(path).statement.byproduct("certificate")
    assert certificate["certified"] is True
    assert certificate["margin"] > certificate["bound"] > certificate["gradient"] >= 0
