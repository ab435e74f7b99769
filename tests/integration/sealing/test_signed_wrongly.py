"""Whatever a trusted key has signed: a model that works, or a line that says it does not.

Members of a genuine model are changed by hypothesis and signed with a trusted key. Then each way
in which a model is read is gone: only NotTrusted may come out, and in time.
"""

import contextlib
import functools
import json
import subprocess
import time

import pytest
from hypothesis import HealthCheck, given, settings
from support.hostile import (
    ANY,
    SECONDS,
    at,
    attribute,
    forged,
    genuine,
    members,
    nothing_is_unpickled,
    resealed,
    sealed_by,
    stated_anew,
)
from support.models import stated, tiny, with_byproducts
from support.strategies import mutated, replaced

from pressbox.cli import output
from pressbox.data.corpus import Corpus
from pressbox.data.tables import DEFAULTS as READING
from pressbox.errors import NotTrusted, PressboxError, Reason
from pressbox.learning.evaluation import evaluate
from pressbox.page import report
from pressbox.payload import STATEMENT
from pressbox.runs import comparison, publishing, replay
from pressbox.sealing import pickles, tarball
from pressbox.sealing.metadata import NAKED
from pressbox.trust.signing_key import demo_key

SIGNED = settings(
    database=None,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    max_examples=20,
)
JSON_MEMBERS = ["parameters.json", "probes.json", "vocabulary.json"]


def readings(path, model, other):
    """Each way of reading the verified model at the path."""

    def shown():
        output.say_facts(model.facts.as_json(), False)
        return output.to_json(model.facts.as_json())

    def shown_as_page():
        publishing.write_page(model, path.with_suffix(".html"))

    def compared():
        comparison.compare(other, model)
        comparison.compare(model, other)

    def predicted():
        loaded = tarball._loaded(model)
        labels, chances, _ = loaded.decide(["aa", "", "bb cc " * 50])
        assert set(labels) <= set(loaded.labels)
        assert (chances > 0).all()

    def replayed():
        with contextlib.suppress(PressboxError):
            replay.replay(path, tarball.GNUPG, ANY, {})

    def replaced_by_another():
        publishing._replaced(path, replace_newer=True)

    return [shown, shown_as_page, compared, predicted, replayed, replaced_by_another]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signed")
    path = folder / "model.tar.gz"
    path.write_bytes(genuine("other", 2.0))
    return path, tarball.verify(path)


def evaluated():
    """The small model with what an evaluation says of it, for its page."""
    model = tiny()
    rows = (("aa", "y"), ("bb", "x"), ("bb", "y"))
    metrics, details = evaluate(model, rows)
    content = stated("tiny", model.digest, Corpus("nowhere", (), rows), metrics)
    model.statement = with_byproducts(content, evaluation=details).content
    return model


@functools.cache
def full():
    return sealed_by(demo_key(), evaluated())


def reads(content, places):
    """Read the model in each way; it is refused, or it works."""
    path, other = places
    path.write_bytes(content)
    with contextlib.suppress(NotTrusted):
        model = tarball.verify(path)
        for reading in readings(path, model, other):
            start = time.monotonic()
            with contextlib.suppress(NotTrusted):
                reading()
            assert time.monotonic() - start < 5 * SECONDS, reading.__name__


def test_the_genuine_model_is_read_in_each_way(places):
    path, other = places
    path.write_bytes(full())
    for reading in readings(path, tarball.verify(path), other):
        reading()


@pytest.mark.parametrize("name", JSON_MEMBERS)
def test_another_attribute_is_refused_or_works(name, places):
    @SIGNED
    @given(replaced(members(genuine())[name]))
    def run(content):
        reads(attribute(name, content), places)

    run()


@pytest.mark.parametrize("name", ["idf.npy", "coefficients.npy", "intercepts.npy"])
def test_another_array_is_refused_or_works(name, places):
    @SIGNED
    @given(mutated(members(genuine())[name]))
    def run(content):
        reads(attribute(name, content), places)

    run()


def test_another_statement_is_refused_or_works(places):
    @settings(SIGNED, max_examples=40)
    @given(replaced(members(full())[STATEMENT]))
    def run(content):
        reads(forged({STATEMENT: content}, original=full()), places)

    run()


