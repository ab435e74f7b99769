"""python -m pressbox replay: train a model again, and say whether it is the same."""

import copy
import json
import subprocess

import numpy as np
import pytest
from conftest import assert_refused, python

from pressbox import signing, tarball


def replay(checkout, *arguments, **env):
    return python("-m", "pressbox", "replay", *arguments, cwd=checkout, env=env)


@pytest.fixture
def trained(checkout, tmp_path, table):
    """A model of the small table, trained by a copy of this checkout."""
    path = tmp_path / "small.tar.gz"
    done = python("train.py", path, "--data", table, cwd=checkout)
    assert done.returncode == 0, done.stderr
    return path


def test_a_model_is_trained_again_and_is_identical(checkout, trained, table):
    done = replay(checkout, trained, "--data", table)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"identical {tarball.describe(trained)['model_digest']}\n"
    assert "this checkout" in done.stderr


def test_a_source_that_is_a_path_has_to_be_named(checkout, trained):
    assert_refused(replay(checkout, trained), 2, "say where it is: --data PATH")


def test_other_rows_are_told(checkout, trained, table):
    other = table.parent / "less.jsonl"
    other.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    done = replay(checkout, trained, "--data", other, "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["identical"] is False
    assert any("rows to " in line for line in answer["differences"]["data"])


def test_other_code_that_is_in_no_commit_is_refused(checkout, trained, table):
    with (checkout / "train.py").open("a") as file:
        file.write("# edited\n")
    refused = replay(checkout, trained, "--data", table)
    assert_refused(refused, 1, "trained from uncommitted code, not from this: train.py")


def git(checkout, *arguments):
    identity = ["-c", "user.name=T", "-c", "user.email=t@t.example"]
    command = ["git", "-C", checkout, *identity, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def committed(checkout, tmp_path, table):
    """A model of a commit, in a checkout that has moved on."""
    git(checkout, "init", "--quiet")
    git(checkout, "add", "--all", "--force")
    git(checkout, "commit", "--quiet", "--message", "Train")
    path = tmp_path / "small.tar.gz"
    assert python("train.py", path, "--data", table, cwd=checkout).returncode == 0
    edited = (checkout / "train.py").read_text().replace("C=", "max_iter=999, C=1", 1)
    (checkout / "train.py").write_text(edited.replace(", max_iter=1000", ""))
    return path


def test_the_commit_of_a_model_is_replayed_whatever_the_tree_is_now(checkout, committed, table):
    done = replay(checkout, committed, "--data", table)
    assert done.returncode == 0, done.stderr
    assert f"taking the code from commit {git(checkout, 'rev-parse', 'HEAD')}" in done.stderr
    assert done.stdout.startswith("identical ")


def test_a_commit_that_is_not_there_is_named(checkout, committed, table):
    subprocess.run(["rm", "-rf", checkout / ".git"], check=True)
    git(checkout, "init", "--quiet")
    commit = tarball.describe(committed)["code"]["commit"]
    refused = replay(checkout, committed, "--data", table)
    assert_refused(refused, 1, f"commit {commit} is not in this repository")


def test_another_environment_is_a_difference_not_an_error(checkout, trained, table):
    done = replay(checkout, trained, "--data", table, OPENBLAS_CORETYPE="Prescott")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("identical ")
    assert "drifted in the second: variable OPENBLAS_CORETYPE is set" in done.stdout


def test_a_number_that_was_changed_is_found(checkout, trained, table, model):
    """A signer may seal what no training gave; replay is what notices."""
    sealed = tarball.open_model(trained)
    forged = copy.copy(sealed)
    forged.intercepts = sealed.intercepts + np.array([1.0, 0.0, 0.0])
    expected = forged.predict_proba([probe["text"] for probe in sealed.probes])
    forged.probes = [
        {"text": probe["text"], "probabilities": row.tolist()}
        for probe, row in zip(sealed.probes, expected, strict=True)
    ]
    forged.statement["subject"][0]["digest"]["sha256"] = forged.digest[7:]
    tarball.seal(forged, trained, signing.demo_key())
    done = replay(checkout, trained, "--data", table)
    assert done.returncode == 1
    assert done.stdout.startswith("different\n")
    assert "intercepts['cricket'] is " in done.stdout


def test_a_model_that_is_not_trusted_is_not_replayed(checkout, trained, table):
    trained.write_bytes(trained.read_bytes()[:-10])
    assert_refused(replay(checkout, trained, "--data", table), 3, "not trusted")
