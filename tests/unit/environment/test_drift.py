"""Drift: what has changed in an environment since it was built. tests/doors/drift.bats changes a
real one; here a small one stands in, whose every file can be changed."""

import copy
import json
import os
import re
import sys
import time
from pathlib import Path

import pytest

from pressbox.environment import drift, passport
from pressbox.errors import Drifted

REAL = drift.current()


@pytest.fixture
def small(tmp_path, few_packages, monkeypatch):
    """A passport over the files of a folder; its packages and variables are real ones."""
    loaded, folder = tmp_path / "venv", tmp_path / "passport"
    (loaded / "numpy" / "core").mkdir(parents=True)
    for name in ("numpy/core/a.py", "numpy/core/b.so", "numpy/init.py", "scipy.py"):
        (loaded / name).write_text(name)
    (loaded / "link").symlink_to("scipy.py")
    (tmp_path / "mounts").write_text("1 0 0:1 / / rw - overlay overlay rw\n")
    monkeypatch.setattr(drift, "MOUNTS", tmp_path / "mounts")
    witness = tmp_path / "witness"
    monkeypatch.setattr(drift, "WITNESSES", (str(witness),))
    for module in (drift, passport):
        monkeypatch.setattr(module, "LOADED", (str(loaded),))
    monkeypatch.setattr(passport.measure, "__defaults__", ((str(loaded),),))
    sources = tmp_path / "inputs"
    sources.mkdir()
    passport.issue(folder, sources)
    witness.touch()
    return loaded, folder


def drifted(small, deep=False):
    return list(drift.current(deep, small[1]).drift)


def both(small):
    """What the everyday check says, once the deep one has said the same of the same files."""
    found = drifted(small)
    assert set(drifted(small, deep=True)) >= set(found)
    return found


def test_this_environment_has_not_drifted():
    assert REAL.passport
    assert REAL.differences == ()


def test_what_was_not_changed_has_not_drifted(small):
    assert both(small) == []


def test_a_file_that_was_touched_but_not_changed_has_not_drifted(small):
    file = small[0] / "scipy.py"
    file.write_text("scipy.py")
    assert both(small) == []


def test_a_changed_file_is_told(small):
    (small[0] / "numpy/core/a.py").write_text("edited")
    assert both(small) == [f"{small[0]}/numpy/core/a.py was changed"]


def test_a_changed_file_of_the_same_size_and_time_is_told(small):
    file = small[0] / "numpy/core/a.py"
    before = file.stat()
    file.write_text("numpy/core/A.py")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert both(small) == [f"{file} was changed"]


def test_an_image_from_the_future_is_read_whole(small, monkeypatch):
    file, now = small[0] / "numpy/core/a.py", time.time_ns()
    file.write_text("edited")
    # As if it had been unpacked since, by a clock that was fast and has been set back.
    for witness in (*small[1].iterdir(), *map(Path, drift.WITNESSES)):
        witness.touch()
    monkeypatch.setattr(drift, "CREATED", ())
    assert drifted(small) == []
    monkeypatch.setattr(drift.time, "time_ns", lambda: now)
    assert drifted(small) == [f"{file} was changed"]


def test_a_new_file_is_told(small):
    (small[0] / "numpy/usercustomize.py").write_text("")
    assert both(small) == [f"{small[0]}/numpy/usercustomize.py is new"]


def test_a_missing_file_is_told(small):
    (small[0] / "numpy/core/b.so").unlink()
    assert both(small) == [f"{small[0]}/numpy/core/b.so is gone"]


def test_a_closed_file_is_told(small):
    (small[0] / "numpy/core/b.so").chmod(0o600)
    assert both(small) == [f"{small[0]}/numpy/core/b.so cannot be read"]


@pytest.mark.parametrize("name", ["numpy/core/b.so", "numpy/core"])
def test_another_mode_is_told(name, small):
    (small[0] / name).chmod(0o777)
    assert both(small) == [f"{small[0]}/{name} was changed"]


def test_a_folder_that_takes_the_place_of_a_file_is_told(small):
    (small[0] / "scipy.py").unlink()
    (small[0] / "scipy.py").mkdir()
    assert f"{small[0]}/scipy.py was changed" in both(small)


