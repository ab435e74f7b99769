"""The page beside a model: what it is, how good, and where it comes from, for people to read.

One file of HTML that asks no network for anything. It is a view of what the tarball holds, and the
same input gives the same bytes.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pressbox.errors import SPACE, reading_model, visible
from pressbox.payload import COEFFICIENTS, PARAMETERS, VOCABULARY
from pressbox.provenance.statement import Facts, Statement

PARTS = Path(__file__).parent
# Terms of each sport, and confusions that are named.
WORDS, NAMED = 12, 4


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
    labels = evaluation["labels"] if evaluation else {}
    return {
        "model_digest": facts.model_digest,
        "environment_digest": facts.environment_digest,
        "data_digest": facts.data_digest,
        "code": asdict(facts.code),
        "sealed_at": facts.sealed_at,
        "labels": facts.labels,
        "accuracy": facts.metrics["accuracy"],
        "macro_f1": facts.metrics["macro_f1"],
        "f1": {label: scores["f1"] for label, scores in labels.items()},
        "words": {label: [term for term, _ in terms] for label, terms in words.items()},
    }


def render(model: Model) -> str:
    """The page of a model, as one HTML document."""
    return page(model.facts, model.statement, words_in(model))


@reading_model("cannot be shown")
def page(facts: Facts, statement: Statement, words: dict) -> str:
    """``render``, of its parts. words: what ``strongest_words`` gives.

    Of the statement's byproducts it shows ``evaluation``, the details of ``evaluation.evaluate``,
    and ``replaced``, what ``remembered`` gave of the model before. Either may be missing.
    """
    import jinja2
    from markupsafe import Markup

    evaluation, previous = map(statement.byproduct, ("evaluation", "replaced"))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PARTS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters.update(percent=_percent, moment=_moment, day=_day)
    style, script = ((PARTS / name).read_text() for name in ("page.css", "page.js"))
    return environment.get_template("page.html").render(
        facts=facts,
        metrics=facts.metrics,
        details=evaluation,
        words=words,
        sealed_with=_sealed_with(statement),
        warnings=_warnings(facts),
        baseline=evaluation and _baseline(evaluation),
        confusions=evaluation and _confusions(evaluation),
        pictures=evaluation and _pictures(evaluation),
        change=previous and _change(facts, evaluation, words, previous),
        policy=f"default-src 'none'; style-src {_hashed(style)}; script-src {_hashed(script)}; "
        "base-uri 'none'; form-action 'none'",
        style=Markup(style),  # noqa: S704 # our own files, in which nothing of a model stands
        script=Markup(script),  # noqa: S704
    )


def _shown(value):
    """What a page shows of anything in it."""
    return visible(value, but=SPACE) if type(value) is str else value


def _percent(share: float, digits: int = 0) -> str:
    # No line breaks before the sign.
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def _day(text: str) -> str:
    return f"{date.fromisoformat(text):%-d %B %Y}"


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone(UTC):%-d %B %Y, %H:%M} UTC"


def _hashed(text: str) -> str:
    """The source of a Content-Security-Policy that lets this style or script in, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _sealed_with(statement: Statement) -> str:
    """The version of special_k, as far as the statement names it."""
    # Models of the first release say it in an annotation.
    named = statement.annotations("special_k").get("version", "")
    return statement.dependency("special_k").get("uri", f"@{named}").rpartition("@")[2]


def _warnings(facts: Facts) -> list[dict]:
    warnings = []
    if facts.signer.demo:
        warnings.append(
            {
                "what": "Signed with the demo key.",
                "why": "It is published, anybody can sign with it: the signature proves nothing.",
            }
        )
    if facts.drift:
        warnings.append(
            {
                "what": "Trained in an environment that had drifted.",
                "why": f"It was not as it was built: {', '.join(facts.drift)}.",
            }
        )
    if facts.code.dirty:
        warnings.append(
            {
                "what": "Trained from changed files.",
                "why": "What trained it differs from the commit that is named below.",
            }
        )
    elif facts.code.dirty is None:
        warnings.append(
            {
                "what": "Trained from unknown files.",
                "why": "There was no git to ask which commit they belong to.",
            }
        )
    return warnings


def _baseline(evaluation: dict) -> float:
    """The accuracy of always naming the label that most texts have."""
    rows = [scores["rows"] for scores in evaluation["labels"].values()]
    return max(rows) / sum(rows)


def _confusions(evaluation: dict) -> list[tuple[str, str, int]]:
    """What was taken for what more than once, the most often first: (truth, predicted, texts)."""
    labels = evaluation["order"]
    found = [
        (-count, truth, predicted)
        for truth, counts in zip(labels, evaluation["confusion"], strict=True)
        for predicted, count in zip(labels, counts, strict=True)
        if count > 1 and truth != predicted
    ]
    return [(truth, predicted, -count) for count, truth, predicted in sorted(found)[:NAMED]]


def _pictures(evaluation: dict) -> dict:
    from pressbox.page import charts

    return {
        "confusion": charts.confusion(evaluation["confusion"], evaluation["order"]),
        "reliability": charts.reliability(evaluation["reliability"]),
    }


def _change(facts: Facts, evaluation: dict | None, words: dict, previous: dict) -> dict:
    """What is another than in the model before."""
    now = remembered(facts, evaluation, words)
    both = sorted(now["f1"].keys() & previous["f1"].keys())
    moved = [label for label in both if now["f1"][label] != previous["f1"][label]]
    moved.sort(key=lambda label: (previous["f1"][label] - now["f1"][label], label))
    rows = [
        _moved("Accuracy (%)", previous["accuracy"], now["accuracy"], _points, total=True),
        _moved("Macro F1", previous["macro_f1"], now["macro_f1"], "{:.3f}".format, total=True),
        *(_moved(each, previous["f1"][each], now["f1"][each], "{:.2f}".format) for each in moved),
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
        "steady": len(both) - len(moved),
        "added": sorted(set(now["labels"]) - set(previous["labels"])),
        "removed": sorted(set(previous["labels"]) - set(now["labels"])),
        "words": {label: terms for label, terms in gained.items() if terms},
    }


def _inputs(now: dict, previous: dict) -> str:
    if now["model_digest"] == previous["model_digest"]:
        return "It is the same model, bit for bit."
    names = {"data_digest": "data", "environment_digest": "environment", "code": "code"}
    other = [name for key, name in names.items() if now[key] != previous[key]]
    if not other:
        return "Data, environment and code are recorded as the same."
    listed = " and ".join(filter(None, [", ".join(other[:-1]), other[-1]]))
    said = f"{listed} {'is' if len(other) == 1 else 'are'} not the same".capitalize()
    if "data" in other:
        said += ", so both may have been tested on other texts"
    return f"{said}."


def _points(share: float) -> str:
    return f"{100 * share:.1f}"


def _moved(
    what: str, before: float, now: float, shown: Callable[[float], str], total: bool = False
) -> dict:
    sign = "+" if now > before else "\N{MINUS SIGN}" if now < before else ""
    return {
        "what": what,
        "before": shown(before),
        "now": shown(now),
        "change": sign + shown(abs(now - before)),
        "direction": {"+": "better", "": ""}.get(sign, "worse"),
        "total": total,
    }
