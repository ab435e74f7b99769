"""How sure a model may be: a temperature for its scores, and when it has to say that it is not.

Both are learned inside the training part, from texts that the scoring model has not seen, and are
taken from fixed values, so that they are the same on every machine. docs/model.md has the figures.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.special import log_softmax
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from pressbox.console import doing
from pressbox.learning import features

TEMPERATURES = (0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.12, 0.14, 0.17, 0.2, 0.25)
TEMPERATURES += (0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0)
# The least is more than one half, which is what two labels give a text of unknown words.
THRESHOLDS = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
ACCURACY_WHEN_SURE = 0.9
FOLDS = 3
# Beyond so many texts in a fold one fold tells enough; so many are looked at in all, for a second
# fit costs as much memory as the first.
MAX_FOLD_TEXTS, MAX_TEXTS = 5_000, 20_000
# Many labels take lbfgs several times as long. What is learned is coarse: near enough is exact.
SOLVER = {"solver": "newton-cg", "tol": 1e-6}


@dataclass(frozen=True)
class Calibration:
    """temperature: what scores are divided by. threshold: the least probability that is sure."""

    temperature: float = 1.0
    threshold: float = THRESHOLDS[0]


def calibrate(
    counts: csr_array,
    labels: Sequence[str],
    vectorizer: TfidfVectorizer,
    estimator: LogisticRegression,
) -> Calibration | None:
    """Learn how sure a model may be that is fitted on these texts; None if they are too few.

    counts: what ``features.counted`` makes of the texts, sparse (n_texts, n_terms). labels:
    (n_texts,). Their order depends on their contents alone. The vectorizer and the estimator are
    not changed. Raises nothing of its own.
    """
    try:
        scores, y_true = out_of_fold(counts, labels, vectorizer, estimator)
    except ValueError:
        # A part of them has no terms, or one label alone.
        return None
    temperature = best_temperature(scores, y_true)
    log_probabilities = log_softmax(scores / temperature, axis=1)
    return Calibration(temperature, least_threshold(log_probabilities, y_true))


def out_of_fold(
    counts: csr_array,
    labels: Sequence[str],
    vectorizer: TfidfVectorizer,
    estimator: LogisticRegression,
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of texts by models that have not seen them, and y_true, the columns of their labels.

    The arguments are those of ``calibrate``. Returns (m, n_labels) and (m,): m is n_texts, or the
    size of one fold of a large corpus. Raises ValueError if a fold has too few terms or labels.
    """
    some = slice(None, None, -(-len(labels) // MAX_TEXTS))
    counts = counts[some]
    names, y_true = np.unique(labels[some], return_inverse=True)
    folds = max(FOLDS, len(y_true) // MAX_FOLD_TEXTS)
    # Dealt like cards, label by label: each fold gets its share of each.
    fold = np.empty(len(y_true), dtype=int)
    fold[np.argsort(y_true, kind="stable")] = np.arange(len(y_true)) % folds
    scores, columns = [], []
    scored = FOLDS if folds == FOLDS else 1
    with doing("calibrating") as far:
        for number in range(scored):
            far(f"fold {number + 1} of {scored}")
            seen, unseen = fold != number, fold == number
            known, unknown = features.weighted_apart(vectorizer, counts[seen], counts[unseen])
            model = _fitted(estimator, known, names[y_true[seen]])
            if len(model.classes_) < len(names):
                raise ValueError("a label is in one fold alone")
            found = model.decision_function(unknown)
            scores.append(
                np.column_stack([np.zeros_like(found), found]) if found.ndim == 1 else found
            )
            columns.append(y_true[unseen])
    return np.concatenate(scores), np.concatenate(columns)


def _fitted(
    estimator: LogisticRegression, matrix: csr_array, labels: np.ndarray
) -> LogisticRegression:
    model = clone(estimator).set_params(**SOLVER)
    with warnings.catch_warnings():
        # Of what scikit-learn warns here, it warns again in the model's own fit.
        warnings.simplefilter("ignore")
        return model.fit(matrix, labels)


def best_temperature(scores: np.ndarray, y_true: np.ndarray) -> float:
    """What to divide the scores by for the least log loss; of equals the smallest.

    scores: (n_texts, n_labels). y_true: (n_texts,), columns.
    """
    rows = np.arange(len(y_true))
    losses = [-log_softmax(scores / each, axis=1)[rows, y_true].mean() for each in TEMPERATURES]
    return TEMPERATURES[np.argmin(np.round(losses, 9))]


def least_threshold(
    log_probabilities: np.ndarray, y_true: np.ndarray, target: float = ACCURACY_WHEN_SURE
) -> float:
    """The least probability from which on the share ``target`` of the answers is right.

    log_probabilities: (n_texts, n_labels), natural logarithms. y_true: (n_texts,), columns.
    """
    right, sure = log_probabilities.argmax(axis=1) == y_true, np.exp(log_probabilities.max(axis=1))
    for least in THRESHOLDS:
        kept = right[sure >= least]
        if kept.size and kept.mean() >= target:
            return least
    return THRESHOLDS[-1]