def test_a_pipe_and_a_link_to_nowhere_are_told(small):
    os.mkfifo(small[0] / "pipe")
    (small[0] / "dangling").symlink_to("nowhere")
    assert both(small) == [f"{small[0]}/dangling is new", f"{small[0]}/pipe is new"]


def test_the_file_at_the_end_of_a_link_is_told_by_the_deep_check(small):
    """It may lie where nobody looks: /usr/bin/awk is a link to a link."""
    outside = small[0].parent / "outside"
    outside.write_text("one")
    (small[0] / "away").symlink_to(outside)
    before = passport.entry(str(small[0] / "away"))
    outside.write_text("other")
    assert passport.entry(str(small[0] / "away")) != before


def touch_all(*paths):
    """What ``chown -R`` does to their times."""
    for path in paths:
        path.chmod(path.stat().st_mode)


def test_times_of_the_passport_that_were_moved_hide_nothing(small):
    """chown -R /opt moves those of the passport, and of all that lies beside it."""
    loaded, folder = small
    (loaded / "numpy/core/a.py").write_text("edited")
    touch_all(*folder.iterdir())
    assert both(small) == [f"{loaded}/numpy/core/a.py was changed"]


def test_without_a_witness_everything_is_read(small, tmp_path):
    loaded, folder = small
    (loaded / "numpy/core/a.py").write_text("edited")
    touch_all(*folder.iterdir())
    (tmp_path / "witness").unlink()
    assert both(small) == [f"{loaded}/numpy/core/a.py was changed"]


def test_a_container_that_is_older_than_all_witnesses_is_believed(small, tmp_path, monkeypatch):
    """chown -R / moves them all, but they cannot be younger than the container."""
    loaded, folder = small
    created = tmp_path / "dockerenv"
    created.touch()
    monkeypatch.setattr(drift, "CREATED", (str(created),))
    (loaded / "numpy/core/a.py").write_text("edited")
    touch_all(tmp_path / "witness", *folder.iterdir())
    assert both(small) == [f"{loaded}/numpy/core/a.py was changed"]


@pytest.mark.parametrize("where", ["", "/numpy/a b", "/.."])
def test_what_is_mounted_over_the_environment_is_told(where, small, tmp_path):
    point = os.path.normpath(f"{small[0]}{where}")
    line = f"2 1 0:2 / {point.replace(' ', chr(92) + '040')} rw - ext4 /dev/x rw\n"
    (tmp_path / "mounts").write_text(f"2 1 0:2 / /elsewhere rw - ext4 /dev/x rw\n{line}")
    assert both(small) == [f"something is mounted at {point}"]


def test_the_python_of_another_venv_is_told(small, monkeypatch):
    monkeypatch.setattr(sys, "prefix", "/home/me/venv")
    assert both(small) == ["this Python is the one in /home/me/venv, not the one in /opt/venv"]


def test_what_changed_since_the_first_look_is_told_of_what_was_executed(small, monkeypatch):
    earlier = drift.current(folder=small[1])
    executed = {str(small[0] / name) for name in ("numpy/core/a.py", "numpy/core/b.so")}
    assert list(drift.changes(earlier, executed)) == []
    touch_all(small[0] / "numpy/core/b.so")
    for name in ("numpy/core/a.py", "scipy.py"):
        (small[0] / name).write_text("edited")
    monkeypatch.setenv("LD_PRELOAD", "/tmp/x.so")
    assert list(drift.changes(earlier, executed)) == [
        "variable LD_PRELOAD is set",
        f"{small[0]}/numpy/core/a.py was changed during the training",
    ]


def test_a_link_that_leads_elsewhere_is_told(small):
    (small[0] / "link").unlink()
    (small[0] / "link").symlink_to("numpy/init.py")
    assert both(small) == [f"{small[0]}/link was changed"]


