"""Tables that are written: in the formats that are read, a block of rows at a time."""

import contextlib
import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from pressbox.atomic import beside
from pressbox.data.tables import suffixes
from pressbox.errors import PressboxError, UsageError

Rows = list[dict[str, Any]]


@contextlib.contextmanager
def written(path: Path) -> Iterator[Callable[[Rows], None]]:
    """Yield what writes rows to the file, which is there, and replaced, once the block has ended.

    The fields of .csv, .tsv and .parquet are those of the first row; in .parquet their types, too.
    Raises UsageError for a name that cannot be written, PressboxError for a row that does not fit.
    """
    suffix, compression = _known(path)
    try:
        with contextlib.ExitStack() as stack:
            stream: Any = stack.enter_context(beside(path))
            if compression:
                stream = stack.enter_context(COMPRESSIONS[compression](stream))
            yield stack.enter_context(WRITERS[suffix](stream))
    except _Unfitting as error:
        raise PressboxError(f"{path} cannot hold every row ({error})", "write .jsonl") from error
    except OSError as error:
        if not error.errno:
            raise
        raise PressboxError(
            f"{path} cannot be written ({error.strerror})", "name another file, or make room"
        ) from error


def require_writable(path: Path) -> None:
    """Raise UsageError for what cannot be written, before any work is done for it."""
    _known(path)
    if path.is_dir():
        raise UsageError(f"{path} is a folder", "name a file in it")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", "create it, or name another")


def _known(path: Path) -> tuple[str, str]:
    suffix, compression = suffixes(path.name)
    if suffix not in WRITERS:
        raise UsageError(
            f"the name {path.name!r} does not say the format",
            f"end it in {', '.join(WRITERS)}, or one of them and {' or '.join(COMPRESSIONS)}",
        )
    return suffix, compression


class _Unfitting(Exception):
    """A row has what the format, or the rows before it, have no place for."""


def _gzip(stream: BinaryIO) -> gzip.GzipFile:
    return gzip.GzipFile("", "wb", fileobj=stream, mtime=0)


def _zstd(stream: BinaryIO) -> Any:
    import pyarrow

    return pyarrow.CompressedOutputStream(_Open(stream), "zstd")


class _Open(io.RawIOBase):
    """The stream, which Arrow does not close: it has no name yet."""

    def __init__(self, stream: BinaryIO):
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        return self._stream.write(content)


COMPRESSIONS: dict[str, Callable[[BinaryIO], Any]] = {".gz": _gzip, ".zst": _zstd}


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=plain)
    except ValueError as error:
        raise _Unfitting(str(error)) from error


def plain(value: object) -> str:
    """Of Parquet: dates and decimals as they are written, bytes as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise _Unfitting("half of a surrogate pair") from error


@contextlib.contextmanager
def _lines(stream: BinaryIO) -> Iterator[Callable[[Rows], None]]:
    def write(rows: Rows) -> None:
        stream.write(_encoded("".join(f"{_json(row)}\n" for row in rows)))

    yield write


@contextlib.contextmanager
def _array(stream: BinaryIO) -> Iterator[Callable[[Rows], None]]:
    before = "[\n"

    def write(rows: Rows) -> None:
        nonlocal before
        for row in rows:
            stream.write(_encoded(before + _json(row)))
            before = ",\n"

    yield write
    stream.write(b"\n]\n" if before == ",\n" else b"[]\n")


@contextlib.contextmanager
def _csv(stream: BinaryIO, delimiter: str) -> Iterator[Callable[[Rows], None]]:
    header: list[str] = []

    def write(rows: Rows) -> None:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
        if rows and not header:
            header.extend(rows[0])
            writer.writerow(header)
        for row in rows:
            if strange := row.keys() - {*header}:
                raise _Unfitting(f"the first has no {min(strange)!r}")
            writer.writerow([_field(row.get(name)) for name in header])
        stream.write(_encoded(text.getvalue()))

    yield write


def _field(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return _json(value) if isinstance(value, bool | list | dict) else plain(value)


@contextlib.contextmanager
def _parquet(stream: BinaryIO) -> Iterator[Callable[[Rows], None]]:
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    with contextlib.ExitStack() as stack:
        writer: Any = None

        def write(rows: Rows) -> None:
            nonlocal writer
            try:
                if writer is None:
                    schema = _schema(pyarrow.Table.from_pylist(rows).schema)
                    writer = stack.enter_context(ParquetWriter(stream, schema))
                into: Any = writer
                if strange := {name for row in rows for name in row} - {*into.schema.names}:
                    raise _Unfitting(f"the first has no {min(strange)!r}")
                into.write_table(pyarrow.Table.from_pylist(rows, schema=into.schema))
            except (pyarrow.ArrowException, OverflowError, UnicodeEncodeError) as error:
                raise _Unfitting(str(error)) from error

        yield write
        if not writer:
            write([])


def _schema(found: Any) -> Any:
    import pyarrow

    # What is missing in the first rows may be text in others.
    missing = pyarrow.types.is_null
    return pyarrow.schema(
        [field.with_type(pyarrow.string()) if missing(field.type) else field for field in found]
    )


WRITERS: dict[str, Callable[[BinaryIO], contextlib.AbstractContextManager]] = {
    ".csv": partial(_csv, delimiter=","),
    ".tsv": partial(_csv, delimiter="\t"),
    ".jsonl": _lines,
    ".ndjson": _lines,
    ".json": _array,
    ".parquet": _parquet,
}
