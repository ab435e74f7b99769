"""docs/your-own-model.md: what it tells the reader to do is done here, word for word."""

import json
import re

import pytest
from support import ROOT
from support.keys import rest_all
from support.processes import assert_refused, python

PAGE = (ROOT / "docs" / "your-own-model.md").read_text()


@pytest.fixture
def own(checkout):
    """A checkout in which a reader has followed the page."""
    class_, change = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    [path] = re.findall(r"Save this as `(.*)`", PAGE)
    (checkout / path).write_text(class_)
    script = (checkout / "train.py").read_text()
    start, end = script.index("def learn("), script.index("def train(")
    (checkout / "train.py").write_text(f"{script[:start]}{change}\n\n{script[end:]}")
    return checkout


@pytest.mark.alone
def test_a_model_of_ones_own_is_trained_sealed_shown_and_used(own, tmp_path, table):
    path = tmp_path / "own.tar.gz"
    done = python("train.py", path, "--data", table, cwd=own)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "own.html").read_text()
    assert page.startswith("<!doctype html>")
    # Its class has neither words nor parameters of scikit-learn's, and no section for them.
    for absent in ('id="words"', "<dt>Vectorizer", "<dt>Certificate"):
        assert absent not in page
    assert "It was sure about" in page
    shown = python("-m", "pressbox", "show", path, "--json", cwd=own)
    assert json.loads(shown.stdout)["labels"] == ["cricket", "golf", "tennis"]
    said = python("-m", "pressbox", "predict", path, "a googly and a maiden", cwd=own)
    assert "cricket" in said.stdout
    rest_all()
    again = python("-m", "pressbox", "replay", "--demo", path, "--data", table, cwd=own)
    assert again.stdout.startswith("identical "), again.stderr + again.stdout


@pytest.mark.default("corpus/newsroom.jsonl")
def test_it_does_well_on_the_newsroom_corpus(own, tmp_path):
    done = python("train.py", tmp_path / "own.tar.gz", cwd=own)
    assert done.returncode == 0, done.stderr
    assert float(re.search(r"accuracy (0\.\d+)", done.stderr)[1]) > 0.5


def test_where_the_class_is_not_here_the_model_says_whose_it_is_and_what_is_missing(
    own, tmp_path, table
):
    path = tmp_path / "own.tar.gz"
    assert python("train.py", path, "--data", table, cwd=own).returncode == 0
    for command in ("verify", "show"):
        done = python("-m", "pressbox", command, path)
        assert done.returncode == 0, done.stderr
    refused = python("-m", "pressbox", "predict", path, "a googly")
    assert_refused(refused, 3, "made of the class pressbox.own.centroids.Centroids, which is not")
    assert "put it into pressbox/own/centroids.py" in refused.stderr
