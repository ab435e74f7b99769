"""python -m pressbox compare: how one model differs from another, in words."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
from support import ROOT
from support.models import stated, surroundings, with_byproducts
from support.processes import assert_refused, python

from pressbox.data import corpus
from pressbox.learning import evaluation, training
from pressbox.runs import comparison
from pressbox.sealing import tarball
from pressbox.trust import signing_key

SUBJECTS = ["metrics", "answers", "parameters", "environment", "data", "code", "numbers"]


@pytest.fixture(scope="module")
def verified(tmp_path_factory):
    """Seal a model and verify it."""
    folder = tmp_path_factory.mktemp("compared")

    def verified(model, name="small"):
        path = folder / f"{name}.tar.gz"
        tarball.seal(model, path, signing_key.demo_key())
        return tarball.verify(path)

    return verified


@pytest.fixture(scope="module")
def small(verified, model):
    return verified(model)


def differing(before, after):
    found = comparison.compare(before, after)
    assert [*found] == SUBJECTS
    return {subject: lines for subject, lines in found.items() if lines}


def changed(model, data=None, here=None, **attributes):
    """The model with other attributes, and a statement that fits them."""
    model = copy.copy(model)
    vars(model).update(attributes)
    model.probe_with(training._probes(model))
    data = data or corpus.Corpus("small.jsonl", (), ())
    model.statement = stated("small", model.digest, data, {"accuracy": 0.5}, here)
    return model


def test_a_model_does_not_differ_from_itself(small):
    assert differing(small, small) == {}


def test_the_first_number_that_differs_is_named(small, model, verified):
    coefficients = model.coefficients.copy()
    coefficients[1, 2] += 0.001
    coefficients[2, 5] -= 0.25
    other = changed(model, coefficients=coefficients)
    label, term = model.labels[1], model.vocabulary[2]
    [line] = differing(small, verified(other))["numbers"]
    assert line.startswith(f"coefficients[{label!r}, {term!r}] is ")
    assert line.endswith(f"(the first of 2 of {coefficients.size}; none by more than 2.5e-01)")


@pytest.mark.parametrize("name", ["idf", "intercepts"])
def test_a_number_of_any_array_is_named(name, small, model, verified):
    numbers = getattr(model, name) + np.eye(1, len(getattr(model, name)))[0]
    other = changed(model, **{name: numbers})
    [line] = differing(small, verified(other))["numbers"]
    owner = model.vocabulary[0] if name == "idf" else model.labels[0]
    assert line.startswith(f"{name}[{owner!r}] is ")


def test_another_vocabulary_and_parameters_are_named(small, corpus, fit, verified):
    other = fit(corpus.train, {"ngram_range": (1, 2)}, {"C": 3.0})
    other.statement = stated("small", other.digest, corpus, {"accuracy": 1.0})
    found = differing(small, verified(other))
    assert "estimator: C is 3.0, was not given" in found["parameters"]
    assert "vectorizer: ngram_range is [1, 2], was not given" in found["parameters"]
    assert found["numbers"][0].startswith("term new: 'ace on', ")
    assert found["numbers"][0].endswith(" more")


def test_rows_that_came_and_went_are_counted(model, corpus, verified):
    before = verified(changed(model, corpus))
    rows = (*corpus.train[2:], ("a new text", "golf"))
    after = verified(changed(model, replace(corpus, train=rows, source="other.jsonl")))
    found = differing(before, after)["data"]
    assert found[:3] == [
        "source is other.jsonl, was small.jsonl",
        "rows to train on: 2 are gone",
        "rows to train on: 1 are new",
    ]
    assert any(line.startswith("texts to train on of label tennis is ") for line in found)


def test_packages_and_drift_are_named(model, verified):
    here = surroundings()
    issued = copy.deepcopy(here.passport)
    issued["python_packages"]["numpy"]["version"] = "9.9"
    other = replace(here, passport=issued, digest="sha256:" + "0" * 64, drift=("x was changed",))
    found = differing(verified(changed(model)), verified(changed(model, here=other)))
    version = here.passport["python_packages"]["numpy"]["version"]
    assert found["environment"] == [
        f"Python package numpy is 9.9, was {version}",
        "drifted in the second: x was changed",
    ]


def test_changed_code_is_named_by_file(model, verified):
    one, other = changed(model), changed(model)
    used = other.statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    [code] = (entry for entry in used if entry["name"] == "code")
    code["annotations"]["files"].update(
        {"train.py": f"sha256:{0:064}", "mine.py": f"sha256:{1:064}"}
    )
    del code["annotations"]["files"]["pressbox/learning/newton.py"]
    assert differing(verified(one), verified(other))["code"][:3] == [
        "pressbox/learning/newton.py is gone",
        "mine.py is new",
        "train.py was changed",
    ]


def test_a_model_of_an_earlier_release_is_compared_as_far_as_it_says(small):
    golden = tarball.verify(ROOT / "tests" / "golden" / "newsroom-0.1.0.tar.gz")
    found = differing(golden, small)
    assert found["environment"] == ["not every model says what its environment was made of"]
    assert "they were trained on other rows; one does not say on which" in found["data"]


class Answering:
    """What gives these answers to the texts, in their order."""

    threshold = 0.6

    def __init__(self, labels, answers):
        self.labels, self._answers = labels, answers

    def predict_proba(self, texts):
        wanted = [self.labels.index(answer) for answer in self._answers]
        return np.eye(len(self.labels))[wanted] * 0.7 + 0.1


def evaluated(model, corpus, answers):
    """The model, evaluated on texts of which (label, answer) are told."""
    rows = tuple((f"text {number}", label) for number, (label, _) in enumerate(answers))
    corpus = replace(corpus, test=rows)
    given = [answer for _, answer in answers]
    metrics, details = evaluation.evaluate(Answering(model.labels, given), rows)
    # Any number will do for another model.
    shift = sum(number * model.labels.index(answer) for number, answer in enumerate(given))
    model = changed(model, corpus, intercepts=model.intercepts + shift)
    model.statement = stated("small", model.digest, corpus, metrics)
    model.statement = with_byproducts(model.statement, evaluation=details).content
    return model


def test_what_one_wants_to_know_comes_first(model, corpus, verified):
    before = [("golf", "golf")] * 6 + [("golf", "cricket"), ("tennis", "golf")]
    after = [("golf", "golf")] * 5 + [("golf", "tennis"), ("golf", "golf"), ("tennis", "cricket")]
    found = differing(*(verified(evaluated(model, corpus, each)) for each in (before, after)))
    assert found["answers"][0] == "3 of 8 texts are answered differently"
    assert sorted(found["answers"][1:]) == [
        "cricket → golf: text 6 (golf)",
        "golf → cricket: text 7 (tennis)",
        "golf → tennis: text 5 (golf)",
    ]


def test_of_many_texts_the_first_are_shown_and_the_others_counted(model, corpus, verified):
    before, after = [("golf", "golf")] * 30, [("golf", "tennis")] * 20 + [("golf", "golf")] * 10
    found = differing(*(verified(evaluated(model, corpus, each)) for each in (before, after)))
    assert found["answers"][0] == "20 of 30 texts are answered differently"
    assert len(found["answers"]) == 7
    assert found["answers"][-1] == "golf → tennis: 15 texts"


def test_a_model_that_does_not_say_what_it_answered_is_said_not_to(small):
    golden = tarball.verify(ROOT / "tests" / "golden" / "newsroom-0.1.0.tar.gz")
    assert differing(golden, small)["answers"] == ["not every model says what it answered"]


def test_metrics_are_told_before_after_and_by_how_much(model, corpus, verified):
    right = [("golf", "golf")] * 3
    models = [
        verified(evaluated(model, corpus, [*right, ("golf", answer)]))
        for answer in ("tennis", "golf")
    ]
    assert comparison.compare(*models)["metrics"] == [
        "accuracy 0.75 → 1.0 (+0.25)",
        "macro_f1 0.4286 → 1.0 (+0.5714)",
        "rows 4, unchanged",
    ]


def test_long_lists_are_counted_and_short_ones_shown():
    words = [f"w{number}" for number in range(318)]
    change = comparison._values("", {"stop_words": "english"}, {"stop_words": words})
    assert change == ["stop_words is 318 stop words, was english"]
    change = comparison._values("", {"stop_words": words}, {"stop_words": ["a", "b", *words[1:]]})
    assert change == ['stop_words: 2 added: "a", "b"; 1 removed: "w0"']
    change = comparison._values("", {"ngram_range": [1, 1]}, {"ngram_range": [1, 2]})
    assert change == ["ngram_range is [1, 2], was [1, 1]"]


def test_metrics_that_are_the_same_are_said_to_be_unchanged(small, model, tmp_path):
    paths = [tmp_path / f"{name}.tar.gz" for name in "ab"]
    for path, weight in zip(paths, (0.0, 1.0), strict=True):
        other = changed(model, intercepts=model.intercepts + weight)
        tarball.seal(other, path, signing_key.demo_key())
    done = python("-m", "pressbox", "compare", *paths)
    assert done.stdout.splitlines()[:2] == ["different", "metrics      unchanged"]


def test_the_command_says_identical_and_exits_0(earlier):
    done = python("-m", "pressbox", "compare", earlier, earlier)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("identical sha256:")


def test_the_command_says_what_differs_and_exits_1(earlier):
    golden = ROOT / "tests" / "golden" / "newsroom-0.1.0.tar.gz"
    done = python("-m", "pressbox", "compare", golden, earlier, "--json")
    assert (done.returncode, done.stderr) == (1, "")
    answer = json.loads(done.stdout)
    assert answer["identical"] is False
    assert [*answer["differences"]] == SUBJECTS


def test_models_that_are_not_trusted_are_not_compared(earlier, tmp_path):
    (tmp_path / "bad.tar.gz").write_bytes(b"garbage")
    done = python("-m", "pressbox", "compare", earlier, tmp_path / "bad.tar.gz")
    assert_refused(done, 3, "not trusted")
