"""python -m pressbox replay: train a model again, and say whether it is the same."""

import copy
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.hostile import at, stated_anew
from support.keys import rest_all
from support.processes import assert_refused, python

from pressbox.environment.passport import STEERING
from pressbox.runs import confinement
from pressbox.runs import replay as replaying
from pressbox.sealing import tarball
from pressbox.trust import signing_key


def replay(checkout, *arguments, **env):
    return python("-m", "pressbox", "replay", "--demo", *arguments, cwd=checkout, env=env)


# Where somebody's agent can be reached, nothing is replayed.
pytestmark = [pytest.mark.alone, pytest.mark.usefixtures("no_agent")]


@pytest.fixture
def no_agent():
    rest_all()


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


def test_what_a_table_does_not_say_of_itself_is_recorded_and_used_again(checkout, rows, tmp_path):
    table, path = tmp_path / "rows.csv", tmp_path / "small.tar.gz"
    lines = ["-topic;body text", *(f"{label};{text}, a caf\xe9" for text, label in rows)]
    table.write_text("\n".join(lines), encoding="cp1252")
    layout = ["--text-column", "body text", "--label-column=-topic", "--delimiter", ";"]
    done = python("train.py", path, "--data", table, *layout, "--encoding=cp1252", cwd=checkout)
    assert done.returncode == 0, done.stderr
    assert tarball.verify(path).statement.parameters.items() >= {
        ("text_column", "body text"),
        ("label_column", "-topic"),
        ("delimiter", ";"),
        ("encoding", "cp1252"),
    }
    again = replay(checkout, path, "--data", table)
    assert (again.returncode, again.stdout[:10]) == (0, "identical "), again.stderr


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
    assert_refused(refused, 1, "trained from uncommitted code that differs from this in train.py")


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
    done = replay(checkout, trained, "--data", table, OMP_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("identical ")
    assert "drifted in the second: variable OMP_NUM_THREADS is 2" in done.stdout


def test_what_does_not_belong_to_the_environment_does_not_reach_the_code(checkout, trained, table):
    done = replay(checkout, trained, "--data", table, OPENBLAS_CORETYPE="Prescott")
    assert done.returncode == 0, done.stderr
    assert "drifted" not in done.stdout


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
    tarball.seal(forged, trained, signing_key.demo_key())
    done = replay(checkout, trained, "--data", table)
    assert done.returncode == 1
    assert done.stdout.startswith("different\n")
    assert "intercepts['cricket'] is " in done.stdout


def test_a_model_that_is_not_trusted_is_not_replayed(checkout, trained, table):
    trained.write_bytes(trained.read_bytes()[:-10])
    assert_refused(replay(checkout, trained, "--data", table), 3, "not trusted")


# Code that nobody here has reviewed is not run


COMMIT = ("predicate", "buildDefinition", "resolvedDependencies", 0, "digest", "gitCommit")
FILES = ("predicate", "buildDefinition", "resolvedDependencies", 0, "annotations", "files")


def test_a_model_of_the_demo_key_is_replayed_only_when_that_is_asked_for(checkout, trained, table):
    refused = python("-m", "pressbox", "replay", trained, "--data", table, cwd=checkout)
    assert_refused(refused, 3, "add --demo to run it anyway")


@pytest.mark.parametrize(
    "commit",
    ["--remote=git://127.0.0.1/evil", "--output=/tmp/written", "refs/remotes/origin/pr/7", "HEAD",
     "main", "v1", "0" * 39, "0" * 41, "0" * 63 + "G", "A" * 40, "0" * 40 + "\n", "", None, 5],
)  # fmt: skip
def test_a_commit_that_is_no_full_digest_is_not_one(commit, committed):
    committed.write_bytes(stated_anew(committed, at(COMMIT, commit)))
    with pytest.raises(tarball.NotTrusted, match=r"not trusted \(statement\)"):
        tarball.verify(committed)


def on_another_branch(checkout, reference):
    """Move the commit of the model to where only ``reference`` leads to it."""
    commit = git(checkout, "rev-parse", "HEAD")
    branch = git(checkout, "symbolic-ref", "HEAD")
    git(checkout, "update-ref", reference, commit)
    git(checkout, "checkout", "--quiet", "--orphan", "other")
    git(checkout, "commit", "--quiet", "--all", "--allow-empty", "--message", "Other")
    git(checkout, "update-ref", "-d", branch)


@pytest.mark.parametrize("reference", ["refs/remotes/origin/pr/7", "refs/tags/v1", "refs/stash"])
def test_a_commit_that_is_on_no_branch_of_this_repository_is_not_run(
    reference, checkout, committed, table
):
    on_another_branch(checkout, reference)
    refused = replay(checkout, committed, "--data", table)
    assert_refused(refused, 1, "is in this repository, but not on any of its branches")


def test_a_commit_on_another_local_branch_is_run(checkout, committed, table):
    on_another_branch(checkout, "refs/heads/reviewed")
    done = replay(checkout, committed, "--data", table)
    assert done.returncode == 0, done.stderr


def test_without_its_list_of_files_nothing_is_run(checkout, committed, table):
    committed.write_bytes(stated_anew(committed, at(FILES, {})))
    refused = replay(checkout, committed, "--data", table)
    assert_refused(refused, 1, "does not name the files that trained it")


def test_another_file_than_the_one_that_was_signed_is_not_run(checkout, committed, table):
    committed.write_bytes(stated_anew(committed, at((*FILES, "train.py"), f"sha256:{0:064}")))
    rest_all()
    refused = replay(checkout, committed, "--data", table)
    assert_refused(refused, 1, "does not hold the code that the model names")


def test_no_attribute_filter_or_configuration_of_the_repository_takes_part(
    checkout, committed, table, tmp_path
):
    """Each would write a file, or change or leave out one of the commit."""
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\ncat\n")
    evil.chmod(0o755)
    info = checkout / ".git" / "info" / "attributes"
    info.parent.mkdir(exist_ok=True)
    info.write_text("*.py filter=evil export-ignore\n*.json export-subst\n")
    for name in ("core.fsmonitor", "filter.evil.smudge", "filter.evil.process", "core.pager",
                 "tar.tar.command", "core.sshCommand", "uploadpack.packObjectsHook"):  # fmt: skip
        git(checkout, "config", name, str(evil))
    done = replay(checkout, committed, "--data", table, GIT_DIR="/nowhere", GIT_TRACE=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "train.py"])
