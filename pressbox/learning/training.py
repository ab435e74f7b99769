"""Fit a classifier, and bring it into its canonical form.

An optimum is a number; the bits a solver stops at are an accident of the CPU, of BLAS and of the
number of threads. So the fit goes on until it is within a hair of the optimum, and what is left of
the accident is rounded away, before anything is measured. A certificate says whether that was so:
whether each number is farther from a rounding edge than it can be from the optimum.
"""

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from pressbox.classifier import MAX_NGRAM_LENGTH, SportClassifier
from pressbox.console import doing, note
from pressbox.data.corpus import Row
from pressbox.data.tables import listed
from pressbox.errors import PressboxError, UsageError
from pressbox.learning import features, newton
from pressbox.learning.calibration import Calibration, calibrate
from pressbox.payload import FEWER_TERMS, MAX_INFLATED_BYTES
from pressbox.provenance.statement import rows_digest

# Decimals that idf, coefficients and intercepts are rounded to (docs/decisions.md says why so few).
DECIMALS = 4
# A gradient as long as this is not due to rounding: the optimum was not found.
MAX_GRADIENT = 1e-6
TERMS_PER_PROBE = 8
# Parameters that leave no trace in a model: they say how to compute, not what, how bytes become
# texts, which the texts of a corpus are already, or which terms there are, which a model lists.
WITHOUT_TRACE = {
    "decode_error",
    "encoding",
    "n_jobs",
    "verbose",
    "vocabulary",
    "warm_start",
}
# What JSON has.
Plain = bool | int | float | str | list | dict | None
# Parameters that have to stay as they are, and why.
FIXED = {
    "dtype": "a model computes in float64",
    "input": "texts are given as they are, and not as files",
}
# What to use instead of what takes a pickle, such as a function.
INSTEAD = {
    "analyzer": "'word', 'char' or 'char_wb'",
    "preprocessor": "lowercase and strip_accents",
    "random_state": "a whole number",
    "tokenizer": "token_pattern",
}


def fit(
    rows: tuple[Row, ...], vectorizer: TfidfVectorizer, estimator: LogisticRegression
) -> SportClassifier:
    """Fit clones of a TfidfVectorizer and a LogisticRegression on (text, label) rows.

    The model has a ``certificate``, which is not sealed with it: ``certified`` says whether any
    other machine comes to the same numbers. Of the number for which that is least sure, ``margin``
    is the distance to the nearest edge of rounding, ``bound`` how far it can be from the optimum at
    most. ``gradient`` is the length of the gradient where the fit ended, ``decimals`` the grid.
    Nor is ``fitted`` sealed with it, the digest of the rows.

    Raises UsageError for an estimator or a vectorizer that does not reach the same optimum
    everywhere, PressboxError for texts that cannot be trained on or a fit that did not converge.
    """
    for given, wanted in ((vectorizer, TfidfVectorizer), (estimator, LogisticRegression)):
        if type(given) is not wanted:
            raise UsageError(
                f"{type(given).__name__} is not supported here",
                f"use {wanted.__name__}, or write a class of your own (docs/your-own-model.md)",
            )
    # In any other order the sums would differ in their last bits. Sorted rows take no time.
    texts, labels = zip(*sorted(rows), strict=True)
    with _refusing("vectorizer"):
        vectorizer = clone(vectorizer)
        _list_stop_words(vectorizer)
        parameters = {"vectorizer": _chosen(vectorizer)}
        _check_vectorizer(vectorizer)
    with _refusing("estimator"):
        estimator = clone(estimator)
        _check_class_weight(estimator, sorted(set(labels)))
        parameters["estimator"] = _chosen(estimator)
        _check_estimator(estimator)
    try:
        with doing(f"finding the terms of {len(texts):,} texts"):
            counts = features.counted(vectorizer, texts)
        _demand_size(vectorizer.vocabulary_, len(set(labels)))
        calibration = calibrate(counts, labels, vectorizer, estimator)
        # The counts turn into it: there is memory for one of them.
        matrix = features.weighted(vectorizer, counts)
    except (ValueError, OverflowError) as error:
        raise PressboxError(
            f"the vectorizer finds no terms to learn from in the {len(texts)} texts ({error})",
            "check the texts, and min_df, max_df, stop_words and token_pattern in train.py",
        ) from error
    _fit(estimator, matrix, labels)
    nearness = newton.polish(estimator, matrix, labels)
    # "not", because NaN is no less than anything.
    if not nearness.gradient < MAX_GRADIENT:
        raise PressboxError(
            f"the fit stopped {nearness.gradient:.0e} away from its optimum", "lower C in train.py"
        )
    if not calibration:
        note("too few texts to calibrate the model; its probabilities are as fitted")
        calibration = Calibration()
    parameters |= asdict(calibration)
    estimator.coef_ = estimator.coef_ / calibration.temperature
    estimator.intercept_ = estimator.intercept_ / calibration.temperature
    nearness = nearness.divided(calibration.temperature)
    model = _canonical(vectorizer, estimator, parameters)
    model.fitted = rows_digest(rows)
    model.certificate = _certificate(vectorizer, estimator, nearness)
    if not model.certificate["certified"]:
        note(
            "not certified, another machine may produce another model: a number that may be off by "
            "{bound:.0e} is {margin:.0e} from a rounding edge".format(**model.certificate)
        )
    note(f"{len(model.vocabulary)} terms, {len(model.labels)} labels")
    return model


