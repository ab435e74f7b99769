"""Small corpora, and models of them."""

import copy
import functools
import json
from datetime import UTC, datetime

import numpy as np
from sklearn.linear_model import LogisticRegression

from pressbox.classifier import SportClassifier
from pressbox.data.corpus import Corpus
from pressbox.environment import drift
from pressbox.provenance import code, statement

TEXTS = ["a wicket and an innings", "the caddie took the putter", "", "nothing known"]
WORDS = {
    "cricket": ["wicket", "innings", "bowler", "crease", "stumps", "umpire", "googly", "maiden"],
    "golf": ["fairway", "bunker", "putt", "caddie", "birdie", "links", "albatross", "tee"],
    "tennis": ["racket", "serve", "volley", "baseline", "deuce", "rally", "tiebreak", "ace"],
}


def write_jsonl(path, rows):
    lines = (json.dumps({"text": text, "label": label}) for text, label in rows)
    path.write_text("\n".join(lines) + "\n")
    return path


def shuffled(rows):
    return sorted(rows, key=lambda row: row[0][::-1])


def solver(**parameters):
    """An estimator that is good enough for any CPU."""
    exact = {"solver": "newton-cg", "max_iter": 1000}
    return LogisticRegression(**{**exact, **parameters})


@functools.cache
def surroundings():
    return drift.current()


def stated(name, digest, corpus, metrics=(), here=None, **parameters):
    """The statement that train.py makes."""
    chosen = {"release": False, "allow_drift": False, **parameters}
    byproducts = {"metrics": dict(metrics)}
    here, now = here or surroundings(), datetime.now(UTC)
    return statement.statement(name, digest, corpus, code.current(), here, chosen, byproducts, now)


def with_byproducts(content, **byproducts):
    """The statement with more byproducts, of those that are not None."""
    content = copy.deepcopy(content)
    content["predicate"]["runDetails"]["byproducts"] += [
        {"name": name, "annotations": said} for name, said in byproducts.items() if said is not None
    ]
    return statement.Statement(content)


def tiny(name="tiny", weight=1.0):
    """The smallest model there is: two words, two labels."""
    arrays = np.ones(2), np.array([[weight, -weight]]), np.zeros(1)
    model = SportClassifier(["aa", "bb"], *arrays, {"labels": ["x", "y"], "vectorizer": {}})
    even = {"text": "aa bb", "probabilities": [0.5, 0.5]}
    model.probes = [even]
    model.statement = stated(name, model.digest, Corpus("nowhere", (), ()))
    return model
