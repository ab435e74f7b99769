"""Which checkout a Python of the image imports from; tests/integration/provenance/test_executed.py
uses it."""

import sys

import pressbox_checkout
import pytest


def make(folder):
    (folder / "pressbox").mkdir(parents=True)
    for name in ("train.py", "pressbox/__init__.py"):
        (folder / name).touch()
    return str(folder)


@pytest.fixture
def workspaces(tmp_path, monkeypatch):
    folder = tmp_path / "workspaces"
    folder.mkdir()
    monkeypatch.setattr(pressbox_checkout, "WORKSPACES", str(folder))
    return folder


def test_the_folder_of_the_container_is_found_whatever_its_name(workspaces):
    assert pressbox_checkout._workspace() is None
    (workspaces / ".codespaces").mkdir()
    only = make(workspaces / "newsroom")
    assert pressbox_checkout._workspace() == only
    make(workspaces / "other")
    assert pressbox_checkout._workspace() is None
    usual = make(workspaces / "pressbox")
    assert pressbox_checkout._workspace() == usual


def test_a_script_has_the_checkout_that_it_lies_in(tmp_path, monkeypatch):
    checkout = make(tmp_path / "checkout")
    script = tmp_path / "checkout" / "experiments" / "mine.py"
    script.parent.mkdir()
    script.touch()
    (tmp_path / "link.py").symlink_to(script)
    for name in (script, tmp_path / "link.py"):
        monkeypatch.setattr(sys, "argv", [str(name)])
        assert pressbox_checkout._script() == str(script)
    assert pressbox_checkout._checkout_of(str(script)) == checkout
    assert pressbox_checkout._checkout_of(str(tmp_path / "elsewhere.py")) is None


@pytest.mark.parametrize("name", ["", "-", "-c", "-m"])
def test_the_current_folder_is_that_of_no_script(name, tmp_path, monkeypatch):
    """Not even where a file has such a name."""
    if name:
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name])
    assert pressbox_checkout._script() is None


def test_a_command_of_the_image_is_no_script_of_a_checkout(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/opt/venv/bin/pressbox"])
    assert pressbox_checkout._script() is None
