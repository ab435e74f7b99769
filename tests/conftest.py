"""Fixtures: a small corpus, a sealed model of it, a copy of this checkout, a key of nobody."""

import copy
import hashlib
import os
import signal
import subprocess
import tarfile
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

with warnings.catch_warnings():
    # pytest.ini makes warnings errors, and Debian's gpg, made by SWIG, crashes where one is.
    warnings.simplefilter("ignore")
    import gpg as _  # noqa: F401

from sklearn.feature_extraction.text import TfidfVectorizer
from support import ROOT
from support.checkouts import copy_checkout
from support.keys import make_key
from support.models import WORDS, solver, stated, with_byproducts, write_jsonl
from support.turns import turn

from pressbox.data.corpus import load_corpus
from pressbox.learning import evaluation, training
from pressbox.page import report
from pressbox.provenance.statement import Facts, Revision, SignedBy, Statement
from pressbox.sealing import tarball
from pressbox.trust import signing_key

REAL_DATA = "PRESSBOX_REAL_DATA"
# The tests came through a door; what they start did not.
os.environ.pop("PRESSBOX_DOOR", None)


def edited():
    """Which of train.py and the corpus are not those that Pressbox comes with."""
    lines = (ROOT / "tests" / "support" / "default.sha256").read_text().splitlines()
    shipped = {name: digest for digest, name in map(str.split, lines)}
    return {
        name
        for name, digest in shipped.items()
        if hashlib.sha256((ROOT / name).read_bytes()).hexdigest() != digest
    }


def pytest_configure(config):
    config.addinivalue_line("markers", f"real_data: needs the folder that {REAL_DATA} names")
    config.addinivalue_line("markers", "default(file): about the file that Pressbox comes with")
    config.addinivalue_line("markers", "alone: no other test may run at the same time")
    # special_k asks for the time in the way of 2020, which Python deprecated since.
    config.addinivalue_line("filterwarnings", "ignore:datetime.datetime.utcnow:DeprecationWarning")
    # A developer's own key takes no part.
    for name in ("FD", "KEY", "PASSPHRASE"):
        os.environ.pop(f"PRESSBOX_SIGNING_{name}", None)


def pytest_report_header():
    yours = ", ".join(sorted(edited()))
    return [
        f"real data: {os.environ.get(REAL_DATA) or f'none ({REAL_DATA} is not set)'}",
        f"your own: {yours} (what is known of Pressbox's is not tested)" if yours else "default",
    ]


