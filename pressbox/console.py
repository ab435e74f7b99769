"""What speaks to a terminal: the parser, notes, the line of an error, signals."""

import argparse
import contextlib
import gc
import os
import signal
import sys

from pressbox.errors import PressboxError, UsageError, visible


class Parser(argparse.ArgumentParser):
    """argparse, but what is wrong with the command line is one line like any other error."""

    def error(self, message):
        print(f"error: {UsageError(message, f'see {self.prog} --help')}", file=sys.stderr)
        sys.exit(UsageError.exit_status)


class _Stopped(BaseException):
    """Ctrl-C or SIGTERM, as an exception: temporary key homes are removed on the way out."""


# The signal that came. A library's bare `except:` can swallow the exception, but not this.
_signal = 0


def _stop(signum, frame):
    global _signal
    _signal = signum
    raise _Stopped


def checkpoint() -> None:
    """Stop here if somebody has asked for it."""
    if _signal:
        raise _Stopped


@contextlib.contextmanager
def reporting():
    """Turn a PressboxError, Ctrl-C or SIGTERM into one line and an exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        yield
        sys.stdout.flush()
    except PressboxError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except MemoryError:
        error = PressboxError(
            "there is not enough memory",
            "give more, e.g. PRESSBOX_MEMORY=16g scripts/train.sh, or fewer texts",
        )
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except _Stopped:
        what = "interrupted" if _signal == signal.SIGINT else "stopped"
        print(f"error: {what}; nothing was changed", file=sys.stderr)
        sys.exit(128 + _signal)
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); the flush at exit must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    finally:
        # Before it ends, the interpreter would search all that scikit-learn has loaded for what it
        # can free: a quarter of a second.
        gc.freeze()


def note(line: str) -> None:
    """Say on standard error how far the work is."""
    checkpoint()
    print(visible(line), file=sys.stderr, flush=True)
