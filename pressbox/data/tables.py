"""Tables of texts and labels, as pandas, Polars, DuckDB, Spark, spreadsheets and others write them.

Formats are a table of readers; compression and encoding lie under them. Each reader gives, row for
row, exactly what its file holds; what cannot be read exactly is an error that names the file, the
line and the way out.
"""

import contextlib
import csv
import functools
import gzip
import io
import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any, BinaryIO, TextIO

from pressbox.console import note
from pressbox.data.decoding import MAX_LINE_CHARACTERS, damaged, encoding_of, kind_of, readable
from pressbox.errors import PressboxError, UsageError

# What is read at a time.
BLOCK_ROWS, BLOCK_BYTES = 1024, 1 << 20
# What a line names before it only says that there are more.
LISTED = 20

# A row as it was found: its place for an error, and what stands there as text and as label.
Found = tuple[str, object, object]


@dataclass(frozen=True)
class Layout:
    """What the file of a table does not say of itself.

    text_column, label_column: the names of the two columns. delimiter: of .csv and .tsv; "" is the
    comma or the tab. encoding: a name that Python knows; "" is UTF-8. A byte order mark in the
    file is believed before either. Raises UsageError for what cannot be.
    """

    text_column: str = "text"
    label_column: str = "label"
    delimiter: str = ""
    encoding: str = ""

    def __post_init__(self):
        if self.text_column == self.label_column:
            raise UsageError(
                f"text and label cannot both be the column {self.text_column!r}",
                "name two with --text-column and --label-column",
            )
        if len(self.delimiter) > 1 or self.delimiter in ('"', "\r", "\n"):
            raise UsageError(
                f"--delimiter {self.delimiter!r} is not one character",
                "give one, e.g. ';', or '\\t' for the tab",
            )
        try:
            "a".encode(self.encoding or "utf-8")
        except (LookupError, UnicodeError, ValueError) as error:
            raise UsageError(
                f"{self.encoding!r} is not an encoding of texts", "give e.g. cp1252 or utf-16"
            ) from error

    @property
    def options(self) -> dict[str, str]:
        """What was chosen and is not the default, by the names of the fields."""
        return {name: value for name, value in asdict(self).items() if value != DEFAULTS[name]}


DEFAULTS = {field.name: field.default for field in fields(Layout)}


def _unzstd(file: BinaryIO):
    import pyarrow

    return pyarrow.CompressedInputStream(file, "zstd")


COMPRESSIONS: dict[str, Callable[[BinaryIO], Any]] = {".gz": gzip.open, ".zst": _unzstd}
EXPECTED = {
    ".gz": "compressed with gzip",
    ".zst": "compressed with zstd",
    ".parquet": "a Parquet file",
}


def suffixes(name: str) -> tuple[str, str]:
    """The suffix that says the format, and that of the compression or ""."""
    path = PurePath(name.lower())
    if path.suffix not in COMPRESSIONS:
        return path.suffix, ""
    return PurePath(path.stem).suffix, path.suffix


def stem(name: str) -> str:
    return name[: -len(compression)] if (compression := suffixes(name)[1]) else name


def is_table(name: str) -> bool:
    return suffixes(name)[0] in READERS


# No column is given.
NOTHING: Mapping = MappingProxyType({})


def table(path: Path, layout: Layout, given: Mapping[str, str | None] = NOTHING) -> Iterator[Found]:
    """The rows of a table. given: columns in which each row has the same, named by a folder."""
    wanted = [layout.text_column]
    if not (labelled := layout.label_column in given):
        wanted.append(layout.label_column)
    label = given.get(layout.label_column)
    for place, values in _rows(path, layout, wanted):
        yield (place, *values, label) if labelled else (place, *values)


def records(path: Path, layout: Layout) -> Iterator[tuple[str, dict]]:
    """The rows of a table with all their fields, each with its place for an error.

    A block of the file is in memory, and no more. Raises PressboxError for what cannot be read
    exactly, or has no column of texts.
    """
    yield from _rows(path, layout, [layout.text_column], whole=True)


