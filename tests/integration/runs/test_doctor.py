"""What doctor finds wrong in a checkout."""

import json

import pytest
from support import ROOT
from support.processes import python

from pressbox.runs import doctor

LOCK = ".devcontainer/debian.lock"
CONFLICT = "<<<<<<< HEAD\nours\n=======\ntheirs\n>>>>>>> v9\n"
MERGED = [
    ".devcontainer/Dockerfile",
    ".devcontainer/environment.lock",
    "gnupg/keyname-to-fingerprint.json",
    "gnupg/trustdb.txt",
    "poetry.lock",
    "pressbox/own/__init__.py",
    "pyproject.toml",
    "third_party/special_k/pyproject.toml",
    "train.py",
]


def wrong(checkout):
    """What doctor calls wrong with the merges in the checkout, and its exit status."""
    done = python("-m", "pressbox", "doctor", "--json", cwd=checkout)
    assert not done.stderr
    named = [each for each in json.loads(done.stdout) if "has a merge conflict" in each["found"]]
    return named, done.returncode


@pytest.mark.parametrize("name", MERGED)
def test_a_merge_conflict_is_named_with_its_line(name, checkout):
    file = checkout / name
    before = file.read_text().splitlines(keepends=True)
    file.write_text("".join([before[0], CONFLICT, *before[1:]]))
    [finding], status = wrong(checkout)
    assert name in finding["found"]
    assert finding["remedy"]
    assert (finding["status"], status != 0) == (1, True)


def test_what_only_tells_of_a_conflict_is_none(checkout):
    assert "<<<<<<<" in (ROOT / "pressbox" / "runs" / "doctor.py").read_text()
    (checkout / "mine.py").write_text(f'TEXT = """ {CONFLICT}"""\n')
    assert wrong(checkout)[0] == []


def test_a_slow_clock_is_named(monkeypatch):
    assert list(doctor._clock()) == []
    newest = max(map(int, doctor.RELEASE.findall((doctor.ROOT / LOCK).read_text())))
    monkeypatch.setattr(doctor.time, "time", lambda: newest - 400 * 24 * 3600)
    [finding] = doctor._clock()
    assert (finding.subject, finding.status) == ("clock", 1)
    assert finding.remedy == "set this machine's clock"
