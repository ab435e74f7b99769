"""The errors a person may see, each with its exit status.

Everything Pressbox raises on purpose is a ``PressboxError``: what went wrong, and what to do.
``reporting`` is the one place that turns it into the line on the screen. Anything else that
escapes is a bug and keeps its traceback.
"""

import argparse
import contextlib
import gc
import os
import signal
import sys
import unicodedata
from enum import StrEnum

# Characters that move, hide or turn round what a reader sees: controls, invisible formats (those of
# bidirectional text among them), halves of surrogate pairs, and ends of lines and paragraphs.
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
SPACE = "\n\t"
# Characters of what is told of a model that is not trusted: it may have had a hand in them.
LONGEST = 500


def visible(text: str, but: str = "") -> str:
    """The text, each character of UNSEEN as Python would escape it; those in ``but`` stay.

    On a page, ends of lines and tabs are but space: SPACE.
    """
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode()
        if unicodedata.category(char) in UNSEEN and char not in but
        else char
        for char in text
    )


class PressboxError(Exception):
    """The work failed. ``str`` of it is one line: what happened; what to do."""

    exit_status = 1

    def __init__(self, what: str, remedy: str):
        super().__init__(visible(" ".join(f"{what}; {remedy}".split())))


class UsageError(PressboxError):
    """The command line asks for something that cannot be."""

    exit_status = 2


class Drifted(PressboxError):
    """The environment is not the one that its passport, its lock or this checkout describes."""

    exit_status = 4


class Reason(StrEnum):
    """Why a model is not trusted, in the order in which it is asked; see docs/trust.md."""

    FILE = "file"  # not a regular file of bearable size
    COMPRESSION = "compression"  # not exactly one intact gzip member
    ARCHIVE = "archive"  # not exactly the archive that special_k writes
    METADATA = "metadata"  # not exactly one clear-signed line
    KEYS = "keys"  # the trusted signers themselves are not in order
    SIGNER = "signer"  # signed by a key that is not among the trusted signers
    EXPIRED = "expired"  # the key or the signature has expired, or the signer was retired
    REVOKED = "revoked"  # the key has been revoked
    SIGNATURE = "signature"  # the signature is not good
    INTEGRITY = "integrity"  # a member is missing, unsigned, or not the one that was signed
    STATEMENT = "statement"  # the statement is not one, or speaks of another model
    POLICY = "policy"  # authentic, but not what was asked for
    CODE = "code"  # the model names something that is not a model's
    MODEL = "model"  # authentic, but it does not load or does not predict as it did


class NotTrusted(PressboxError):
    """A model whose origin or integrity is not proven. Nothing of it has been unpickled."""

    exit_status = 3

    def __init__(
        self,
        reason: Reason,
        what: str,
        remedy: str = "do not use it; ask for it again where it comes from",
    ):
        what = what if len(what) <= LONGEST else f"{what[:LONGEST]}…"
        super().__init__(f"not trusted ({reason}): {what}", remedy)
        self.reason = reason


@contextlib.contextmanager
def reading_model(what: str):
    """Whatever breaks on the content of an authentic model is its signer's mistake: NotTrusted.

    What may break is NumPy, scikit-learn, special_k, the page: nobody can list what they raise.
    """
    try:
        yield
    except (OSError, PressboxError):
        raise
    except Exception as error:
        detail = str(error) or type(error).__name__
        raise NotTrusted(Reason.MODEL, f"it {what} ({detail})") from error


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
