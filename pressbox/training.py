"""Fit a classifier, bring it into its canonical form, evaluate it.

An optimum is a number; the bits a solver stops at are an accident of the CPU, of BLAS and of the
number of threads. So the fit goes on until it is within a hair of the optimum, and what is left of
the accident is rounded away, before anything is measured.
"""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from pressbox import optimum
from pressbox.classifier import KEPT, PROBE_DIGITS, SportClassifier
from pressbox.corpus import Row
from pressbox.errors import PressboxError, UsageError

# Decimals that idf, coefficients and intercepts are rounded to, and how near scikit-learn has to
# come before the rest of the way is gone (docs/decisions.md has the measurements).
DECIMALS = 6
TOLERANCE = 1e-8
PROBE_TERMS = 8


def fit(rows: tuple[Row, ...], vectorizer, estimator) -> SportClassifier:
    """Fit a TfidfVectorizer and a LogisticRegression on (text, label) rows.

    Raises UsageError for an estimator whose solver does not reach the same optimum everywhere,
    PressboxError for texts that cannot be trained on or a fit that did not converge.
    """
    if estimator.solver != "newton-cg" or estimator.tol > TOLERANCE:
        raise UsageError(
            f"solver={estimator.solver!r} with tol={estimator.tol} gives other bits on other CPUs",
            f"use solver='newton-cg' and tol={TOLERANCE} or less",
        )
    if not np.isfinite(estimator.C) or estimator.get_params().get("penalty") is None:
        raise UsageError("without a penalty there is no one optimum", "give C=30, say")
    parameters = {"vectorizer": _chosen(vectorizer), "estimator": _chosen(estimator)}
    for name in parameters["vectorizer"].keys() - KEPT:
        raise UsageError(
            f"{name}={vectorizer.get_params()[name]} is not what a model keeps",
            "leave it at its default",
        )
    texts, labels = zip(*rows, strict=True)
    try:
        matrix = vectorizer.fit_transform(texts)
    except ValueError as error:
        raise PressboxError(
            f"the texts hold nothing to learn from ({error})", "check the source"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            estimator.fit(matrix, labels)
        except ConvergenceWarning as error:
            raise PressboxError(
                f"the fit did not converge within {estimator.max_iter} iterations",
                "raise max_iter or lower C in train.py",
            ) from error
    distance = optimum.polish(estimator, matrix, labels)
    if distance > optimum.BEARABLE:
        raise PressboxError(
            f"the fit stays {distance:.0e} away from its optimum", "lower C in train.py"
        )
    return _canonical(vectorizer, estimator, parameters)


def _canonical(vectorizer, estimator, parameters) -> SportClassifier:
    model = SportClassifier(
        vocabulary=vectorizer.get_feature_names_out().tolist(),
        idf=_rounded(vectorizer.idf_),
        coefficients=_rounded(estimator.coef_),
        intercepts=_rounded(estimator.intercept_),
        parameters={"labels": estimator.classes_.tolist(), **parameters},
    )
    model.probes = _probes(model)
    return model


def _rounded(numbers: np.ndarray) -> np.ndarray:
    # Adding zero turns -0.0, which has other bits, into 0.0.
    return np.ascontiguousarray(np.round(numbers.astype(np.float64), DECIMALS) + 0.0)


def _chosen(estimator) -> dict:
    """The parameters that were chosen, as JSON has them; the others are scikit-learn's defaults."""
    defaults = type(estimator)().get_params()
    chosen = {}
    for name, value in sorted(estimator.get_params().items()):
        if name == "vocabulary" or value == defaults[name]:
            continue
        value = list(value) if isinstance(value, tuple) else value
        if not isinstance(value, (bool, int, float, str, list, type(None))):
            raise UsageError(
                f"{name}={value!r} cannot be stored in a model without a pickle",
                "use a parameter of plain values, or a class of your own",
            )
        chosen[name] = value
    return chosen


def _probes(model: SportClassifier) -> list[dict]:
    """For each label, the terms that speak most for it, and what the model makes of them.

    They stand for texts of the corpus, which need not leave the house with the model.
    """
    signed = model.coefficients
    if len(model.labels) == 2:
        signed = np.vstack([-signed, signed])
    strongest = np.argsort(-signed, axis=1, kind="stable")[:, :PROBE_TERMS]
    texts = [" ".join(model.vocabulary[term] for term in row) for row in strongest]
    rounded = np.round(model.predict_proba(texts), PROBE_DIGITS) + 0.0
    return [
        {"text": text, "probabilities": row.tolist()}
        for text, row in zip(texts, rounded, strict=True)
    ]


def evaluate(model, rows: tuple[Row, ...]) -> dict:
    """Accuracy and macro-averaged F1 (0 to 1) over the (text, label) rows, and their number."""
    from sklearn.metrics import accuracy_score, f1_score

    texts, truth = zip(*rows, strict=True)
    predicted = model.predict(texts)
    return {
        "accuracy": round(float(accuracy_score(truth, predicted)), 4),
        "macro_f1": round(float(f1_score(truth, predicted, average="macro", zero_division=0)), 4),
        "rows": len(rows),
    }