def _rows(path: Path, layout: Layout, wanted: list[str], whole: bool = False) -> Iterator:
    suffix, compression = suffixes(path.name)
    with readable(path), path.open("rb") as file:
        kind = kind_of(file.peek(), path)
        if kind not in ("", EXPECTED.get(compression or suffix)):
            raise PressboxError(
                f"{path} is {kind}, which its name does not say",
                "name it as what it is, e.g. rows.csv.gz, or write it as .csv, .jsonl or .parquet",
            )
        stream = io.BufferedReader(COMPRESSIONS[compression](file)) if compression else file
        yield from READERS[suffix](stream, path, wanted, layout, whole)


# The column in which other libraries' data say which part a row belongs to.
SPLIT = "split"


@functools.cache
def mention_split(where: Path) -> None:
    """Say, once for each place, that such a column does not divide a table."""
    note(
        f"the column {SPLIT!r} of the tables in {where} is ignored; to divide by it, give each part"
        " as a file of its own: --data TRAIN --test TEST"
    )


def _look_for_split(names: Container[str], wanted: list[str], path: Path) -> None:
    if SPLIT in names and SPLIT not in wanted:
        mention_split(path.parent)


# For each row, its place and the values of the columns that are wanted; of a whole row, its fields.
Cells = Iterator[tuple[str, Any]]


def _lines(stream: io.BufferedReader, path: Path, given: str, newline: str) -> Iterator[str]:
    """Decoded lines; a longer one than MAX_LINE_CHARACTERS is refused before it is read whole."""
    encoding = encoding_of(stream.peek(4), given)
    number = 0
    try:
        with io.TextIOWrapper(stream, encoding, newline=newline) as decoded:
            while line := decoded.readline(MAX_LINE_CHARACTERS + 1):
                number += 1
                if len(line) > MAX_LINE_CHARACTERS:
                    raise PressboxError(
                        f"line {number} of {path} is longer than {MAX_LINE_CHARACTERS >> 20} MiB",
                        "this is not a table of texts; give another file or split that text",
                    )
                yield line
    except UnicodeDecodeError as error:
        # It reads ahead, but never beyond the block in which a line ends.
        before = error.object[: error.start].decode(error.encoding, "replace")
        raise PressboxError(
            f"line {number + 1 + before.count('\n')} of {path} is not {encoding.upper()}",
            "give its encoding, e.g. --encoding cp1252",
        ) from error


def _csv(
    stream: io.BufferedReader,
    path: Path,
    wanted: list[str],
    layout: Layout,
    whole: bool,
    delimiter: str,
) -> Cells:
    csv.field_size_limit(MAX_LINE_CHARACTERS)
    delimiter = layout.delimiter or delimiter
    lines = _lines(stream, path, layout.encoding, newline="")
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    line = 1
    try:
        header = next(filter(None, reader), [])
        if len(header) < 2 and len(wanted) == 2 and not {*header} & {*wanted}:
            raise PressboxError(
                f"{path} has no {wanted[0]} and no {wanted[1]}, as its first line is one field:"
                f" {_shortened(header)}",
                "give what stands between the fields, e.g. --delimiter ';' or '\\t', and"
                " --encoding if the line looks odd",
            )
        places = _columns(header, wanted, path)
        if whole:
            _columns(header, header, path)
        else:
            _look_for_split(header, wanted, path)
        line = reader.line_num + 1
        for row in reader:
            if row and len(row) != len(header):
                raise PressboxError(
                    f"line {line} of {path} has {len(row)} of the header's {len(header)} fields"
                    if len(row) < len(header)
                    else f"line {line} of {path} has {len(row)} fields, the header {len(header)}",
                    f"quote texts that hold {delimiter!r}, or give another --delimiter",
                )
            if row:
                place = f"line {line} of {path}"
                if whole:
                    yield place, dict(zip(header, row, strict=True))
                else:
                    yield place, [row[column] for column in places]
            line = reader.line_num + 1
    except csv.Error as error:
        raise PressboxError(
            f"line {line} of {path} is not CSV ({error})",
            "repair it: a quote within quotes is doubled",
        ) from error


