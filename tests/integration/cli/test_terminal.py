"""What people see on a terminal: colours that cannot be overlooked, and lines as wide as it is."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from functools import partial

import pytest

from pressbox.cli import output

RED, YELLOW, PLAIN = "\x1b[1;31m", "\x1b[33m", "\x1b[0m"


def on_terminal(command, columns=60, **variables):
    """What the command writes to a pseudo-terminal of so many columns, without carriage returns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    command = [sys.executable, "-m", "pressbox", *map(str, command)]
    with subprocess.Popen(
        command, stdout=theirs, env={**environment, "TERM": "xterm", **variables}
    ):
        os.close(theirs)
        written = b"".join(iter(partial(_read, ours), b""))
    os.close(ours)
    return written.decode().replace("\r", "")


def _read(descriptor):
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # whoever wrote to it has gone
        return b""


def test_a_model_that_is_not_protected_is_red(earlier):
    seen = on_terminal(["verify", earlier])
    assert seen.startswith(f"{RED}NOT PROTECTED{PLAIN}: signed with the published demo key")
    assert seen.count("\x1b") == 2


def test_what_is_unsure_is_yellow(earlier):
    seen = on_terminal(["predict", earlier, "nothing that it knows"])
    assert seen.startswith(f"{YELLOW}unsure{PLAIN} (")


def test_long_lists_go_on_under_their_column(earlier):
    lines = on_terminal(["show", earlier]).splitlines()
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in lines if " " in line[20:]) <= 60
    after = lines[next(n for n, line in enumerate(lines) if line.startswith("signer ")) + 1]
    assert after.startswith(" " * 20)
    assert after[20] != " "


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_whoever_wants_no_colour_gets_none(variables, earlier):
    assert on_terminal(["verify", earlier], **variables).startswith("NOT PROTECTED: ")


def test_json_is_never_coloured_or_wrapped(earlier):
    assert "\x1b" not in on_terminal(["verify", earlier, "--json"])


def test_in_a_pipe_each_fact_is_one_plain_line(capsys):
    output.say_facts({"verdict": "NOT PROTECTED: x", "labels": ["football"] * 50}, False)
    labels = f"labels              {'football, ' * 49}football"
    assert capsys.readouterr().out == f"NOT PROTECTED: x\n{labels}\n"


def test_a_door_tells_of_the_terminal_behind_its_pipe(monkeypatch, capsys):
    monkeypatch.setenv("PRESSBOX_COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    output.say("WRONG drift        " + "word " * 10, indent=19, mark="WRONG")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{RED}WRONG{PLAIN} drift")
    assert all(line.startswith(" " * 19) for line in lines[1:])
    assert len(lines) == 3
