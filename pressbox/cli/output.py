"""What a command prints: lines for people, JSON for programs."""

import json

from pressbox.errors import visible


def say(line: str) -> None:
    """Print one line: whatever stands in it, it stays one, and looks like what it is."""
    print(visible(line))


def say_json(value: object) -> None:
    print(to_json(value, indent=2))


def to_json(value: object, indent: int | None = None) -> str:
    # Of the characters that a terminal obeys, json leaves one as it is.
    return json.dumps(value, indent=indent).replace("\x7f", "\\u007f")


def say_facts(facts: dict, as_json: bool) -> None:
    if as_json:
        say_json(facts)
        return
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {entry}" for key, entry in value.items())
        elif isinstance(value, list):
            value = ", ".join(value) or "none"
        say(f"{name.replace('_', ' '):20}{value}")
