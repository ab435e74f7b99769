"""Texts and labels to train on and to evaluate on, made of the rows that a source gives.

Both parts are in an order that depends on their contents alone, so that shuffled input gives the
same model.
"""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pressbox.console import doing, note
from pressbox.data.sources import NAMED_SOURCES, read
from pressbox.data.tables import Found, Layout, listed
from pressbox.errors import PressboxError, visible

# One row in so many is held out of a source that has no test part of its own.
HELD_OUT = 5
MAX_TEXTS = 2_000_000
# Of remarkable texts, so many are told, and so many characters of each.
TOLD, BEGINNING = 3, 40

Row = tuple[str, str]  # text, label
DEFAULT = Layout()


@dataclass(frozen=True, repr=False)
class Corpus:
    """Texts and labels, to train on and to evaluate on.

    ``train`` and ``test`` are tuples of (text, label), sorted. ``digest`` is ``sha256:<hex>`` over
    both, whatever the format and the order they came in. ``test_source`` is "" unless the texts to
    evaluate on come from elsewhere. ``layout`` is what their files did not say of themselves.
    """

    source: str
    train: tuple[Row, ...]
    test: tuple[Row, ...]
    test_source: str = ""
    layout: Layout = DEFAULT

    def __repr__(self) -> str:
        origin = " and ".join(filter(None, (self.source, self.test_source)))
        texts = f"{len(self.train)} texts to train on, {len(self.test)} to evaluate on"
        return visible(f"<Corpus of {origin}: {texts}; {len(self.labels)} labels>")

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


def load_corpus(
    source: str | Path = "newsroom", test_source: str | Path = "", layout: Layout = DEFAULT
) -> Corpus:
    """Load ``newsroom``, ``newsgroups``, a folder of texts, a table or a folder of its parts.

    With ``test_source``, what is trained on stays the same, and what is evaluated on is that
    source's test part, or all of it if it has none. The layout is that of both. Raises UsageError
    if there is no such source, PressboxError if it holds no usable corpus.
    """
    name, train, test = _load(source, layout)
    if test is None:
        train, test = _hold_out(train)
        if not test and train and not test_source:
            raise PressboxError(
                f"{name} has too few texts to keep one for the evaluation",
                "give each label three or more",
            )
    test_name = ""
    if test_source:
        test_name, everything, part = _load(test_source, layout)
        test = everything if part is None else part
    _check(train, name)
    where = test_name or f"the test part of {name}"
    if not test:
        raise PressboxError(f"{where} is empty", "fill it, or omit it")
    test = _fitting(test, train, where, bool(test_name))
    return Corpus(name, tuple(sorted(train)), tuple(sorted(test)), test_name, layout)


def _load(source: str | Path, layout: Layout) -> tuple[str, list[Row], list[Row] | None]:
    """The name of a source, its rows to train on, and those to evaluate on if it has them apart."""
    train, test = read(source, layout)
    # A Path is a path, even if it is called as a source that is known by its name.
    name = str(source) if source in NAMED_SOURCES else Path(source).resolve().name
    return name, _cleaned(train, name), None if test is None else _cleaned(test, name)


def _cleaned(found: Iterable[Found], source: str) -> list[Row]:
    """The rows, with their labels trimmed and in one spelling; anything else is an error."""
    cleaned, empty, numbered = [], 0, False
    labels: dict[str, str] = {}
    repeated, torn = _Some(), _Some()
    with doing(f"reading {source}") as far:
        for place, text, label in found:
            if type(label) is int:
                label, numbered = str(label), True
            text, label = _string(text, "text", place), _label(label, place)
            if not text.strip():
                empty += 1
                continue
            cleaned.append((text, label))
            far(len(cleaned))
            if (before := labels.setdefault(text, label)) != label:
                torn.add(f"{place}: {text[:BEGINNING]!r} is labelled {label}, earlier {before}")
            elif len(labels) + repeated.count + torn.count < len(cleaned):
                repeated.add(f"{place}: {text[:BEGINNING]!r}")
            if len(cleaned) > MAX_TEXTS:
                raise PressboxError(
                    f"{source} has more than {MAX_TEXTS:,} texts{_if_one_label(cleaned)}",
                    "give a sample of them",
                )
    if empty:
        note(f"empty texts of {source}, left out: {empty}")
    if repeated.count:
        note(f"repeated texts of {source}, kept: {repeated}")
    if torn.count:
        note(f"texts of {source} with more than one label, kept: {torn}")
    if numbered:
        note(f"integer labels of {source} are read as strings of digits")
    return cleaned


