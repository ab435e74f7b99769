"""The page beside a model: what it is, how good, and where it comes from, for people to read.

One file of HTML that asks no network for anything. It is a view of what the tarball holds, and the
same input gives the same bytes.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pressbox.environment.drift import UNKNOWN, shortened
from pressbox.errors import SPACE, reading_model, visible
from pressbox.page.figures import (
    Number,
    Quality,
    counted,
    exact,
    percent,
    quality,
    scientific,
    share,
    written,
)
from pressbox.payload import COEFFICIENTS, PARAMETERS, VOCABULARY
from pressbox.provenance.statement import Facts, Statement

PARTS = Path(__file__).parent
# Terms of each sport, and confusions that are named.
WORDS, NAMED = 12, 4
# Parameters of a part; entries and characters of one.
MOST, ENTRIES, LONGEST = 20, 5, 80
# Decimals to which an earlier release rounded what it remembered.
EARLIER_DIGITS = 4
# Of a model's parameters, those of scikit-learn's classes, and those that have words of their own.
SCIKIT_LEARNS = ("vectorizer", "estimator")
TOLD_APART = {"labels", "temperature", "threshold"}
# What names every drift of a model.
NAMES_ALL = "pressbox show names them"
# Packages whose versions are told, by the names that pip has for them.
PACKAGES = {"scikit-learn": "scikit-learn", "numpy": "NumPy", "scipy": "SciPy"}


class Model(Protocol):
    """What a page is made of: a model that was verified, and not loaded."""

    @property
    def facts(self) -> Facts: ...

    @property
    def statement(self) -> Statement: ...

    @property
    def members(self) -> Mapping[str, memoryview]: ...

    def json(self, name: str) -> Any: ...

    def array(self, name: str) -> np.ndarray: ...


def strongest_words(vocabulary, coefficients: np.ndarray, labels: list[str]) -> dict:
    """For each label the terms that speak most for it: {label: [(term, weight), ...]}.

    vocabulary: n_terms strings. coefficients: (n_labels, n_terms), or (1, n_terms) for two labels.
    """
    if len(labels) == 2:
        coefficients = np.vstack([-coefficients, coefficients])
    strongest = np.argsort(-coefficients, axis=1, kind="stable")[:, :WORDS]
    return {
        label: [(vocabulary[term], round(float(row[term]), 4)) for term in terms if row[term] > 0]
        for label, row, terms in zip(labels, coefficients, strongest, strict=True)
    }


def words_in(model: Model) -> dict:
    """``strongest_words`` of a model, from its members.

    None of a model of another kind, which has no coefficients of words. Raises NotTrusted for
    arrays that do not fit each other.
    """
    if not {COEFFICIENTS, VOCABULARY} <= model.members.keys():
        return {}
    with reading_model("cannot be shown"):
        vocabulary, labels = model.json(VOCABULARY), model.json(PARAMETERS)["labels"]
        coefficients = model.array(COEFFICIENTS)
        rows = 1 if len(labels) == 2 else len(labels)
        if coefficients.shape != (rows, len(vocabulary)) or not np.isfinite(coefficients).all():
            raise ValueError("its coefficients do not fit its vocabulary and labels")
        return strongest_words(vocabulary, coefficients, labels)


def remember(model: Model) -> dict:
    """``remembered`` of a model that another is about to replace."""
    return remembered(model.facts, model.statement.byproduct("evaluation"), words_in(model))


@reading_model("cannot be remembered")
def remembered(facts: Facts, evaluation: dict | None, words: dict) -> dict:
    """What a page needs of this model when another has replaced it: small and plain JSON."""
    found = quality(facts.metrics, evaluation)
    return {
        "model_digest": facts.model_digest,
        "environment_digest": facts.environment_digest,
        "data_digest": facts.data_digest,
        "code": asdict(facts.code),
        "sealed_at": facts.sealed_at,
        "labels": facts.labels,
        "accuracy": float(found.accuracy),
        "macro_f1": float(found.macro_f1),
        "f1": {label: float(scores.f1) for label, scores in found.labels.items()},
        "words": {label: [term for term, _ in terms] for label, terms in words.items()},
    }


def render(model: Model) -> str:
    """The page of a model, as one HTML document."""
    return page(model.facts, model.statement, model.json(PARAMETERS), words_in(model))


@reading_model("cannot be shown")
def page(facts: Facts, statement: Statement, parameters: dict, words: dict) -> str:
    """``render``, of its parts. parameters: of the model. words: what ``strongest_words`` gives.

    Of the statement's byproducts it shows ``evaluation``, the details of ``evaluation.evaluate``,
    ``certificate``, that of ``training.fit``, and ``replaced``, what ``remembered`` gave of the
    model before. What a statement does not say is not on the page.
    """
    import jinja2
    from markupsafe import Markup

    evaluation, previous = map(statement.byproduct, ("evaluation", "replaced"))
    found = quality(facts.metrics, evaluation)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PARTS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters.update(
        counted=counted,
        day=_day,
        moment=_moment,
        percent=percent,
        points=_points,
        probability=_probability,
        scientific=scientific,
        written=written,
    )
    style, script = ((PARTS / name).read_text() for name in ("page.css", "page.js"))
    return environment.get_template("page.html").render(
        facts=facts,
        quality=found,
        details=evaluation,
        intervals=evaluation and _intervals(evaluation, found),
        sure=_sure(evaluation, found),
        rows=evaluation and _rows(evaluation, found),
        trained=statement.annotations("data").get("train", {}).get("labels"),
        parameters=_parameters(parameters),
        temperature=parameters.get("temperature"),
        threshold=parameters.get("threshold"),
        versions=_versions(statement),
        certificate=statement.byproduct("certificate"),
        words=words,
        warnings=_warnings(facts),
        baseline=evaluation and _baseline(found),
        confusions=evaluation and _confusions(evaluation),
        pictures=evaluation and _pictures(evaluation),
        change=previous and _change(facts, evaluation, words, previous),
        policy=f"default-src 'none'; style-src {_hashed(style)}; script-src {_hashed(script)}; "
        "base-uri 'none'; form-action 'none'",
        style=Markup(style),  # noqa: S704 # our own files, which hold nothing of a model
        script=Markup(script),  # noqa: S704
    )


def _shown(value):
    """What a page shows of anything in it."""
    return visible(value, but=SPACE) if type(value) is str else value


def _day(text: str) -> str:
    return f"{date.fromisoformat(text):%-d %B %Y}"


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone(UTC):%-d %B %Y, %H:%M} UTC"


def _probability(threshold: float) -> str:
    """In per cent, with decimals only if it needs them."""
    return f"{100 * threshold:.4g}%"


def _hashed(text: str) -> str:
    """The source of a Content-Security-Policy that lets this style or script in, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _intervals(evaluation: dict, found: Quality) -> dict:
    """Of each metric the ends of its interval, and the method; None where they are one number."""
    method = "bootstrap" if 0 < found.macro_f1 < 1 else "Wilson"
    methods = {"accuracy": "Wilson", "macro_f1": method}
    ends = {name: evaluation["intervals"][name] for name in methods}
    # Earlier releases gave a macro F1 without a mistake an interval without width.
    return {
        name: {"ends": ends[name], "method": method} if ends[name][0] < ends[name][1] else None
        for name, method in methods.items()
    }


