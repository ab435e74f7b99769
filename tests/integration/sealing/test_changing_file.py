"""A file that changes while it is opened is refused, or was one of the genuine models, whole."""

import itertools
import os
import sys
import threading

import pytest
from support.hostile import genuine, nothing_is_unpickled

from pressbox.errors import NotTrusted, UsageError
from pressbox.sealing import tarball
from pressbox.trust import gnupg

OPENINGS = 250


def overwrite(path, contents, size):
    """Write the models in place, a part at a time."""
    with open(path, "r+b") as file:
        for content in contents:
            file.seek(0)
            for start in range(0, len(content), size):
                file.write(content[start : start + size])
                file.flush()
            file.truncate(len(content))
            yield


def truncate(path, contents, size):
    for content in contents:
        os.truncate(path, size)
        yield
        path.write_bytes(content)
        yield


def rename(path, contents, size):
    for number, content in enumerate(contents):
        other = path.with_name(f"{number}")
        other.write_bytes(content)
        other.replace(path)
        yield


def remove(path, contents, size):
    for content in contents:
        path.unlink()
        path.write_bytes(content)
        yield


@pytest.mark.parametrize("change", [overwrite, truncate, rename, remove])
def test_a_file_that_changes_during_its_opening_is_one_of_the_models_or_none(
    change, tmp_path, monkeypatch
):
    models = [genuine(), genuine("other", 2.0)]
    digests = {name: tarball.describe(written(tmp_path, model))["model_digest"]
               for name, model in zip(("tiny", "other"), models, strict=True)}  # fmt: skip
    path = written(tmp_path, models[0])
    # GnuPG's answer takes far longer than reading; without it the two threads meet more often.
    answers = {}
    verify = gnupg.verify

    def remembered(signed, line, armoured):
        if signed not in answers:
            answers[signed] = verify(signed, line, armoured)
        return answers[signed]

    monkeypatch.setattr(gnupg, "verify", remembered)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    over = threading.Event()

    def attack():
        for _ in change(path, itertools.cycle(models), 500):
            if over.is_set():
                return

    thread = threading.Thread(target=attack)
    thread.start()
    seen = set()
    try:
        with nothing_is_unpickled():
            for count in itertools.count(1):
                try:
                    verified = tarball.verify(path)
                except (NotTrusted, UsageError) as refusal:
                    seen.add(type(refusal))
                else:
                    assert digests[verified.facts.name] == verified.facts.model_digest
                    seen.add(verified.facts.name)
                if count >= OPENINGS and (digests.keys() & seen or count > 100 * OPENINGS):
                    break
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert digests.keys() & seen


def written(folder, content):
    path = folder / "model.tar.gz"
    path.write_bytes(content)
    return path


def test_a_file_that_changes_after_it_was_read_is_opened_as_it_was(tmp_path, monkeypatch):
    path = written(tmp_path, genuine())
    verify = gnupg.verify

    def slow(*arguments):
        path.write_bytes(b"evil")
        return verify(*arguments)

    monkeypatch.setattr(gnupg, "verify", slow)
    assert tarball.open_model(path).predict(["aa"]) == ["y"]
    assert path.read_bytes() == b"evil"
