"""The environment that is running: its passport, and what has changed in it since it was built.

The everyday check asks the file system which files were touched after the image was unpacked, by a
time that no program can set, and reads only those. The deep check reads all of them.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pressbox import ROOT
from pressbox.environment import passport
from pressbox.environment.passport import FILES, INPUTS, LOADED, PASSPORT, SEAL, STEERING
from pressbox.errors import Drifted, UsageError

UNKNOWN = "unknown"
MAX_SHOWN = 3
REBUILD = (
    "rebuild the container (VS Code: Dev Containers: Rebuild Container; on the host,"
    " scripts/train.sh takes a fresh one), or train anyway with --allow-drift,"
    " which the model then records"
)
# Variables that steer Python, NumPy, BLAS, OpenMP, OpenSSL, GLib or the loader, or say where they
# find code ...
STEERS = re.compile(
    r"(BLIS|GI|GIO|GOMP|GOTO|KMP|LD|MALLOC|MKL|NPY|NUMEXPR|NUMPY|OMP|OPENBLAS|OPENSSL|SCIPY|SKLEARN"
    r"|VECLIB)_\w+|GCONV_PATH|GLIBC_TUNABLES|LOCPATH|NLSPATH|PYTHON\w+"
)
# ... and those among them that do not change what a training computes.
HARMLESS = {
    "KMP_DUPLICATE_LIB_OK",  # scikit-learn sets these two
    "KMP_INIT_AT_FORK",
    "PYTHONBREAKPOINT",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONFAULTHANDLER",
    "PYTHONIOENCODING",
    "PYTHONPROFILEIMPORTTIME",
    "PYTHONTRACEMALLOC",
    "PYTHONUNBUFFERED",
    "PYTHONVERBOSE",
    "PYTHON_BASIC_REPL",
    "PYTHON_COLORS",
    "PYTHON_HISTORY",
}


# Read only by an interactive Python, such as that of a notebook.
INTERACTIVE = "PYTHONSTARTUP"
PREFIX = "/opt/venv"
# The way into this environment, which the scripts name.
DOOR, DOORS = "PRESSBOX_DOOR", ("docker", "podman", "devcontainer", "inside")
# Fresh and closed each time; the others are not a boundary.
RELEASE_DOORS = ("docker", "podman")
# Files of the image's last layer, each in a place of its own (see the Dockerfile) ...
WITNESSES = ("/etc/pressbox/unpacked", "/usr/share/pressbox/unpacked", "/var/lib/pressbox/unpacked")
# ... and what Docker and podman write when they create or start a container.
CREATED = ("/.dockerenv", "/run/.containerenv")
MOUNTS = Path("/proc/self/mountinfo")
# A program by its full path, and the only variables that such a program gets.
FIND, ISOLATED = "/usr/bin/find", {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}


@dataclass(frozen=True)
class Environment:
    """What is running.

    passport: None if there is none. digest: ``sha256:<hex>`` of it, or "unknown". drift: what has
    changed since it was written, in words. stale: the files of this checkout that differ from those
    it was built from. inputs: the latter, path to SHA-256. deep: whether every file was read.
    files: what the image has where code is loaded from, as ``passport.measure`` describes it.
    moment: when it was checked, in nanoseconds since 1970.
    """

    passport: dict | None = None
    digest: str = UNKNOWN
    drift: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    inputs: dict[str, str] = field(default_factory=dict)
    deep: bool = False
    files: dict[str, str] = field(default_factory=dict, repr=False)
    moment: int = 0

    @property
    def differences(self) -> tuple[str, ...]:
        """All that keeps this from being the environment that was built, in words."""
        return (
            *self.drift,
            *(f"{path} is not what this environment was built from" for path in self.stale),
        )


def current(deep: bool = False, folder: Path = passport.FOLDER) -> Environment:
    """Read the passport and check the environment against it.

    deep: read every file. folder: where the passport is. Raises Drifted if the passport is damaged
    or was edited, because nothing is known then.
    """
    if not (folder / PASSPORT).exists():
        return Environment(drift=("this environment has no passport: it is not a Pressbox image",))
    issued = _read(folder)
    moment = time.time_ns()
    files = _Files(folder, issued)
    if deep:
        found = passport.measure()
        changes = [*_contents(issued, passport.describe(found)), *files.compare(found)]
    else:
        searching = files.search_touched()
        changes = [*_packages(issued, _installed()), *files.compare_touched(searching)]
    drift = [*_surroundings(issued), *changes]
    inputs = passport.parsed_sums((folder / INPUTS).read_bytes())
    stale = [path for path in inputs if passport.file_digest(f"{ROOT}/{path}") != inputs[path]]
    digest = passport.digest(passport.canonical(issued))
    known = (tuple(drift), tuple(stale), inputs, deep, files.entries, moment)
    return Environment(issued, digest, *known)


def changes(earlier: Environment, paths: Iterable[str]) -> Iterator[str]:
    """How the environment differs from what it was earlier, in words.

    paths: the files to compare, of those of the image. Only what was executed matters, and a second
    look at all files would take as long as the first.
    """
    if earlier.passport is None:
        return
    for difference in _surroundings(earlier.passport):
        if difference not in earlier.drift:
            yield difference
    for path in sorted(earlier.files.keys() & paths):
        try:
            touched = os.stat(path).st_ctime_ns >= earlier.moment
        except OSError:
            touched = True
        if touched and passport.entry(path) != earlier.files[path]:
            yield f"{path} was changed during the training"


def _surroundings(issued: dict) -> Iterator[str]:
    yield from _variables(issued["variables"])
    yield from _elsewhere()
    yield from _mounted()


def door() -> str:
    """The door that led in here. Raises UsageError if the variable names none that there is."""
    name = os.environ.get(DOOR, "inside")
    if name not in DOORS:
        raise UsageError(f"{DOOR} does not name a door", f"unset {DOOR}; the scripts set it")
    return name


def checked(allow_drift: bool = False, deep: bool = False) -> Environment:
    """The environment, for a training. Raises Drifted if it has changed, unless that is allowed."""
    environment = current(deep)
    if environment.differences and not allow_drift:
        raise Drifted(
            f"the environment has drifted: {shortened(environment.differences)}",
            _remedy(environment),
        )
    return environment


def _remedy(environment: Environment) -> str:
    if environment.passport is None:
        return "train in the container: scripts/train.sh, or here anyway with --allow-drift"
    wanted = environment.passport["variables"]
    changes = []
    for name in _odd_variables(wanted):
        value = wanted.get(name)
        changes.append(f"unset {name}" if value is None else f"export {name}={value}")
    if len(changes) == len(environment.differences):
        return f"{', '.join(changes)}, or train anyway with --allow-drift"
    return REBUILD


def shortened(items: Sequence[str], named: str = "scripts/doctor.sh names them") -> str:
    """The first MAX_SHOWN items in one line, with the number of others and where they are named."""
    more = f", and {len(items) - MAX_SHOWN} more ({named})" if len(items) > MAX_SHOWN else ""
    return ", ".join(items[:MAX_SHOWN]) + more


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
    foreign = {name for name in os.environ if STEERS.fullmatch(name)}
    if "IPython" not in sys.modules and not hasattr(sys, "ps1"):
        foreign.discard(INTERACTIVE)
    return unset + sorted(foreign - HARMLESS - set(STEERING))


def _variables(wanted: dict[str, str | None]) -> Iterator[str]:
    for name in _odd_variables(wanted):
        value = os.environ.get(name)
        if name not in STEERING:
            # Its value is not shown: it may be a secret.
            yield f"variable {name} is set"
        else:
            yield f"variable {name} is {'not set' if value is None else value}, not {wanted[name]}"


def _elsewhere() -> Iterator[str]:
    if sys.prefix != PREFIX:
        yield f"this Python is the one in {sys.prefix}, not the one in {PREFIX}"


def _mounted() -> Iterator[str]:
    """Mounts that hide the image's files behind others, whose times say nothing."""
    for line in MOUNTS.read_text(errors="surrogateescape").splitlines():
        # Spaces and the like are written as three octal digits.
        point = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), line.split()[4])
        if point != "/" and any(_within(point, place) or _within(place, point) for place in LOADED):
            yield f"something is mounted at {point}"


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _installed() -> dict:
    return {
        "debian_packages": passport.debian_packages(),
        "python_packages": {
            name: {"version": version} for name, (version, _) in passport.python_packages().items()
        },
    }


