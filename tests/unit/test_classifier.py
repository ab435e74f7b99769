"""The model as special_k sees it."""

import copy
import io
import pickle

import numpy as np
import pandas
import pytest
from special_k.exceptions import ModelValidationError

from pressbox.classifier import Classifier, NpyIO, SportClassifier
from pressbox.errors import UsageError
from pressbox.payload import payload_digest


def hand_made(labels, coefficients):
    """Knows the words ace and puck; what it says can be worked out on paper."""
    return SportClassifier(
        vocabulary=["ace", "puck"],
        idf=np.ones(2),
        coefficients=np.array(coefficients, dtype=float),
        intercepts=np.zeros(len(coefficients)),
        parameters={"labels": labels, "vectorizer": {}},
    )


@pytest.mark.parametrize(
    ("labels", "coefficients"),
    [(["hockey", "tennis"], [[3, -3]]), (["golf", "hockey", "tennis"], [[0, 0], [-3, 3], [3, -3]])],
)
def test_the_label_with_the_highest_score_is_predicted(labels, coefficients):
    model = hand_made(labels, coefficients)
    assert model.predict(["An ace!", "The puck."]).tolist() == ["tennis", "hockey"]


def test_probabilities_are_the_softmax_of_the_scores():
    two = hand_made(["hockey", "tennis"], [[3, -3]])
    assert two.predict_proba(["ace"])[0] == pytest.approx([1 / (1 + np.e**3), 1 / (1 + np.e**-3)])
    three = hand_made(["golf", "hockey", "tennis"], [[0, 0], [-3, 3], [3, -3]])
    scale = 1 + np.e**-3 + np.e**3
    assert three.predict_proba(["ace"])[0] == pytest.approx(np.exp([0, -3, 3]) / scale)


@pytest.mark.parametrize("nothing", [[], (), iter(()), np.array([], str)], ids=type)
def test_no_texts_have_no_labels(nothing, fitted):
    nothing = list(nothing)
    assert fitted.predict(nothing).shape == (0,)
    assert fitted.predict_proba(nothing).shape == (0, 3)
    labels, probabilities, sure = fitted.decide(nothing)
    assert (labels.tolist(), probabilities.tolist(), sure.tolist()) == ([], [], [])
    assert fitted.predict(["a wicket"]).dtype.kind == labels.dtype.kind == "U"


def test_no_texts_have_no_labels_whatever_the_class():
    class Own(Classifier):
        def predict_proba(self, texts):
            raise AssertionError("it need not take no texts")

    assert Own({"labels": ["x", "y"]}).predict([]).tolist() == []


@pytest.mark.parametrize(
    ("texts", "saying"),
    [
        ("one text", "one text was given, not a list of texts; give"),
        (["a", None], "text 2 of 2 is None, not a string; omit it, or give ''"),
        ([float("nan")], "text 1 of 1 is nan, not a string"),
        ([b"a"], "text 1 of 1 is b'a', not a string"),
    ],
)
def test_what_is_not_a_list_of_texts_is_said_in_words(texts, saying, fitted):
    for ask in (fitted.predict, fitted.predict_proba, fitted.decide):
        with pytest.raises(UsageError, match=saying):
            ask(texts)


def test_any_collection_of_texts_is_taken(fitted):
    texts = ["a wicket", "the fairway"]
    for given in (tuple(texts), iter(texts), np.array(texts), pandas.Series(texts)):
        assert fitted.predict(given).tolist() == ["cricket", "golf"]


def test_a_model_says_what_it_is(fitted):
    assert repr(fitted) == (
        "<SportClassifier: 36 terms; 3 labels (cricket, golf, tennis);"
        " sure from 0.6 on; not signed>"
    )
    assert "\x1b" not in repr(hand_made(["a\x1b[31m", "b"], [[3, -3]]))
    # As in special_k's hands, before it is whole.
    assert repr(SportClassifier.__new__(SportClassifier)) == "<SportClassifier: not signed>"


def test_an_intact_model_is_valid(fitted):
    fitted.validate_model()


def changed(fitted, **attributes):
    other = copy.copy(fitted)
    vars(other).pop("_vectorizer", None)
    for name, change in attributes.items():
        setattr(other, name, change(getattr(fitted, name)))
    return other


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("idf", lambda idf: idf[:-1]),
        ("idf", lambda idf: idf * np.arange(1, len(idf) + 1)),
        ("coefficients", lambda coefficients: coefficients[:, :-1]),
        ("coefficients", lambda coefficients: coefficients[:-1]),
        ("coefficients", lambda coefficients: coefficients * 1.01),
        ("intercepts", lambda intercepts: intercepts[:-1]),
        ("intercepts", lambda intercepts: intercepts[::-1]),
        ("vocabulary", lambda vocabulary: vocabulary[::-1]),
        ("vocabulary", lambda vocabulary: vocabulary[:-1]),
        ("parameters", lambda parameters: {**parameters, "labels": parameters["labels"][:-1]}),
        ("probes", lambda probes: []),
    ],
)
def test_a_model_that_was_changed_is_not_valid(name, change, fitted):
    with pytest.raises(ModelValidationError):
        changed(fitted, **{name: change}).validate_model()


def test_npy_keeps_an_array_bit_for_bit():
    array = np.array([[0.1, -0.0], [np.inf, 1e-308]])
    stream = io.BytesIO()
    NpyIO._serialize_to_stream(array, stream)
    stream.seek(0)
    assert NpyIO._deserialize_from_stream(stream).tobytes() == array.tobytes()


def test_npy_writes_no_pickle():
    with pytest.raises(ValueError, match="allow_pickle"):
        NpyIO._serialize_to_stream(np.array([{}]), io.BytesIO())


def test_npy_reads_no_pickle():
    stream = io.BytesIO()
    np.save(stream, np.array([{}]), allow_pickle=True)
    stream.seek(0)
    with pytest.raises(ValueError, match="as NumPy writes it"):
        NpyIO._deserialize_from_stream(stream)


def test_the_vectorizer_that_was_built_is_not_pickled_with_the_model(fitted):
    fitted.predict(["wicket"])
    assert b"sklearn" not in pickle.dumps(fitted)


@pytest.mark.parametrize(
    "files",
    [{"a": b"bd", "c": b""}, {"b": b"b", "c": b"d"}, {"a": b"b", "c": b"e"}, {"a": b"b"}],
)
def test_the_digest_is_over_names_and_bytes(files):
    reference = {"a": b"b", "c": b"d"}
    assert payload_digest(files) != payload_digest(reference)
    assert payload_digest(dict(reversed(reference.items()))) == payload_digest(reference)


def test_the_payload_is_all_but_the_statement(fitted):
    assert set(fitted.payload()) == {
        "coefficients.npy",
        "idf.npy",
        "intercepts.npy",
        "parameters.json",
        "probes.json",
        "vocabulary.json",
    }
