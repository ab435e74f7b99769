"""The environments that a team has accepted: ``.devcontainer/environment.lock``.

For each architecture it lists the environment digests with their dates and what changed, and keeps
the passport of the newest, so that a person sees which packages differ, not a hash.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pressbox import ROOT, passport
from pressbox.environment import UNKNOWN, Environment, differences, shortened
from pressbox.errors import Drifted, PressboxError
from pressbox.files import beside

LOCK = ROOT / ".devcontainer" / "environment.lock"
VERSION = 1
FIRST = "the first of its architecture"


@dataclass(frozen=True)
class Accepted:
    """The accepted environments of an architecture, oldest first, and the newest's passport."""

    entries: tuple[dict, ...] = ()
    latest: dict | None = None


def read(path: Path = LOCK) -> dict[str, Accepted]:
    """The accepted environments by architecture; none if there is no such file.

    Raises PressboxError for a file that is not what ``accept`` writes.
    """
    if not path.exists():
        return {}
    content = b""
    try:
        content = path.read_bytes()
        lock = json.loads(content)
        version, architectures = lock["version"], lock["architectures"]
        if version != VERSION:
            raise ValueError(f"it has version {version}")
        found = {name: _accepted(name, entry) for name, entry in architectures.items()}
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
            "bring it back with git checkout; scripts/doctor.sh --accept adds to it",
        ) from error
    return found


def _accepted(architecture: str, entry: dict) -> Accepted:
    entries, latest = tuple(entry["accepted"]), entry["latest"]
    for listed in entries:
        if listed.keys() != {"changes", "date", "digest"}:
            raise ValueError(f"an entry of {architecture} has other fields")
    if passport.digest(passport.canonical(latest)) != entries[-1]["digest"]:
        raise ValueError(f"the passport of {architecture} is not that of its newest entry")
    return Accepted(entries, latest)


def digests(lock: dict[str, Accepted]) -> set[str]:
    return {entry["digest"] for accepted in lock.values() for entry in accepted.entries}


def since_latest(issued: dict, lock: dict[str, Accepted]) -> list[str]:
    """How an environment differs from the newest accepted one of its architecture, in words."""
    accepted = lock.get(issued["architecture"], Accepted())
    return differences(accepted.latest, issued) if accepted.latest else [FIRST]


def demand(environment: Environment, path: Path = LOCK) -> None:
    """Raise Drifted unless the environment is an accepted one, as it was built."""
    if environment.differences:
        raise Drifted(
            f"a release is not trained in an environment that has drifted:"
            f" {shortened(environment.differences)}",
            "leave --allow-drift away",
        )
    lock = read(path)
    if environment.digest not in digests(lock):
        changes = shortened(since_latest(environment.passport, lock))
        raise Drifted(
            f"this environment is not an accepted one: {changes}",
            "look at what has changed, then scripts/doctor.sh --accept, and commit the lock",
        )


def accept(environment: Environment, today: date, path: Path = LOCK) -> Sequence[str]:
    """Add the environment to the list; return what changed since the newest of its architecture.

    Nothing is returned or written if it is that one. Raises Drifted for one that has drifted.
    """
    if environment.digest == UNKNOWN or environment.differences:
        raise Drifted(
            f"what has drifted cannot be accepted: {shortened(environment.differences)}",
            "rebuild the container, or run scripts/doctor.sh --accept on the host",
        )
    lock = read(path)
    issued = environment.passport
    architecture = issued["architecture"]
    accepted = lock.get(architecture, Accepted())
    if accepted.entries and accepted.entries[-1]["digest"] == environment.digest:
        return ()
    changes = since_latest(issued, lock)
    entry = {"digest": environment.digest, "date": today.isoformat(), "changes": changes}
    lock[architecture] = Accepted((*accepted.entries, entry), issued)
    _write(lock, path)
    return changes


def _write(lock: dict[str, Accepted], path: Path) -> None:
    content = {
        "version": VERSION,
        "architectures": {
            name: {"accepted": accepted.entries, "latest": accepted.latest}
            for name, accepted in lock.items()
        },
    }
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    try:
        with beside(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise PressboxError(
            f"{path} cannot be written ({error.strerror})", "check the modes of .devcontainer"
        ) from error
