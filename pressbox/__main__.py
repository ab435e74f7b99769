"""The command line inside: python -m pressbox verify|show|predict MODEL."""

import argparse
import json
import sys
from pathlib import Path

from pressbox.errors import NotTrusted, reporting


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="pressbox", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (verify, show, predict):
        sub = commands.add_parser(
            command.__name__, help=command.__doc__, description=command.__doc__
        )
        sub.add_argument("model", type=Path, help="e.g. models/sports.tar.gz")
        sub.add_argument("--json", action="store_true", help="for programs")
        sub.set_defaults(command=command)
        if command is predict:
            sub.add_argument("texts", metavar="TEXT", nargs="*", help="default: lines of stdin")
    arguments = parser.parse_args(argv)
    with reporting():
        arguments.command(arguments)


def verify(arguments) -> None:
    """Say who signed a model, and whether every byte of it holds."""
    from pressbox.tarball import describe

    try:
        facts = {"trusted": True, "reason": "ok", **describe(arguments.model)}
    except NotTrusted as refusal:
        if arguments.json:
            print(json.dumps({"trusted": False, "reason": str(refusal)}))
        raise
    _print(facts, arguments.json)


def show(arguments) -> None:
    """Say what a model is, how good, and what it was made of."""
    from pressbox.tarball import describe

    _print(describe(arguments.model), arguments.json)


def predict(arguments) -> None:
    """Say which sport texts are about: arguments, or the lines of standard input."""
    from pressbox.tarball import open_model

    model = open_model(arguments.model)
    for text in arguments.texts or (line.rstrip("\n") for line in sys.stdin):
        probabilities = model.predict_proba([text])[0]
        best = int(probabilities.argmax())
        label, probability = model.labels[best], round(float(probabilities[best]), 4)
        if arguments.json:
            print(json.dumps({"label": label, "probability": probability}))
        else:
            print(f"{label}\t{probability:.2f}")


def _print(facts: dict, as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {entry}" for key, entry in value.items())
        elif isinstance(value, list):
            value = ", ".join(value)
        print(f"{name.replace('_', ' '):20}{value}")


if __name__ == "__main__":
    main()
