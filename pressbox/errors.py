"""The errors a person may see, each with its exit status.

Everything Pressbox raises on purpose is a ``PressboxError``: what went wrong, and what to do.
``reporting`` is the one place that turns it into the line on the screen. Anything else that
escapes is a bug and keeps its traceback.
"""

import contextlib
import os
import signal
import sys


class PressboxError(Exception):
    """The work failed. ``str`` of it is one line: what happened; what to do."""

    exit_status = 1

    def __init__(self, what: str, remedy: str):
        super().__init__(" ".join(f"{what}; {remedy}".split()))


class UsageError(PressboxError):
    """The command line asks for something that cannot be."""

    exit_status = 2


class NotTrusted(PressboxError):
    """A model whose origin or integrity is not proven. Nothing of it has been loaded."""

    exit_status = 3


class _Stopped(BaseException):
    """SIGTERM, as an exception, so that temporary key homes are removed on the way out."""


def _stop(signum, frame):
    raise _Stopped


@contextlib.contextmanager
def reporting():
    """Turn a PressboxError, Ctrl-C or SIGTERM into one line and an exit status."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        yield
        sys.stdout.flush()
    except PressboxError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        print("error: interrupted; nothing was changed", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except _Stopped:
        print("error: stopped; nothing was changed", file=sys.stderr)
        sys.exit(128 + signal.SIGTERM)
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); the flush at exit must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)


def note(line: str) -> None:
    """Say on standard error how far the work is."""
    print(line, file=sys.stderr, flush=True)
