"""The errors a person may see, each with its exit status.

Everything Pressbox raises on purpose is a ``PressboxError``: what went wrong, and what to do.
``console.reporting`` is the one place that turns it into the line on the screen. Anything else that
escapes is a bug and keeps its traceback.
"""

import contextlib
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
    """The work failed. what: happened; remedy: what to do. ``str`` of it is both, in one line."""

    exit_status = 1

    def __init__(self, what: str, remedy: str):
        self.what, self.remedy = (visible(" ".join(text.split())) for text in (what, remedy))
        super().__init__(f"{self.what}; {self.remedy}")


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