Files = Mapping[str, str]


def differences(before: dict, after: dict, files: tuple[Files, Files] | None = None) -> list[str]:
    """How one passport differs from another, in words; empty if they are the same.

    files: what each of them lists (``passport.measure``), to name those that nothing else explains.
    """
    variables = _changes(
        "variable ", *(_strings(passport["variables"]) for passport in (before, after))
    )
    found = [*_contents(before, after), *variables]
    if not found and before["files"] != after["files"]:
        found = ["files outside of Python's packages differ"]
        if files:
            ours, theirs = files
            names = ours.keys() | theirs.keys()
            changed = sorted(name for name in names if ours.get(name) != theirs.get(name))
            found = [f"{found[0]}: {shortened(changed, 'of the image')}"]
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
    """How one list of versions or values differs from another, in words."""
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield f"{kind}{name} {before[name]} is gone"
        elif name not in before:
            yield f"{kind}{name} {after[name]} is new"
        elif before[name] != after[name]:
            yield f"{kind}{name} is {after[name]}, was {before[name]}"


class _Files:
    """The files that a training may load code from, and how they differ from those of the image."""

    def __init__(self, folder: Path, issued: dict):
        content = (folder / FILES).read_bytes()
        if passport.digest(content) != issued["files"]["digest"]:
            raise Drifted(f"the list of files in {folder} has been edited", REBUILD)
        self.entries: dict[str, str] = json.loads(content)
        self._unpacked = _unpacked(folder)

    def compare(self, found: dict[str, str]) -> list[str]:
        """How the files that were found differ, in words."""
        return [
            self._in_words(path, found.get(path))
            for path in sorted(found.keys() | self.entries.keys())
            if found.get(path) != self.entries.get(path)
        ]

    def search_touched(self) -> subprocess.Popen:
        """Start looking for what has changed since the image was unpacked, in another process."""
        existing = [path for path in LOADED if os.path.lexists(path)]
        seconds, rest = divmod(self._unpacked, 10**9)
        find = [FIND, *existing, "-newerct", f"@{seconds}.{rest:09}", "-print0"]
        return subprocess.Popen(
            find, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ISOLATED
        )

    def compare_touched(self, searching: subprocess.Popen) -> list[str]:
        """How what was touched differs, in words; a new folder is named without what is in it."""
        listing, _ = searching.communicate()
        if searching.returncode:
            raise Drifted("not every folder of the environment can be read", REBUILD)
        # Sorted, a folder comes before what is in it.
        touched = sorted(os.fsdecode(path) for path in listing.split(b"\0") if path)
        children = self._children() if touched else {}
        found, fresh = [], set()
        for path in touched:
            if os.path.dirname(path) in fresh:
                fresh.add(path)
                continue
            entry = passport.entry(path)
            if entry != self.entries.get(path):
                found.append(self._in_words(path, entry))
                if path not in self.entries:
                    fresh.add(path)
            gone = (child for child in children.get(path, ()) if not os.path.lexists(child))
            found += (f"{child} is gone" for child in gone)
        return found

    def _children(self) -> dict[str, list[str]]:
        """The paths that the image has in each folder."""
        children: dict[str, list[str]] = {}
        for path in self.entries:
            children.setdefault(os.path.dirname(path), []).append(path)
        return children

    def _in_words(self, path: str, found: str | None) -> str:
        if path not in self.entries:
            what = "folder " if (found or "").startswith("folder") else ""
            return f"{what}{path} is new"
        if found is None:
            return f"{path} is gone"
        unreadable = found.endswith(passport.UNREADABLE)
        return f"{path} {passport.UNREADABLE if unreadable else 'was changed'}"


def _unpacked(folder: Path) -> int:
    """When the image was unpacked, in nanoseconds since 1970: what changed later was not in it.

    The passport was unpacked last. ``chown -R /opt`` and its like move the passport's times, but
    not those of all witnesses, and the container was created later still. If a witness is missing,
    the answer is 0, so that everything is read.
    """
    try:
        moments = [os.stat(path).st_ctime_ns for path in (*folder.iterdir(), *WITNESSES)]
    except FileNotFoundError:
        return 0
    created = (os.stat(path).st_mtime_ns for path in CREATED if os.path.exists(path))
    unpacked = min([*moments, *created])
    return unpacked if unpacked <= time.time_ns() else 0