def _sure(evaluation: dict | None, found: Quality) -> dict | None:
    """What was counted from the threshold on, if the model has one and it was counted."""
    sure = (evaluation or {}).get("sure")
    if not sure or not sure["threshold"] > 0:
        return None
    return {
        **sure,
        "accuracy": share(sure["right"], sure["rows"]),
        "coverage": share(sure["rows"], found.rows),
    }


def _rows(evaluation: dict, found: Quality) -> list[tuple]:
    """Each label with its scores and whether only the test has it, the worst first."""
    strange = evaluation["only_in_test"]
    worst = sorted(found.labels.items(), key=lambda entry: (entry[1].f1, entry[0]))
    return [(label, scores, label in strange) for label, scores in worst]


def _parameters(parameters: dict) -> dict[str, list[str]]:
    """What was chosen, by the part of the model that it was chosen for."""
    parts, others = {}, {}
    for name, value in parameters.items():
        if name in SCIKIT_LEARNS and isinstance(value, dict):
            parts[name.capitalize()] = _chosen(value)
        elif name not in TOLD_APART:
            others[name] = value
    return parts | ({"Parameters": _chosen(others)} if others else {})


def _chosen(parameters: dict) -> list[str]:
    shown = [_parameter(name, value) for name, value in list(parameters.items())[:MOST]]
    more = len(parameters) - len(shown)
    return [*shown, f"{more} more"] if more else shown


def _parameter(name: str, value) -> str:
    """As it was written in train.py, as far as that is short."""
    if isinstance(value, list | dict) and len(value) > ENTRIES:
        return f"{len(value)} {'stop words' if name == 'stop_words' else f'values of {name}'}"
    shown = f"{name}={tuple(value) if isinstance(value, list) else value!r}"
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def _versions(statement: Statement) -> list[tuple[str, str]]:
    """What the model was made with, as far as the statement names it."""
    passport = statement.annotations("environment").get("passport") or {}
    packages = passport.get("python_packages", {})
    # Models of the first release say it in an annotation.
    named = statement.annotations("special_k").get("version", "")
    sealed_with = statement.dependency("special_k").get("uri", f"@{named}").rpartition("@")[2]
    found = {
        "Python": passport.get("python", {}).get("version"),
        **{shown: packages.get(name, {}).get("version") for name, shown in PACKAGES.items()},
        "special_k": sealed_with,
        "Pressbox": statement.version if statement.version != UNKNOWN else "",
    }
    return [(name, version) for name, version in found.items() if version]


