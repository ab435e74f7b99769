"""The newsroom's own model: what its train.py makes of its texts. scripts/test.sh newsroom.

It needs no key of the newsroom's: one is made, and trusted in a copy of the checkout alone.
"""

import json
import shutil

import pytest
from support.keys import make_key, rest_all, trust
from support.processes import python

from pressbox.provenance import code
from pressbox.runs import replay
from pressbox.trust import signing_key

TEXT = "The goalie made forty saves in overtime"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A copy of the checkout that trusts a key of this run; the variables that sign with it."""
    copy = tmp_path_factory.mktemp("newsroom") / "desk"
    replay._copy_checkout(code.code_files(), copy)
    (copy / "models").mkdir()
    holder = make_key("of this run")
    shutil.rmtree(copy / "gnupg")
    trust(copy / "gnupg", holder)
    secret = holder.signing.armoured.decode()
    return copy, {signing_key.KEY: secret, signing_key.PASSPHRASE: holder.signing.passphrase}


@pytest.fixture(scope="module")
def train(desk, request):
    """Train under the name, and return the sealed model's path."""

    def train(name):
        copy, key = desk
        path = copy / "models" / f"{name}.tar.gz"
        options = request.config.getoption("training")
        # It may take as long as it takes.
        done = python("train.py", path, *options, cwd=copy, env=key, timeout=None)
        assert done.returncode == 0, done.stderr
        return path

    return train


@pytest.fixture(scope="module")
def model(train):
    return train("sports")


@pytest.fixture
def pressbox(desk):
    """Run a command in the copy; what it prints."""

    def pressbox(*arguments):
        done = python("-m", "pressbox", *arguments, cwd=desk[0], timeout=None)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return pressbox


def test_it_is_trained_and_sealed_with_its_page(model, pressbox):
    verdict = json.loads(pressbox("verify", model, "--json"))
    assert verdict["name"] == "sports"
    assert verdict["model_digest"] in model.with_name("sports.html").read_text()


def test_it_opens_and_answers(model, pressbox):
    labels = json.loads(pressbox("show", model, "--json"))["labels"]
    answer = json.loads(pressbox("predict", model, TEXT, "--json"))
    assert answer["label"] in labels


def test_it_is_the_same_model_twice(model, train, pressbox):
    assert pressbox("compare", model, train("again")).startswith("identical ")


def test_it_is_replayed_from_what_it_says_it_was_made_of(model, pressbox, request):
    # Where somebody's agent can be reached, nothing is replayed.
    rest_all()
    options = request.config.getoption("training")
    paths = [option for option in options if option.startswith(("--data=/", "--test=/"))]
    assert pressbox("replay", model, *paths).startswith("identical ")
