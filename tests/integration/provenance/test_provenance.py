"""The statement that travels inside a model."""

import base64
import copy
import hashlib
import json
import subprocess
from dataclasses import replace

import pytest
from support import ROOT
from support.models import stated, surroundings

from pressbox.environment import drift, passport
from pressbox.environment.passport import STEERING
from pressbox.errors import PressboxError, UsageError
from pressbox.provenance import code
from pressbox.provenance import statement as provenance
from pressbox.provenance.statement import Facts, SignedBy, Statement

METRICS = {"accuracy": 0.9, "macro_f1": 0.8, "rows": 7}
DIGEST = "sha256:" + "a" * 64

# The fields as in-toto and SLSA publish them, and which of them have to be there.
# https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
# https://github.com/in-toto/attestation/blob/main/spec/v1/resource_descriptor.md
# https://slsa.dev/spec/v1.0/provenance
STATEMENT = {"_type", "subject", "predicateType", "predicate"}
PREDICATE = {"buildDefinition", "runDetails"}
DEFINITION = {"buildType", "externalParameters", "internalParameters", "resolvedDependencies"}
RUN = {"builder", "metadata", "byproducts"}
BUILDER = {"id", "builderDependencies", "version"}
METADATA = {"invocationId", "startedOn", "finishedOn"}
DESCRIPTOR = {"name", "uri", "digest", "content", "downloadLocation", "mediaType", "annotations"}


@pytest.fixture
def repository(tmp_path, monkeypatch):
    def git(*arguments):
        command = ["git", "-c", "user.name=T", "-c", "user.email=t@t.example", *arguments]
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "--quiet")
    (tmp_path / "train.py").write_text("")
    (tmp_path / ".gitignore").write_text("ignored*\n")
    git("add", ".")
    git("commit", "--quiet", "--message", "Train")
    monkeypatch.setattr(code, "ROOT", tmp_path)
    return tmp_path, git("rev-parse", "HEAD"), git


@pytest.mark.parametrize(
    ("changed", "dirty"),
    [
        (None, False),
        ("ignored", False),
        ("ignored.py", True),
        ("ignored.pyc", True),
        ("ignored.so", True),
        ("ignored.pth", True),
        (".hidden/ignored.py", False),
        ("train.py", True),
        ("new", True),
    ],
)
def test_the_commit_and_whether_the_tree_differs_are_told(changed, dirty, repository):
    root, commit, _ = repository
    if changed:
        (root / changed).parent.mkdir(exist_ok=True)
        (root / changed).write_text("changed")
    found = code.current()
    assert (found.commit, found.dirty, found.uri) == (commit, dirty, None)


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_that_git_was_told_to_overlook_is_told(flag, repository):
    root, _, git = repository
    git("update-index", flag, "train.py")
    (root / "train.py").write_text("changed")
    assert git("status", "--porcelain") == ""
    assert code.current().dirty is True


@pytest.mark.parametrize("driver", ["mine", "a=b", "a.clean", "=", "", "\xe9", "Mine"])
def test_nothing_that_the_repository_or_the_caller_names_is_run(
    driver, repository, tmp_path, monkeypatch
):
    root, commit, git = repository
    ran = tmp_path / ".git" / "ran"
    for name in (f"filter.{driver}.clean", f"filter.{driver}.process", "core.fsmonitor"):
        git("config", name, f"touch {ran}; cat")
    (root / ".git" / "info" / "attributes").write_text(f"* filter={driver}\n")
    (root / "train.py").touch()
    (root / ".git" / "bin").mkdir()
    (root / ".git" / "bin" / "git").symlink_to("/usr/bin/false")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_TRACE", str(ran))
    monkeypatch.setenv("PATH", f"{root}/.git/bin:/usr/bin")
    assert code.current().commit == commit
    assert not ran.exists()
    monkeypatch.undo()
    git("status")
    assert ran.exists()


@pytest.mark.parametrize(
    ("remote", "uri"),
    [
        ("https://me:token@git.example/news/pressbox.git", "https://git.example/news/pressbox.git"),
        ("ssh://git@git.example/news/pressbox", "ssh://git.example/news/pressbox"),
        ("git@git.example:news/pressbox", None),
        ("/srv/git/pressbox", None),
    ],
)
def test_the_repository_is_told_without_its_password(remote, uri, repository):
    repository[2]("remote", "add", "origin", remote)
    assert code.current().uri == (uri and f"git+{uri}")


def assert_unknown(why):
    found = code.current()
    assert (found.commit, found.dirty, found.uri) == ("unknown", None, None)
    assert why in found.why


def test_without_a_repository_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(code, "ROOT", tmp_path)
    assert_unknown("not a git repository")