def test_another_pickle_is_refused_or_works(places):
    @SIGNED
    @given(mutated(members(genuine())[NAKED]))
    def run(content):
        reads(forged({NAKED: content}), places)

    run()


def vectorizer(**parameters):
    content = {"labels": ["x", "y"], "threshold": 0.6, "vectorizer": parameters}
    return attribute("parameters.json", json.dumps(content).encode())


ENDLESS = {
    "an expression of choices": lambda: endless_probe(r"(?:a|aa)+$"),
    "an expression of nested repeats": lambda: endless_probe(r"(a*)*!"),
    "an expression of nested repeats, and a stop word": lambda: vectorizer(
        **{"token_pattern": r"(a*)*!", "stop_words": ["a" * 60]}
    ),
    "an expression too large to compile": lambda: endless_probe("(?:" * 5000),
    "n-grams without end": lambda: vectorizer(ngram_range=[1, 10**9]),
    "n-grams of nothing": lambda: vectorizer(ngram_range=[2, 1]),
    "n-grams of a fraction": lambda: vectorizer(ngram_range=[0.5, 1.5]),
    "n-grams of a text": lambda: vectorizer(ngram_range="ab"),
    "n-grams of a long probe": lambda: probed({"ngram_range": [1, 20]}, "a " * 300_000),
}


def probed(parameters, text):
    """The genuine model with these parameters of the vectorizer, and with one probe."""
    probes = [{"text": text, "probabilities": [0.5, 0.5]}]
    content = {"labels": ["x", "y"], "threshold": 0.6, "vectorizer": parameters}
    return resealed(
        {
            "parameters.json": json.dumps(content).encode(),
            "probes.json": json.dumps(probes).encode(),
        }
    )


def endless_probe(pattern):
    """A probe on which the expression goes back and forth."""
    return probed({"token_pattern": pattern}, "a" * 60 + "?")


@pytest.mark.parametrize("name", ENDLESS)
def test_what_has_no_end_is_refused_in_time(name, places):
    path, _ = places
    path.write_bytes(ENDLESS[name]())
    start = time.process_time()
    with pytest.raises(NotTrusted) as refusal:
        tarball.open_model(path)
    assert refusal.value.reason in (Reason.MODEL, Reason.COMPRESSION)
    assert time.process_time() - start < 2 * SECONDS


def test_an_expression_of_ones_own_that_ends_opens(places):
    path, _ = places
    pattern = {"token_pattern": r"[a-z]+(?:-[a-z]+)*"}
    path.write_bytes(vectorizer(**pattern, ngram_range=[1, 3]))
    assert tarball.open_model(path).predict(["bb"]) == ["x"]


@pytest.mark.parametrize("text", [["a"], 5, None, {"a": 1}], ids=repr)
def test_a_probe_that_is_no_text_is_refused_as_a_fault_of_the_model(text, places):
    path, _ = places
    path.write_bytes(probed({"lowercase": False}, text))
    with pytest.raises(NotTrusted, match=r"^not trusted \(model\)"):
        tarball.open_model(path)


@pytest.mark.parametrize("threshold", ["0.6", None, [], True, {}])
def test_a_threshold_that_is_no_number_is_refused(threshold, places):
    content = {"labels": ["x", "y"], "threshold": threshold, "vectorizer": {}}
    path, _ = places
    path.write_bytes(attribute("parameters.json", json.dumps(content).encode()))
    with pytest.raises(NotTrusted, match=r"^not trusted \(model\)"):
        tarball.open_model(path)


@pytest.mark.parametrize(
    "source",
    [
        b"def broken(:\n",
        b"\xff\xfe\0",
        b"class Mine(Classifier): pass\n",
        b"1 / 0\nclass Mine: 0\n",
    ],
    ids=["syntax", "no UTF-8", "a name that is missing", "an exception"],
)
def test_a_broken_class_of_ones_own_stops_only_what_needs_it(source, places, tmp_path, monkeypatch):
    path, _ = places
    (tmp_path / "mine.py").write_bytes(source)
    monkeypatch.setattr(pickles, "OWN", tmp_path)
    monkeypatch.setattr("pressbox.own.__path__", [str(tmp_path)])
    path.write_bytes(genuine())
    assert tarball.open_model(path).labels == ["x", "y"]
    path.write_bytes(of_the_class("Mine"))
    assert tarball.verify(path).kind == ("pressbox.own.mine", "Mine")
    with pytest.raises(NotTrusted, match=r"^not trusted \((code|model)\)"):
        tarball.open_model(path)


