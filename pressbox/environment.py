"""The environment that is running: its passport, and what has changed in it since it was built.

The everyday check asks the file system which files were touched after the image was unpacked, a
question about times that no editor can falsify, and looks only at those. The deep one reads all.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pressbox import ROOT, passport
from pressbox.errors import Drifted
from pressbox.passport import FILES, INPUTS, LOADED, PASSPORT, SEAL, STEERING

UNKNOWN = "unknown"
SHOWN = 3
REBUILD = (
    "rebuild the container (VS Code: Dev Containers: Rebuild Container; on the host,"
    " scripts/train.sh takes a fresh one), or train all the same with --allow-drift,"
    " which the model then says"
)
# Variables that steer Python, NumPy, BLAS, OpenMP or the loader ...
STEERS = re.compile(
    r"(BLIS|GOMP|GOTO|LD|MKL|NPY|NUMEXPR|NUMPY|OMP|OPENBLAS|SCIPY|SKLEARN|VECLIB)_\w+"
    r"|GLIBC_TUNABLES|PYTHON\w+"
)
# ... and those of them that change nothing that a training computes.
HARMLESS = {
    "PYTHONBREAKPOINT",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONFAULTHANDLER",
    "PYTHONIOENCODING",
    "PYTHONPROFILEIMPORTTIME",
    "PYTHONSTARTUP",
    "PYTHONTRACEMALLOC",
    "PYTHONUNBUFFERED",
    "PYTHONVERBOSE",
    "PYTHONWARNINGS",
    "PYTHON_BASIC_REPL",
    "PYTHON_COLORS",
    "PYTHON_HISTORY",
}


@dataclass(frozen=True)
class Environment:
    """What is running.

    passport: None where there is none. digest: of it, or "unknown". drift: what has changed since,
    in words. stale: the files of this checkout that it was not built from. inputs: SHA-256 of those
    that it was built from, by path.
    """

    passport: dict | None = None
    digest: str = UNKNOWN
    drift: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    inputs: dict[str, str] = field(default_factory=dict)

    @property
    def differences(self) -> tuple[str, ...]:
        return (
            *self.drift,
            *(f"{path} is not what this environment was built from" for path in self.stale),
        )


def current(deep: bool = False, folder: Path = passport.FOLDER) -> Environment:
    """Read the passport and check the environment against it; with ``deep``, every file.

    Raises Drifted for a passport that is damaged or was edited: then nothing is known.
    """
    if not (folder / PASSPORT).exists():
        return Environment(
            drift=("this environment has no passport: it is not an image of Pressbox",)
        )
    issued = _read(folder)
    files = _Files(folder, issued)
    if deep:
        found = passport.measure()
        changes = [*_contents(issued, passport.describe(found)), *files.compare(found)]
    else:
        searching = files.search_touched()
        changes = [*_packages(issued, _installed()), *files.compare_touched(searching)]
    drift = [*_variables(issued["variables"]), *changes]
    inputs = passport.parsed_sums((folder / INPUTS).read_bytes())
    stale = [path for path in inputs if passport.file_digest(f"{ROOT}/{path}") != inputs[path]]
    digest = passport.digest(passport.canonical(issued))
    return Environment(issued, digest, tuple(drift), tuple(stale), inputs)


def checked(allow_drift: bool = False) -> Environment:
    """The environment, for a training. Raises Drifted if it has changed and that is not allowed."""
    environment = current()
    if environment.differences and not allow_drift:
        raise Drifted(
            f"the environment has drifted: {shortened(environment.differences)}",
            _remedy(environment),
        )
    return environment


def _remedy(environment: Environment) -> str:
    if environment.passport is None:
        return "train in the container: scripts/train.sh, or here all the same with --allow-drift"
    wanted = environment.passport["variables"]
    changes = []
    for name in _odd_variables(wanted):
        value = wanted.get(name)
        changes.append(f"unset {name}" if value is None else f"export {name}={value}")
    if len(changes) == len(environment.differences):
        return f"{', '.join(changes)}, or train all the same with --allow-drift"
    return REBUILD


def shortened(items: tuple[str, ...] | list[str]) -> str:
    more = (
        f", and {len(items) - SHOWN} more (scripts/doctor.sh names them)"
        if len(items) > SHOWN
        else ""
    )
    return ", ".join(items[:SHOWN]) + more


def _read(folder: Path) -> dict:
    try:
        content = (folder / PASSPORT).read_bytes()
        sealed = (folder / SEAL).read_text().split()[0]
        issued = json.loads(content)
        intact = sealed == passport.digest(content).removeprefix("sha256:")
        known = intact and issued["version"] == passport.VERSION
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise Drifted(f"the passport in {folder} cannot be read ({error})", REBUILD) from error
    if not intact:
        raise Drifted(f"the passport in {folder} has been edited", REBUILD)
    if not known:
        raise Drifted(
            f"the passport in {folder} has another version ({issued['version']})", REBUILD
        )
    return issued


def _odd_variables(wanted: dict[str, str | None]) -> list[str]:
    unset = [name for name in STEERING if os.environ.get(name) != wanted.get(name)]
    foreign = (name for name in os.environ if STEERS.fullmatch(name))
    return unset + sorted(set(foreign) - HARMLESS - set(STEERING))


def _variables(wanted: dict[str, str | None]) -> Iterator[str]:
    for name in _odd_variables(wanted):
        value = os.environ.get(name)
        yield f"variable {name} is {'not set' if value is None else value}" + (
            f", not {wanted[name]}" if wanted.get(name) is not None else ""
        )


def _installed() -> dict:
    return {
        "debian_packages": passport.debian_packages(),
        "python_packages": {
            name: {"version": version} for name, (version, _) in passport.python_packages().items()
        },
    }


def differences(before: dict, after: dict) -> list[str]:
    """How one passport differs from another, in words; empty if they are the same."""
    variables = _changes(
        "variable ", *(_strings(passport["variables"]) for passport in (before, after))
    )
    found = [*_contents(before, after), *variables]
    if not found and before["files"] != after["files"]:
        found = ["files outside of Python's packages differ"]
    return found


def _contents(before: dict, after: dict) -> list[str]:
    found = [
        f"{name} is {after[name]}, was {before[name]}"
        for name in ("architecture", "base")
        if before[name] != after[name]
    ]
    python = ({"Python": passport["python"]["version"]} for passport in (before, after))
    found += _changes("", *python)
    found += _packages(before, after)
    for name in sorted(before["python_packages"].keys() & after["python_packages"].keys()):
        one, other = before["python_packages"][name], after["python_packages"][name]
        if one["version"] == other["version"] and one["files"] != other["files"]:
            found.append(f"files of Python package {name} {one['version']} differ")
    return found


def _packages(before: dict, after: dict) -> list[str]:
    versions = (
        {name: entry["version"] for name, entry in listed["python_packages"].items()}
        for listed in (before, after)
    )
    debian = (listed["debian_packages"] for listed in (before, after))
    return [*_changes("Python package ", *versions), *_changes("Debian package ", *debian)]


def _strings(variables: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if value is not None}


def _changes(kind: str, before: dict[str, str], after: dict[str, str]) -> Iterator[str]:
    """What it takes to come from one list of versions or values to the other, in words."""
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield f"{kind}{name} {before[name]} is gone"
        elif name not in before:
            yield f"{kind}{name} {after[name]} is new"
        elif before[name] != after[name]:
            yield f"{kind}{name} is {after[name]}, was {before[name]}"


class _Files:
    """The files that a training may load, and how they differ from those of the image."""

    def __init__(self, folder: Path, issued: dict):
        content = (folder / FILES).read_bytes()
        if passport.digest(content) != issued["files"]["digest"]:
            raise Drifted(f"the list of files in {folder} has been edited", REBUILD)
        self._sums = passport.parsed_sums(content)
        # The first of them to be unpacked: whatever changed later was not in the image.
        self._unpacked = min(file.stat().st_ctime_ns for file in folder.iterdir())

    def compare(self, found: dict[str, str]) -> list[str]:
        return [
            self._in_words(path, found.get(path))
            for path in sorted(found.keys() | self._sums.keys())
            if found.get(path) != self._sums.get(path)
        ]

    def search_touched(self) -> subprocess.Popen:
        """Look for what changed since the image was unpacked, on another processor."""
        existing = [path for path in LOADED if os.path.lexists(path)]
        seconds, rest = divmod(self._unpacked, 10**9)
        find = ["find", *existing, "-newerct", f"@{seconds}.{rest:09}", "-print0"]
        return subprocess.Popen(find, stdout=subprocess.PIPE)

    def compare_touched(self, searching: subprocess.Popen) -> list[str]:
        """Compare what was touched; of a folder that is new, the folder alone is told."""
        listing, _ = searching.communicate()
        if searching.returncode:
            raise Drifted("not every folder of the environment can be read", REBUILD)
        # Folders come before what is in them.
        touched = sorted(os.fsdecode(path) for path in listing.split(b"\0") if path)
        children = self._children() if touched else {}
        found, fresh = [], set()
        for path in touched:
            folder = os.path.isdir(path) and not os.path.islink(path)
            if os.path.dirname(path) in fresh:
                fresh.add(path)
            elif folder and path not in children:
                fresh.add(path)
                found.append(f"folder {path} is new")
            elif folder:
                gone = (child for child in children[path] if not os.path.lexists(child))
                found += (f"{child} is gone" for child in sorted(gone))
            elif (content := passport.file_digest(path)) is None or content != self._sums.get(path):
                found.append(self._in_words(path, content))
        return found

    def _children(self) -> dict[str, set[str]]:
        """What the image had in each folder: files, and folders with files somewhere below."""
        children: dict[str, set[str]] = {}
        for path in self._sums:
            while folder := os.path.dirname(path):
                known = children.setdefault(folder, set())
                if path in known or folder == "/":
                    break
                known.add(path)
                path = folder
        return children

    def _in_words(self, path: str, found: str | None) -> str:
        if path not in self._sums:
            return f"{path} is new"
        return f"{path} {'was changed' if found else 'is gone'}"