def test_a_link_in_the_commit_is_refused(target, checkout, committed, table):
    (checkout / "pressbox" / "data.txt").symlink_to(target)
    git(checkout, "add", "--force", "pressbox/data.txt")
    git(checkout, "commit", "--quiet", "--message", "Link")
    committed.write_bytes(stated_anew(committed, at(COMMIT, git(checkout, "rev-parse", "HEAD"))))
    refused = replay(checkout, committed, "--data", table)
    assert_refused(refused, 1, "'pressbox/data.txt', which is not a plain file")


# What the code that is run can reach


SPY = """
import json, os, socket, sys

def tried(do, *arguments):
    try:
        return [str(do(*arguments)), "done"]
    except OSError as error:
        return [type(error).__name__, "refused"]

print(json.dumps({
    "network": [tried(socket.socket, family)[1] for family in (2, 10, 16, 17, 40)],
    "sockets of its own": tried(socket.socket, socket.AF_UNIX)[1],
    "write": [tried(open, path, "a")[1] for path in sys.argv[1].split(":")],
    "read": [tried(open, path)[1] for path in sys.argv[2].split(":")],
    "environment": sorted(os.environ),
    "own": tried(open, os.environ["HOME"] + "/own", "w")[1],
}), file=sys.stderr)
"""


def spied(folder, write, read):
    """What code finds that is run as a model's is."""
    tree, home = folder / "tree", folder / "home"
    for path in (tree, home):
        path.mkdir()
    (tree / "spy.py").write_text(SPY)
    places = (":".join(map(str, paths)) for paths in (write, read))
    command = ["/bin/sh", "-c", '"$@" 2> "$HOME/said"', "sh", sys.executable, "spy.py", *places]
    replaying._run_confined(command, tree, [tree], [home], home)
    return json.loads((home / "said").read_text())


def test_the_code_reaches_no_network_no_key_and_no_file_of_this_user(
    tmp_path, checkout, monkeypatch
):
    key = tmp_path / "signing.sec.asc"
    key.write_text("secret")
    monkeypatch.setenv("PRESSBOX_SIGNING_KEY", "secret")
    monkeypatch.setenv("GNUPGHOME", "/secret")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/secret")
    places = [checkout / "train.py", checkout / "new.py", key, "/tmp/new", "/etc/new"]
    ours, downloaded = f"/proc/{os.getpid()}/environ", tmp_path / "home-of-data" / "archive"
    downloaded.parent.mkdir()
    downloaded.write_text("downloaded once")
    monkeypatch.setenv("PRESSBOX_DATA_HOME", str(downloaded.parent))
    read = [key, checkout / "train.py", ours, "/etc/hostname", downloaded]
    found = spied(tmp_path, [*places, downloaded], read)
    assert found.pop("environment") == sorted(
        {"HOME", "PATH", "PRESSBOX_DATA_HOME", "PWD", "PYTHONDONTWRITEBYTECODE", "TMPDIR"}
        | (os.environ.keys() & STEERING)
    )
    assert found == {
        "network": ["refused"] * 5,
        "sockets of its own": "done",
        "write": ["refused"] * 6,
        "read": ["refused", "refused", "refused", "done", "done"],
        "own": "done",
    }


def test_where_a_socket_of_this_user_can_be_reached_nothing_is_run(checkout, trained, table):
    with socket.socket(socket.AF_UNIX) as agent:
        path = f"/tmp/agent-{os.getpid()}"
        agent.bind(path)
        agent.listen()
        try:
            refused = replay(checkout, trained, "--data", table)
        finally:
            Path(path).unlink()
    assert_refused(refused, 1, f"could reach {path}")


def test_where_code_cannot_be_confined_nothing_is_run(tmp_path, monkeypatch):
    known = tmp_path / "confinement.py"
    source = Path(confinement.__file__).read_text()
    known.write_text(source.replace("VERSION = 3\n", "VERSION = 999\n", 1))
    monkeypatch.setattr(confinement, "__file__", str(known))
    with pytest.raises(tarball.PressboxError, match="cannot be confined here"):
        spied(tmp_path, [], [])
    assert not (tmp_path / "home" / "said").exists()