def test_a_tree_below_another_repository_is_not_at_its_commit(repository, monkeypatch):
    below = repository[0] / "unpacked"
    below.mkdir()
    monkeypatch.setattr(code, "ROOT", below)
    assert_unknown("the repository is at")


def test_a_worktree_whose_repository_is_out_of_sight_says_so(repository, monkeypatch):
    below = repository[0] / "worktree"
    below.mkdir()
    (below / ".git").write_text("gitdir: ../../elsewhere/.git/worktrees/mine\n")
    monkeypatch.setattr(code, "ROOT", below)
    assert_unknown("git: not a git repository: ")


def test_without_git_the_commit_is_unknown(repository, monkeypatch):
    monkeypatch.setattr("pressbox.provenance.git.GIT", "/nowhere/git")
    assert_unknown("there is no /nowhere/git")


def descriptors(statement):
    predicate = statement["predicate"]
    yield from statement["subject"]
    yield from predicate["buildDefinition"]["resolvedDependencies"]
    yield from predicate["runDetails"]["byproducts"]


def test_the_fields_are_the_published_ones(repository, corpus):
    statement = stated("sports", DIGEST, corpus, METRICS)
    predicate = statement["predicate"]
    definition, run = predicate["buildDefinition"], predicate["runDetails"]
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement.keys() == STATEMENT
    assert predicate.keys() == PREDICATE
    assert definition.keys() == DEFINITION
    assert run.keys() == RUN
    assert {"id"} <= run["builder"].keys() <= BUILDER
    assert {"startedOn", "finishedOn"} <= run["metadata"].keys() <= METADATA
    for descriptor in descriptors(statement):
        assert descriptor.keys() <= DESCRIPTOR
    for subject in statement["subject"]:
        assert subject["digest"]
    for dependency in definition["resolvedDependencies"]:
        assert dependency.keys() & {"uri", "digest", "content"}


def test_what_the_model_was_made_of_is_named_with_its_digest(repository, corpus):
    statement = stated("sports", DIGEST, corpus, METRICS)
    definition = statement["predicate"]["buildDefinition"]
    used = provenance.resources(definition["resolvedDependencies"])
    here = surroundings()
    lock = hashlib.sha256((ROOT / "poetry.lock").read_bytes()).hexdigest()
    assert statement["subject"] == [{"name": "sports", "digest": {"sha256": "a" * 64}}]
    assert used["code"]["digest"] == {"gitCommit": repository[1]}
    assert used["code"]["annotations"]["dirty"] is False
    assert used["data"]["digest"]["sha256"] == corpus.digest[7:]
    assert used["poetry.lock"]["digest"]["sha256"] == lock
    assert used["environment"]["digest"]["sha256"] == here.digest[7:]
    expected = {"deep": False, "drift": [], "passport": here.passport}
    assert used["environment"]["annotations"] == expected
    assert passport.digest(passport.canonical(here.passport)) == here.digest
    assert used["special_k"]["uri"] == "pkg:pypi/special-k@0.1.1"
    assert definition["internalParameters"]["variables"].keys() == set(STEERING)


def test_the_code_that_trains_is_listed_by_file():
    files = code.code_files()
    assert {"train.py", "pressbox/learning/training.py"} <= files.keys()
    assert not any(name.startswith("tests/") for name in files)
    assert files["train.py"][7:] == hashlib.sha256((ROOT / "train.py").read_bytes()).hexdigest()


