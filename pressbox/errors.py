"""The errors a person may see, each with its exit status.

Everything Pressbox raises on purpose is a ``PressboxError``: what went wrong, and what to do.
``console.reporting`` is the one place that turns it into the line on the screen. Anything else that
escapes is a bug and keeps its traceback.
"""

import contextlib
import os
import re
import unicodedata
from enum import StrEnum

# Categories of characters that move, hide or reverse what a reader sees: controls, invisible
# formats (bidirectional ones too), halves of surrogate pairs, ends of lines and of paragraphs.
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
SPACE = "\n\t"
# A refusal may quote the model that is refused, which then decides how long the line is.
MAX_REFUSAL_CHARACTERS = 500


def visible(text: str, but: str = "") -> str:
    """The text, with each character of UNSEEN escaped as Python would do it.

    but: characters that stay as they are, such as SPACE on a page.
    """
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode()
        if unicodedata.category(char) in UNSEEN and char not in but
        else char
        for char in text
    )


def called(text: str) -> str:
    """The text, with each path that a door of the scripts has let in called as on the host."""
    told = os.environ.get("PRESSBOX_CALLED", "").split("\n")
    names = dict(line.split("\t") for line in told if line.find("\t") > 0)
    if not names:
        return text
    # The longest first: one may lie in another.
    here = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.sub(rf"({here})(?![\w-])", lambda found: names[found[0]], text)


class PressboxError(Exception):
    """The work failed.

    what: what happened. remedy: what to do about it. ``str`` gives both, in one line.
    """

    exit_status = 1

    def __init__(self, what: str, remedy: str):
        self.what, self.remedy = (
            visible(" ".join(called(text).split())) for text in (what, remedy)
        )
        super().__init__(f"{self.what}; {self.remedy}")


class UsageError(PressboxError):
    """The command line asks for something that is not possible."""

    exit_status = 2


class Drifted(PressboxError):
    """The environment is not the one that its passport, the lock or this checkout describes."""

    exit_status = 4


class Reason(StrEnum):
    """Why a model is not trusted, in the order of the checks; see docs/trust.md."""

    FILE = "file"  # not a regular file, or too large
    COMPRESSION = "compression"  # not exactly one intact gzip member
    ARCHIVE = "archive"  # not exactly the archive that special_k writes
    METADATA = "metadata"  # not exactly one clear-signed line
    KEYS = "keys"  # the list of trusted signers itself is not in order
    SIGNER = "signer"  # signed by a key that is not among the trusted signers
    EXPIRED = "expired"  # the key or the signature has expired, or the signer was retired
    REVOKED = "revoked"  # the key has been revoked
    SIGNATURE = "signature"  # the signature is not good
    INTEGRITY = "integrity"  # a member is missing, unsigned, or not the one that was signed
    STATEMENT = "statement"  # it is not a statement, or one about another model
    POLICY = "policy"  # authentic, but not what was asked for
    CODE = "code"  # the pickle names something that no model needs
    MODEL = "model"  # authentic, but does not load, or predicts something else


class NotTrusted(PressboxError):
    """A model whose origin or integrity is not proven. Nothing in it has been unpickled.

    reason: which check it failed. what, remedy: as for PressboxError.
    """

    exit_status = 3

    def __init__(
        self,
        reason: Reason,
        what: str,
        remedy: str = "do not use it; ask its sender for a new copy",
    ):
        if len(what) > MAX_REFUSAL_CHARACTERS:
            what = f"{what[:MAX_REFUSAL_CHARACTERS]}…"
        super().__init__(f"not trusted ({reason}): {what}", remedy)
        self.reason = reason


class FromLater(NotTrusted):
    """What counts was made later than now, as this machine's clock has it, which may be slow."""

    def __init__(self, reason: Reason, what: str):
        super().__init__(reason, what, "set this machine's clock; if it is right, do not use it")


@contextlib.contextmanager
def reading_model(what: str):
    """Raise NotTrusted (``model``) for whatever the block raises: it is the signer's mistake.

    what: what the model does not do, for the message. OSError and PressboxError pass through. What
    NumPy, scikit-learn and special_k raise on what a model may hold, nobody can list.
    """
    try:
        yield
    except (OSError, PressboxError):
        raise
    except Exception as error:
        detail = str(error) or type(error).__name__
        raise NotTrusted(Reason.MODEL, f"it {what} ({detail})") from error