def _demand_size(terms: Iterable[str], labels: int) -> None:
    """PressboxError if a model of the terms is sure to be too large, which sealing would find."""
    if (size := _least_size(terms, labels)) > MAX_INFLATED_BYTES:
        raise PressboxError(
            f"the model would take at least {size >> 20} MiB, and the limit is"
            f" {MAX_INFLATED_BYTES >> 20} MiB",
            FEWER_TERMS,
        )


def _least_size(terms: Iterable[str], labels: int) -> int:
    """Bytes that a model of the terms has at least, before compression."""
    letters = [len(term) for term in terms]
    weights = 1 if labels == 2 else labels
    # In JSON a term has two quotes and a comma; its idf and its weights are numbers of eight bytes.
    return sum(letters) + len(letters) * (3 + 8 * (1 + weights))


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Whatever scikit-learn, re or NumPy raise for a parameter of somebody's, as a UsageError."""
    try:
        yield
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        RecursionError,
        TypeError,
        ValueError,
        re.error,
    ) as error:
        raise UsageError(
            f"scikit-learn refuses the {what} ({error})", "change it in train.py"
        ) from error


def _list_stop_words(vectorizer: TfidfVectorizer) -> None:
    """Make of a set what scikit-learn takes, and always the same."""
    words = vectorizer.stop_words
    if isinstance(words, set | frozenset | tuple):
        vectorizer.stop_words = sorted(words)


def _check_vectorizer(vectorizer: TfidfVectorizer) -> None:
    """Refuse what scikit-learn refuses once it has a text, and terms that are too long."""
    with warnings.catch_warnings():
        # Of what it warns, it warns again in the training itself.
        warnings.simplefilter("ignore")
        vocabulary = ["a"] if vectorizer.vocabulary is None else vectorizer.vocabulary
        tried = TfidfVectorizer(**{**vectorizer.get_params(), "vocabulary": vocabulary})
        tried.fit(["some text of some words"])
    least, most = vectorizer.ngram_range
    if least < 0 or most > MAX_NGRAM_LENGTH:
        raise UsageError(
            f"ngram_range={vectorizer.ngram_range} needs too much memory",
            f"use {MAX_NGRAM_LENGTH} at most",
        )


def _check_class_weight(estimator: LogisticRegression, labels: list[str]) -> None:
    """Refuse weights of labels that are not there, and such as have no optimum; sort the others."""
    if not isinstance(estimator.class_weight, dict):
        return
    weights = {label: _plain(weight) for label, weight in estimator.class_weight.items()}
    if strange := [repr(label) for label in weights if label not in labels]:
        raise UsageError(
            f"class_weight names {listed(strange)}, and no text has such a label",
            f"name labels of the texts: {listed(labels)}",
        )
    for label, weight in weights.items():
        if type(weight) not in (int, float) or not 0 < weight < np.inf:
            raise UsageError(
                f"class_weight of {label!r} is {weight!r:.60}, which is not a positive number",
                "change it in train.py",
            )
    estimator.class_weight = {label: float(weights[label]) for label in sorted(weights)}


def _check_estimator(estimator: LogisticRegression) -> None:
    """Refuse what has no one optimum, or another one than the numbers are brought to."""
    tried = clone(estimator).set_params(verbose=0)
    if isinstance(tried.class_weight, dict):
        tried.class_weight = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tried.fit([[0.0], [1.0]] * 2, ["a", "b"] * 2)
    if estimator.solver == "liblinear":
        raise UsageError(
            "solver='liblinear' also penalises the intercept, and so has a different optimum",
            "use solver='newton-cg', for example",
        )
    if not np.isfinite(estimator.C) or estimator.penalty is None:
        raise UsageError("without a penalty there is no unique optimum", "set C=30, for example")
    if estimator.l1_ratio or estimator.penalty not in ("deprecated", "l2"):
        raise UsageError(
            "with an L1 penalty the optimum has edges, where the last bits decide",
            "leave penalty and l1_ratio at their defaults",
        )


