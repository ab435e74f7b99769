"""20 Newsgroups: fetched once as the archive that its authors made, checked each time it is read.

scikit-learn keeps what it has fetched as a pickle, which nothing checks; here the archive itself is
kept, and read without unpickling and without a network.
"""

import hashlib
import http.client
import io
import os
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from pressbox import ROOT
from pressbox.atomic import beside
from pressbox.errors import PressboxError

CATEGORIES = ("rec.sport.baseball", "rec.sport.hockey")
FETCH = "python -m pressbox fetch newsgroups"
LARGEST, BLOCK = 64 << 20, 1 << 20  # bytes
DOWNLOAD_TIMEOUT_S = 60


def archive():
    """Name, address and SHA-256 of the archive, as scikit-learn knows them."""
    from sklearn.datasets import _twenty_newsgroups

    return _twenty_newsgroups.ARCHIVE


def kept() -> Path:
    """Where the archive lies once it is fetched."""
    home = os.environ.get("PRESSBOX_DATA_HOME") or ROOT / ".cache" / "scikit_learn_data"
    return Path(home, archive().filename)


def fetch() -> bool:
    """Download the archive unless it is there; return whether that was needed.

    It takes its name only if its SHA-256 is right. Raises PressboxError if it cannot be had.
    """
    path = kept()
    if path.is_file() and _digest(_content(path)) == archive().checksum:
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as file:
            _download(file)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise PressboxError(
            f"20 Newsgroups could not be fetched into {path.parent} ({error})",
            "try again with network access and enough space, or copy the file from another machine",
        ) from error
    return True


def _download(file: io.BufferedRandom) -> None:
    digest, size = hashlib.sha256(), 0
    with urllib.request.urlopen(archive().url, timeout=DOWNLOAD_TIMEOUT_S) as response:  # noqa: S310
        while block := response.read(BLOCK):
            digest.update(block)
            file.write(block)
            if (size := size + len(block)) > LARGEST:
                raise ValueError(f"what was sent is larger than {LARGEST >> 20} MiB")
    if digest.hexdigest() != archive().checksum:
        raise ValueError("what was sent is another file: its SHA-256 differs")


def rows(part: str) -> Iterator[tuple[str, str, str]]:
    """Place, text and label of each article of a part, ``train`` or ``test``.

    They are decoded as Latin-1, as scikit-learn does. Raises PressboxError unless the archive is
    there and is the one that it should be.
    """
    path = kept()
    content = _content(path)
    if _digest(content) != archive().checksum:
        raise PressboxError(
            f"{path} is not the archive of 20 Newsgroups: its SHA-256 differs",
            f"remove it and fetch it again: {FETCH}",
        )
    folder = f"20news-bydate-{part}"
    with tarfile.open(fileobj=io.BytesIO(content)) as members:
        for member in members:
            names = member.name.split("/")
            if names[:-2] != [folder] or names[-2] not in CATEGORIES or not member.isfile():
                continue
            if text := members.extractfile(member):
                yield member.name, text.read().decode("latin-1"), names[-2]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise PressboxError(
            f"20 Newsgroups is not in {path.parent}", f"fetch it: {FETCH}"
        ) from error
    except OSError as error:
        raise PressboxError(
            f"{path} cannot be read ({error.strerror})", f"remove it and fetch it again: {FETCH}"
        ) from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
