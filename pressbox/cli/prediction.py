"""Using models: what they say of texts, of the rows of tables, and of lines as they come."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from functools import partial
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pressbox.cli import options, output
from pressbox.console import note
from pressbox.data import decoding, tables, writing
from pressbox.data.decoding import MAX_LINE_CHARACTERS
from pressbox.errors import PressboxError, UsageError, visible

if TYPE_CHECKING:
    from pressbox.classifier import Classifier

CHUNK_BYTES = 1 << 18
# The text itself, of what has no columns; what is said of it; and what an input's own are called.
TEXT, ANSWERS, GIVEN, EACH = "text", ("label", "probability", "sure"), "given ", "probability of "
Block = list[tuple[str, dict]]


def add_commands(commands: options.Commands) -> None:
    sub = options.add_model_command(commands, predict)
    sub.add_argument("texts", metavar="TEXT", nargs="*", help="default: lines of stdin")
    sub.add_argument(
        "--file",
        metavar="FILE",
        type=Path,
        help="a text on each line, or a table as in a training (default: standard input)",
    )
    sub.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="write the rows with their answers there: .csv, .tsv, .jsonl, .json, .parquet"
        " (default: answers alone, to standard output)",
    )
    sub.add_argument("--all", action="store_true", help="say the probability of every label")
    options.reading_options(sub)


def predict(arguments: Namespace) -> None:
    """Say which sport texts are about: arguments, or those of a file or of standard input."""
    from pressbox.sealing import tarball

    if arguments.texts and arguments.file:
        raise UsageError("both texts and a file were given", "give one of the two")
    if arguments.output:
        writing.require_writable(arguments.output)
    layout = _layout(arguments)
    model = tarball.open_model(arguments.model, arguments.trusted, options.policy(arguments))
    rows = _rows(arguments, layout)
    if arguments.output:
        with writing.written(arguments.output) as write:
            for block in rows:
                write(_answered(model, block, arguments.all))
        return
    for block in rows:
        answers = _answered(model, block, arguments.all)
        if not _is_table(arguments.file):
            # Whoever wrote the lines has them.
            answers = [{name: row[name] for name in row if name != TEXT} for row in answers]
        if arguments.json:
            say = partial(output.to_json, default=writing.plain)
        else:
            say = partial(_in_words, model.labels, arguments.all)
        print("\n".join(map(say, answers)), flush=True)


def _layout(arguments: Namespace) -> tables.Layout:
    # A label is not read, and no column has this name.
    return tables.Layout(arguments.text_column, "", arguments.delimiter, arguments.encoding)


def _is_table(path: Path | None) -> bool:
    return path is not None and tables.is_table(path.name)


def _rows(arguments: Namespace, layout: tables.Layout) -> Iterator[Block]:
    """Blocks of rows, each with its text and all its fields."""
    if _is_table(arguments.file):
        found = tables.records(arguments.file, layout)
        while block := [*islice(found, tables.BLOCK_ROWS)]:
            yield [(_text(row[layout.text_column], place), row) for place, row in block]
        return
    lines = [arguments.texts] if arguments.texts else _lines(arguments.file, layout.encoding)
    for texts in lines:
        yield [(text, {TEXT: text}) for text in texts]


def _text(value: object, place: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise PressboxError(f"the text in {place} is not a string", "write it as one")
    return value


def _answered(model: Classifier, block: Block, every: bool) -> list[dict]:
    """The rows with what the model says of them; fields of theirs with such a name are renamed."""
    texts = [text for text, _ in block]
    probabilities = model.predict_proba(texts)
    names = {*ANSWERS, *(EACH + label for label in model.labels if every)}
    answered = []
    for (_, row), shares in zip(block, probabilities, strict=True):
        if names & row.keys():
            row = _renamed(row, names)
        best = shares.argmax()
        answers = (model.labels[best], _round(shares[best]), bool(shares[best] >= model.threshold))
        row |= zip(ANSWERS, answers, strict=True)
        if every:
            row |= {EACH + label: _round(s) for label, s in zip(model.labels, shares, strict=True)}
        answered.append(row)
    return answered


def _renamed(row: dict, names: set[str]) -> dict:
    renamed = {GIVEN + name if name in names else name: value for name, value in row.items()}
    if len(renamed) < len(row):
        raise PressboxError(
            "a row has a field of the name that another one gets for an answer's sake",
            f"rename the fields that begin with {GIVEN!r}",
        )
    return renamed


def _round(probability: float) -> float:
    return round(float(probability), 4)


def _in_words(labels: list[str], every: bool, answer: dict) -> str:
    if every:
        ranked = sorted(labels, key=lambda label: -answer[EACH + label])
        return "\t".join(f"{visible(label)} {answer[EACH + label]:.2f}" for label in ranked)
    label = answer["label"]
    said = visible(label) if answer["sure"] else f"{output.marked('unsure')} ({visible(label)})"
    return f"{said}\t{answer['probability']:.2f}"


def _lines(path: Path | None, encoding: str) -> Iterator[list[str]]:
    """Lines of a file or of standard input, as many at a time as have arrived."""
    if path is None and sys.stdin is None:
        raise UsageError("standard input is closed", "give texts, --file, or lines")
    if path and path.is_dir():
        raise UsageError(
            f"{path} is a folder", f"give texts, one on each line, or {tables.A_TABLE}"
        )
    try:
        # Standard input is what Python has made of it, a buffered stream.
        with path.open("rb") if path else cast(BufferedReader, sys.stdin.buffer) as stream:
            if path and (kind := decoding.kind_of(stream.peek(), path)):
                raise UsageError(
                    f"{path} is {kind}, not a text on each line",
                    f"give such texts, or {tables.A_TABLE}",
                )
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
        if len(rest) > MAX_LINE_CHARACTERS:
            raise PressboxError(
                f"line {number + len(lines) + 1} is longer than {MAX_LINE_CHARACTERS >> 20} MiB",
                "split it: a line is one text",
            )
        if lines:
            yield [line.removesuffix("\r") for line in lines]
            number += len(lines)
    if rest := rest + decoder.decode(b"", final=True):
        yield [rest.removesuffix("\r")]
