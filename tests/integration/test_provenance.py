"""The statement that travels inside a model."""

import subprocess

import pytest

from pressbox import provenance
from pressbox.passport import STEERING, environment_digest

METRICS = {"accuracy": 0.9, "macro_f1": 0.8, "rows": 7}
DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def repository(tmp_path, monkeypatch):
    def git(*arguments):
        command = ["git", "-c", "user.name=T", "-c", "user.email=t@t.example", *arguments]
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "--quiet")
    (tmp_path / "train.py").write_text("")
    (tmp_path / ".gitignore").write_text("ignored\n")
    git("add", ".")
    git("commit", "--quiet", "--message", "Train")
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    return tmp_path, git("rev-parse", "HEAD")


@pytest.mark.parametrize(
    ("changed", "dirty"), [(None, False), ("ignored", False), ("train.py", True), ("new", True)]
)
def test_the_commit_and_whether_the_tree_differs_are_told(changed, dirty, repository):
    root, commit = repository
    if changed:
        (root / changed).write_text("changed")
    assert provenance.code() == {"commit": commit, "dirty": dirty}


def test_without_a_repository_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    assert provenance.code() == {"commit": "unknown", "dirty": None}


def test_without_git_the_commit_is_unknown(repository, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert provenance.code() == {"commit": "unknown", "dirty": None}


def test_the_statement_is_in_toto_with_slsa_provenance(repository, corpus):
    statement = provenance.statement("sports", DIGEST, corpus, METRICS)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"] == [{"name": "sports", "digest": {"sha256": "a" * 64}}]
    definition = statement["predicate"]["buildDefinition"]
    assert definition["internalParameters"]["variables"].keys() == set(STEERING)
    used = {entry["name"]: entry for entry in definition["resolvedDependencies"]}
    assert used["code"]["digest"] == {"gitCommit": repository[1]}
    assert used["special_k"]["annotations"] == {"version": "0.1.1"}


def test_the_summary_gives_back_what_the_statement_was_made_of(repository, corpus):
    summary = provenance.summary(provenance.statement("sports", DIGEST, corpus, METRICS))
    assert summary.pop("sealed_at").endswith("Z")
    assert summary == {
        "name": "sports",
        "model_digest": DIGEST,
        "environment_digest": environment_digest(),
        "data_digest": corpus.digest,
        "code": {"commit": repository[1], "dirty": False},
        "source": "small.jsonl",
        "metrics": METRICS,
    }
