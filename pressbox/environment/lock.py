"""The environments that a team has accepted: ``.devcontainer/environment.lock``.

For each architecture it lists the environments with their dates, what changed, and the passport
behind each digest, so that people see what was accepted, not a hash. It also says where the images
of the present inputs were published, if they were; scripts/lib/ready_made.sh reads that, line by
line.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from pressbox import ROOT
from pressbox.atomic import beside
from pressbox.environment import passport
from pressbox.environment.drift import Environment, Files, differences, shortened
from pressbox.errors import Drifted, PressboxError

LOCK = ROOT / ".devcontainer" / "environment.lock"
VERSION = 3
# Until 2, nothing was published.
READABLE = (2, VERSION)
FIRST = "the first of its architecture"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
NAME = re.compile(r"[a-z0-9][a-z0-9.:-]*(/[a-z0-9][a-z0-9._-]*)+")


# Architecture to its accepted environments, oldest first, as they are in the file.
Lock = dict[str, tuple[dict, ...]]


@dataclass(frozen=True)
class Image:
    """digest: of the image's manifest. environment: of the passport in it. ``sha256:<hex>``."""

    digest: str
    environment: str


@dataclass(frozen=True)
class Published:
    """Images of the same inputs, in a registry.

    name: registry and repository. inputs: the number of what they are made of, as
    scripts/lib/image.sh counts it. digest: of the index of all. images: by architecture, as
    ``uname -m`` says it. All digests are ``sha256:<hex>``.
    """

    name: str
    inputs: str
    digest: str
    images: Mapping[str, Image]


def read(path: Path = LOCK) -> Lock:
    """The accepted environments by architecture; none if there is no such file.

    Raises PressboxError for a file that ``accept`` would not have written, for example one with a
    digest that is not that of its passport, or with a merge conflict.
    """
    return _read(path)[0]


def read_published(path: Path = LOCK) -> Published | None:
    """Where images were published; None if they were not. Raises PressboxError as ``read``."""
    return _read(path)[1]


def _read(path: Path) -> tuple[Lock, Published | None]:
    if not path.exists():
        return {}, None
    content = b""
    try:
        content = path.read_bytes()
        lock = json.loads(content)
        version, architectures = lock["version"], lock["architectures"]
        if version not in READABLE:
            raise ValueError(f"it has version {version}")
        known = {"version", "architectures"} | ({"published"} if version == VERSION else set())
        if not lock.keys() <= known:
            raise ValueError("it has other fields")
        found = {name: _checked(name, entries) for name, entries in architectures.items()}
        published = _checked_published(lock["published"], found) if "published" in lock else None
    except (
        AttributeError,
        LookupError,
        OSError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        if b"<<<<<<<" in content:
            raise PressboxError(
                f"{path} has a merge conflict in it",
                "keep one side (git checkout --ours), then scripts/doctor.sh --accept",
            ) from error
        raise PressboxError(
            f"{path} is not a list of accepted environments ({error})",
            "restore it with git checkout; scripts/doctor.sh --accept adds to it",
        ) from error
    return found, published


def _checked(architecture: str, entries: list[dict]) -> tuple[dict, ...]:
    if not entries:
        raise ValueError(f"it has no entry for {architecture}")
    for entry in entries:
        if entry.keys() != {"changes", "date", "digest", "passport"}:
            raise ValueError(f"an entry of {architecture} has other fields")
        if passport.digest(passport.canonical(entry["passport"])) != entry["digest"]:
            raise ValueError(f"the digest {entry['digest']} is not that of its passport")
        if entry["passport"]["architecture"] != architecture:
            raise ValueError(f"the passport of another architecture is listed under {architecture}")
    return tuple(entries)


def _checked_published(entry: dict, lock: Lock) -> Published:
    images = {name: Image(**image) for name, image in entry["images"].items()}
    published = Published(**{**entry, "images": images})
    for architecture, image in images.items():
        if image.environment not in {entry["digest"] for entry in lock.get(architecture, ())}:
            raise ValueError(f"the published image for {architecture} is not an accepted one")
    numbers = [published.inputs, published.digest, *(image.digest for image in images.values())]
    if not images or not all(map(DIGEST.fullmatch, numbers)):
        raise ValueError("a published image has no digest")
    if not NAME.fullmatch(published.name):
        raise ValueError("the published images have no name")
    return published


def digests(lock: Lock) -> set[str]:
    """The environment digests, ``sha256:<hex>``, of every architecture."""
    return {entry["digest"] for entries in lock.values() for entry in entries}


def since_latest(issued: dict, lock: Lock, files: tuple[Files, Files] | None = None) -> list[str]:
    """How an environment differs from the newest accepted one of its architecture, in words.

    issued: its passport. files: what the newest lists, if that is known, and what this one does.
    """
    entries = lock.get(issued["architecture"])
    if not entries:
        return [FIRST]
    latest = entries[-1]["passport"]
    if files and passport.digest(passport.canonical(dict(files[0]))) != latest["files"]["digest"]:
        files = None
    return differences(latest, issued, files)


def demand(environment: Environment, path: Path = LOCK) -> None:
    """Raise Drifted unless the environment is accepted and as it was built."""
    if environment.passport is None or environment.differences:
        raise Drifted(
            f"a release is not trained in an environment that has drifted:"
            f" {shortened(environment.differences)}",
            "omit --allow-drift",
        )
    lock = read(path)
    if environment.digest not in digests(lock):
        changes = shortened(since_latest(environment.passport, lock))
        raise Drifted(
            f"this environment is not an accepted one: {changes}",
            "look at what has changed, then run scripts/doctor.sh --accept and commit the lock",
        )


def accept(
    environment: Environment, today: date, path: Path = LOCK, earlier: Files | None = None
) -> Sequence[str]:
    """Add the environment to the list; return what changed since the newest of its architecture.

    today: the date of the entry. earlier: the files of the image before, if they are known, to name
    those that differ. Nothing is returned or written if the environment is the newest already.
    Raises Drifted for an environment that has drifted, PressboxError if ``path`` cannot be read or
    written.
    """
    if environment.passport is None or environment.differences:
        raise Drifted(
            f"an environment that has drifted cannot be accepted:"
            f" {shortened(environment.differences)}",
            "rebuild the container, or run scripts/doctor.sh --accept on the host",
        )
    lock, published = _read(path)
    issued = environment.passport
    entries = lock.get(issued["architecture"], ())
    if entries and entries[-1]["digest"] == environment.digest:
        return ()
    files = (earlier, environment.files) if earlier else None
    entry = {
        "digest": environment.digest,
        "date": today.isoformat(),
        "changes": since_latest(issued, lock, files),
        "passport": issued,
    }
    lock[issued["architecture"]] = (*entries, entry)
    _write(lock, published, path)
    return entry["changes"]


def publish(published: Published, path: Path = LOCK) -> None:
    """Write where images were published, in place of what the file has said of that.

    Raises PressboxError if the environment of one is not accepted, or as ``accept``.
    """
    lock, _ = _read(path)
    for architecture, image in published.images.items():
        if image.environment not in {entry["digest"] for entry in lock.get(architecture, ())}:
            raise Drifted(
                f"the environment of the image for {architecture} is not an accepted one",
                "look at what has changed, then run scripts/doctor.sh --accept",
            )
    _write(lock, published, path)


def _write(lock: Lock, published: Published | None, path: Path) -> None:
    content: dict = {"version": VERSION, "architectures": lock}
    if published:
        content["published"] = asdict(published)
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    try:
        with beside(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise PressboxError(
            f"{path} cannot be written ({error.strerror})", "check the permissions of .devcontainer"
        ) from error
