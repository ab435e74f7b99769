"""Where texts and labels come from: the embedded corpus, 20 Newsgroups, a folder or a table.

A source gives rows; rows become a ``Corpus`` with a part to train on and a part to evaluate on.
Both parts are in an order that depends on their contents alone, so that shuffled input gives the
same model.
"""

import contextlib
import csv
import hashlib
import json
import multiprocessing
import os
import re
import struct
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from pressbox import ROOT
from pressbox.errors import PressboxError, UsageError, note

EMBEDDED = ROOT / "corpus" / "newsroom.jsonl"
NAMED_SOURCES = ("newsroom", "newsgroups")
NEWSGROUPS = ("rec.sport.baseball", "rec.sport.hockey")
# One row in so many is held out of a source that has no test part of its own.
HELD_OUT = 5
LONGEST_LINE = 4 << 20  # bytes
MOST_TEXTS = 2_000_000
# Labels that a line names before it only says that there are more.
LISTED = 20

Row = tuple[str, str]  # text, label


@dataclass(frozen=True)
class Corpus:
    """Texts and labels, to train on and to evaluate on.

    ``train`` and ``test`` are tuples of (text, label), sorted. ``digest`` is ``sha256:<hex>`` over
    both, whatever the format and the order they came in. ``test_source`` is "" unless the texts to
    evaluate on come from elsewhere.
    """

    source: str
    train: tuple[Row, ...]
    test: tuple[Row, ...]
    test_source: str = ""

    @property
    def labels(self) -> list[str]:
        return sorted({label for _, label in self.train})

    @property
    def digest(self) -> str:
        digest = hashlib.sha256()
        for part in (self.train, self.test):
            # As one JSON array would be, without the memory that takes.
            rows = (json.dumps(row, separators=(",", ":")).encode() for row in part)
            digest.update(b"[" + next(rows, b""))
            for row in rows:
                digest.update(b"," + row)
            digest.update(b"]\n")
        return f"sha256:{digest.hexdigest()}"


def load_corpus(source: str = "newsroom", test_source: str = "") -> Corpus:
    """Load ``newsroom``, ``newsgroups``, a folder in load_files layout, a .csv, .jsonl or .parquet.

    With ``test_source``, what is trained on stays the same, and what is evaluated on is that
    source's test part, or all of it if it has none. Raises UsageError if there is no such source,
    PressboxError if it holds no usable corpus.
    """
    source, train, test = _load(source)
    if test is None:
        train, test = _hold_out(train)
        if not test and train and not test_source:
            raise PressboxError(
                f"{source} has too few texts to keep one for the evaluation",
                "give each label three or more",
            )
    if test_source:
        test_source, everything, part = _load(test_source)
        test = everything if part is None else part
    _check(train, source)
    where = test_source or f"the test part of {source}"
    if not test:
        raise PressboxError(f"{where} is empty", "fill it, or leave it away altogether")
    test = _fitting(test, train, where, bool(test_source))
    return Corpus(source, tuple(sorted(train)), tuple(sorted(test)), test_source)


def _load(source: str) -> tuple[str, list[Row], list[Row] | None]:
    """The name of a source, its rows to train on, and those to evaluate on if it has them apart."""
    if source == "newsroom":
        train, test = _jsonl(EMBEDDED), None
    elif source == "newsgroups":
        train, test = _newsgroups("train"), _newsgroups("test")
    elif not source:
        raise UsageError("the source has no name", "give newsroom, say")
    else:
        train, test = _from_path(Path(source))
        source = Path(source).resolve().name
    train = _cleaned(train, source)
    return source, train, None if test is None else _cleaned(test, source)


def _cleaned(rows: Iterable[Row], source: str) -> list[Row]:
    cleaned, empty = [], 0
    for number, (text, label) in enumerate(progress(rows, f"reading {source}"), 1):
        if not isinstance(text, str) or not isinstance(label, str):
            raise PressboxError(
                f"{source}, row {number}: text and label have to be strings",
                "repair or remove the row",
            )
        try:
            (text + label).encode()
        except UnicodeEncodeError as error:
            raise PressboxError(
                f"{source}, row {number} is no valid Unicode ({error.reason})",
                "repair or remove the row",
            ) from error
        label = label.strip()
        if not label:
            raise PressboxError(f"{source}, row {number} has no label", "label it or remove it")
        if not label.isprintable():
            raise PressboxError(
                f"{source}, row {number}: the label {label!r} has characters that cannot be seen",
                "repair or remove the row",
            )
        if text.strip():
            cleaned.append((text, label))
        else:
            empty += 1
        if len(cleaned) > MOST_TEXTS:
            raise PressboxError(
                f"{source} has more than {MOST_TEXTS:,} texts{_if_one_label(cleaned)}",
                "give a sample of them",
            )
    if empty:
        note(f"texts of {source} that are empty and left out: {empty}")
    return cleaned


