"""The file format of a sealed model, read without believing anything in it.

special_k writes a gzip of a tar of one folder: ``meta.version``, the attributes, the pickled model
and, last, ``meta.json.asc``, a clear-signed line of JSON with an HMAC for each of the others. What
is read here is not authentic yet, so every rule is exact: a header has to be, byte for byte, what
special_k writes for that name and size, and nothing may lie outside of the members. Sizes are
limited before anything is kept; ``survey`` keeps nothing but the signed line.
"""

import os
import re
import stat
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pressbox.errors import NotTrusted, Reason, UsageError
from pressbox.payload import MAX_INFLATED_BYTES
from pressbox.sealing.armour import MAX_SIGNED_BYTES
from pressbox.sealing.metadata import SIGNED, VERSION

# What anybody may have us do before there is a signature to look at, which comes last in a file:
# to keep so many bytes and inflate MAX_INFLATED_BYTES, which takes about a second.
MAX_FILE_BYTES = 128 << 20
# A smaller file may inflate to less: this, enough for arrays of zeros, and so many times its size.
BASE_INFLATED_BYTES, MAX_INFLATION_FACTOR = 128 << 20, 8
MAX_MEMBERS = 64

BLOCK_BYTES, RECORD_BYTES = tarfile.BLOCKSIZE, tarfile.RECORDSIZE
CHUNK_BYTES = 1 << 20
# What Python writes: deflate; no flags, or a file name; a time; level 9; system "unknown".
GZIP_HEADER = re.compile(
    rb"\x1f\x8b\x08(?:\0.{4}\x02\xff|\x08.{4}\x02\xff[ -~]{1,255}\0)", re.DOTALL
)
FOLDER = re.compile(rb"model_[0-9a-f]{32}")
MEMBER = re.compile(rb"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
VERSION_CONTENT = b"3\n"


@dataclass(frozen=True)
class Survey:
    """Where the members of a tar lie.

    size: of the tar, in bytes. members: name to (offset, size), in bytes. signed: the content of
    ``meta.json.asc``.
    """

    size: int
    members: dict[str, tuple[int, int]]
    signed: bytes

    def cut(self, tar: memoryview) -> dict[str, memoryview]:
        """The content of each member of ``tar`` by name, in the order of the tar."""
        return {name: tar[start : start + size] for name, (start, size) in self.members.items()}


def read_file(path: Path) -> bytearray:
    """The content of a regular file, read once.

    Raises UsageError if it cannot be read, NotTrusted for a link, for anything but a regular file,
    and for one that is too large or no gzip.
    """
    try:
        # O_NONBLOCK: nobody may ever write to a pipe that lies there.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if os.path.lexists(path) and Path(path).is_symlink():
            raise NotTrusted(Reason.FILE, f"{path} is a symbolic link") from error
        raise UsageError(
            f"the model {path} cannot be read ({error.strerror})", "give the path of a model"
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotTrusted(Reason.FILE, f"{path} is not a regular file")
    with open(descriptor, "rb") as file:
        return read_open(file)


def read_open(file) -> bytearray:
    """The content of an open binary file from its start. Raises NotTrusted like ``read_file``."""
    file.seek(0)
    head = file.read(BLOCK_BYTES)
    if not GZIP_HEADER.match(head):
        raise NotTrusted(Reason.COMPRESSION, "it is not a gzip file as special_k writes it")
    too_large = NotTrusted(Reason.FILE, f"it is larger than {MAX_FILE_BYTES >> 20} MiB")
    if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
        raise too_large
    # read(n) would reserve all n bytes at once, and joining parts would hold them twice.
    content = bytearray(head)
    while part := file.read(CHUNK_BYTES):
        content += part
        if len(content) > MAX_FILE_BYTES:
            raise too_large
    return content


def inflated(content: bytes | bytearray) -> Iterator[bytes]:
    """The chunks of the one gzip member that ``content`` has to be, its CRC checked at the end.

    Raises NotTrusted (``compression``) if it is anything else, or inflates to too much.
    """
    limit = min(MAX_INFLATED_BYTES, BASE_INFLATED_BYTES + MAX_INFLATION_FACTOR * len(content))
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    if not GZIP_HEADER.match(content):
        raise NotTrusted(Reason.COMPRESSION, "it is not a gzip file as special_k writes it")
    total = 0
    try:
        for start in range(0, len(content), CHUNK_BYTES):
            pending = content[start : start + CHUNK_BYTES]
            while pending and not inflater.eof:
                chunk = inflater.decompress(pending, CHUNK_BYTES)
                pending = inflater.unconsumed_tail
                total += len(chunk)
                if total > limit:
                    raise NotTrusted(
                        Reason.COMPRESSION, f"it inflates to more than {limit >> 20} MiB"
                    )
                yield chunk
            if inflater.eof and start + CHUNK_BYTES < len(content):
                raise NotTrusted(Reason.COMPRESSION, "something follows the compressed data")
    except zlib.error as error:
        raise NotTrusted(Reason.COMPRESSION, f"it does not inflate ({error})") from error
    if not inflater.eof:
        raise NotTrusted(Reason.COMPRESSION, "the file is truncated")
    if inflater.unused_data:
        raise NotTrusted(Reason.COMPRESSION, "something follows the compressed data")


class _Stream:
    """The inflated bytes in order, each read once."""

    def __init__(self, chunks: Iterator[bytes]):
        self._chunks, self._buffer, self.offset = chunks, b"", 0

    def read(self, size: int) -> bytes:
        parts = []
        while size > 0:
            if not self._buffer:
                self._buffer = self._next()
            part, self._buffer = self._buffer[:size], self._buffer[size:]
            size -= len(part)
            self.offset += len(part)
            parts.append(part)
        return b"".join(parts)

    def skip(self, size: int) -> None:
        while size > len(self._buffer):
            size -= len(self._buffer)
            self.offset += len(self._buffer)
            self._buffer = self._next()
        self.read(size)

    def at_end(self) -> bool:
        while not self._buffer:
            chunk = next(self._chunks, None)
            if chunk is None:
                return True
            self._buffer = chunk
        return False

    def _next(self) -> bytes:
        chunk = next(self._chunks, None)
        if chunk is None:
            raise NotTrusted(Reason.ARCHIVE, "the archive is truncated")
        return chunk


def survey(content: bytes | bytearray) -> Survey:
    """Walk the tar in the gzip ``content`` without keeping it. NotTrusted if it is not exact."""
    stream = _Stream(inflated(content))
    folder = _folder(stream.read(BLOCK_BYTES))
    members, kept = {}, {}
    while (header := stream.read(BLOCK_BYTES)) != bytes(BLOCK_BYTES):
        if len(members) == MAX_MEMBERS:
            raise NotTrusted(Reason.ARCHIVE, f"it has more than {MAX_MEMBERS} members")
        name, size = _member(header, folder)
        if name in members:
            raise NotTrusted(Reason.ARCHIVE, f"it has two members named {name}")
        members[name] = (stream.offset, size)
        if name in (VERSION, SIGNED):
            if size > MAX_SIGNED_BYTES:
                raise NotTrusted(Reason.METADATA, f"{name} is larger than {MAX_SIGNED_BYTES} bytes")
            kept[name] = stream.read(size)
        else:
            stream.skip(size)
        _zeros(stream, -size % BLOCK_BYTES)
    # tarfile writes two empty blocks at the end and fills up the record.
    _zeros(stream, BLOCK_BYTES)
    _zeros(stream, -stream.offset % RECORD_BYTES)
    if not stream.at_end():
        raise NotTrusted(Reason.ARCHIVE, "something follows the end of the archive")
    if kept.get(VERSION) != VERSION_CONTENT:
        raise NotTrusted(Reason.METADATA, f"its {VERSION} is not that of format 3")
    if SIGNED not in kept:
        raise NotTrusted(Reason.METADATA, f"it has no {SIGNED}")
    return Survey(stream.offset, members, kept[SIGNED])


def _zeros(stream: _Stream, size: int) -> None:
    if stream.read(size).strip(b"\0"):
        raise NotTrusted(Reason.ARCHIVE, "there are bytes between the members")


def _folder(header: bytes) -> bytes:
    name = header[:100].rstrip(b"\0").removesuffix(b"/")
    if not FOLDER.fullmatch(name) or header != _header(name, 0, tarfile.DIRTYPE):
        raise NotTrusted(Reason.ARCHIVE, "it does not begin with the folder of a model")
    return name


def _member(header: bytes, folder: bytes) -> tuple[str, int]:
    inside, _, name = header[:100].rstrip(b"\0").partition(b"/")
    digits = header[124:135]
    if inside != folder or not MEMBER.fullmatch(name) or not re.fullmatch(rb"[0-7]{11}", digits):
        raise NotTrusted(Reason.ARCHIVE, "a member is not a plain file of the model's folder")
    size = int(digits, 8)
    if header != _header(folder + b"/" + name, size, tarfile.REGTYPE):
        raise NotTrusted(Reason.ARCHIVE, "a header is not as special_k writes it")
    return name.decode(), size


def _header(name: bytes, size: int, kind: bytes) -> bytes:
    """The one header that special_k (tarfile's defaults) writes for a member."""
    info = tarfile.TarInfo(name.decode())
    info.size, info.type = size, kind
    return info.tobuf(tarfile.USTAR_FORMAT)


def contents(content: bytes | bytearray, layout: Survey) -> memoryview:
    """The tar of ``layout.size`` bytes, inflated again now that this size is known to be honest."""
    tar = bytearray(layout.size)
    offset = 0
    for chunk in inflated(content):
        tar[offset : offset + len(chunk)] = chunk
        offset += len(chunk)
    return memoryview(tar).toreadonly()
