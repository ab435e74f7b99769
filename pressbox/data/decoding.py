"""What the bytes of a file are, and which text they are."""

import codecs
import contextlib
import errno
import io
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from pressbox.errors import PressboxError

MAX_LINE_CHARACTERS = 4 << 20
# How files begin that are not text, whatever their names say.
POINTERS = {
    b"version https://git-lfs.github.com/spec/": "a Git LFS pointer; git lfs pull",
    b"/annex/objects/": "a git-annex pointer; git annex get",
    b"outs:\n- md5: ": "a DVC pointer; dvc pull",
}
SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF87a": "a GIF image",
    b"GIF89a": "a GIF image",
    b"%PDF-": "a PDF",
    b"PK\x03\x04": "a ZIP archive or an Office document",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an Office document",
    b"\x1f\x8b": "compressed with gzip",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"BZh91AY&SY": "compressed with bzip2",
    b"\xfd7zXZ\0": "compressed with xz",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"PAR1\x15": "a Parquet file",
    b"ARROW1\0\0": "an Arrow file",
    b"SQLite format 3\0": "a SQLite database",
    b"OggS\0": "an Ogg recording",
    b"\x7fELF": "a program",
}
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16's does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding_of(head: bytes, given: str = "") -> str:
    """The encoding that a byte order mark tells, else the given one, else UTF-8."""
    marked = (name for mark, name in BYTE_ORDER_MARKS if head.startswith(mark))
    return next(marked, given or "utf-8")


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("pressbox.latin-1", _as_latin_1)


def decoder(stream: io.BufferedReader, given: str = "") -> codecs.IncrementalDecoder:
    """What decodes texts of the stream that want an answer, whatever is in them.

    Bytes that are not UTF-8 are taken for Latin-1, as in a folder of texts; those that no given
    encoding has are replaced.
    """
    encoding = encoding_of(stream.peek(4), given)
    errors = "pressbox.latin-1" if encoding.startswith("utf-8") and not given else "replace"
    return codecs.getincrementaldecoder(encoding)(errors)


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say which file cannot be read, and why, in one line."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise PressboxError(
                f"there is not enough space in {tempfile.gettempdir()} to unpack {path}",
                "free some, or give it unpacked",
            ) from error
        if error.errno:
            raise PressboxError(
                f"{error.filename or path} cannot be read ({error.strerror})",
                "check that it exists and is readable",
            ) from error
        # Of gzip and of Arrow: no system call failed.
        raise damaged(path, error) from error
    except (EOFError, zlib.error) as error:
        raise damaged(path, error) from error
    except UnicodeDecodeError as error:
        raise PressboxError(
            f"{path} is not {error.encoding.upper()}", "give its encoding, e.g. --encoding cp1252"
        ) from error


def damaged(path: Path, reason: object) -> PressboxError:
    """The error for a file that is not as it was written."""
    return PressboxError(f"{path} is damaged ({reason})", "write or fetch it again")


def kind_of(head: bytes, path: Path) -> str:
    """What the bytes are, by their beginning; "" if it may be text, PressboxError for a pointer."""
    for beginning, pointer in POINTERS.items():
        if head.startswith(beginning):
            what, remedy = pointer.split("; ")
            raise PressboxError(f"{path} is {what}, not the file itself", f"fetch it: {remedy}")
    return next((kind for start, kind in SIGNATURES.items() if head.startswith(start)), "")
