"""Fit, canonical form, evaluation."""

import numpy as np
import pytest
from conftest import WORDS, shuffled, solver, write_jsonl
from sklearn.feature_extraction.text import TfidfVectorizer

from pressbox import training
from pressbox.classifier import SportClassifier
from pressbox.corpus import load_corpus
from pressbox.errors import PressboxError, UsageError


def test_shuffled_rows_give_the_same_model_digest(rows, fitted, fit, tmp_path):
    other = fit(load_corpus(str(write_jsonl(tmp_path / "a.jsonl", shuffled(rows)))).train)
    assert other.digest == fitted.digest


def test_other_texts_give_another_model_digest(corpus, fitted, fit):
    assert fit(corpus.train[1:]).digest != fitted.digest


@pytest.mark.parametrize(
    "estimator", [{"solver": "lbfgs"}, {"tol": 1e-4}, {"tol": 2 * training.TOLERANCE}]
)
def test_a_solver_that_stops_at_other_bits_elsewhere_is_refused(estimator, rows, fit):
    with pytest.raises(UsageError, match="other bits"):
        fit(rows, estimator=estimator)


def test_a_fit_that_did_not_converge_is_no_model(rows, fit):
    with pytest.raises(PressboxError, match="converge within 1 iterations"):
        fit(rows, estimator={"max_iter": 1})


@pytest.mark.parametrize("labels", [2, 3])
def test_all_numbers_are_on_the_grid(labels, rows, fit):
    model = fit([row for row in rows if row[1] in list(WORDS)[:labels]])
    for numbers in (model.idf, model.coefficients, model.intercepts):
        assert numbers.dtype == np.float64
        assert np.array_equal(numbers, np.round(numbers, 6))
        assert not np.signbit(numbers[numbers == 0]).any()


def test_zeros_have_no_sign():
    assert not np.signbit(training._rounded(np.array([-0.0, -1e-9]))).any()


def test_intercepts_are_centred(rows, fit):
    model = fit(rows[:25])
    assert np.abs(model.intercepts).max() > 0.01
    assert abs(model.intercepts.sum()) < 5e-6


@pytest.mark.parametrize("labels", [2, 3])
def test_probabilities_are_those_of_scikit_learn(labels, rows):
    rows = [row for row in rows if row[1] in list(WORDS)[:labels]]
    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2)
    estimator = solver(C=30)
    model = training.fit(rows, vectorizer, estimator)
    texts = [text for text, _ in rows] + ["", "nothing known", "wicket fairway ace ace ace"]
    expected = estimator.predict_proba(vectorizer.transform(texts))
    assert model.labels == estimator.classes_.tolist()
    assert np.allclose(model.predict_proba(texts), expected, rtol=0, atol=1e-6)


def test_texts_of_stop_characters_alone_cannot_be_trained_on(fit):
    with pytest.raises(PressboxError, match="nothing to learn from"):
        fit([(". , !", "a"), ("? ; a", "b")] * 3)


@pytest.mark.parametrize(
    "parameters",
    [
        {"analyzer": str.split},
        {"tokenizer": list, "token_pattern": None},
        {"dtype": np.float32},
        {"use_idf": False},
    ],
)
def test_parameters_that_a_model_cannot_keep_are_refused(parameters, rows, fit):
    with pytest.raises(UsageError, match=f"^{next(iter(parameters))}="):
        fit(rows, vectorizer=parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        {"ngram_range": (1, 2)},
        {"stop_words": ["wicket"], "norm": None},
        {"sublinear_tf": True, "max_features": 9},
    ],
)
def test_plain_parameters_of_the_vectorizer_are_kept(parameters, rows):
    vectorizer = TfidfVectorizer(**parameters)
    estimator = solver()
    model = training.fit(rows, vectorizer, estimator)
    texts = [text for text, _ in rows]
    expected = estimator.predict_proba(vectorizer.transform(texts))
    assert np.allclose(model.predict_proba(texts), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("labels", [2, 3])
def test_probes_hold_the_strongest_terms_of_each_label_and_no_text(labels, rows, fit):
    rows = [row for row in rows if row[1] in list(WORDS)[:labels]]
    model = fit(rows)
    for label, probe in zip(model.labels, model.probes, strict=True):
        assert model.predict([probe["text"]]) == [label]
        assert set(probe["text"].split()) & set(WORDS[label])
    assert {probe["text"] for probe in model.probes}.isdisjoint(text for text, _ in rows)


def test_evaluation_counts_what_was_right():
    model = SportClassifier(
        vocabulary=["ace", "puck"],
        idf=np.ones(2),
        coefficients=np.array([[3.0, -3.0]]),
        intercepts=np.zeros(1),
        parameters={"labels": ["hockey", "tennis"], "vectorizer": {}},
    )
    rows = [("ace", "tennis"), ("puck", "hockey"), ("puck", "hockey"), ("puck", "tennis")]
    # F1 is 2 * 2 / (2 * 2 + 1) for hockey, 2 * 1 / (2 * 1 + 1) for tennis.
    assert training.evaluate(model, rows) == {"accuracy": 0.75, "macro_f1": 0.7333, "rows": 4}
