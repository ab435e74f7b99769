"""Where texts and labels come from: a table, a folder of its parts, a folder of texts, a name.

A source gives rows as they were written, each with the place where it stands; whether they make a
corpus, ``corpus`` decides. No link is followed, and nothing is left out without a word.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

from pressbox import ROOT
from pressbox.console import note
from pressbox.data.decoding import encoding_of, kind_of, readable
from pressbox.data.tables import (
    A_TABLE,
    NOTHING,
    SPLIT,
    Found,
    Layout,
    is_table,
    listed,
    mention_split,
    stem,
    suffixes,
    table,
)
from pressbox.errors import PressboxError, UsageError

EMBEDDED = ROOT / "corpus" / "newsroom.jsonl"
NAMED_SOURCES = ("newsroom", "newsgroups")


def read(source: str | Path, layout: Layout) -> tuple[Iterable[Found], Iterable[Found] | None]:
    """The rows of a source to train on, and those to evaluate on, None if it has none apart.

    source: one of NAMED_SOURCES, a folder or a table; a Path is never one of the names. Raises
    UsageError if it is none of them; a PressboxError comes as late as the row that it is about.
    """
    if source == "newsroom":
        return table(EMBEDDED, Layout()), None
    if source == "newsgroups":
        from pressbox.data import newsgroups

        return newsgroups.rows("train"), newsgroups.rows("test")
    if not source:
        raise UsageError("the source has no name", "give one, for example newsroom")
    path = Path(source)
    if os.path.isdir(path):
        return _folder(path, layout)
    if not os.path.isfile(path) and not os.path.exists(path):
        raise UsageError(
            f"there is no source {str(source)!r}",
            f"give newsroom, newsgroups, a folder, or {A_TABLE}",
        )
    if not is_table(path.name) or not path.is_file():
        raise UsageError(f"{path} is not a source", f"give a folder, or {A_TABLE}")
    return table(path, layout), None


# The parts of a division that people make, by the names that they give them.
TRAIN, TEST = ("train", "training"), ("test", "testing")
DIVISION = re.compile(
    rf"({'|'.join((*TRAIN, *TEST, 'val', 'valid', 'validation', 'dev'))})(?![^\W\d_])",
    re.IGNORECASE,
)
# Tables that are folders, but not the sum of their files: some of these are of earlier versions.
VERSIONED = ("_delta_log", ".hoodie")
NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"

# A table, and the columns that the names of its folders give.
Part = tuple[Path, Mapping[str, str | None]]


def _folder(folder: Path, layout: Layout) -> tuple[Iterable[Found], Iterable[Found] | None]:
    with readable(folder):
        _refuse_versioned(folder)
        folders, files = _entries(folder)
        if whole := _are_labels(folders):
            entries, others = folders, files
        else:
            entries, others = _tables_and_others(files)
        parts = _divided(folder, entries, whole)
    if not parts:
        return _undivided(folder, layout), None
    _mention(folder, others)
    train, test = (_together(folder, part, layout) for part in parts)
    return train, test if parts[1] else None


def _together(folder: Path, entries: list[Path], layout: Layout) -> Iterator[Found]:
    _refuse_mixed(folder, entries)
    for entry in entries:
        yield from _undivided(entry, layout) if entry.is_dir() else table(entry, layout)


def _undivided(folder: Path, layout: Layout) -> Iterator[Found]:
    with readable(folder):
        _refuse_versioned(folder)
        folders, files = _entries(folder)
        if _are_labels(folders):
            _mention(folder, files)
            yield from _texts(folders, layout)
            return
        parts = list(_parts(folder))
    _refuse_mixed(folder, [part for part, _ in parts])
    for part, columns in parts:
        yield from table(part, layout, columns)


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """The folders and the regular files in a folder, in order; hidden ones aside.

    PressboxError for a link, which may lead anywhere, and for what is neither file nor folder.
    """
    folders, files = [], []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                files.append(Path(entry.path))
            elif entry.is_symlink():
                raise PressboxError(
                    f"{entry.path} is a link to {Path(entry.path).readlink()}, and links are not"
                    " followed",
                    "put the file itself there: dvc checkout with cache.type copy, git annex"
                    " unlock, or cp -rL",
                )
            else:
                raise PressboxError(
                    f"{entry.path} is neither a file nor a folder", "remove it from the source"
                )
    return folders, files


def _files(folder: Path) -> Iterator[Path]:
    folders, files = _entries(folder)
    yield from files
    for below in folders:
        yield from _files(below)


def _is_partition(folder: Path) -> bool:
    """Whether it is a part of a partitioned table (label=judo), which Hive and Spark invented."""
    first = next(_files(folder), None) if "=" in folder.name else None
    return first is not None and is_table(first.name)


def _are_labels(folders: list[Path]) -> bool:
    """Whether the folders are labels or parts of a division, not partitions of a table."""
    plain = (folder for folder in folders if not folder.name.startswith("_"))
    return any(not _is_partition(folder) for folder in plain)


def _parts(folder: Path, columns: Mapping[str, str | None] = NOTHING) -> Iterator[Part]:
    folders, files = _entries(folder)
    tables, others = _tables_and_others(files)
    _mention(folder, others)
    yield from ((file, columns) for file in tables)
    for below in folders:
        if not below.name.startswith("_"):
            name, equals, value = below.name.partition("=")
            if unquote(name) == SPLIT:
                mention_split(folder)
            if not equals:
                raise PressboxError(
                    f"{below} is a folder among the parts of a table",
                    "move it elsewhere, or give it as a source of its own",
                )
            value = None if value == NO_PARTITION else unquote(value)
            yield from _parts(below, {**columns, unquote(name): value})


def _tables_and_others(files: list[Path]) -> tuple[list[Path], list[Path]]:
    return (
        [file for file in files if is_table(file.name)],
        [file for file in files if not is_table(file.name)],
    )


def _divided(
    folder: Path, entries: list[Path], whole: bool
) -> tuple[list[Path], list[Path]] | None:
    """The entries to train on and to evaluate on, by their names; None if none says which it is.

    whole: the whole name has to say so, as that of a folder; else its beginning (test-0.parquet).
    """
    named = {}
    for entry in entries:
        found = DIVISION.match(entry.name)
        if found and whole and found[0] != entry.name:
            found = None
        named[entry] = found[0].lower() if found else ""
    if not any(named.values()):
        return None
    train = [entry for entry, name in named.items() if name in TRAIN]
    test = [entry for entry, name in named.items() if name in TEST]
    complete = train and len(train) + len(test) == len(entries)
    if not complete or (whole and max(len(train), len(test)) > 1):
        raise PressboxError(
            f"{folder} is divided in a way that Pressbox does not know:"
            f" {listed([entry.name for entry in entries])}",
            "have a train and a test part and nothing else, or name them: --data PART --test PART;"
            " a label called train, test or val needs a table",
        )
    return train, test


def _refuse_versioned(folder: Path) -> None:
    for name in VERSIONED:
        if os.path.lexists(folder / name):
            raise PressboxError(
                f"{folder} is a versioned table ({name})",
                "write its current rows to a .parquet file, and give that",
            )


def _refuse_mixed(folder: Path, parts: list[Path]) -> None:
    kinds = sorted({suffixes(part.name)[0] for part in parts})
    names = Counter(str(part.with_name(stem(part.name))) for part in parts)
    if len(kinds) > 1:
        raise PressboxError(
            f"{folder} has tables of several kinds: {', '.join(kinds)}", "give one of them"
        )
    if double := next((name for name, times in names.items() if times > 1), None):
        raise PressboxError(f"{double} is there twice, once compressed", "remove one of the two")


def _mention(folder: Path, others: list[Path]) -> None:
    """Say what is not part of a source, unless its name says so, as _SUCCESS does."""
    if names := [file.name for file in others if not file.name.startswith("_")]:
        note(f"left out, as not part of {folder}: {listed(names)}")


# Old newsgroup articles have a few characters of control; a picture or a program has many.
CONTROLS = re.compile(r"[\x00-\x07\x0e-\x1a\x1c-\x1f\x7f-\x9f]")
FEW_CONTROLS = 1 / 20


def _texts(labels: list[Path], layout: Layout) -> Iterator[Found]:
    """A folder for each label, a file for each text, as sklearn.datasets.load_files has it.

    A file that is not UTF-8 is read as Latin-1, the coding of old newsgroup archives, and counted.
    """
    latin, no_texts = 0, []
    for label in labels:
        for file in _files(label):
            if is_table(file.name):
                raise PressboxError(
                    f"{file} is a table, in a folder of texts",
                    "give the table as the source, or rename it to .txt if it is one text",
                )
            with readable(file):
                content = file.read_bytes()
            if kind := kind_of(content, file):
                no_texts.append(f"{file.relative_to(label.parent)} ({kind})")
                continue
            text, is_latin = _text(content, file, layout.encoding)
            latin += is_latin
            yield str(file), text, label.name
    if latin:
        note(f"files of {labels[0].parent} that are not UTF-8, read as Latin-1: {latin}")
    if no_texts:
        note(f"left out of {labels[0].parent}, as not text: {listed(no_texts)}")


def _text(content: bytes, file: Path, given: str) -> tuple[str, bool]:
    """The text, and whether it was taken for Latin-1."""
    encoding = encoding_of(content, given)
    try:
        text, is_latin = content.decode(encoding), False
    except UnicodeDecodeError as error:
        if encoding != "utf-8" or given:
            raise PressboxError(
                f"{file} is not {encoding.upper()} (byte {error.start + 1})",
                "repair it, or give its encoding with --encoding",
            ) from error
        text, is_latin = content.decode("latin-1"), True
    controls = len(CONTROLS.findall(text)) if is_latin else 0
    if "\0" in text or controls > len(text) * FEW_CONTROLS:
        raise PressboxError(
            f"{file} does not look like text",
            "remove it, or give its encoding, e.g. --encoding cp1252 or utf-16-le",
        )
    return text, is_latin
