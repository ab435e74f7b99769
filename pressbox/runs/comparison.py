"""How one model differs from another, in words: how good it is, where it was made, of what."""

import base64
import json
from collections import Counter
from dataclasses import asdict

import numpy as np

from pressbox.environment import drift
from pressbox.environment.drift import UNKNOWN
from pressbox.errors import reading_model
from pressbox.learning.evaluation import DIGITS
from pressbox.payload import PARAMETERS, PROBES, STATEMENT, VOCABULARY
from pressbox.provenance.statement import ROW_BYTES
from pressbox.sealing.metadata import NAKED
from pressbox.sealing.tarball import Verified

NO_NUMBERS = {STATEMENT, PARAMETERS, PROBES, NAKED}
# Names of terms, files and the like that are told before the rest is only counted.
NAMED = 5
# Of the text of a mistake.
SHOWN_CHARACTERS = 60


@reading_model("cannot be compared")
def compare(before: Verified, after: Verified) -> dict[str, list[str]]:
    """The differences by subject: what they come to first, then what may explain it.

    Subjects: metrics, answers, parameters, environment, data, code, numbers; each a list of words,
    empty if there is no difference. A model that does not say gets a word, too, never a guess.
    NotTrusted if one of them holds what cannot be compared.
    """
    return {
        "metrics": _metrics(before.facts.metrics, after.facts.metrics),
        "answers": _answers(before, after),
        "parameters": _parameters(before, after),
        "environment": _environment(before, after),
        "data": _data(before, after),
        "code": _code(before, after),
        "numbers": _numbers(before, after),
    }


def _metrics(before: dict[str, float], after: dict[str, float]) -> list[str]:
    found = []
    for name in sorted(before.keys() | after.keys()) if before != after else ():
        one, other = before.get(name), after.get(name)
        if one is None or other is None:
            found += _values("", {name: one}, {name: other})
        elif one == other:
            found.append(f"{name} {one}, unchanged")
        else:
            found.append(f"{name} {one} → {other} ({round(other - one, DIGITS):+})")
    return found


def _answers(before: Verified, after: Verified) -> list[str]:
    """How many evaluation texts are answered differently, and which, as far as the models say."""
    if before.facts.model_digest == after.facts.model_digest:
        return []
    said = [_answers_of(before), _answers_of(after)]
    if not all(said):
        return ["not every model says what it answered"]
    both = sorted(said[0].keys() & said[1].keys())
    moves = {
        row: f"{said[0][row]} → {said[1][row]}" for row in both if said[0][row] != said[1][row]
    }
    if not moves:
        return []
    known = {row: text for row, text in _mistakes(before, after).items() if row in moves}
    shown = dict(list(known.items())[:NAMED])
    found = [f"{len(moves)} of {len(both)} texts are answered differently"]
    found += (f"{moves[row]}: {text}" for row, text in shown.items())
    rest = Counter(move for row, move in moves.items() if row not in shown).most_common()
    found += (f"{move}: {_texts(count)}" for move, count in rest[:NAMED])
    if others := sum(count for _, count in rest[NAMED:]):
        found.append(f"between other labels: {_texts(others)}")
    return found


def _texts(count: int) -> str:
    return f"{count} text{'s' * (count > 1)}"


def _answers_of(model: Verified) -> dict[bytes, str]:
    """The answer to each evaluation text, by the digest of its row; empty if it does not say."""
    evaluation = model.statement.byproduct("evaluation") or {}
    rows = model.statement.annotations("data").get("test", {}).get("rows", "")
    if "answers" not in evaluation:
        return {}
    numbers = np.frombuffer(base64.b64decode(evaluation["answers"]), "<u2")
    order = evaluation["order"]
    return {row: order[n] for row, n in zip(_rows(rows), numbers, strict=True)}


def _mistakes(*models: Verified) -> dict[bytes, str]:
    """The texts that a model holds because it got them wrong, by the digests of their rows."""
    evaluations = [model.statement.byproduct("evaluation") or {} for model in models]
    return {
        bytes.fromhex(mistake["row"]): f"{_beginning(mistake['text'])} ({mistake['label']})"
        for evaluation in evaluations
        for mistake in evaluation.get("mistakes", [])
        if "row" in mistake
    }


