"""How sure a model may be."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from support.models import WORDS, solver

from pressbox.learning import calibration, features, training


@pytest.fixture(scope="module")
def answers():
    """Scores of a model that is as sure as it is right, and the true columns."""
    random = np.random.default_rng(0)
    scores = 2 * random.standard_normal((4000, 3))
    probabilities = softmax(scores, axis=1)
    y_true = (probabilities.cumsum(axis=1) < random.random((4000, 1))).sum(axis=1)
    return scores, y_true


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0, 2.0])
def test_the_temperature_brings_scores_back_that_were_stretched(temperature, answers):
    scores, y_true = answers
    assert calibration.best_temperature(scores * temperature, y_true) == temperature


def test_of_equal_losses_the_smallest_temperature_is_taken():
    y_true = np.array([0, 1])
    assert calibration.best_temperature(np.zeros((2, 2)), y_true) == calibration.TEMPERATURES[0]


def test_at_the_threshold_nine_of_ten_answers_are_right(answers):
    scores, y_true = answers
    log_probabilities = log_softmax(scores, axis=1)
    least = calibration.least_threshold(log_probabilities, y_true)
    right = log_probabilities.argmax(axis=1) == y_true
    sure = np.exp(log_probabilities.max(axis=1))
    assert right[sure >= least].mean() >= calibration.ACCURACY_WHEN_SURE
    for lower in calibration.THRESHOLDS[: calibration.THRESHOLDS.index(least)]:
        assert right[sure >= lower].mean() < calibration.ACCURACY_WHEN_SURE


def test_a_model_that_is_never_right_is_unsure_of_almost_all():
    log_probabilities = np.log(np.array([[0.9, 0.1]] * 10))
    least = calibration.least_threshold(log_probabilities, np.ones(10, int))
    assert least == calibration.THRESHOLDS[-1]


def out_of_fold(texts, labels, vectorizer):
    counts = features.counted(vectorizer, texts)
    return calibration.out_of_fold(counts, labels, vectorizer, solver())


def test_no_text_is_scored_by_a_model_that_has_seen_it():
    texts = [f"{label} only{label}{number}" for label in "ab" for number in range(9)]
    labels = [text[0] for text in texts]
    vectorizer = TfidfVectorizer(analyzer=lambda text: [text.split()[-1], "common"])
    scores, y_true = out_of_fold(texts, labels, vectorizer)
    # What tells the texts apart is unknown to the model, so it says the same of each in a fold.
    assert all(len(set(scores[start : start + 6, 1].round(6))) == 1 for start in (0, 6, 12))
    assert len(y_true) == 18


def test_of_a_large_corpus_one_fold_is_scored(monkeypatch, rows):
    monkeypatch.setattr(calibration, "MAX_FOLD_TEXTS", 5)
    texts, labels = zip(*rows, strict=True)
    scores, y_true = out_of_fold(texts, labels, TfidfVectorizer())
    assert scores.shape == (5, 3)
    assert len(y_true) == 5


def test_of_a_very_large_corpus_a_part_is_looked_at(monkeypatch, rows):
    monkeypatch.setattr(calibration, "MAX_TEXTS", 15)
    texts, labels = zip(*rows, strict=True)
    _, y_true = out_of_fold(texts, labels, TfidfVectorizer())
    assert len(y_true) == 15


@pytest.mark.parametrize("texts", [["a b", "a c", "d e", "d f"], ["", "", "x", "x"]])
def test_too_few_texts_are_said_to_be_too_few(texts, capsys):
    rows = [(text, "xy"[number // 2]) for number, text in enumerate(texts)]
    rows += [("only here", "z")]
    vectorizer = TfidfVectorizer(analyzer="char")
    model = training.fit(tuple(rows), vectorizer, solver())
    assert model.parameters["temperature"] == 1.0
    assert "too few texts to calibrate" in capsys.readouterr().err


def test_a_calibrated_model_says_what_it_is_worth(fit):
    random = np.random.default_rng(1)
    rows = []
    for number in range(2400):
        label = sorted(WORDS)[number % 3]
        other = sorted(WORDS)[random.integers(3)]
        words = random.choice(WORDS[label], 2).tolist() + random.choice(WORDS[other], 2).tolist()
        rows.append((" ".join(words), label))
    model = fit(tuple(rows[:1200]))
    assert model.parameters["temperature"] in calibration.TEMPERATURES
    assert model.threshold in calibration.THRESHOLDS
    labels, probabilities, sure = model.decide([text for text, _ in rows[1200:]])
    right = labels == np.array([label for _, label in rows[1200:]])
    assert abs(probabilities.mean() - right.mean()) < 0.08
    assert right[sure].mean() > right[~sure].mean()
