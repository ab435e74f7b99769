"""What ``import pressbox`` shows, to people and to editors, and where it works."""

import ast
import pydoc
import subprocess
import sys

import pytest
from support import ROOT

import pressbox

LISTED = "import pressbox, sys; print(pressbox.open_model.__name__, *dir(pressbox))"


def test_the_names_are_listed_and_each_is_there():
    assert {"open_model", "verify", "fit", "Policy", "NotTrusted"} <= set(dir(pressbox))
    for name in dir(pressbox):
        assert getattr(pressbox, name) is not None
    assert "_HOME" not in dir(pressbox)
    with pytest.raises(AttributeError, match="has no attribute 'train'"):
        pressbox.train  # noqa: B018


def test_editors_are_told_the_same_names():
    tree = ast.parse((ROOT / "pressbox" / "__init__.pyi").read_text())
    told = {
        alias.asname: node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name == alias.asname
    }
    assert told == {name: f"pressbox.{home}" for name, home in pressbox._HOME.items()}


def test_each_name_is_explained():
    for name in pressbox._HOME:
        assert getattr(pressbox, name).__doc__, name
    shown = pydoc.render_doc(pressbox, renderer=pydoc.plaintext)
    for name in pressbox._HOME:
        assert name in shown
    assert "Verify the tarball, and only then load it" in shown


def test_scikit_learn_is_not_imported_before_it_is_needed():
    program = "import pressbox, sys; dir(pressbox); pressbox.NotTrusted; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pressbox.errors" in loaded.stdout
    assert not {"sklearn", "numpy"} & set(loaded.stdout.split())


def script(folder):
    (folder / "script.py").write_text(LISTED)
    return [sys.executable, "script.py"]


WAYS = {
    "a line": lambda folder: [sys.executable, "-c", LISTED],
    "a line, isolated": lambda folder: [sys.executable, "-I", "-c", LISTED],
    "a script": script,
    "IPython": lambda folder: ["ipython", "--quick", "--no-banner", "-c", LISTED],
    "the shell's python3": lambda folder: ["/usr/bin/env", "python3", "-c", LISTED],
}


@pytest.mark.parametrize("way", WAYS)
def test_pressbox_is_imported_from_any_folder(way, tmp_path):
    command = WAYS[way](tmp_path)
    env = {"PATH": "/opt/venv/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("open_model ")
    assert " load_corpus " in done.stdout