def test_packages_beside_train_py_are_code(tmp_path):
    for name in ("train.py", "mine/__init__.py", "mine/deep/help.py", "no_package/x.py", "a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = code.code_files(tmp_path)
    assert list(found) == ["mine/__init__.py", "mine/deep/help.py", "train.py"]


def test_what_an_editor_leaves_beside_the_code_is_no_code(tmp_path):
    (tmp_path / "train.py").touch()
    (tmp_path / ".#train.py").symlink_to("me@host.1:2")
    assert list(code.code_files(tmp_path)) == ["train.py"]


def test_code_that_cannot_be_read_is_one_error(tmp_path):
    (tmp_path / "train.py").touch(mode=0o000)
    with pytest.raises(PressboxError, match=r"the code cannot be read .*train\.py"):
        code.code_files(tmp_path)


def test_the_data_are_counted_and_each_row_can_be_told_from_others(corpus):
    statement = Statement(stated("sports", DIGEST, corpus, METRICS))
    part = statement.annotations("data")["test"]
    assert sum(part["labels"].values()) == len(corpus.test)
    rows = base64.b64decode(part["rows"])
    assert len(rows) == provenance.ROW_BYTES * len(corpus.test)
    row = hashlib.sha256(json.dumps(corpus.test[0]).encode()).digest()
    assert row[: provenance.ROW_BYTES] in rows


def test_the_summary_gives_back_what_the_statement_was_made_of(repository, corpus):
    statement = Statement(stated("sports", DIGEST, corpus, METRICS))
    signer = SignedBy("D402", demo=True, experiments_only=False, expires=None, user_id="Demo")
    facts = Facts.of(signer, statement, ["x", "y"]).as_json()
    assert facts["sealed_at"].endswith("Z")
    told = {
        "verdict": signer.verdict,
        "signer": {
            "fingerprint": "D402",
            "demo": True,
            "experiments_only": False,
            "expires": None,
            "user_id": "Demo",
        },
        "name": "sports",
        "model_digest": DIGEST,
        "environment_digest": surroundings().digest,
        "drift": [],
        "data_digest": corpus.digest,
        "code": {"commit": repository[1], "dirty": False},
        "door": "inside",
        "release": False,
        "source": "small.jsonl",
        "sealed_at": facts["sealed_at"],
        "metrics": METRICS,
        "labels": ["x", "y"],
    }
    assert json.dumps(facts) == json.dumps(told)


def test_drift_is_in_the_statement_for_ever(corpus):
    here = replace(surroundings(), drift=("numpy was changed",), stale=("poetry.lock",))
    told = Statement(stated("sports", DIGEST, corpus, METRICS, here)).drift
    assert told == ["numpy was changed", "poetry.lock is not what this environment was built from"]


def test_without_passport_and_repository_the_statement_says_unknown(tmp_path, corpus, monkeypatch):
    monkeypatch.setattr(code, "ROOT", tmp_path)
    here = drift.current(folder=tmp_path)
    statement = Statement(stated("sports", DIGEST, corpus, METRICS, here))
    assert statement.environment_digest == statement.code.commit == "unknown"
    assert "no passport" in statement.drift[0]


def at(path, value):
    def edit(statement):
        for step in path[:-1]:
            statement = statement[step]
        statement[path[-1]] = value

    return edit


@pytest.mark.parametrize("door", ["docker", "podman", "devcontainer", "inside"])
def test_the_door_is_told(door, corpus, monkeypatch):
    monkeypatch.setenv("PRESSBOX_DOOR", door)
    assert Statement(stated("sports", DIGEST, corpus, METRICS)).door == door


def test_a_door_that_there_is_not_is_refused(corpus, monkeypatch):
    monkeypatch.setenv("PRESSBOX_DOOR", "back")
    with pytest.raises(UsageError, match="unset PRESSBOX_DOOR"):
        stated("sports", DIGEST, corpus, METRICS)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_statements_of_earlier_versions_are_read_and_are_no_releases(version, corpus):
    here = replace(surroundings(), deep=True)
    statement = stated("sports", DIGEST, corpus, METRICS, here, release=True)
    definition = statement["predicate"]["buildDefinition"]
    assert Statement(statement).release is True
    del definition["internalParameters"]["door"]
    definition["buildType"] = f"https://pressbox.example/train/{version}"
    if version == "v1":
        definition["externalParameters"] = {"source": "newsroom"}
    earlier = Statement(statement)
    assert (earlier.door, earlier.release) == ("unknown", False)


DEFINED = ("predicate", "buildDefinition")
UNKNOWN = {
    "_type": at(("_type",), "https://in-toto.io/Statement/v2"),
    "predicateType": at(("predicateType",), "https://slsa.dev/provenance/v2"),
    "buildType": at((*DEFINED, "buildType"), "https://pressbox.example/train/v99"),
    "field 'extra'": at(("extra",), 1),
    "field 'predicate.extra'": at(("predicate", "extra"), 1),
    "field 'subject": at(("subject", 0, "extra"), 1),
    "field 'predicate.buildDefinition.extra'": at((*DEFINED, "extra"), 1),
    "field 'parameter'": at((*DEFINED, "externalParameters", "parameter"), 1),
    "field 'predicate.runDetails.builder.extra'": at(
        ("predicate", "runDetails", "builder", "extra"), 1
    ),
    "drift that is not in words": at(
        (*DEFINED, "resolvedDependencies", 3, "annotations", "drift"), [1]
    ),
}


@pytest.mark.parametrize("expected", UNKNOWN)
def test_an_unknown_field_or_version_is_an_error_not_a_guess(expected, corpus):
    statement = copy.deepcopy(stated("sports", DIGEST, corpus, METRICS))
    UNKNOWN[expected](statement)
    with pytest.raises(ValueError, match=expected.replace("'", ".")):
        Statement(statement)