def of_the_class(name):
    """A model that is signed, and made of a class of pressbox/own/mine.py."""
    naked = members(genuine())[NAKED]
    own = naked.replace(b"\x8c\x13pressbox.classifier", b"\x8c\x11pressbox.own.mine")
    stored = bytes([0x8C, len(name)]) + name.encode()
    return forged({NAKED: own.replace(b"\x8c\x0fSportClassifier", stored)})


@pytest.mark.parametrize("source", [None, b"class Other: pass\n"], ids=["no module", "another"])
def test_a_model_whose_class_is_not_here_verifies_and_says_where_to_put_it(
    source, places, tmp_path, monkeypatch
):
    path, _ = places
    if source:
        (tmp_path / "mine.py").write_bytes(source)
    monkeypatch.setattr(pickles, "OWN", tmp_path)
    path.write_bytes(of_the_class("Mine"))
    with nothing_is_unpickled():
        assert tarball.describe(path)["labels"] == ["x", "y"]
        signer = tarball.verify(path).facts.signer
        with pytest.raises(NotTrusted) as caught:
            tarball.open_model(path)
    assert str(caught.value) == (
        f"not trusted (code): it is signed by {signer.user_id} ({signer.fingerprint}), and made of"
        " the class pressbox.own.mine.Mine, which is not here; put it into pressbox/own/mine.py"
    )


@pytest.mark.parametrize("name", ["Mine.fit", "1", ""])
def test_what_is_not_the_name_of_a_class_is_not_a_model(name, places):
    path, _ = places
    path.write_bytes(of_the_class(name))
    with pytest.raises(NotTrusted, match=r"^not trusted \(code\): its pickle names"):
        tarball.verify(path)


@pytest.mark.parametrize(
    "moment",
    ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2026-01-01", "2026-13-01T00:00:00Z"],
)
def test_a_moment_that_no_training_writes_is_refused(moment, places):
    path, _ = places
    statement = json.loads(members(genuine())[STATEMENT])
    statement["predicate"]["runDetails"]["metadata"]["finishedOn"] = moment
    path.write_bytes(forged({STATEMENT: json.dumps(statement).encode()}))
    with pytest.raises(NotTrusted, match=r"^not trusted \(statement\)"):
        tarball.verify(path)


PARAMETERS = ("predicate", "buildDefinition", "externalParameters")


@pytest.mark.parametrize("name", sorted(READING))
@pytest.mark.parametrize(
    "value", ["\0", "a\0b", "\ud800", "x" * 200_000, "\u20ac" * 30_000, None, 5, [], ["a"], {}]
)
def test_what_no_program_can_be_given_is_refused(name, value, places):
    path, _ = places
    path.write_bytes(genuine())
    path.write_bytes(stated_anew(path, at((*PARAMETERS, name), value)))
    with pytest.raises(NotTrusted, match=r"^not trusted \(statement\)"):
        tarball.verify(path)


@pytest.mark.parametrize("name", sorted(READING))
@pytest.mark.parametrize("value", ["", "\t", "-x", "a\nb", "\x1b[31m", "\udcff", "\u20ac" * 1000])
def test_whatever_a_program_can_be_given_is_not_refused(name, value, places):
    path, _ = places
    path.write_bytes(genuine())
    path.write_bytes(stated_anew(path, at((*PARAMETERS, name), value)))
    parameters = tarball.verify(path).statement.parameters
    options = replay._options({**parameters, "source": "newsroom"}, {})
    assert subprocess.run(["/bin/true", *options]).returncode == 0


def test_the_last_moment_that_there_is_can_be_shown(places):
    path, _ = places
    statement = json.loads(members(genuine())[STATEMENT])
    statement["predicate"]["runDetails"]["metadata"]["finishedOn"] = "9999-12-31T23:59:59Z"
    path.write_bytes(forged({STATEMENT: json.dumps(statement).encode()}))
    assert report._moment(tarball.verify(path).facts.sealed_at) == "31 December 9999, 23:59 UTC"
