"""What is wrong here, seen from inside, and the line that fixes it."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from pressbox import ROOT
from pressbox.environment import drift, lock
from pressbox.environment.drift import Environment
from pressbox.errors import Drifted, PressboxError
from pressbox.provenance import code
from pressbox.trust import signers

REBUILD = "rebuild the container; on the host, scripts/train.sh takes a fresh one by itself"
RESOLVE = "resolve it: docs/updating.md says how"
# What is merged and then trained with. The list of accepted environments speaks for itself.
MERGED = ("*.py", "poetry.lock", "pyproject.toml", "pressbox/**/*.py", "third_party/**/*")
MERGED += (".devcontainer/*", "gnupg/*")
# When Debian made an index that debian.lock was made of, in seconds since 1970.
RELEASE = re.compile(r"^release \S+ (\d{1,10})$", re.MULTILINE)
CONFLICT = re.compile(rb"^<<<<<<< ", re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """subject and what was found; remedy: what to do if it is wrong; status: the exit status."""

    subject: str
    found: str
    remedy: str = ""
    status: int = 0


def examine(deep: bool = False) -> Iterator[Finding]:
    """Look at the environment (``deep``: each of its files), its lock, the code and the keys."""
    yield from _conflicts()
    yield from _clock()
    try:
        here = drift.current(deep)
    except Drifted as error:
        yield Finding("environment", error.what, error.remedy, error.exit_status)
    else:
        yield from _environment(here, deep)
    here = code.current()
    state = {None: here.why, True: "with uncommitted changes", False: "clean"}
    yield Finding("code", f"commit {here.commit}, {state[here.dirty]}")
    yield from _keys()


def _conflicts() -> Iterator[Finding]:
    files = {path for pattern in MERGED for path in ROOT.glob(pattern) if path.is_file()}
    for path in sorted(files - {lock.LOCK}):
        content = path.read_bytes()
        if conflict := CONFLICT.search(content):
            line = content.count(b"\n", 0, conflict.start()) + 1
            found = f"{path.relative_to(ROOT)} has a merge conflict in it, at line {line}"
            yield Finding("merge", found, RESOLVE, 1)


def _clock() -> Iterator[Finding]:
    """Whether the clock is slow. Whether it is fast, only a network could say."""
    lock = ROOT / ".devcontainer" / "debian.lock"
    made = map(int, RELEASE.findall(lock.read_text())) if lock.is_file() else ()
    if (newest := max(made, default=0)) > time.time():
        days = (datetime.fromtimestamp(moment, UTC).date() for moment in (time.time(), newest))
        found = "it says {}, and debian.lock is of {}".format(*days)
        yield Finding("clock", found, "set this machine's clock", PressboxError.exit_status)


def _environment(here: Environment, deep: bool) -> Iterator[Finding]:
    yield Finding("environment", here.digest)
    if here.drift:
        for difference in here.drift:
            yield Finding("drift", difference, REBUILD, Drifted.exit_status)
    else:
        yield Finding("drift", "none" if deep else "none (--deep reads every file)")
    for path in here.stale:
        yield Finding("stale", f"built before {path} was changed", REBUILD, Drifted.exit_status)
    if here.passport is not None:
        yield from _accepted(here.digest, here.passport)


def _accepted(digest: str, passport: dict) -> Iterator[Finding]:
    try:
        listed = lock.read()
    except PressboxError as error:
        yield Finding("accepted", error.what, error.remedy, error.exit_status)
        return
    if digest in lock.digests(listed):
        yield Finding("accepted", "yes")
        return
    # Only a release demands it, so it is not a fault.
    yield Finding("accepted", "no; a release needs it: scripts/doctor.sh --accept")
    for change in lock.since_latest(passport, listed):
        yield Finding("", change)


def _keys() -> Iterator[Finding]:
    try:
        for key in signers.standing():
            until = f"until {key.until}" if key.until else "no expiry"
            found = f"{key.fingerprint}, {until}{key.remark}"
            if key.expired:
                yield Finding("signer", found, "replace it: scripts/keys.sh rotate, or revoke", 1)
            else:
                yield Finding("signer", found)
    except PressboxError as error:
        yield Finding("signers", error.what, error.remedy, error.exit_status)