@dataclass
class _Some:
    """How many there are of something, and the first of them in words."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, told: str) -> None:
        self.count += 1
        if len(self.first) < TOLD:
            self.first.append(told)

    def __str__(self) -> str:
        more = "; …" if self.count > len(self.first) else ""
        return f"{self.count} ({'; '.join(self.first)}{more})"


def _label(value: object, place: str) -> str:
    label = unicodedata.normalize("NFC", _string(value, "label", place).strip())
    if not label:
        raise PressboxError(f"{place} has no label", "label it or remove it")
    if not label.isprintable():
        raise PressboxError(
            f"{place}: the label {label!r} has characters that cannot be seen",
            "repair or remove the row",
        )
    return label


def _string(value: object, what: str, place: str) -> str:
    """The value if it is valid text; nothing is the empty text."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise PressboxError(
            f"{place}: the {what} must be a string, not {value!r:.60}",
            "write it as a string; of other values only integers are taken, as labels",
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise PressboxError(
            f"{place}: the {what} is not valid Unicode ({error.reason})", "repair or remove it"
        ) from error
    return value


def _if_one_label(rows: list[Row]) -> str:
    labels = {label for _, label in rows}
    return f", all with the label {labels.pop()!r} so far" if len(labels) == 1 else ""


def _check(train: list[Row], source: str) -> None:
    if not train:
        raise PressboxError(f"{source} contains no texts", "give a source that does")
    counts = Counter(label for _, label in train)
    if len(counts) < 2:
        raise PressboxError(
            f"{source} has only one label ({next(iter(counts))})",
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
                f"{source} has two labels that differ only in case or spaces:"
                f" {other!r} and {label!r}",
                "make them one",
            )


def _fitting(test: list[Row], train: list[Row], where: str, elsewhere: bool) -> list[Row]:
    """The rows that can be evaluated on: not trained on, and of a label that was trained on."""
    known, texts = {label for _, label in train}, {text for text, _ in train}
    given = {label for _, label in test}
    _check_spelling(known | given, where)
    if strange := sorted(given - known):
        note(f"labels of {where} that are not in the training part, left out: {listed(strange)}")
    if elsewhere and known - given:
        note(f"labels that {where} does not have: {listed(sorted(known - given))}")
    rows = [row for row in test if row[1] in known]
    fresh = [row for row in rows if row[0] not in texts]
    if len(fresh) < len(rows):
        known_texts = len(rows) - len(fresh)
        note(f"texts of {where} that are also in the training part, left out: {known_texts}")
    if not fresh:
        raise PressboxError(
            f"{where} has nothing to evaluate on: no new text of a label that was trained on",
            "give other texts, or the same labels",
        )
    return fresh


def _hold_out(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Split by the digest of each row: stratified, and the same for any order of the rows."""
    by_label: dict[str, list[Row]] = {}
    for row in rows:
        by_label.setdefault(row[1], []).append(row)
    train, test = [], []
    for members in by_label.values():
        members.sort(key=lambda row: (hashlib.sha256(row[0].encode()).digest(), row))
        # Of three or four texts one is held out anyway; two are needed for the training.
        held_out = max(len(members) // HELD_OUT, int(len(members) > 2))
        test += members[:held_out]
        train += members[held_out:]
    return train, test
