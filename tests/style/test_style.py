"""The style that tools can check: scripts/test.sh style."""

import os
import re
import shutil
import subprocess

import pytest
from support import ROOT

PROGRAMS = sorted(
    path
    for pattern in ("scripts/*.sh", ".devcontainer/*.sh", ".ci/run", "tests/style/*.sh")
    for path in ROOT.glob(pattern)
)
SOURCED = sorted(
    path
    for pattern in ("scripts/lib/*.sh", "tests/doors/*.bash", "tests/drivers/*.sh")
    for path in ROOT.glob(pattern)
)


def test_pre_commit_finds_nothing(tmp_path):
    tree = shutil.copytree(
        ROOT, tmp_path / "tree", ignore=shutil.ignore_patterns(".git", "node_modules")
    )
    git = ["git", "-C", tree, "-c", "user.name=a", "-c", "user.email=a@b.example"]
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run([*git, *command], check=True)
    done = subprocess.run(
        ["pre-commit", "run", "--all-files"],
        cwd=tree,
        env={**os.environ, "PRE_COMMIT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Passed") == 6


def test_pyright_finds_a_wrong_type(tmp_path):
    shutil.copy(ROOT / "pyrightconfig.json", tmp_path)
    (tmp_path / "pressbox").mkdir()
    (tmp_path / "train.py").write_text("from pressbox import wrong\n")
    for content, status in (('text: str = ""\n', 0), ("text: str = None\n", 1)):
        (tmp_path / "pressbox" / "wrong.py").write_text(content)
        done = subprocess.run(["pyright"], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == status, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["release.yml", "test.yml"])
@pytest.mark.parametrize(
    ("safe", "unsafe"),
    [
        (r"@[0-9a-f]{40} # v\S+", "@v5"),
        ("persist-credentials: false", "show-progress: false"),
        (r"permissions:\n +contents: read", "permissions: write-all"),
    ],
)
def test_zizmor_finds_an_unsafe_workflow(name, safe, unsafe, tmp_path):
    workflow = (ROOT / ".github" / "workflows" / name).read_text()
    changed, count = re.subn(safe, unsafe, workflow)
    assert count
    (tmp_path / name).write_text(changed)
    done = subprocess.run(["zizmor", "--offline", tmp_path / name], capture_output=True)
    assert done.returncode > 10  # 1 and 2: it could not look


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_programs_are_executable(program):
    assert os.access(program, os.X_OK)
    # -p: nothing of the caller's environment is obeyed, not even before the first line.
    assert program.read_text().startswith("#!/usr/bin/env -S bash -p\n")


@pytest.mark.parametrize("library", SOURCED, ids=lambda path: path.name)
def test_what_is_sourced_is_not_executable(library):
    assert not os.access(library, os.X_OK)
