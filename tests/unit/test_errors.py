"""What a person sees when something fails, and what the package shows of itself."""

import tomllib

import pytest
from support import ROOT

import pressbox
from pressbox.console import note, reporting
from pressbox.errors import NotTrusted, PressboxError, Reason, UsageError, visible


@pytest.mark.parametrize(("kind", "status"), [(PressboxError, 1), (UsageError, 2)])
def test_an_error_is_one_line_and_the_exit_status_of_its_kind(kind, status, capsys):
    with pytest.raises(SystemExit) as caught, reporting():
        raise kind("two\nlines", "do\r\n this")
    assert caught.value.code == status
    assert capsys.readouterr() == ("", "error: two lines; do this\n")


def test_what_and_remedy_are_told_apart_whatever_they_hold():
    error = PressboxError("one; two", "three; four")
    assert (error.what, error.remedy) == ("one; two", "three; four")
    assert str(error) == "one; two; three; four"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2K\rgood", r"\x1b[2K\rgood"),
        ("one\ntwo\x85three\u2028four", r"one\ntwo\x85three\u2028four"),
        ("evil \u202etxet\u2069", r"evil \u202etxet\u2069"),
        ("in\u200bvisible\u00ad \ufeff\U000e0041", r"in\u200bvisible\xad \ufeff\U000e0041"),
        ("half \ud800", r"half \ud800"),
        ("Ünïcödé 球 \u00a0", "Ünïcödé 球 \u00a0"),
    ],
)
def test_characters_that_deceive_a_reader_are_shown_escaped(text, shown):
    assert visible(text) == shown
    line = str(PressboxError(f"it is {text!s}", "do not"))
    assert line.isprintable() or "\u00a0" in text


def test_a_refusal_names_its_reason_and_is_status_3(capsys):
    with pytest.raises(SystemExit) as caught, reporting():
        raise NotTrusted(Reason.SIGNER, "nobody knows them")
    assert caught.value.code == NotTrusted.exit_status == 3
    assert capsys.readouterr().err.startswith("error: not trusted (signer): nobody knows them; ")


def test_messages_call_a_path_as_it_is_called_on_the_host(monkeypatch, capsys):
    names = {"/mnt/data/rows.csv": "/home/ann/my  rows.csv", "/mnt/data": "/srv/é"}
    told = "".join(f"{here}\t{there}\n" for here, there in names.items())
    monkeypatch.setenv("PRESSBOX_CALLED", told + "no tab\n\t\n")
    error = PressboxError("line 7 of /mnt/data/rows.csv is not UTF-8", "remove /mnt/data/x")
    assert str(error) == "line 7 of /home/ann/my rows.csv is not UTF-8; remove /srv/é/x"
    note("reading /mnt/data/rows.csv, /mnt/data-2, /mnt/data_2 and '/mnt/data'")
    assert capsys.readouterr().err == (
        "reading /home/ann/my  rows.csv, /mnt/data-2, /mnt/data_2 and '/srv/é'\n"
    )
    monkeypatch.delenv("PRESSBOX_CALLED")
    assert "/mnt/data/rows.csv" in str(PressboxError("of /mnt/data/rows.csv", "remove it"))


def test_an_error_that_nobody_meant_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), reporting():
        raise ZeroDivisionError


def test_every_name_of_the_package_is_there():
    assert all(callable(getattr(pressbox, name)) for name in pressbox.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = pressbox.nonsense


def test_the_package_and_its_metadata_have_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == pressbox.__version__


def test_too_little_memory_is_one_line(capsys):
    with pytest.raises(SystemExit) as ended, reporting():
        raise MemoryError
    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        "error: there is not enough memory;"
        " give more, e.g. PRESSBOX_MEMORY=16g scripts/train.sh, or fewer texts\n"
    )
