"""What the tests share: a small corpus, a sealed model of it, throw-away keys, the command line."""

import contextlib
import copy
import fcntl
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

with warnings.catch_warnings():
    # pytest.ini makes warnings errors, and Debian's gpg, made by SWIG, crashes where one is.
    warnings.simplefilter("ignore")
    import gpg as _  # noqa: F401

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from pressbox.data.corpus import load_corpus
from pressbox.environment import drift
from pressbox.learning import training
from pressbox.learning.evaluation import evaluate
from pressbox.provenance import code, statement
from pressbox.sealing import tarball
from pressbox.trust import gnupg, signing_key

ROOT = Path(__file__).resolve().parent.parent
REAL_DATA = "PRESSBOX_REAL_DATA"
# The tests came through a door; what they start did not.
os.environ.pop("PRESSBOX_DOOR", None)
DEMO = "D4021E7D4529EC2E3058A92277DDEEAA3A5411D4"
TEXTS = ["a wicket and an innings", "the caddie took the putter", "", "nothing known"]
WORDS = {
    "cricket": ["wicket", "innings", "bowler", "crease", "stumps", "umpire", "googly", "maiden"],
    "golf": ["fairway", "bunker", "putt", "caddie", "birdie", "links", "albatross", "tee"],
    "tennis": ["racket", "serve", "volley", "baseline", "deuce", "rally", "tiebreak", "ace"],
}


def pytest_configure(config):
    config.addinivalue_line("markers", f"real_data: needs the folder that {REAL_DATA} names")
    config.addinivalue_line("markers", "alone: no other test may run at the same time")
    # special_k asks for the time in the way of 2020, which Python deprecated since.
    config.addinivalue_line("filterwarnings", "ignore:datetime.datetime.utcnow:DeprecationWarning")
    # A developer's own key takes no part.
    for name in ("FD", "KEY", "PASSPHRASE"):
        os.environ.pop(f"PRESSBOX_SIGNING_{name}", None)


def pytest_report_header():
    return f"real data: {os.environ.get(REAL_DATA) or f'none ({REAL_DATA} is not set)'}"


def pytest_collection_modifyitems(config, items):
    if not os.environ.get(REAL_DATA):
        needing = [item for item in items if item.get_closest_marker("real_data")]
        config.hook.pytest_deselected(items=needing)
        items[:] = [item for item in items if item not in needing]


@contextlib.contextmanager
def locked(path, kind):
    with path.open("a") as file:
        fcntl.flock(file, kind)
        try:
            yield
        finally:
            # Closing would not do where a child has the file, too.
            fcntl.flock(file, fcntl.LOCK_UN)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Keep the tests of pytest-xdist's other workers from one that is marked ``alone``."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    shared = Path(item.config.option.basetemp).parent
    alone = item.get_closest_marker("alone")
    with contextlib.ExitStack() as room:
        # One by one through the door: whoever waits there to be alone is overtaken by nobody.
        with locked(shared / "door", fcntl.LOCK_EX):
            kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
            room.enter_context(locked(shared / "room", kind))
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


def write_jsonl(path, rows):
    lines = (json.dumps({"text": text, "label": label}) for text, label in rows)
    path.write_text("\n".join(lines) + "\n")
    return path


def shuffled(rows):
    return sorted(rows, key=lambda row: row[0][::-1])


@pytest.fixture(scope="session")
def table(rows, tmp_path_factory):
    """The path of a small .jsonl file."""
    return write_jsonl(tmp_path_factory.mktemp("source") / "small.jsonl", rows)


@pytest.fixture(scope="session")
def corpus(table):
    return load_corpus(str(table))


def solver(**parameters):
    """An estimator that is good enough for any CPU."""
    exact = {"solver": "newton-cg", "max_iter": 1000}
    return LogisticRegression(**{**exact, **parameters})


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
    metrics, _ = evaluate(model, corpus.test)
    model.statement = stated("small", model.digest, corpus, metrics)
    return model


@functools.cache
def surroundings():
    return drift.current()


def stated(name, digest, corpus, metrics=(), here=None, **parameters):
    """The statement that train.py makes."""
    chosen = {"release": False, "allow_drift": False, **parameters}
    byproducts = {"metrics": dict(metrics)}
    here, now = here or surroundings(), datetime.now(UTC)
    return statement.statement(name, digest, corpus, code.current(), here, chosen, byproducts, now)


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
    folder = tmp_path / "checkout"
    for name in ("corpus", "gnupg", "pressbox", "third_party"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("train.py", "poetry.lock", "pyproject.toml", ".devcontainer"):
        path = ROOT / name
        if path.is_dir():
            ignored = shutil.ignore_patterns("node_modules")
            shutil.copytree(path, folder / name, ignore=ignored)
        else:
            shutil.copy(path, folder / name)
    return folder


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


@dataclass(frozen=True)
class ThrowAwayKey:
    signing: gnupg.SigningKey
    public: bytes
    fingerprint: str


def make_key(passphrase):
    with tempfile.TemporaryDirectory(prefix="key-") as home:
        gpg = ["gpg", "--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback"]
        gpg += ["--passphrase", passphrase, "--armor"]

        def ask(*arguments):
            return subprocess.run([*gpg, *arguments], check=True, capture_output=True).stdout

        ask("--quick-gen-key", "Throw Away <throw@away.example>", "ed25519", "sign", "never")
        secret, public = ask("--export-secret-keys"), ask("--export")
        [fingerprint, *_] = [
            line.split(":")[9]
            for line in ask("--with-colons", "--list-keys").decode().splitlines()
            if line.startswith("fpr:")
        ]
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)
    return ThrowAwayKey(gnupg.SigningKey(secret, passphrase), public, fingerprint)


@pytest.fixture(scope="session")
def stranger():
    """A key that nobody trusts."""
    return make_key("Pferd, größer  als 100 %")


def trust(folder, *trusted):
    """Make the folder one of trusted signers, as gnupg/ is: these, and no others."""
    folder.mkdir(exist_ok=True)
    names = {f"{key.fingerprint}.pub.asc": key for key in trusted}
    for name, key in names.items():
        (folder / name).write_bytes(key.public)
    fingerprints = {name: key.fingerprint for name, key in names.items()}
    (folder / "keyname-to-fingerprint.json").write_text(json.dumps(fingerprints))
    lines = (f"{key.fingerprint}:6:\n" for key in trusted)
    (folder / "trustdb.txt").write_text("# ownertrust\n" + "".join(lines))
    return folder


def python(*arguments, cwd=ROOT, env=(), **options):
    """Run Python as a person does, in this checkout or a copy: ``python("train.py", path)``."""
    if arguments[:2] == ("-m", "pressbox"):
        # By its name, that of the container would be found, and not the one of a copy.
        folders = (Path(folder, "pressbox", "__main__.py") for folder in (cwd, ROOT))
        arguments = (next(filter(Path.exists, folders)), *arguments[2:])
    options = {"input": "", "text": not isinstance(options.get("input"), bytes), **options}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **dict(env)},
        capture_output=True,
        timeout=120,
        **options,
    )


def assert_refused(done, status, saying=""):
    """One error line, what happened and what to do, and nothing a person should not see."""
    assert done.returncode == status, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert "; " in errors[0]
    assert saying in errors[0]
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