def test_of_a_new_folder_the_folder_is_told(small):
    (small[0] / "tqdm" / "deep").mkdir(parents=True)
    (small[0] / "tqdm" / "deep" / "file.py").write_text("")
    assert drifted(small) == [f"folder {small[0]}/tqdm is new"]
    deep = ("folder {}/tqdm is new", "folder {}/tqdm/deep is new", "{}/tqdm/deep/file.py is new")
    assert drifted(small, deep=True) == [line.format(small[0]) for line in deep]


def test_of_a_missing_folder_the_folder_is_told(small):
    for name in ("a.py", "b.so"):
        (small[0] / "numpy/core" / name).unlink()
    (small[0] / "numpy/core").rmdir()
    assert drifted(small) == [f"{small[0]}/numpy/core is gone"]
    assert len(drifted(small, deep=True)) == 3


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("TZ", "Europe/Berlin", "variable TZ is Europe/Berlin, not UTC"),
        ("OMP_NUM_THREADS", "4", "variable OMP_NUM_THREADS is 4, not 1"),
        ("PYTHONHASHSEED", None, "variable PYTHONHASHSEED is not set, not 0"),
        ("OPENBLAS_CORETYPE", "Haswell", "variable OPENBLAS_CORETYPE is set"),
        ("NPY_DISABLE_CPU_FEATURES", "AVX2", "variable NPY_DISABLE_CPU_FEATURES is set"),
        ("LD_PRELOAD", "/tmp/x.so", "variable LD_PRELOAD is set"),
        ("PYTHONPATH", "/tmp", "variable PYTHONPATH is set"),
        ("PYTHONOPTIMIZE", "2", "variable PYTHONOPTIMIZE is set"),
        ("PYTHONSAFEPATH", None, "variable PYTHONSAFEPATH is not set, not 1"),
        ("PYTHONWARNINGS", "error::evil.W", "variable PYTHONWARNINGS is set"),
        ("OPENSSL_CONF", "/tmp/o.cnf", "variable OPENSSL_CONF is set"),
        ("GCONV_PATH", "/tmp", "variable GCONV_PATH is set"),
        ("LOCPATH", "/tmp", "variable LOCPATH is set"),
        ("GI_TYPELIB_PATH", "/tmp", "variable GI_TYPELIB_PATH is set"),
        ("LD_ACCESS_TOKEN", "secret", "variable LD_ACCESS_TOKEN is set"),
    ],
)
def test_a_variable_that_steers_is_told(name, value, expected, small, monkeypatch):
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    assert both(small) == [expected]


def test_what_an_interactive_python_reads_is_told_in_a_notebook(small, monkeypatch):
    monkeypatch.setenv("PYTHONSTARTUP", "/tmp/mine.py")
    assert both(small) == []
    monkeypatch.setitem(sys.modules, "IPython", sys)
    assert both(small) == ["variable PYTHONSTARTUP is set"]


NETWORK = ["HTTPS_PROXY", "NODE_EXTRA_CA_CERTS", "PIP_INDEX_URL", "PRESSBOX_CA", "SSL_CERT_FILE"]


@pytest.mark.parametrize(
    "name", ["PYTHONUNBUFFERED", "PYTHONSTARTUP", "MPLBACKEND", "EDITOR", *NETWORK]
)
def test_a_variable_that_steers_nothing_is_no_drift(name, small, monkeypatch):
    monkeypatch.setenv(name, "1")
    assert both(small) == []


def issued(small, **changes):
    """Another passport for the small environment, as if it had been built so."""
    path = small[1] / passport.PASSPORT
    content = passport.canonical({**json.loads(path.read_bytes()), **changes})
    path.write_bytes(content)
    seal = f"{passport.digest(content)[7:]}  {passport.PASSPORT}\n"
    (small[1] / passport.SEAL).write_text(seal)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda p: p["python_packages"].pop("numpy"), r"Python package numpy .* is new"),
        (
            lambda p: p["python_packages"].update(nosuch={"version": "4.67", "files": "x"}),
            r"Python package nosuch 4\.67 is gone",
        ),
        (
            lambda p: p["python_packages"]["numpy"].update(version="1.0"),
            r"Python package numpy is .*, was 1\.0",
        ),
        (
            lambda p: p["debian_packages"].update(gpg="2.0"),
            r"Debian package gpg is .*, was 2\.0",
        ),
        (lambda p: p["debian_packages"].pop("gpg"), "Debian package gpg .* is new"),
    ],
)
def test_a_package_that_came_went_or_changed_is_told(change, expected, small):
    made = json.loads((small[1] / passport.PASSPORT).read_bytes())
    change(made)
    issued(small, **made)
    [found] = both(small)
    assert re.fullmatch(expected, found)


