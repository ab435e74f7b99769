"""Copies of this checkout that train with the tests' train.py, and sign with the demo key, which
they trust, whatever a newsroom has made of its own."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from support import KEYS, ROOT, TRAIN

FOLDERS = ("corpus", "pressbox", "third_party", ".devcontainer")
FILES = (TRAIN, ROOT / "poetry.lock", ROOT / "pyproject.toml")


def copy_checkout(folder):
    """Copy what train.py needs into the folder, which is made; the folder."""
    for name in FOLDERS:
        ignored = shutil.ignore_patterns("node_modules", "__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for path in FILES:
        shutil.copy(path, folder)
    shutil.copytree(KEYS, folder / "gnupg")
    return folder


@functools.cache
def shared_copy():
    """A copy for tests that change nothing in it; it ends with this process."""
    folder = tempfile.mkdtemp(prefix="checkout-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return copy_checkout(Path(folder, "pressbox"))
