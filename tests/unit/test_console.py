"""What is said while something takes long: one line on a terminal, now and then one in a log."""

import io
import sys
import time

import pytest

from pressbox import console
from pressbox.console import doing, note
from pressbox.errors import PressboxError


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def quick(monkeypatch):
    """Say within hundredths of a second what is said within seconds."""
    monkeypatch.delenv("PRESSBOX_TERMINAL", raising=False)
    monkeypatch.setattr(console, "TICK_S", 0.01)
    monkeypatch.setattr(console, "SILENCE_S", 0.05)


def shown(written):
    """The lines that a terminal shows in the end: each return goes back to the first column."""
    lines = []
    for line in written.split("\n"):
        cells = {}
        for part in line.split("\r"):
            cells |= dict(enumerate(part))
        lines.append("".join(cells.values()).rstrip())
    return lines


def wait_for(saying, stream):
    deadline = time.monotonic() + 10
    while saying not in stream.getvalue():
        assert time.monotonic() < deadline, stream.getvalue()
        time.sleep(0.01)


def test_on_a_terminal_one_line_is_written_anew_and_gone_in_the_end(quick, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := Terminal())
    with doing("reading rows.csv") as far:
        far(12345)
        wait_for("reading rows.csv, 12,345 texts, 0 s\r", stream)
        note("a note")
        far("step 2")
        wait_for("reading rows.csv, step 2, 0 s", stream)
    assert shown(stream.getvalue()) == ["a note", ""]


def test_what_looks_at_a_pipe_through_a_door_is_a_person(quick, monkeypatch):
    monkeypatch.setenv("PRESSBOX_TERMINAL", "1")
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    with doing("fitting"):
        wait_for("fitting, 0 s\r", stream)
    assert shown(stream.getvalue()) == [""]


def test_a_log_gets_a_line_where_it_would_be_silent_for_long(quick, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    for number in range(3):
        with doing("calibrating") as far:
            far(f"fold {number}")
            time.sleep(0.03)
    wait = time.monotonic()
    with doing("fitting"):
        wait_for("fitting, 0 s\n", stream)
    assert time.monotonic() - wait < 5
    assert "\r" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) < 6


def test_a_log_of_what_is_quick_is_as_it_was(monkeypatch):
    monkeypatch.delenv("PRESSBOX_TERMINAL", raising=False)
    monkeypatch.setattr(console, "TICK_S", 0.01)
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    with doing("fitting"):
        time.sleep(0.1)
    note("9326 terms")
    assert stream.getvalue() == "9326 terms\n"


def test_an_error_finds_the_line_free(quick, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := Terminal())
    with pytest.raises(SystemExit), console.reporting(), doing("fitting"):
        wait_for("fitting", stream)
        raise PressboxError("it failed", "do it again")
    assert shown(stream.getvalue()) == ["error: it failed; do it again", ""]


def test_whoever_reads_it_may_go(quick, monkeypatch):
    class Gone(Terminal):
        def write(self, text):
            raise BrokenPipeError

    with doing("fitting"):
        monkeypatch.setattr(sys, "stderr", Gone())
        time.sleep(0.05)
        monkeypatch.undo()