def _fit(estimator: LogisticRegression, matrix: csr_array, labels: Sequence[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            with _refusing("estimator"), doing("fitting"):
                estimator.fit(matrix, labels)
        except ConvergenceWarning as error:
            raise PressboxError(
                f"the fit did not converge within {estimator.max_iter} iterations",
                "raise max_iter or lower C in train.py",
            ) from error


def _canonical(
    vectorizer: TfidfVectorizer, estimator: LogisticRegression, parameters: dict
) -> SportClassifier:
    model = SportClassifier(
        vocabulary=vectorizer.get_feature_names_out().tolist(),
        idf=rounded(features.idf(vectorizer)),
        coefficients=rounded(estimator.coef_),
        intercepts=rounded(estimator.intercept_),
        parameters={"labels": estimator.classes_.tolist(), **parameters},
    )
    model.probe_with(_probes(model))
    return model


def rounded(numbers: np.ndarray) -> np.ndarray:
    """The numbers, of any shape, on the grid of DECIMALS, as float64 in C order."""
    # Adding zero turns -0.0, which has other bits, into 0.0.
    return np.ascontiguousarray(np.round(numbers.astype(np.float64), DECIMALS) + 0.0)


def _certificate(
    vectorizer: TfidfVectorizer, estimator: LogisticRegression, nearness: newton.Nearness
) -> dict:
    idf = features.idf(vectorizer)
    numbers = np.concatenate([idf, estimator.coef_.ravel(), estimator.intercept_])
    bounds = np.concatenate(
        [
            newton.ULPS_PER_CALL * newton.EPSILON * abs(idf),
            nearness.coefficients.ravel(),
            np.full(len(estimator.intercept_), nearness.intercepts),
        ]
    )
    margins = _margins(numbers)
    least_sure = np.argmin(margins - bounds)
    return {
        "margin": float(margins[least_sure]),
        "bound": float(bounds[least_sure]),
        "gradient": nearness.gradient,
        "decimals": DECIMALS,
        "certified": bool(margins[least_sure] > bounds[least_sure]),
    }


def _margins(numbers: np.ndarray) -> np.ndarray:
    """How far each number is from the nearest edge, beyond which it is rounded to another."""
    cells = numbers * 10**DECIMALS
    return abs(cells - np.floor(cells) - 0.5) / 10**DECIMALS


def _chosen(estimator: BaseEstimator) -> dict[str, Plain]:
    """The parameters that were chosen, as JSON has them; the others are scikit-learn's defaults.

    UsageError for one that a model does not keep.
    """
    defaults = type(estimator)().get_params()
    chosen = {}
    for name, value in sorted(estimator.get_params().items()):
        value, default = _plain(value), _plain(defaults[name])
        plain = isinstance(value, Plain)
        if name in WITHOUT_TRACE or value is default or (plain and value == default):
            continue
        if name in FIXED:
            raise UsageError(f"{name} cannot be changed: {FIXED[name]}", "remove it from train.py")
        if not plain:
            raise UsageError(
                f"{name}={value!r:.60} cannot be stored in a model without a pickle",
                f"use {INSTEAD.get(name, 'a plain value')},"
                " or write a class of your own (docs/your-own-model.md)",
            )
        chosen[name] = value
    if chosen.get("stop_words") == "english":
        # The words themselves: pairs are made of what is between them, in later releases too.
        chosen["stop_words"] = sorted(estimator.get_stop_words())
    return chosen


def _plain(value: Any) -> Any:
    """The value as JSON has it, where that says the same."""
    if isinstance(value, np.generic):
        return value.item()
    return list(value) if isinstance(value, tuple) else value


def _probes(model: SportClassifier) -> list[str]:
    """For each label, the terms that speak most for it, instead of texts of the corpus.

    The last speaks for all labels alike: where a model is certain, small changes do not show.
    """
    signed = model.coefficients
    if len(model.labels) == 2:
        signed = np.vstack([-signed, signed])
    strongest = np.argsort(-signed, axis=1, kind="stable")[:, :TERMS_PER_PROBE]
    texts = [" ".join(model.vocabulary[term] for term in row) for row in strongest]
    return [*texts, " ".join(model.vocabulary[term] for term in strongest[:, 0])]