def _warnings(facts: Facts) -> list[dict]:
    warnings = []
    if facts.signer.demo:
        warnings.append(
            {
                "what": "Signed with the demo key.",
                "why": "It is published, so anyone can sign with it: the signature proves nothing.",
            }
        )
    if facts.drift:
        warnings.append(
            {
                "what": "Trained in an environment that had drifted.",
                "why": f"It was no longer as it was built: {shortened(facts.drift, NAMES_ALL)}.",
            }
        )
    if facts.code.dirty:
        warnings.append(
            {
                "what": "Trained from changed files.",
                "why": "The code that trained it differs from the commit named below.",
            }
        )
    elif facts.code.dirty is None:
        warnings.append(
            {
                "what": "Trained from unknown files.",
                "why": "There was no git to say which commit they belong to.",
            }
        )
    return warnings


def _baseline(found: Quality) -> Fraction:
    """The accuracy of always naming the label that most texts have."""
    return Fraction(max(scores.rows for scores in found.labels.values()), found.rows)


def _confusions(evaluation: dict) -> list[tuple[str, str, int]]:
    """What was taken for what more than once, the most often first: (y_true, predicted, texts)."""
    labels = evaluation["order"]
    found = [
        (-count, y_true, predicted)
        for y_true, counts in zip(labels, evaluation["confusion"], strict=True)
        for predicted, count in zip(labels, counts, strict=True)
        if count > 1 and y_true != predicted
    ]
    return [(y_true, predicted, -count) for count, y_true, predicted in sorted(found)[:NAMED]]


def _pictures(evaluation: dict) -> dict:
    from pressbox.page import charts

    return {
        "confusion": charts.confusion(evaluation["confusion"], evaluation["order"]),
        "reliability": charts.reliability(evaluation["reliability"]),
    }


def _change(facts: Facts, evaluation: dict | None, words: dict, previous: dict) -> dict:
    """What differs from the model before."""
    now = remembered(facts, evaluation, words)
    both = sorted(now["f1"].keys() & previous["f1"].keys())
    ours, theirs = now["f1"], previous["f1"]
    changed = [label for label in both if _rounded(ours[label]) != _rounded(theirs[label])]
    changed.sort(key=lambda label: (theirs[label] - ours[label], label))
    rows = [
        _moved("Accuracy (%)", previous["accuracy"], now["accuracy"], _points, total=True),
        _moved("Macro F1", previous["macro_f1"], now["macro_f1"], _macro, total=True),
        *(_moved(label, theirs[label], ours[label], _f1) for label in changed),
    ]
    gained = {
        label: [term for term in terms if term not in previous["words"][label]]
        for label, terms in now["words"].items()
        if label in previous["words"]
    }
    return {
        "sealed_at": previous["sealed_at"],
        "inputs": _inputs(now, previous),
        "rows": rows,
        "steady": len(both) - len(changed),
        "added": sorted(set(now["labels"]) - set(previous["labels"])),
        "removed": sorted(set(previous["labels"]) - set(now["labels"])),
        "words": {label: terms for label, terms in gained.items() if terms},
    }


def _inputs(now: dict, previous: dict) -> str:
    if now["model_digest"] == previous["model_digest"]:
        return "The two are identical, bit for bit."
    names = {"data_digest": "data", "environment_digest": "environment", "code": "code"}
    other = [name for key, name in names.items() if now[key] != previous[key]]
    if not other:
        return "The recorded data, environment and code are unchanged."
    listed = " and ".join(filter(None, [", ".join(other[:-1]), other[-1]]))
    said = f"{listed} {'has' if len(other) == 1 else 'have'} changed".capitalize()
    if "data" in other:
        said += ", so the two may have been tested on different texts"
    return f"{said}."


def _rounded(number: float) -> float:
    return round(number, EARLIER_DIGITS)


def _points(share: Number) -> str:
    return written(100 * exact(share), 1)


def _macro(score: Number) -> str:
    return written(score, 3)


def _f1(score: Number) -> str:
    return written(score, 2)


def _moved(
    what: str, before: float, now: float, shown: Callable[[Number], str], total: bool = False
) -> dict:
    change, direction = "", ""
    if _rounded(now) != _rounded(before):
        sign, direction = ("+", "better") if now > before else ("\N{MINUS SIGN}", "worse")
        change = sign + shown(abs(exact(now) - exact(before)))
    return {
        "what": what,
        "before": shown(before),
        "now": shown(now),
        "change": change or "unchanged",
        "direction": direction,
        "total": total,
    }
