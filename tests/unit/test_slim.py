"""slim.py, which the image's build runs, on packages of the tests' own."""

import csv
import shutil
import subprocess
import sys

import pytest
from support import ROOT

SCRIPT = ROOT / ".devcontainer" / "slim.py"


@pytest.fixture
def slim(tmp_path):
    """slim.py with another list, on a folder of three files."""
    shutil.copy(SCRIPT, tmp_path)
    folder = tmp_path / "site-packages"
    for name in ("one/code.py", "one/tests/test_code.py", "one/testing/code.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("pass\n")

    def run(*lines):
        (tmp_path / "slim.txt").write_text("# why\n" + "".join(f"{line}\n" for line in lines))
        command = [sys.executable, tmp_path / "slim.py", "venv", folder]
        done = subprocess.run(command, capture_output=True, text=True)
        left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.py"))
        return done.returncode, done.stderr, left

    return run


def test_what_matches_is_removed_and_nothing_else(slim):
    status, said, left = slim("venv **/tests/", "os one/code.py")
    assert (status, said) == (0, "")
    assert left == ["one/code.py", "one/testing/code.py"]


def test_a_pattern_that_matches_nothing_fails_and_removes_nothing(slim):
    status, said, left = slim("venv **/tests/", "venv two", "venv **/code.py/")
    assert status == 1
    assert "matches two, **/code.py/ of slim.txt; correct the list" in said
    assert len(left) == 3


def test_a_record_lists_what_is_left(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import slim

    (tmp_path / "one-1.dist-info").mkdir()
    (tmp_path / "left.so").write_bytes(b"stripped")
    record = tmp_path / "one-1.dist-info" / "RECORD"
    record.write_text('left.so,sha256=AAAA,99\ngone.py,sha256=BBBB,1\n"one-1.dist-info/RECORD",,\n')
    slim.record(tmp_path)
    rows = list(csv.reader(record.read_text().splitlines()))
    assert rows == [
        ["left.so", "sha256=hTHYlg5_JEdQjYDoDUj9lnMM-JqZhyaJcdhY_EnLpxo", "8"],
        ["one-1.dist-info/RECORD", "", ""],
    ]