def pytest_collection_modifyitems(config, items):
    unknown = edited()

    def pointless(item):
        about = item.get_closest_marker("default")
        needing = item.get_closest_marker("real_data") and not os.environ.get(REAL_DATA)
        return needing or (about and about.args[0] in unknown)

    config.hook.pytest_deselected(items=[item for item in items if pointless(item)])
    items[:] = [item for item in items if not pointless(item)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Keep the tests of pytest-xdist's other workers from one that is marked ``alone``."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    shared = Path(item.config.option.basetemp).parent
    with turn(shared, alone=item.get_closest_marker("alone") is not None):
        return (yield)


@pytest.fixture(autouse=True)
def same_handler():
    """What a command does on Ctrl-C and SIGTERM ends with the test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def real_data(tmp_path_factory):
    """The folder 20news/ of real newsgroup articles, in load_files layout."""
    folder = tmp_path_factory.mktemp("real")
    with tarfile.open(Path(os.environ[REAL_DATA], "20news-bydate-sport.tar.xz")) as archive:
        archive.extractall(folder, filter="data")
    return folder / "20news"


@pytest.fixture(scope="session")
def rows():
    """Three labels, ten short texts each."""
    return tuple(
        (f"{words[i % 8]} {words[(i + 1) % 8]} {words[(i + 3) % 8]} on day {10 + i}", label)
        for label, words in WORDS.items()
        for i in range(10)
    )


@pytest.fixture(scope="session")
def table(rows, tmp_path_factory):
    """The path of a small .jsonl file."""
    return write_jsonl(tmp_path_factory.mktemp("source") / "small.jsonl", rows)


@pytest.fixture(scope="session")
def corpus(table):
    return load_corpus(str(table))


@pytest.fixture(scope="session")
def fit():
    """Fit as train.py does, with other parameters where a test wants them."""

    def fit(rows, vectorizer=(), estimator=()):
        return training.fit(rows, TfidfVectorizer(**dict(vectorizer)), solver(**dict(estimator)))

    return fit


@pytest.fixture(scope="session")
def fitted(corpus, fit):
    """A small model. Shared: change a copy."""
    return fit(corpus.train)


@pytest.fixture(scope="session")
def model(fitted, corpus):
    """The small model with its statement. Shared: change a copy."""
    model = copy.copy(fitted)
    metrics, _ = evaluation.evaluate(model, corpus.test)
    model.statement = stated("small", model.digest, corpus, metrics)
    return model


@pytest.fixture(scope="module")
def facts(model):
    signer = SignedBy(
        fingerprint="D4021E7D4529EC2E3058A92277DDEEAA3A5411D4",
        user_id="Sports Desk <desk@sports.example>",
        expires="2027-01-31",
        demo=False,
        experiments_only=False,
    )
    return replace(
        Facts.of(signer, Statement(model.statement), model.labels),
        code=Revision("c" * 40, dirty=False),
        sealed_at="2026-11-05T04:03:02Z",
    )


@pytest.fixture(scope="module")
def details(model, corpus):
    rows = [*corpus.test, ("the caddie took the putter", "cricket"), ("ace", "tennis")]
    return evaluation.evaluate(model, rows)[1]


@pytest.fixture(scope="module")
def words(model):
    return report.strongest_words(model.vocabulary, model.coefficients, model.labels)


@pytest.fixture(scope="module")
def page(facts, model, details, words):
    def page(
        facts=facts,
        details=details,
        words=words,
        previous=None,
        parameters=model.parameters,
        certificate=None,
    ):
        byproducts = {"evaluation": details, "replaced": previous, "certificate": certificate}
        statement = with_byproducts(model.statement, **byproducts)
        return report.page(facts, statement, parameters, words)

    return page


@pytest.fixture(scope="session")
def sealed(model, tmp_path_factory):
    """The bytes of the small model, sealed with the demo key."""
    path = tmp_path_factory.mktemp("sealed") / "small.tar.gz"
    tarball.seal(model, path, signing_key.demo_key())
    return path.read_bytes()


@pytest.fixture
def earlier(sealed, tmp_path):
    """A folder of models that already holds one: what must survive whatever fails."""
    path = tmp_path / "models" / "sports.tar.gz"
    path.parent.mkdir()
    path.write_bytes(sealed)
    return path


@pytest.fixture
def untouched(earlier, sealed):
    def untouched():
        assert earlier.read_bytes() == sealed
        assert list(earlier.parent.iterdir()) == [earlier]

    return untouched


@pytest.fixture
def checkout(tmp_path):
    """A copy of what train.py needs of this checkout, for tests that change it."""
    return copy_checkout(tmp_path / "checkout")


@pytest.fixture
def in_memory():
    """Make a program of a script, where no file in /tmp may be run; its path."""
    holders = []

    def in_memory(script):
        program = os.memfd_create("program", 0)
        os.fchmod(program, 0o755)
        os.write(program, script.encode())
        holders.append(subprocess.Popen(["/usr/bin/sleep", "600"], pass_fds=[program]))
        os.close(program)
        return Path(f"/proc/{holders[-1].pid}/fd/{program}")

    yield in_memory
    for holder in holders:
        with holder:
            holder.kill()


@pytest.fixture(scope="session")
def stranger():
    """A key that nobody trusts."""
    return make_key("Pferd, größer  als 100 %")
