"""Verifying, showing, using, comparing and replaying models."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import cast

from pressbox.cli import options, output
from pressbox.console import note
from pressbox.data import decoding, tables
from pressbox.errors import NotTrusted, PressboxError, UsageError, visible

CHUNK_BYTES = 1 << 18


def add_commands(commands: options.Commands) -> None:
    _one_model(commands, verify)
    sub = _one_model(commands, show)
    sub.add_argument(
        "--statement", action="store_true", help="the in-toto statement itself, as JSON"
    )
    sub.add_argument("--html", metavar="FILE", type=Path, help="write its page there")
    sub = _one_model(commands, predict)
    sub.add_argument("texts", metavar="TEXT", nargs="*", help="default: lines of stdin")
    sub.add_argument("--file", metavar="FILE", type=Path, help="a text on each line")
    sub.add_argument("--encoding", metavar="NAME", default="", help="e.g. cp1252")
    sub = options.add_command(commands, compare)
    sub.add_argument("before", metavar="A", type=Path, help="e.g. models/sports.tar.gz")
    sub.add_argument("after", metavar="B", type=Path, help="another model")
    options.json_option(sub)
    options.trusted_option(sub)
    sub = _one_model(commands, replay)
    sub.add_argument("--data", metavar="PATH", help="where its source is, if that is a path")
    sub.add_argument("--test", metavar="PATH", help="where its test source is, if that is a path")
    sub.add_argument(
        "--demo", action="store_true", help="even a model of the demo key, which everybody has"
    )


def _one_model(commands: options.Commands, command: Callable[[Namespace], None]) -> ArgumentParser:
    sub = options.add_command(commands, command)
    sub.add_argument("model", type=Path, help="e.g. models/sports.tar.gz")
    options.json_option(sub)
    options.policy_options(sub)
    return sub


def verify(arguments: Namespace) -> None:
    """Say who signed a model, and whether every byte of it holds."""
    from pressbox.sealing import tarball

    try:
        facts = tarball.describe(arguments.model, arguments.trusted, options.policy(arguments))
    except NotTrusted as refusal:
        if arguments.json:
            verdict = f"NOT TRUSTED: {refusal.what}"
            said = {"trusted": False, "reason": refusal.reason, "detail": str(refusal)}
            output.say_json({"verdict": verdict, **said})
        raise
    verdict = {"verdict": facts.pop("verdict")}
    output.say_facts({**verdict, "trusted": True, "reason": "ok", **facts}, arguments.json)


def show(arguments: Namespace) -> None:
    """Say what a model is, how good, and what it was made of."""
    from pressbox.sealing import tarball

    model = tarball.verify(arguments.model, arguments.trusted, options.policy(arguments))
    if arguments.html:
        from pressbox.runs.publishing import write_page

        write_page(model, arguments.html)
    elif arguments.statement:
        output.say_json(model.statement.content)
    else:
        output.say_facts(model.facts.as_json(), arguments.json)


def predict(arguments: Namespace) -> None:
    """Say which sport texts are about: arguments, or the lines of a file or of standard input."""
    from pressbox.sealing import tarball

    if arguments.texts and arguments.file:
        raise UsageError("both texts and a file were given", "give one of the two")
    model = tarball.open_model(arguments.model, arguments.trusted, options.policy(arguments))
    encoding = tables.Layout(encoding=arguments.encoding).encoding
    for texts in [arguments.texts] if arguments.texts else _lines(arguments.file, encoding):
        answers = (
            _answer(label, probability, sure, arguments.json)
            for label, probability, sure in zip(*model.decide(texts), strict=True)
        )
        print("\n".join(answers), flush=True)


def _answer(label: str, probability: float, sure: bool, as_json: bool) -> str:
    probability, sure = round(float(probability), 4), bool(sure)
    if as_json:
        return output.to_json({"label": label, "probability": probability, "sure": sure})
    answer = visible(label) if sure else f"{output.marked('unsure')} ({visible(label)})"
    return f"{answer}\t{probability:.2f}"


def _lines(path: Path | None, encoding: str) -> Iterator[list[str]]:
    """Lines of a file or of standard input, as many at a time as have arrived."""
    if path is None and sys.stdin is None:
        raise UsageError("standard input is closed", "give texts, --file, or lines")
    try:
        # Standard input is what Python has made of it, a buffered stream.
        with path.open("rb") if path else cast(BufferedReader, sys.stdin.buffer) as stream:
            if stream.isatty():
                note("one text a line; Ctrl-D ends")
            yield from _decoded(stream, encoding)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})", "name a file") from error


def _decoded(stream: BufferedReader, encoding: str) -> Iterator[list[str]]:
    """The lines that have arrived, decoded as a training decodes a folder of texts."""
    decoder, rest, number = decoding.decoder(stream, encoding), "", 0
    while chunk := stream.read1(CHUNK_BYTES):
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        if len(rest) > decoding.LONGEST_LINE:
            raise PressboxError(
                f"line {number + len(lines) + 1} is longer than {decoding.LONGEST_LINE >> 20} MiB",
                "split it: a line is one text",
            )
        if lines:
            yield [line.removesuffix("\r") for line in lines]
            number += len(lines)
    if rest := rest + decoder.decode(b"", final=True):
        yield [rest.removesuffix("\r")]


def compare(arguments: Namespace) -> None:
    """Say how two models differ, in words; exit 1 if their numbers do."""
    from pressbox.runs import comparison
    from pressbox.sealing import tarball

    paths = (arguments.before, arguments.after)
    one, other = (tarball.verify(path, arguments.trusted) for path in paths)
    digest = other.facts.model_digest
    identical = digest == one.facts.model_digest
    _print_differences(identical, digest, comparison.compare(one, other), arguments.json)


def replay(arguments: Namespace) -> None:
    """Train a model again from what it says it was made of; exit 1 unless it is the same."""
    from pressbox.runs.replay import replay

    given = {"source": arguments.data, "test": arguments.test}
    sources = {purpose: path for purpose, path in given.items() if path}
    policy = options.policy(arguments)
    result = replay(arguments.model, arguments.trusted, policy, sources, demo=arguments.demo)
    _print_differences(result.identical, result.digest, result.differences, arguments.json)


def _print_differences(identical: bool, digest: str, differences: dict, as_json: bool) -> None:
    if as_json:
        facts = {"identical": identical, "model_digest": digest, "differences": differences}
        output.say_json(facts)
    else:
        output.say(f"identical {digest}" if identical else "different")
        for subject, lines in differences.items():
            for line in lines:
                output.say(f"{subject:13}{line}", indent=13)
    if not identical:
        sys.exit(PressboxError.exit_status)
