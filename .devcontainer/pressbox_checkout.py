"""Where each Python of the image finds the checkout; a ``.pth`` file in the venv runs ``install``.

Neither the current folder nor that of a script is searched (PYTHONSAFEPATH), so nothing that lies
beside a script or a download takes the place of a module. The checkout comes last of all. And of
whatever lies outside of the image, Python executes the source alone: a compiled file can say
anything, and no digest of a source would show it.
"""

import os
import sys
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    PathFinder,
    SourceFileLoader,
)

IMAGE = ("/opt/tools/", "/opt/venv/", "/usr/lib/", "/usr/local/lib/")
WORKSPACES = "/workspaces"
# By its path, what was executed of each source outside of the image: as it was read, and not as it
# may lie there later.
READ: dict[str, bytes] = {}


class SourceLoader(SourceFileLoader):
    """Reads the source each time, and looks for no compiled file."""

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        content = READ[path] = self.get_data(path)
        return self.source_to_code(content, path)


class CheckoutFinder:
    """Finds in the checkout what nothing else has found. A bare folder is no package there."""

    def __init__(self, folder: str):
        self._folder = folder

    def find_spec(self, name, path=None, target=None):
        spec = PathFinder.find_spec(name, [self._folder], target) if path is None else None
        return spec if spec and spec.loader else None


def _in_image(path: str) -> bool:
    return f"{os.path.realpath(path)}/".startswith(IMAGE)


def _sources_alone(path: str) -> FileFinder:
    if not os.path.isdir(path) or _in_image(path):
        raise ImportError("for the next hook")
    return FileFinder(
        path, (ExtensionFileLoader, EXTENSION_SUFFIXES), (SourceLoader, SOURCE_SUFFIXES)
    )


def _is_checkout(folder: str) -> bool:
    return all(os.path.isfile(f"{folder}/{name}") for name in ("train.py", "pressbox/__init__.py"))


def _script() -> str | None:
    """The script that this Python runs, links resolved, unless it is one of the image."""
    name = sys.argv[0] if sys.argv else ""
    if name in ("", "-", "-c", "-m") or not os.path.isfile(name) or _in_image(name):
        return None
    return os.path.realpath(name)


def _checkout_of(script: str) -> str | None:
    folder = os.path.dirname(script)
    while not _is_checkout(folder):
        if folder == "/":
            return None
        folder = os.path.dirname(folder)
    return folder


def _workspace() -> str | None:
    """The one checkout of the container, whose folder Codespaces names after the repository."""
    try:
        found = [entry.path for entry in os.scandir(WORKSPACES) if _is_checkout(entry.path)]
    except OSError:
        # A replayed training may not look there.
        return None
    usual = f"{WORKSPACES}/pressbox"
    return usual if usual in found else found[0] if len(found) == 1 else None


def install() -> None:
    if _sources_alone in sys.path_hooks:
        # Python reads the .pth files of such a venv twice.
        return
    sys.path_hooks.insert(0, _sources_alone)
    for path in [path for path in sys.path_importer_cache if not _in_image(path)]:
        del sys.path_importer_cache[path]
    script = _script()
    checkout = script and _checkout_of(script)
    if checkout:
        with open(script, "rb") as file:
            READ[script] = file.read()
    if checkout := checkout or _workspace():
        sys.meta_path.append(CheckoutFinder(checkout))
