"""What speaks to a terminal: the parser, notes, progress, the line of an error, signals."""

import argparse
import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from threading import Event, RLock, Thread
from typing import Any

from pressbox import __version__
from pressbox.errors import PressboxError, UsageError, called, visible


class Parser(argparse.ArgumentParser):
    """argparse, but what is wrong with the command line is one line like any other error."""

    def __init__(self, **options: Any):
        super().__init__(**options)
        version = f"pressbox {__version__}"
        self.add_argument("--version", action="version", version=version, help="print it")

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
    _say(visible(called(line)))


# In seconds: how often the line that says what is being done is written anew on a terminal, and how
# long a log stays silent.
TICK_S, SILENCE_S = 0.5, 30.0
# Two threads write: whoever does the work, and who says that it is being done.
_writing = RLock()
_spoken = time.monotonic()
# Characters of the terminal's last line that the next one has to cover.
_drawn = 0


def watched() -> bool:
    """Whether a person looks at standard error; a door of the scripts tells it of its own."""
    return sys.stderr.isatty() or bool(os.environ.get("PRESSBOX_TERMINAL"))


def _say(line: str, end: str = "\n") -> None:
    """Write over what was drawn last; with a carriage return at its end, to be covered itself."""
    global _drawn, _spoken
    with _writing:
        print(line.ljust(_drawn), end=end, file=sys.stderr, flush=True)
        _drawn = len(line) if end == "\r" else 0
        _spoken = time.monotonic()


@contextlib.contextmanager
def doing(what: str) -> Iterator[Callable[[int | str], None]]:
    """Say what is being done, for as long as it is.

    On a terminal that is one line, written anew; a log gets a line where it would be silent for too
    long. What is done quickly is not mentioned. Yields what takes how far it is: in words, or as a
    number of texts.
    """
    far: list[int | str] = []
    ended, on_terminal, started = Event(), watched(), time.monotonic()

    def tell() -> None:
        while not ended.wait(TICK_S):
            with _writing:
                if on_terminal or time.monotonic() - _spoken >= SILENCE_S:
                    how = [f"{step:,} texts" if isinstance(step, int) else step for step in far]
                    line = ", ".join([what, *how, f"{time.monotonic() - started:.0f} s"])
                    _say(visible(called(line)), "\r" if on_terminal else "\n")

    def quietly() -> None:
        # Whoever read it has gone: that is for the one who does the work.
        with contextlib.suppress(OSError, ValueError):
            tell()

    thread = Thread(target=quietly, daemon=True)
    thread.start()
    try:
        yield lambda step: far.__setitem__(slice(None), [step])
    finally:
        ended.set()
        thread.join()
        if _drawn:
            _say("", "\r")
