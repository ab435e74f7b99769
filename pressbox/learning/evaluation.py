"""How good a model is: on texts that it was not trained on, with how much certainty, and where not.

Everything is rounded to four digits: it travels in the statement, and says the same everywhere.
"""

import base64
from collections.abc import Sequence

import numpy as np

from pressbox.classifier import Classifier
from pressbox.console import doing
from pressbox.data.corpus import Row
from pressbox.provenance.statement import row_digest

DIGITS = 4
RELIABILITY_BINS = 10
MAX_MISTAKES = 10
MAX_MISTAKE_CHARACTERS = 300
BOOTSTRAP_SAMPLES = 1000
BOOTSTRAP_SEED = 20
# Numbers that are drawn at a time: 32 MB.
MAX_DRAWS_AT_ONCE = 4 << 20


@doing("evaluating")
def evaluate(model: Classifier, rows: tuple[Row, ...]) -> tuple[dict, dict]:
    """What the model makes of the (text, label) rows: the metrics, and the details behind them.

    metrics: ``accuracy`` and ``macro_f1`` (0 to 1), ``rows`` (their number).
    details, which are plain JSON too:
      ``intervals``: for ``accuracy`` and ``macro_f1``, the ends [low, high] of a 95% interval.
      ``sure``: the ``threshold`` of the model, how many ``rows`` it is sure about, how many of
      these it gets ``right``, and the 95% ``interval`` of the share of the latter.
      ``order``: the labels of the model in its order, then those that only the rows have.
      ``only_in_test``: the latter.
      ``labels``: for each label ``precision``, ``recall``, ``f1`` (0 to 1) and ``rows``.
      ``confusion``: number of rows, y_true x y_pred, both in that order.
      ``reliability``: [mean probability, share that was right, number of rows] of the predictions,
      in up to ten bins of probability; ``expected_calibration_error``: how far the two are apart.
      ``answers``: the number in ``order`` of each row's answer, as little-endian unsigned integers
      of 16 bits in base64, in the order of ``statement.row_digests``.
      ``mistakes``: ``text`` (cut), ``label``, ``predicted``, ``probability``, ``row`` (its digest):
      up to ten, the most confident first.
    Raises ValueError without a row.
    """
    texts, labels = zip(*rows, strict=True)
    probabilities = model.predict_proba(texts)
    y_pred = probabilities.argmax(axis=1)
    likeliest = probabilities.max(axis=1)
    confidence = np.round(likeliest, DIGITS)
    only_in_test = sorted(set(labels) - set(model.labels))
    order = [*model.labels, *only_in_test]
    number = {label: position for position, label in enumerate(order)}
    y_true = np.array([number[label] for label in labels])
    confusion = _confusion(y_true, y_pred, len(order))
    correct = int(confusion.trace())
    metrics = {
        "accuracy": _rounded(correct / len(rows)),
        "macro_f1": _rounded(_macro_f1(confusion[np.newaxis])[0]),
        "rows": len(rows),
    }
    reliability = _reliability(confidence, y_true == y_pred)
    details = {
        "intervals": {
            "accuracy": _wilson(correct, len(rows)),
            "macro_f1": _interval_of_macro_f1(confusion),
        },
        "sure": _sure(model.threshold, likeliest, y_true == y_pred),
        "order": order,
        "only_in_test": only_in_test,
        "labels": _by_label(confusion, order),
        "confusion": confusion.tolist(),
        "reliability": reliability,
        "expected_calibration_error": _rounded(
            sum(abs(mean - share) * count for mean, share, count in reliability) / len(rows)
        ),
        "answers": _answers(rows, y_pred),
        "mistakes": _mistakes(rows, [order[each] for each in y_pred], confidence),
    }
    return metrics, details


def _rounded(number: float) -> float:
    return round(float(number), DIGITS)


def _confusion(y_true: np.ndarray, y_pred: np.ndarray, labels: int) -> np.ndarray:
    cells = np.bincount(y_true * labels + y_pred, minlength=labels * labels)
    return cells.reshape(labels, labels)


def _wilson(correct: int, rows: int) -> list[float]:
    # scikit-learn has loaded it anyway.
    from scipy.stats import binomtest

    interval = binomtest(correct, rows).proportion_ci(confidence_level=0.95, method="wilson")
    return [_rounded(interval.low), _rounded(interval.high)]


def _sure(threshold: float, likeliest: np.ndarray, hit: np.ndarray) -> dict:
    sure = likeliest >= threshold
    rows, right = int(sure.sum()), int(hit[sure].sum())
    # Of no text nothing is known.
    interval = _wilson(right, rows) if rows else [0.0, 1.0]
    return {"threshold": threshold, "rows": rows, "right": right, "interval": interval}