# Elsewhere, more than these are blank.
JSON_BLANKS = " \t\r\n"


def _jsonl(
    stream: io.BufferedReader, path: Path, wanted: list[str], layout: Layout, whole: bool
) -> Cells:
    for number, line in enumerate(_lines(stream, path, layout.encoding, newline="\n"), 1):
        if line.strip(JSON_BLANKS):
            place = f"line {number} of {path}"
            try:
                entry = json.loads(line, object_pairs_hook=_object)
            except (ValueError, RecursionError) as error:
                raise PressboxError(
                    f"{place} is not JSON ({error})", "give one object a line, as jq -c does"
                ) from error
            values = _members(entry, wanted, path, place)
            yield place, entry if whole else values


def _json(
    stream: io.BufferedReader, path: Path, wanted: list[str], layout: Layout, whole: bool
) -> Cells:
    """One array of objects, or one object a line, as Spark and others name that too."""
    encoding = encoding_of(stream.peek(), layout.encoding)
    if not stream.peek().decode(encoding, "ignore").lstrip().startswith("["):
        yield from _jsonl(stream, path, wanted, layout, whole)
        return
    number = 0
    try:
        with io.TextIOWrapper(stream, encoding) as decoded:
            for number, entry in enumerate(_array(decoded, path), 1):
                place = f"row {number} of {path}"
                values = _members(entry, wanted, path, place)
                yield place, entry if whole else values
    except UnicodeDecodeError as error:
        raise PressboxError(
            f"{path} is not {encoding.upper()}, after row {number}",
            "give its encoding, e.g. --encoding cp1252",
        ) from error


BLANKS = re.compile(f"[{JSON_BLANKS}]*")


def _array(decoded: TextIO, path: Path) -> Iterator[object]:
    """The entries of a JSON array, of which a block and no more is in memory."""
    decoder = json.JSONDecoder(object_pairs_hook=_object)
    text, at, number = "", 0, 0
    while True:
        at = _after_blanks(text, at)
        value = _after_blanks(text, at + 1)
        if text.startswith("]", at if number else value):
            break
        try:
            if number and not text.startswith(",", at):
                raise ValueError("a comma is missing")
            entry, at = decoder.raw_decode(text, value)
        except (ValueError, RecursionError) as error:
            block = decoded.read(BLOCK_BYTES)
            if not block or len(text) - at > MAX_LINE_CHARACTERS:
                raise PressboxError(
                    f"row {number + 1} of {path} is not JSON ({error})", "give an array of objects"
                ) from error
            text, at = text[at:] + block, 0
            continue
        number += 1
        yield entry
    if (text[at if number else value :] + decoded.read(BLOCK_BYTES)).strip(JSON_BLANKS) != "]":
        raise PressboxError(
            f"something follows the array of {path}", "give one array, or one object a line"
        )


def _after_blanks(text: str, at: int) -> int:
    found = BLANKS.match(text, at)
    return found.end() if found else at


def _object(pairs: list[tuple[str, object]]) -> dict:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"it has the name {name!r} twice")
    return found


def _members(entry: Any, wanted: list[str], path: Path, place: str) -> list:
    try:
        values = [entry[name] for name in wanted]
    except KeyError:
        _columns(list(entry), wanted, place)
        raise
    except TypeError as error:
        raise PressboxError(
            f"{place} has no {' and no '.join(wanted)}, as it is not an object",
            "give objects, as orient='records' in pandas does",
        ) from error
    _look_for_split(entry, wanted, path)
    return values


# What Arrow says of intact files that it cannot read, and has no exception of its own for.
UNSUPPORTED = re.compile("encrypt|decrypt|support")