def test_an_image_that_is_not_ours_has_no_passport(tmp_path):
    here = drift.current(folder=tmp_path)
    assert (here.passport, here.digest) == (None, "unknown")
    assert "no passport" in here.drift[0]


def test_a_passport_edited_by_hand_is_refused(small):
    path = small[1] / passport.PASSPORT
    path.write_text(path.read_text().replace("debian 13", "debian 12"))
    with pytest.raises(Drifted, match="has been edited"):
        drift.current(folder=small[1])


def test_a_list_of_files_edited_by_hand_is_refused(small):
    path = small[1] / passport.FILES
    path.write_text(path.read_text().replace("scipy.py", "scipi.py"))
    with pytest.raises(Drifted, match=r"list of files .* has been edited"):
        drift.current(folder=small[1])


def test_a_passport_edited_with_its_seal_is_told_by_the_deep_check(small):
    files = {"count": 7, "digest": passport.digest((small[1] / passport.FILES).read_bytes())}
    issued(small, base="debian 12", files=files)
    assert drifted(small, deep=True) == ["base is debian 13, was debian 12"]


@pytest.mark.parametrize("content", ["", "{}", "[]", "<<<<<<< ours", '{"version": 1}'])
def test_a_passport_that_is_none_is_refused(content, small):
    (small[1] / passport.PASSPORT).write_text(content)
    (small[1] / passport.SEAL).write_text(f"{passport.digest(content.encode())[7:]}  x\n")
    with pytest.raises(Drifted, match="the passport in"):
        drift.current(folder=small[1])


def test_a_checkout_that_is_newer_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(drift, "ROOT", tmp_path)
    here = drift.current()
    assert here.drift == ()
    assert {"poetry.lock", ".devcontainer/Dockerfile"} <= set(here.stale)


def test_a_training_is_refused_with_the_line_that_undoes_the_drift(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("TZ", "CET")
    with pytest.raises(Drifted, match="export TZ=UTC, unset OPENBLAS_CORETYPE") as refused:
        drift.checked()
    assert refused.value.exit_status == 4
    assert len(drift.checked(allow_drift=True).differences) == 2


CHANGES = {
    "architecture is aarch64, was x86_64": lambda p: p.update(architecture="aarch64"),
    "base is debian 14, was debian 13": lambda p: p.update(base="debian 14"),
    "Python is 3.13.99, was 3.13": lambda p: p["python"].update(version="3.13.99"),
    "Python package numpy is 9.9, was": lambda p: p["python_packages"]["numpy"].update(
        version="9.9"
    ),
    "files of Python package numpy": lambda p: p["python_packages"]["numpy"].update(files="x"),
    "Debian package gpg is 9.9, was": lambda p: p["debian_packages"].update(gpg="9.9"),
    "variable TZ is CET, was UTC": lambda p: p["variables"].update(TZ="CET"),
    "files outside of Python's packages differ": lambda p: p["files"].update(digest="x"),
}


@pytest.mark.parametrize("expected", CHANGES)
def test_two_passports_differ_in_words(expected):
    before = {**REAL.passport, "architecture": "x86_64"}
    after = copy.deepcopy(before)
    assert drift.differences(before, after) == []
    CHANGES[expected](after)
    [found] = drift.differences(before, after)
    assert found.startswith(expected)


def test_files_that_nothing_else_explains_are_named_where_both_lists_are_known():
    after = copy.deepcopy(REAL.passport)
    after["files"]["digest"] = "x"
    files = ({"/a": "1", "/b": "1", "/c": "1"}, {"/a": "1", "/b": "2", "/d": "1"})
    assert drift.differences(REAL.passport, after, files) == [
        "files outside of Python's packages differ: /b, /c, /d"
    ]
