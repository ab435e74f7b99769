"""What is wrong here, seen from inside, and the line that mends it."""

from collections.abc import Iterator
from dataclasses import dataclass

from pressbox.environment import drift, lock
from pressbox.environment.drift import Environment
from pressbox.errors import Drifted, PressboxError
from pressbox.provenance import code
from pressbox.trust import signers

REBUILD = "rebuild the container; on the host, scripts/train.sh takes a fresh one by itself"


@dataclass(frozen=True)
class Finding:
    """subject and what was found; remedy: what to do if it is wrong; status: the exit status."""

    subject: str
    found: str
    remedy: str = ""
    status: int = 0


def examine(deep: bool = False) -> Iterator[Finding]:
    """Look at the environment (``deep``: each of its files), its lock, the code and the keys."""
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


def _environment(here: Environment, deep: bool) -> Iterator[Finding]:
    yield Finding("environment", here.digest)
    if here.drift:
        for difference in here.drift:
            yield Finding("drift", difference, REBUILD, Drifted.exit_status)
    else:
        yield Finding("drift", "none" if deep else "none (--deep reads each file)")
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
    # Only a release demands it, so it is no fault.
    yield Finding("accepted", "no; a release needs it: scripts/doctor.sh --accept")
    for change in lock.since_latest(passport, listed):
        yield Finding("", change)


def _keys() -> Iterator[Finding]:
    try:
        for key in signers.standing():
            until = f"until {key.until}" if key.until else "no expiry"
            found = f"{key.fingerprint}, {until}{key.remark}"
            if key.expired:
                yield Finding("signer", found, "scripts/keys.sh rotate, or revoke", 1)
            else:
                yield Finding("signer", found)
    except PressboxError as error:
        yield Finding("signers", error.what, error.remedy, error.exit_status)
