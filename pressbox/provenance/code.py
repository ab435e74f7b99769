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
    # In the image, this reads all sources of the checkout and remembers them; see the Dockerfile.
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
    """The code that trains.

    files: path in the checkout to ``sha256:<hex>``. script: the one of them that was run. commit:
    of the checkout, or "unknown". dirty: whether the tree differs from the commit, or holds code
    that is not part of it; None if that is unknown. uri: where the repository comes from. why: the
    reason for which the commit is unknown.
    """

    files: dict[str, str]
    script: str
    commit: str = UNKNOWN
    dirty: bool | None = None
    uri: str | None = None
    why: str = ""


def current() -> Code:
    """The code that is in the checkout now. Raises PressboxError if a source cannot be read."""
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
    """``sha256:<hex>`` of each source at the top of ``root`` and in the packages there, by path.

    Raises PressboxError if a source cannot be read.
    """
    return _digests(_sources(root))


def commit_of(sources: dict[str, bytes]) -> tuple[str, str | None]:
    """The commit of the checkout, which has these files as they are, and where it comes from.

    sources: by path in the checkout. Raises PressboxError if that is not known, or not so.
    """
    try:
        about = _committed(sources)
        same = _same(sources, about["commit"])
    except NoAnswer as unknown:
        raise PressboxError(f"the commit is unknown ({unknown})", "publish from a clone") from None
    if not same:
        raise PressboxError(
            "the image was made of files that are not committed", "commit them first"
        )
    return about["commit"], about["uri"]


def _sources(root: Path) -> dict[str, bytes]:
    packages = (file.parent for file in root.glob("*/__init__.py"))
    files = [*root.glob("*.py"), *(file for folder in packages for file in folder.rglob("*.py"))]
    # Hidden files cannot be imported, and editors leave dangling links there.
    files = sorted(file for file in files if not HIDDEN.search(str(file.relative_to(root))))
    try:
        return {str(file.relative_to(root)): file.read_bytes() for file in files}
    except OSError as error:
        raise PressboxError(
            f"the code cannot be read ({error.filename}: {error.strerror})",
            "check its permissions, or remove it",
        ) from error


def _digests(sources: dict[str, bytes]) -> dict[str, str]:
    return {name: digest(content) for name, content in sources.items()}


def _script() -> str:
    """The script that runs: a path in the checkout if it lies there, else an absolute one."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None or not os.path.isfile(file):
        return "a notebook" if "ipykernel" in sys.modules else NO_SCRIPT
    return _named(os.path.realpath(file))


def _named(path: str) -> str:
    return os.path.relpath(path, ROOT) if path.startswith(f"{ROOT}/") else path


def commit_and_changes() -> tuple[str, list[str]]:
    """The checkout's commit, and the files of it that are not as they were committed.

    Raises NoAnswer if that is unknown.
    """
    changed = _status(_configuration(), "--untracked-files=no")
    return _commit(), [line[3:] for line in changed if line]


def _commit() -> str:
    top, commit = _git("rev-parse", "--show-toplevel", "HEAD").splitlines()
    # A tree that was unpacked inside of another repository does not belong to its commit.
    if not ROOT.samefile(top):
        raise NoAnswer(f"the repository is at {top}, not at {ROOT}")
    return commit


def _status(configured: dict[str, str], *options: str) -> list[str]:
    """The lines of git status, for which none of the repository's filters is run."""
    off = {}
    for name in {found[1] for key in configured if (found := FILTER.fullmatch(key))}:
        off |= {f"filter.{name}.{program}": "" for program in ("clean", "smudge", "process")}
        off[f"filter.{name}.required"] = "false"
    every = ["--porcelain", "-z", "--no-renames", "--ignore-submodules=dirty", *options]
    return _git("status", *every, variables=git.configured(off)).split("\0")


def _committed(sources: dict[str, bytes]) -> dict:
    configured, commit = _configuration(), _commit()
    status = _status(configured, "--untracked-files=all", "--ignored")
    return {
        "commit": commit,
        "dirty": any(map(_is_dirt, status)) or not _same(sources, commit),
        "uri": _without_secrets(configured.get("remote.origin.url", "")),
    }


def _is_dirt(line: str) -> bool:
    """Whether a line of git status counts. Of ignored files, those do that Python could import."""
    if not line.startswith("!! "):
        return bool(line)
    return line.endswith((*CODE, "/")) and not HIDDEN.search(line[3:])


def _same(sources: dict[str, bytes], commit: str) -> bool:
    """Whether the sources are those of the commit, whatever git's index says."""
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
    """The URL of a remote without user and password; None for a folder on this machine."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http", "ssh", "git") or not parts.hostname:
        return None
    return f"git+{parts.scheme}://{parts.hostname}{parts.path}"


def changes(before: Code, after: Code) -> Iterator[str]:
    """How the code differs from what it was, in words; nothing if it does not."""
    for name in sorted(before.files.keys() | after.files.keys()):
        if before.files.get(name) != after.files.get(name):
            yield f"{name} was changed during the training"
    if before.commit != after.commit:
        yield f"the commit was {before.commit} and became {after.commit} during the training"


def unexplained(executed: set[str], code: Code, image: dict[str, str]) -> Iterator[str]:
    """What was executed without being in the code or among the image's files, in words.

    executed: paths. image: files of the image, by path, as ``passport.measure`` gives them.
    """
    for path in sorted(executed):
        if path in image or (path.endswith(".pyc") and not os.path.exists(path)):
            continue
        if (real := os.path.realpath(path)) in image:
            continue
        name = _named(real)
        read = READ.get(real)
        if name not in code.files:
            yield f"{name} was loaded, which belongs neither to the code nor to the image"
        elif read is not None and digest(read) != code.files[name]:
            yield f"{name} was changed after it was loaded"


def executed() -> set[str]:
    """The paths of what this process has loaded.

    They are the file of each module, the file that Python compiled it to (or would have), and each
    file that is mapped as a program.
    """
    paths = set()
    for module in list(sys.modules.values()):
        known = getattr(module, "__dict__", {})
        spec = known.get("__spec__")
        paths.add(known.get("__file__"))
        if getattr(spec, "has_location", None):
            paths.add(getattr(spec, "origin", None))
        # The checkout's own loader does not look for a compiled file.
        if type(getattr(spec, "loader", None)).__module__ != "pressbox_checkout":
            paths.add(getattr(spec, "cached", None))
    with open("/proc/self/maps", errors="surrogateescape") as maps:
        mapped = (line.rstrip("\n").split(None, 5) for line in maps)
        paths |= {entry[5] for entry in mapped if "x" in entry[1] and len(entry) == 6}
    # [vdso] and its like are the kernel's, <string> and its like have no file.
    return {path for path in paths if path and not path.startswith(("[", "<"))}