def _beginning(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= SHOWN_CHARACTERS else f"{words[: SHOWN_CHARACTERS - 1]}…"


def _environment(before: Verified, after: Verified) -> list[str]:
    found = []
    digests = {model.facts.environment_digest for model in (before, after)}
    said = (model.statement.annotations("environment") for model in (before, after))
    ours, theirs = (environment.get("passport") for environment in said)
    if UNKNOWN not in digests and len(digests) > 1 and ours and theirs:
        found += drift.differences(ours, theirs)
    elif UNKNOWN in digests or len(digests) > 1:
        found.append("not every model says what its environment was made of")
    for which, model in (("the first", before), ("the second", after)):
        found += (f"drifted in {which}: {drift}" for drift in model.facts.drift or ())
    return found


def _data(before: Verified, after: Verified) -> list[str]:
    if before.facts.data_digest == after.facts.data_digest:
        return []
    found = _values("", {"source": before.facts.source}, {"source": after.facts.source})
    parts = [model.statement.annotations("data") for model in (before, after)]
    if not all(parts):
        return [*found, "they were trained on other rows; one does not say on which"]
    for part, purpose in (("train", "to train on"), ("test", "to evaluate on")):
        ours, theirs = (Counter(_rows(entry[part]["rows"])) for entry in parts)
        for change, count in (("are gone", ours - theirs), ("are new", theirs - ours)):
            if count:
                found.append(f"rows {purpose}: {count.total()} {change}")
        found += _values(
            f"texts {purpose} of label ", parts[0][part]["labels"], parts[1][part]["labels"]
        )
    return found


def _rows(encoded: str) -> list[bytes]:
    content = base64.b64decode(encoded)
    return [content[i : i + ROW_BYTES] for i in range(0, len(content), ROW_BYTES)]


def _code(before: Verified, after: Verified) -> list[str]:
    ours, theirs = (model.statement.annotations("code").get("files") for model in (before, after))
    if not ours or not theirs:
        return _values("", asdict(before.facts.code), asdict(after.facts.code))
    names = sorted(ours.keys() | theirs.keys())
    found = [f"{name} is gone" for name in names if name not in theirs]
    found += (f"{name} is new" for name in names if name not in ours)
    both = (name for name in names if name in ours and name in theirs)
    found += (f"{name} was changed" for name in both if ours[name] != theirs[name])
    if found:
        found += _values("", asdict(before.facts.code), asdict(after.facts.code))
    return found


def _parameters(before: Verified, after: Verified) -> list[str]:
    ours, theirs = (model.json(PARAMETERS) for model in (before, after))
    found = _names("label", ours.pop("labels"), theirs.pop("labels"))
    for name in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(name), theirs.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            found += _values(f"{name}: ", one, other)
        else:
            found += _values("", {name: one}, {name: other})
    return found


def _values(kind: str, before: dict, after: dict) -> list[str]:
    return [
        f"{kind}{_change(name, before.get(name, 'not given'), after.get(name, 'not given'))}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _change(name: str, before: object, after: object) -> str:
    """What became of a value, of a long list only its number or what was added and removed."""
    words = name.replace("_", " ")
    if isinstance(before, list) and isinstance(after, list) and _is_long(before, after):
        # As JSON, whatever they are.
        ours, theirs = (Counter(map(json.dumps, entries)) for entries in (before, after))
        changes = [
            f"{count.total()} {change}: {_some([*count.elements()])}"
            for change, count in (("added", theirs - ours), ("removed", ours - theirs))
            if count
        ]
        return f"{name}: {'; '.join(changes) or 'in another order'}"
    one, other = (
        f"{len(value)} {words}" if isinstance(value, list) and _is_long(value) else value
        for value in (before, after)
    )
    return f"{name} is {other}, was {one}"


def _is_long(*lists: list) -> bool:
    return any(len(entries) > NAMED for entries in lists)


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + rest


def _names(kind: str, before: list[str], after: list[str]) -> list[str]:
    found = []
    for change, names in (
        ("gone", sorted(set(before) - set(after))),
        ("new", sorted(set(after) - set(before))),
    ):
        if names:
            found.append(f"{kind} {change}: {_some([repr(name) for name in names])}")
    return found


def _numbers(before: Verified, after: Verified) -> list[str]:
    if before.facts.model_digest == after.facts.model_digest:
        return []
    files = [set(model.members) - NO_NUMBERS for model in (before, after)]
    found = _names("file", *map(sorted, files))
    terms = [
        list(model.json(VOCABULARY)) if VOCABULARY in model.members else []
        for model in (before, after)
    ]
    found += _names("term", *terms)
    same_axes = terms[0] == terms[1] and before.facts.labels == after.facts.labels
    for name in sorted(files[0] & files[1]) if same_axes else ():
        if name.endswith(".npy"):
            found += _array(name, before, after, terms[0])
        elif before.members[name] != after.members[name] and name != VOCABULARY:
            found.append(f"{name} differs")
    return found


def _array(file: str, before: Verified, after: Verified, terms: list[str]) -> list[str]:
    one, other = (model.array(file) for model in (before, after))
    name = file.removesuffix(".npy")
    if one.shape != other.shape:
        return [f"{name} has the shape {other.shape}, had {one.shape}"]
    differing = np.argwhere(one != other)
    # As floating point numbers: those without a sign, or true and false, have no differences.
    farthest = abs(other * 1.0 - one * 1.0).max(initial=0)
    if not len(differing):
        return []
    first = tuple(differing[0])
    where = ", ".join(
        _place(index, size, before.facts.labels, terms)
        for index, size in zip(first, one.shape, strict=True)
    )
    return [
        f"{name}[{where}] is {other[first]}, was {one[first]} (the first of {len(differing)} of"
        f" {one.size}; none by more than {farthest:.1e})"
    ]


def _place(index, size: int, labels: list[str], terms: list[str]) -> str:
    """What stands at an index of an axis: a term, a label, or the number where it is neither."""
    for names in (terms, labels, labels[-1:] if len(labels) == 2 else []):
        if len(names) == size:
            return repr(names[index])
    return str(index)
