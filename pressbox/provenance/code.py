"""The code that trains: its files, its commit, and whether anything else was executed."""

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import all_suffixes
from pathlib import Path
from urllib.parse import urlsplit

from pressbox import ROOT
from pressbox.environment.drift import UNKNOWN
from pressbox.environment.passport import digest
from pressbox.errors import PressboxError
from pressbox.provenance import git
from pressbox.provenance.git import NoAnswer

try:
    # In the image it reads all sources of the checkout, and remembers them; see the Dockerfile.
    from pressbox_checkout import READ
except ImportError:
    READ: dict[str, bytes] = {}

FILTER = re.compile(r"filter\.(.*)\.(?:clean|smudge|process|required)")
HIDDEN = re.compile(r"(^|/)\.")
CODE = (*all_suffixes(), ".pth")
OBJECT_FORMATS = {40: "sha1", 64: "sha256"}
NO_SCRIPT = "no file"


@dataclass(frozen=True)
class Code:
    """What trains. files: ``sha256:<hex>`` of each file. script: the one of them that was run.

    commit: of the checkout, or "unknown"; why: then, in words. dirty: whether the tree differs from
    the commit, or holds code that is no part of it; None if nobody knows. uri: where it comes from.
    """

    files: dict[str, str]
    script: str
    commit: str = UNKNOWN
    dirty: bool | None = None
    uri: str | None = None
    why: str = ""


def current() -> Code:
    """The code as it lies in the checkout now."""
    sources, script = _sources(ROOT), _script()
    file = ROOT / script
    if script not in sources and ROOT in file.parents and file.is_file():
        sources[script] = file.read_bytes()
    files = _digests(sources)
    try:
        return Code(files, script, **_committed(sources))
    except NoAnswer as unknown:
        return Code(files, script, why=str(unknown))


def code_files(root: Path = ROOT) -> dict[str, str]:
    """``sha256:<hex>`` of each source at the top of the checkout, and of the packages there."""
    return _digests(_sources(root))


def _sources(root: Path) -> dict[str, bytes]:
    packages = (file.parent for file in root.glob("*/__init__.py"))
    files = [*root.glob("*.py"), *(file for folder in packages for file in folder.rglob("*.py"))]
    # A hidden one cannot be imported: editors leave links to nowhere there.
    files = sorted(file for file in files if not HIDDEN.search(str(file.relative_to(root))))
    try:
        return {str(file.relative_to(root)): file.read_bytes() for file in files}
    except OSError as error:
        raise PressboxError(
            f"the code cannot be read ({error.filename}: {error.strerror})",
            "check its mode, or remove it",
        ) from error


def _digests(sources: dict[str, bytes]) -> dict[str, str]:
    return {name: digest(content) for name, content in sources.items()}


def _script() -> str:
    """The script that runs, as a path in the checkout where it lies there."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None or not os.path.isfile(file):
        return "a notebook" if "ipykernel" in sys.modules else NO_SCRIPT
    return _named(os.path.realpath(file))


def _named(path: str) -> str:
    return os.path.relpath(path, ROOT) if path.startswith(f"{ROOT}/") else path


def _committed(sources: dict[str, bytes]) -> dict:
    configured = _configuration()
    top, commit = _git("rev-parse", "--show-toplevel", "HEAD").splitlines()
    # A tree that was unpacked somewhere below another repository is not that one's commit.
    if not ROOT.samefile(top):
        raise NoAnswer(f"the repository is that of {top}, not of {ROOT}")
    off = {}
    for name in {found[1] for key in configured if (found := FILTER.fullmatch(key))}:
        off |= {f"filter.{name}.{program}": "" for program in ("clean", "smudge", "process")}
        off[f"filter.{name}.required"] = "false"
    every = ["--porcelain", "-z", "--untracked-files=all", "--ignored", "--ignore-submodules=dirty"]
    status = _git("status", *every, variables=git.configured(off)).split("\0")
    return {
        "commit": commit,
        "dirty": any(map(_is_dirt, status)) or not _same(sources, commit),
        "uri": _without_secrets(configured.get("remote.origin.url", "")),
    }


def _is_dirt(line: str) -> bool:
    """Of what git ignores, code alone, and not in a hidden folder: that, Python could import."""
    if not line.startswith("!! "):
        return bool(line)
    return line.endswith((*CODE, "/")) and not HIDDEN.search(line[3:])


def _same(sources: dict[str, bytes], commit: str) -> bool:
    """Whether the sources are those of the commit, whatever git's index says of them."""
    listed = _git("ls-tree", "-r", "-z", commit).split("\0")
    blobs = {path: about.split()[2] for about, path in (x.split("\t", 1) for x in listed if x)}
    algorithm = OBJECT_FORMATS[len(commit)]
    return all(_blob(sources[path], algorithm) == blobs.get(path) for path in sources)


def _blob(content: bytes, algorithm: str) -> str:
    return hashlib.new(algorithm, b"blob %d\0" % len(content) + content).hexdigest()


def _configuration() -> dict[str, str]:
    entries = (entry.split("\n", 1) for entry in _git("config", "--list", "-z").split("\0"))
    return {entry[0]: entry[-1] for entry in entries}


def _git(*arguments: str, **options) -> str:
    return os.fsdecode(git.ask(ROOT, *arguments, **options))


def _without_secrets(url: str) -> str | None:
    """The URL of a remote without user and password; None for a folder of this machine."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http", "ssh", "git") or not parts.hostname:
        return None
    return f"git+{parts.scheme}://{parts.hostname}{parts.path}"


def changes(before: Code, after: Code) -> Iterator[str]:
    """How the code differs from what it was, in words."""
    for name in sorted(before.files.keys() | after.files.keys()):
        if before.files.get(name) != after.files.get(name):
            yield f"{name} was changed during the training"
    if before.commit != after.commit:
        yield f"the commit was {before.commit} and became {after.commit} during the training"


def unexplained(executed: set[str], code: Code, image: dict[str, str]) -> Iterator[str]:
    """What of ``executed`` is neither the code nor one of the image's files, in words."""
    for path in sorted(executed):
        if path in image or (path.endswith(".pyc") and not os.path.exists(path)):
            continue
        if (real := os.path.realpath(path)) in image:
            continue
        name = _named(real)
        read = READ.get(real)
        if name not in code.files:
            yield f"{name} was loaded, which is part of neither the code nor the image"
        elif read is not None and digest(read) != code.files[name]:
            yield f"{name} was changed after it was loaded"


def executed() -> set[str]:
    """What this process has loaded: the file of each module, the one that Python compiled it to (or
    would have), and each file that is mapped as a program."""
    paths = set()
    for module in list(sys.modules.values()):
        known = getattr(module, "__dict__", {})
        spec = known.get("__spec__")
        paths.add(known.get("__file__"))
        if getattr(spec, "has_location", None):
            paths.add(getattr(spec, "origin", None))
        # The checkout's own loader looks for no compiled file.
        if type(getattr(spec, "loader", None)).__module__ != "pressbox_checkout":
            paths.add(getattr(spec, "cached", None))
    with open("/proc/self/maps", errors="surrogateescape") as maps:
        mapped = (line.rstrip("\n").split(None, 5) for line in maps)
        paths |= {entry[5] for entry in mapped if "x" in entry[1] and len(entry) == 6}
    # [vdso] and the like are the kernel's, <string> and the like have no file.
    return {path for path in paths if path and not path.startswith(("[", "<"))}