def _parquet(stream: BinaryIO, path: Path, wanted: list[str], layout: Layout, whole: bool) -> Cells:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    with contextlib.ExitStack() as stack:
        if suffixes(path.name)[1]:
            # Its end is read first.
            unpacked = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(stream, unpacked)
            stream = unpacked
        number = 0
        try:
            # In this way alone a row group of any size is read by blocks.
            parquet = ParquetFile(stream, buffer_size=BLOCK_BYTES, pre_buffer=False)
            schema = parquet.schema_arrow
            for place in _columns(schema.names, wanted, path):
                _require_strings(schema.field(place), path)
            if not whole:
                _look_for_split(schema.names, wanted, path)
            names = schema.names if whole else wanted
            _columns(names, names, path)
            for block in parquet.iter_batches(BLOCK_ROWS, columns=names, use_threads=False):
                columns = [block.column(name).to_pylist() for name in names]
                for values in zip(*columns, strict=True):
                    number += 1
                    place = f"row {number} of {path}"
                    if whole:
                        row = dict(zip(names, values, strict=True))
                        for name in wanted:
                            row[name] = _unpacked(row[name], place, layout.encoding)
                        yield place, row
                    else:
                        yield place, [_unpacked(value, place, layout.encoding) for value in values]
        except UnicodeDecodeError as error:
            raise PressboxError(
                f"{path} has text that is not UTF-8, after row {number}", "repair it"
            ) from error
        except pyarrow.ArrowNotImplementedError as error:
            raise _unsupported(path, error) from error
        except (pyarrow.ArrowException, LookupError, OSError, ValueError) as error:
            if isinstance(error, MemoryError) or getattr(error, "errno", None):
                raise
            if UNSUPPORTED.search(str(error)):
                raise _unsupported(path, error) from error
            raise damaged(path, error) from error
        if number != parquet.metadata.num_rows:
            raise damaged(path, f"{number} rows, where {parquet.metadata.num_rows} are announced")


# Of Arrow, as it writes their names; integers are for the corpus to judge.
STRINGS = re.compile(r"(dictionary<values=)?((large_)?(string|binary)(_view)?|u?int\d+|null)\b")


def _require_strings(field, path: Path) -> None:
    if not STRINGS.match(str(field.type)):
        raise PressboxError(
            f"the column {field.name!r} of {path} has values of the type {field.type}",
            "write them as strings",
        )


def _unpacked(value: object, place: str, encoding: str) -> object:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        raise PressboxError(
            f"{place} has bytes that are not {error.encoding.upper()}", "give their --encoding"
        ) from error


def _unsupported(path: Path, reason: object) -> PressboxError:
    return PressboxError(
        f"{path} is written in a way that is not supported ({reason})",
        "write it without encryption, and compressed with snappy, gzip or zstd",
    )


def _columns(names: list[str], wanted: list[str], where: object) -> list[int]:
    """The places of the wanted columns; PressboxError unless each is there, and once."""
    if missing := [name for name in wanted if name not in names]:
        raise PressboxError(
            f"{where} has no {' and no '.join(missing)}, but: {_shortened(names)}",
            "name the columns text and label, or say which they are: --text-column NAME"
            " --label-column NAME"
            if len(wanted) > 1
            else "say which column it is: --text-column NAME, or --label-column NAME",
        )
    for name in wanted:
        if names.count(name) > 1:
            raise PressboxError(
                f"{where} has the column {name!r} twice", "keep one, or rename the other"
            )
    return [names.index(name) for name in wanted]


def _shortened(names: list[str]) -> str:
    return listed([f"{name[:60]!r}" for name in names]) or "nothing"


Reader = Callable[[io.BufferedReader, Path, list[str], Layout, bool], Cells]
READERS: dict[str, Reader] = {
    ".csv": functools.partial(_csv, delimiter=","),
    ".tsv": functools.partial(_csv, delimiter="\t"),
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".parquet": _parquet,
}
A_TABLE = f"a table ({', '.join(READERS)}, or one of them with {' or '.join(COMPRESSIONS)})"


def listed(names: list[str]) -> str:
    """The names, or the first of them and a mark that there are more."""
    return ", ".join(names[:LISTED]) + (", …" if len(names) > LISTED else "")