def _scores(confusions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 of each label (..., n_labels); NaN where there is none to speak of.

    confusions: counts (..., n_labels, n_labels), y_true x y_pred.
    """
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)
    predicted, rows = confusions.sum(axis=-2), confusions.sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return hits / predicted, hits / rows, 2 * hits / (predicted + rows)


def _macro_f1(confusions: np.ndarray) -> np.ndarray:
    """Mean F1 over the labels that occur, as y_true or as y_pred: (n_confusions,)."""
    return np.nanmean(_scores(confusions)[2], axis=-1)


def _by_label(confusion: np.ndarray, order: list[str]) -> dict:
    # What was never predicted, or never there, was not got right either.
    scores = np.nan_to_num(_scores(confusion))
    names = ("precision", "recall", "f1")
    return {
        label: {
            **{name: _rounded(score) for name, score in zip(names, column, strict=True)},
            "rows": int(count),
        }
        for label, column, count in zip(order, scores.T, confusion.sum(axis=1), strict=True)
    }


def _interval_of_macro_f1(confusion: np.ndarray) -> list[float]:
    """Resampled; Wilson's where every row is right or every row is wrong.

    Resampling such rows only ever finds the same score, an interval without width. Wilson's then
    counts as many rows for each label as the rarest has: the rarest weighs as much as any other.
    """
    correct, rows = int(confusion.trace()), confusion.sum(axis=1)
    if 0 < correct < rows.sum():
        return _bootstrapped(confusion)
    counted = int(np.count_nonzero(rows) * rows[rows > 0].min())
    return _wilson(counted if correct else 0, counted)


def _bootstrapped(confusion: np.ndarray) -> list[float]:
    """The middle 95% of macro F1 over samples of the rows, drawn with replacement.

    Only whole numbers are drawn, so that each CPU draws the same. A row is its cell of the matrix,
    and only the cells and labels that occur take part.
    """
    occurring = np.flatnonzero(confusion.sum(axis=0) + confusion.sum(axis=1))
    confusion = confusion[np.ix_(occurring, occurring)]
    labels, rows = len(confusion), int(confusion.sum())
    cell_of_row = np.repeat(np.arange(confusion.size), confusion.ravel())
    generator = np.random.Generator(np.random.PCG64(BOOTSTRAP_SEED))
    at_once = max(1, MAX_DRAWS_AT_ONCE // max(rows, confusion.size))
    scores = []
    for start in range(0, BOOTSTRAP_SAMPLES, at_once):
        samples = min(at_once, BOOTSTRAP_SAMPLES - start)
        drawn = cell_of_row[generator.integers(rows, size=(samples, rows), dtype=np.int32)]
        drawn += confusion.size * np.arange(samples)[:, np.newaxis]
        counts = np.bincount(drawn.ravel(), minlength=samples * confusion.size)
        scores.append(_macro_f1(counts.reshape(samples, labels, labels)))
    # Whole ranks: interpolation would be one more thing to round.
    ends = np.quantile(np.concatenate(scores), [0.025, 0.975], method="nearest")
    return [_rounded(end) for end in ends]


def _reliability(confidence: np.ndarray, hit: np.ndarray) -> list[list]:
    bins = np.minimum((confidence * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    return [
        [_rounded(confidence[chosen].mean()), _rounded(hit[chosen].mean()), int(chosen.sum())]
        for chosen in (bins == number for number in range(RELIABILITY_BINS))
        if chosen.any()
    ]


def _answers(rows: tuple[Row, ...], y_pred: np.ndarray) -> str:
    digests = [row_digest(row) for row in rows]
    by_digest = sorted(range(len(rows)), key=digests.__getitem__)
    return base64.b64encode(y_pred[by_digest].astype("<u2").tobytes()).decode()


def _mistakes(
    rows: tuple[Row, ...], predicted: Sequence[str], confidence: np.ndarray
) -> list[dict]:
    wrong = [
        (-float(probability), row, guess)
        for row, guess, probability in zip(rows, predicted, confidence, strict=True)
        if row[1] != guess
    ]
    return [
        {
            "text": _cut(row[0]),
            "label": row[1],
            "predicted": guess,
            "probability": -probability,
            "row": row_digest(row).hex(),
        }
        for probability, row, guess in sorted(wrong)[:MAX_MISTAKES]
    ]


def _cut(text: str) -> str:
    if len(text) <= MAX_MISTAKE_CHARACTERS:
        return text
    # Before the word that would be cut in two, unless it is all there is.
    return text[: MAX_MISTAKE_CHARACTERS - 1].rsplit(None, 1)[0] + "…"