def _if_one_label(rows: list[Row]) -> str:
    labels = {label for _, label in rows}
    return f", all with the label {labels.pop()!r} so far" if len(labels) == 1 else ""


def _check(train: list[Row], source: str) -> None:
    if not train:
        raise PressboxError(f"{source} holds no texts", "give a source with some")
    counts = Counter(label for _, label in train)
    if len(counts) < 2:
        raise PressboxError(
            f"{source} has one label only ({next(iter(counts))})",
            "a classifier needs at least two to tell apart",
        )
    _check_spelling(counts, source)
    label, count = min(counts.items(), key=lambda item: (item[1], item[0]))
    if count < 2:
        raise PressboxError(
            f"label {label!r} of {source} has a single text to train on",
            "add texts to it or remove it",
        )


def _check_spelling(labels: Iterable[str], source: str) -> None:
    spellings: dict[str, str] = {}
    for label in sorted(labels):
        plain = re.sub(r"[\s_-]+", " ", label).casefold()
        other = spellings.setdefault(plain, label)
        if other != label:
            raise PressboxError(
                f"{source} has two labels that differ in case or blanks only:"
                f" {other!r} and {label!r}",
                "make them one",
            )


def _fitting(test: list[Row], train: list[Row], where: str, elsewhere: bool) -> list[Row]:
    """The rows that can be evaluated on: not trained on, and of a label that was trained on."""
    known, texts = {label for _, label in train}, {text for text, _ in train}
    given = {label for _, label in test}
    _check_spelling(known | given, where)
    if strange := sorted(given - known):
        note(f"labels of {where} that were not trained on, and are left out: {_listed(strange)}")
    if elsewhere and known - given:
        note(f"labels that {where} does not have: {_listed(sorted(known - given))}")
    rows = [row for row in test if row[1] in known]
    fresh = [row for row in rows if row[0] not in texts]
    if len(fresh) < len(rows):
        note(f"texts of {where} that were trained on, and are left out: {len(rows) - len(fresh)}")
    if not fresh:
        raise PressboxError(
            f"{where} has nothing to evaluate on: no new text of a label that was trained on",
            "give other texts, or the same labels",
        )
    return fresh


def _listed(labels: list[str]) -> str:
    return ", ".join(labels[:LISTED]) + (", …" if len(labels) > LISTED else "")


def progress(items: Iterable, doing: str) -> Iterable:
    """The items; on a terminal, with a bar that says how many went by."""
    # tqdm takes a while to import, and most of all when nobody looks.
    if not (sys.stderr.isatty() or os.environ.get("PRESSBOX_TERMINAL")):
        return items
    from tqdm import tqdm

    return tqdm(items, doing, unit=" texts", leave=False, mininterval=0.2)


