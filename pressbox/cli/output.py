"""What a command prints: lines for people, JSON for programs."""

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable
from typing import Any

from pressbox.errors import visible
from pressbox.provenance.statement import NOT_PROTECTED

# Words that must not be overlooked, and their colours on a terminal (ECMA-48, 8.3.117).
RED, YELLOW, PLAIN = "\x1b[1;31m", "\x1b[33m", "\x1b[0m"
MARKED = {"WRONG": RED, NOT_PROTECTED: RED, "unsure": YELLOW}


def columns() -> int | None:
    """The width of the terminal that standard output goes to; None if it goes elsewhere.

    A door of the scripts, which has a pipe there, tells it of its own.
    """
    told = os.environ.get("PRESSBOX_COLUMNS", "")
    if not sys.stdout.isatty() and not told.isdecimal():
        return None
    # A terminal that does not know its width says 0.
    return (told.isdecimal() and int(told)) or shutil.get_terminal_size().columns


def marked(word: str) -> str:
    """One of the MARKED words, in its colour if that can be seen and is wanted."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return word if plain or columns() is None else f"{MARKED[word]}{word}{PLAIN}"


def say(line: str, indent: int = 0, mark: str = "") -> None:
    """Print one line: whatever stands in it, it looks like what it is, and moves nothing.

    On a terminal a long one goes on under the column ``indent``. mark: a word of MARKED in it.
    """
    line = visible(line)
    if (width := columns()) and len(line) > width > 2 * indent:
        line = textwrap.fill(
            line,
            width,
            subsequent_indent=" " * indent,
            drop_whitespace=True,
            break_long_words=False,
            break_on_hyphens=False,
        )
    print(line.replace(mark, marked(mark), 1) if mark else line)


def say_json(value: object) -> None:
    print(to_json(value, indent=2))


def to_json(
    value: object, indent: int | None = None, default: Callable[[Any], Any] | None = None
) -> str:
    # Of the characters that a terminal obeys, json leaves one as it is.
    return json.dumps(value, indent=indent, default=default).replace("\x7f", "\\u007f")


def say_facts(facts: dict, as_json: bool) -> None:
    """Print what is known: the verdict by itself, then a line for each fact; or JSON."""
    if as_json:
        say_json(facts)
        return
    facts = dict(facts)
    if verdict := facts.pop("verdict", None):
        say(verdict, mark=NOT_PROTECTED if verdict.startswith(NOT_PROTECTED) else "")
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {entry}" for key, entry in value.items())
        elif isinstance(value, list):
            value = ", ".join(value) or "none"
        say(f"{name.replace('_', ' '):20}{value}", indent=20)
