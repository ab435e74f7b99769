"""The style that tools can check, by the tools of the image."""

import os
import shutil
import subprocess

import pytest
from support import ROOT

PROGRAMS = sorted(
    [*ROOT.glob("scripts/*.sh"), *ROOT.glob(".devcontainer/*.sh"), ROOT / ".ci" / "run"]
)
SOURCED = sorted(
    path
    for pattern in ("scripts/lib/*.sh", "tests/doors/*.bash", "tests/drivers/*.sh")
    for path in ROOT.glob(pattern)
)


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check"],
        ["ruff", "format", "--check"],
        [
            "shellcheck",
            "-x",
            "-a",
            *PROGRAMS,
            # Of the libraries, what is sourced by nobody.
            ROOT / "scripts" / "lib" / "supervise.sh",
            *ROOT.glob("tests/doors/*.bash"),
        ],
        ["shfmt", "-d", *PROGRAMS, *SOURCED],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_the_tool_finds_nothing(command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


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
    assert done.stdout.count("Passed") == 4


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_programs_are_executable(program):
    assert os.access(program, os.X_OK)
    # -p: nothing of the caller's environment is obeyed, not even before the first line.
    assert program.read_text().startswith("#!/usr/bin/env -S bash -p\n")


@pytest.mark.parametrize("library", SOURCED, ids=lambda path: path.name)
def test_what_is_sourced_is_not_executable(library):
    assert not os.access(library, os.X_OK)