def _hold_out(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Split by the digest of each row: stratified, and the same for any order of the rows."""
    by_label: dict[str, list[Row]] = {}
    for row in rows:
        by_label.setdefault(row[1], []).append(row)
    train, test = [], []
    for members in by_label.values():
        members.sort(key=lambda row: (hashlib.sha256(row[0].encode()).digest(), row))
        # Of three or four texts one is held out all the same; two are needed for the training.
        held_out = max(len(members) // HELD_OUT, int(len(members) > 2))
        test += members[:held_out]
        train += members[held_out:]
    return train, test


def _newsgroups(subset: str) -> list[Row]:
    from sklearn.datasets import fetch_20newsgroups

    home = os.environ.get("PRESSBOX_DATA_HOME") or ROOT / ".cache" / "scikit_learn_data"
    try:
        with warnings.catch_warnings():
            # What it warns of, that it tries again, is the error below if that fails too.
            warnings.simplefilter("ignore")
            bunch = fetch_20newsgroups(
                data_home=home, subset=subset, categories=NEWSGROUPS, n_retries=1, delay=0.1
            )
    except OSError as error:
        raise PressboxError(
            f"20 Newsgroups could not be fetched into {home} ({error})",
            "it is downloaded once: try where there is a network, or copy that folder from there",
        ) from error
    return [
        (text, bunch.target_names[target])
        for text, target in zip(bunch.data, bunch.target, strict=True)
    ]


def _from_path(path: Path) -> tuple[Iterable[Row], Iterable[Row] | None]:
    if os.path.isdir(path):
        train, test = path / "train", path / "test"
        with _readable(path):
            divided, tested = train.is_dir(), test.is_dir()
        if divided:
            return _folder(train), _folder(test) if tested else None
        return _folder(path), None
    if not os.path.isfile(path) and not os.path.exists(path):
        raise UsageError(
            f"there is no source {str(path)!r}",
            "give newsroom, newsgroups, a folder, or a .csv, .jsonl or .parquet file",
        )
    reader = READERS.get(path.suffix)
    if reader is None or not path.is_file():
        raise UsageError(
            f"{path} is not a source", "give a folder, or a .csv, .jsonl or .parquet file"
        )
    return _table(reader, path), None


def _table(reader: Callable[[Path], Iterator[Row]], path: Path) -> Iterator[Row]:
    with _readable(path):
        yield from reader(path)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say which file cannot be read, and why, in one line."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise PressboxError(
            f"{path} is not UTF-8 (byte {error.start} of a block)", "convert it, e.g. with iconv"
        ) from error
    except OSError as error:
        raise PressboxError(
            f"{error.filename or path} cannot be read ({error.strerror or error})",
            "check that it is there and its mode",
        ) from error


def _folder(folder: Path) -> Iterator[Row]:
    """A folder for each label, a file for each text, as sklearn.datasets.load_files has it.

    A file that is not UTF-8 is read as Latin-1, the coding of old newsgroup archives, and counted.
    """
    latin = 0
    with _readable(folder):
        for file in _files(folder):
            content = file.read_bytes()
            label = file.relative_to(folder).parts[0]
            try:
                yield content.decode(), label
            except UnicodeDecodeError:
                latin += 1
                yield content.decode("latin-1"), label
    if latin:
        note(f"{latin} files of {folder} are not UTF-8 and were read as Latin-1")


def _files(folder: Path) -> Iterator[Path]:
    """The files in the folders of the folder, in order; hidden ones aside."""

    def fail(error):
        raise error

    labels = (entry for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != ".")
    # Each label by itself: os.walk follows a link it starts from, and no other, so no circle.
    for label in sorted(labels):
        for where, folders, files in os.walk(label, onerror=fail):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            paths = (Path(where, name) for name in sorted(files) if not name.startswith("."))
            yield from (path for path in paths if path.is_file())


def _lines(path: Path) -> Iterator[str]:
    """Decoded lines, none longer than LONGEST_LINE: garbage is refused early, not swallowed."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise PressboxError(
                    f"line {number} of {path} is longer than {LONGEST_LINE >> 20} MiB",
                    "this is no table of texts; give another file or split that text",
                )
            text = line.decode()
            yield text.removeprefix("\ufeff") if number == 1 else text


def _csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_LINE)
    reader = csv.DictReader(_lines(path), strict=True)
    try:
        _require_columns(reader.fieldnames or (), path)
        for row in reader:
            yield row["text"], row["label"]
    except csv.Error as error:
        raise PressboxError(
            f"line {reader.line_num} of {path} is not CSV ({error})", "repair or quote it"
        ) from error


def _jsonl(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise PressboxError(
                f"line {number} of {path} is not JSON ({error})", "give one object a line"
            ) from error
        _require_columns(row if isinstance(row, dict) else (), f"{path}, line {number},")
        yield row["text"], row["label"]


def _parquet(path: Path) -> Iterator[Row]:
    # A damaged file can crash the reader, not only trip it: it reads in a process of its own.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            columns, rows = pool.submit(_read_parquet, path).result()
        except (BrokenProcessPool, ValueError) as error:
            raise PressboxError(
                f"{path} is not an intact Parquet file ({error})",
                "write it again, or give a .csv or .jsonl",
            ) from error
    _require_columns(columns, path)
    yield from rows


def _read_parquet(path: Path) -> tuple[list[str], list[Row]]:
    """The names of the columns, and the rows if text and label are among them."""
    import cramjam
    import fastparquet

    with path.open("rb") as file:
        try:
            table = fastparquet.ParquetFile(str(path), open_with=lambda *_: file)
            if not {"text", "label"} <= set(table.columns):
                return list(table.columns), []
            frame = table.to_pandas(columns=["text", "label"]).astype(object)
        except (
            ArithmeticError,
            AssertionError,
            AttributeError,
            EOFError,
            LookupError,
            MemoryError,
            RuntimeError,
            TypeError,
            cramjam.DecompressionError,
            fastparquet.util.ParquetException,
            struct.error,
        ) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
    return list(table.columns), list(zip(frame["text"], frame["label"], strict=True))


def _require_columns(names: Iterable[str], where) -> None:
    missing = [name for name in ("text", "label") if name not in names]
    if missing:
        raise PressboxError(
            f"{where} has no {' and no '.join(missing)}", "name the columns text and label"
        )


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
