"""Turns that processes take: many at the same time, or one alone."""

import contextlib
import fcntl


@contextlib.contextmanager
def turn(folder, alone):
    """Have a turn among all processes that take theirs in the folder; alone, or beside others."""
    with contextlib.ExitStack() as room:
        # One by one through the door: whoever waits there to be alone is overtaken by nobody.
        with _locked(folder / "door", fcntl.LOCK_EX):
            kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
            room.enter_context(_locked(folder / "room", kind))
        yield


@contextlib.contextmanager
def _locked(path, kind):
    with path.open("a") as file:
        fcntl.flock(file, kind)
        try:
            yield
        finally:
            # Closing would not do where a child has the file, too.
            fcntl.flock(file, fcntl.LOCK_UN)
