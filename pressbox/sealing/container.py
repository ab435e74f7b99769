"""The file format of a sealed model, read without believing anything in it.

special_k writes a gzip of a tar of one folder: ``meta.version``, the attributes, the pickled model
and, last, ``meta.json.asc``, a clear-signed line of JSON that has an HMAC for each of the others.
What is read here is not yet authentic, so every rule is exact: a header has to be, byte for byte,
the one that special_k writes for that name and size, and nothing may lie outside of the members.
Sizes are bounded before anything is kept; ``survey`` keeps no content but the signed line.
"""

import base64
import binascii
import hmac
import json
import os
import pickletools
import re
import stat
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pressbox.errors import NotTrusted, Reason, UsageError

# What anybody may have us do before there is a signature to look at, which comes last in a file:
# to keep and inflate so many bytes, which takes about a second. It is enough for a vocabulary of
# two million terms and twenty labels.
MAX_FILE, MAX_INFLATED = 128 << 20, 512 << 20
# A smaller file has less: so many bytes, enough for arrays of zeros, and so many times its size.
SMALL_INFLATED, MAX_INFLATION = 128 << 20, 8
MAX_MEMBERS = 64
# GnuPG cuts a clear-signed line at 19,993 bytes, and then everything behind is not signed.
MAX_LINE = 19_000
MAX_SIGNED = MAX_LINE + 6_000
# Of JSON: what is nested no deeper can be printed and compared, too.
MAX_LEVELS = 32

BLOCK, RECORD = tarfile.BLOCKSIZE, tarfile.RECORDSIZE
CHUNK = 1 << 20
# Deflate; no flags, or a file name; a time; level 9; "unknown" system: what Python writes.
GZIP_HEADER = re.compile(
    rb"\x1f\x8b\x08(?:\0.{4}\x02\xff|\x08.{4}\x02\xff[ -~]{1,255}\0)", re.DOTALL
)
FOLDER = re.compile(rb"model_[0-9a-f]{32}")
MEMBER = re.compile(rb"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
VERSION, SIGNED = "meta.version", "meta.json.asc"
VERSION_CONTENT = b"3\n"
# What special_k is told to store attributes with, and how it stores the model without them.
SERIALIZERS = {"json", "npy"}
NAKED_MODEL = ("pickle", "THEMODEL.pickle")
PLACEHOLDER = ("special_k.serializable_model", "CustomSerializedValue")
CLEAR_SIGNED = re.compile(
    rb"-----BEGIN PGP SIGNED MESSAGE-----\nHash: (?P<hash>SHA[0-9]+)\n\n"
    rb"(?P<line>\{[ -~]*\})\n"
    rb"-----BEGIN PGP SIGNATURE-----\n\n"
    rb"(?P<body>(?:[A-Za-z0-9+/=]{1,64}\n)+?)"
    rb"(?:=(?P<crc>[A-Za-z0-9+/]{4})\n)?"
    rb"-----END PGP SIGNATURE-----\n"
)


@dataclass(frozen=True)
class Survey:
    """Where the members of a tar lie. ``members``: name to (offset, size), in bytes of the tar."""

    size: int
    members: dict[str, tuple[int, int]]
    signed: bytes


def read_file(path: Path) -> bytearray:
    """The content of a regular file, read once. UsageError if there is none, NotTrusted else."""
    try:
        # O_NONBLOCK: a pipe must not keep us waiting for somebody to write into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if os.path.lexists(path) and Path(path).is_symlink():
            raise refusal(Reason.FILE, f"{path} is a symbolic link") from error
        raise UsageError(
            f"the model {path} cannot be read ({error.strerror})", "give the path of a model"
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise refusal(Reason.FILE, f"{path} is not a regular file")
    with open(descriptor, "rb") as file:
        return read_open(file)


def read_open(file) -> bytearray:
    """The content of an open binary file from its start, if it looks like a sealed model."""
    file.seek(0)
    head = file.read(BLOCK)
    if not GZIP_HEADER.match(head):
        raise refusal(Reason.COMPRESSION, "it is not a gzip file as special_k writes it")
    too_large = refusal(Reason.FILE, f"it is larger than {MAX_FILE >> 20} MiB")
    if os.fstat(file.fileno()).st_size > MAX_FILE:
        raise too_large
    # In pieces, into one: read(n) would make room for all n bytes at once, and joining twice.
    content = bytearray(head)
    while part := file.read(CHUNK):
        content += part
        if len(content) > MAX_FILE:
            raise too_large
    return content


def refusal(reason: Reason, what: str) -> NotTrusted:
    return NotTrusted(reason, what)


def inflated(content: bytes) -> Iterator[bytes]:
    """The chunks of the one gzip member that ``content`` has to be, its CRC checked at the end."""
    limit = min(MAX_INFLATED, SMALL_INFLATED + MAX_INFLATION * len(content))
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    if not GZIP_HEADER.match(content):
        raise refusal(Reason.COMPRESSION, "it is not a gzip file as special_k writes it")
    total = 0
    try:
        for start in range(0, len(content), CHUNK):
            pending = content[start : start + CHUNK]
            while pending and not inflater.eof:
                chunk = inflater.decompress(pending, CHUNK)
                pending = inflater.unconsumed_tail
                total += len(chunk)
                if total > limit:
                    raise refusal(Reason.COMPRESSION, f"it inflates to more than {limit >> 20} MiB")
                yield chunk
            if inflater.eof and start + CHUNK < len(content):
                raise refusal(Reason.COMPRESSION, "something follows the compressed data")
    except zlib.error as error:
        raise refusal(Reason.COMPRESSION, f"it does not inflate ({error})") from error
    if not inflater.eof:
        raise refusal(Reason.COMPRESSION, "it ends in the middle")
    if inflater.unused_data:
        raise refusal(Reason.COMPRESSION, "something follows the compressed data")


class _Stream:
    """The inflated bytes in order, each read once."""

    def __init__(self, chunks: Iterator[bytes]):
        self._chunks, self._buffer, self.offset = chunks, b"", 0

    def read(self, size: int) -> bytes:
        parts = []
        while size > 0:
            if not self._buffer:
                self._buffer = next(self._chunks, None)
                if self._buffer is None:
                    raise refusal(Reason.ARCHIVE, "it ends in the middle")
            part, self._buffer = self._buffer[:size], self._buffer[size:]
            size -= len(part)
            self.offset += len(part)
            parts.append(part)
        return b"".join(parts)

    def skip(self, size: int) -> None:
        while size > len(self._buffer):
            size -= len(self._buffer)
            self.offset += len(self._buffer)
            self._buffer = next(self._chunks, None)
            if self._buffer is None:
                raise refusal(Reason.ARCHIVE, "it ends in the middle")
        self.read(size)

    def at_end(self) -> bool:
        while not self._buffer:
            self._buffer = next(self._chunks, None)
            if self._buffer is None:
                self._buffer = b""
                return True
        return False


def survey(content: bytes) -> Survey:
    """Walk the tar in the gzip ``content`` without keeping it; NotTrusted unless it is exact."""
    stream = _Stream(inflated(content))
    folder = _folder(stream.read(BLOCK))
    members, kept = {}, {}
    while (header := stream.read(BLOCK)) != bytes(BLOCK):
        if len(members) == MAX_MEMBERS:
            raise refusal(Reason.ARCHIVE, f"it has more than {MAX_MEMBERS} members")
        name, size = _member(header, folder)
        if name in members:
            raise refusal(Reason.ARCHIVE, f"it has two members {name}")
        members[name] = (stream.offset, size)
        if name in (VERSION, SIGNED):
            if size > MAX_SIGNED:
                raise refusal(Reason.METADATA, f"{name} is larger than {MAX_SIGNED} bytes")
            kept[name] = stream.read(size)
        else:
            stream.skip(size)
        _zeros(stream, -size % BLOCK)
    # tarfile ends with two empty blocks and fills up the record.
    _zeros(stream, BLOCK)
    _zeros(stream, -stream.offset % RECORD)
    if not stream.at_end():
        raise refusal(Reason.ARCHIVE, "something follows the end of the archive")
    if kept.get(VERSION) != VERSION_CONTENT:
        raise refusal(Reason.METADATA, f"{VERSION} is not that of format 3")
    if SIGNED not in kept:
        raise refusal(Reason.METADATA, f"it has no {SIGNED}")
    return Survey(stream.offset, members, kept[SIGNED])


def _zeros(stream: _Stream, size: int) -> None:
    if stream.read(size).strip(b"\0"):
        raise refusal(Reason.ARCHIVE, "there are bytes between the members")


def _folder(header: bytes) -> bytes:
    name = header[:100].rstrip(b"\0").removesuffix(b"/")
    if not FOLDER.fullmatch(name) or header != _header(name, 0, tarfile.DIRTYPE):
        raise refusal(Reason.ARCHIVE, "it does not begin with the folder of a model")
    return name


def _member(header: bytes, folder: bytes) -> tuple[str, int]:
    inside, _, name = header[:100].rstrip(b"\0").partition(b"/")
    digits = header[124:135]
    if inside != folder or not MEMBER.fullmatch(name) or not re.fullmatch(rb"[0-7]{11}", digits):
        raise refusal(Reason.ARCHIVE, "a member is not a plain file of the model's folder")
    size = int(digits, 8)
    if header != _header(folder + b"/" + name, size, tarfile.REGTYPE):
        raise refusal(Reason.ARCHIVE, "a header is not as special_k writes it")
    return name.decode(), size


def _header(name: bytes, size: int, kind: bytes) -> bytes:
    """The one header that special_k (tarfile's defaults) writes for a member."""
    info = tarfile.TarInfo(name.decode())
    info.size, info.type = size, kind
    return info.tobuf(tarfile.USTAR_FORMAT)


def contents(content: bytes, layout: Survey) -> memoryview:
    """The tar itself, inflated a second time, now that its size is known to be meant."""
    tar = bytearray(layout.size)
    offset = 0
    for chunk in inflated(content):
        tar[offset : offset + len(chunk)] = chunk
        offset += len(chunk)
    return memoryview(tar).toreadonly()


def signed_line(signed: bytes) -> bytes:
    """The one line that ``meta.json.asc`` claims is signed; NotTrusted unless its shape is exact.

    That leaves GnuPG nothing to interpret: no text around the armour, no other kind of message, no
    second signature, no blank at the end of a line (which no signature covers).
    """
    match = CLEAR_SIGNED.fullmatch(signed)
    if not match or len(match["line"]) > MAX_LINE:
        raise refusal(Reason.METADATA, f"{SIGNED} is not one clear-signed line")
    body = match["body"].replace(b"\n", b"")
    try:
        packet = base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise refusal(Reason.METADATA, "the signature is not base64") from error
    lines = base64.b64encode(packet)
    wrapped = b"".join(lines[i : i + 64] + b"\n" for i in range(0, len(lines), 64))
    if wrapped != match["body"] or match["crc"] not in (None, base64.b64encode(_crc24(packet))):
        raise refusal(Reason.METADATA, "the signature's armour is not as GnuPG writes it")
    if not _one_signature(packet):
        raise refusal(Reason.METADATA, "the signature is not one OpenPGP signature")
    return match["line"]


def _one_signature(packet: bytes) -> bool:
    """Whether it is exactly one signature packet (RFC 9580, 4.2): type 2, and its length."""
    if len(packet) < 3:
        return False
    if packet[0] == 0x88:  # one octet of length
        return packet[1] == len(packet) - 2
    if packet[0] == 0x89:  # two octets
        return int.from_bytes(packet[1:3]) == len(packet) - 3
    return False


def _crc24(content: bytes) -> bytes:
    """The checksum of OpenPGP's armour (RFC 4880, 6.1)."""
    crc = 0xB704CE
    for octet in content:
        crc ^= octet << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return crc.to_bytes(3)


def parse_json(content: bytes, reason: Reason):
    """JSON as its standard has it: UTF-8, no name twice, no NaN, not deep; else NotTrusted."""

    def unique(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name stands in it twice")
        return dict(pairs)

    def constant(name):
        raise ValueError(f"{name} is no number")

    try:
        value = json.loads(content.decode(), object_pairs_hook=unique, parse_constant=constant)
        _require_shallow(value)
        return value
    except (ValueError, RecursionError) as error:
        raise refusal(reason, f"it is not JSON ({error})") from error


def _require_shallow(value, levels: int = MAX_LEVELS) -> None:
    if not levels:
        raise ValueError("it is nested too deep")
    if isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            _require_shallow(inner, levels - 1)


def parse_metadata(line: bytes) -> dict:
    """The signed line as special_k's format 3 has it; NotTrusted unless it is exactly that."""
    metadata = parse_json(line, Reason.METADATA)
    expected = {
        "version": int,
        "model": dict,
        "attributes": dict,
        "written_on_date": str,
        "serializing_package_version": str,
        "installed_packages": list,
    }
    if (
        not isinstance(metadata, dict)
        or metadata.keys() != expected.keys()
        or any(type(metadata[key]) is not kind for key, kind in expected.items())
        or metadata["version"] != 3
        or not all(isinstance(package, str) for package in metadata["installed_packages"])
        or not all(map(_is_stream, [metadata["model"], *metadata["attributes"].values()]))
        or (metadata["model"]["serializer"], metadata["model"]["filename"]) != NAKED_MODEL
        or not {stream["serializer"] for stream in metadata["attributes"].values()} <= SERIALIZERS
    ):
        raise refusal(Reason.METADATA, "the signed line is not metadata of format 3")
    return metadata


def _is_stream(stream) -> bool:
    return (
        isinstance(stream, dict)
        and stream.keys() == {"filename", "nonce", "hmac_code", "serializer"}
        and all(isinstance(value, str) for value in stream.values())
    )


def check_integrity(metadata: dict, layout: Survey, tar: memoryview) -> dict[str, memoryview]:
    """The content of each signed member by name, every HMAC checked; NotTrusted if one is off."""
    streams = [*metadata["attributes"].values(), metadata["model"]]
    names = [stream["filename"] for stream in streams]
    if [VERSION, *names, SIGNED] != list(layout.members):
        raise refusal(Reason.INTEGRITY, "its members are not those that were signed")
    contents = {}
    for stream in streams:
        offset, size = layout.members[stream["filename"]]
        content = tar[offset : offset + size]
        nonce, code = _base64(stream["nonce"], 16), _base64(stream["hmac_code"], 32)
        if not hmac.compare_digest(hmac.digest(nonce, content, "sha256"), code):
            raise refusal(Reason.INTEGRITY, f"{stream['filename']} is not the one that was signed")
        contents[stream["filename"]] = content
    return contents


def _base64(text: str, size: int) -> bytes:
    """Bytes of this number, as special_k writes them."""
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise refusal(Reason.METADATA, "a nonce or an HMAC is not base64") from error
    if len(content) != size or base64.b64encode(content).decode() != text:
        raise refusal(Reason.METADATA, "a nonce or an HMAC is not as special_k writes it")
    return content


def check_pickle(content: memoryview, attributes: set[str]) -> tuple[str, str]:
    """The class of the pickled naked model: (module, name).

    NotTrusted unless loading the pickle makes one instance of it whose state is ``attributes``,
    each special_k's placeholder, and nothing else. The opcodes are followed, not executed.
    """
    try:
        made, named = _made_by_pickle(bytes(content))
        if not isinstance(made, _Instance) or not isinstance(made.state, dict):
            raise ValueError("it is not an instance")
        if made.state.keys() != attributes:
            raise ValueError("its state is not that of a model")
        for value in made.state.values():
            if value.kind != PLACEHOLDER or value.state is not None:
                raise ValueError("its state holds something else than placeholders")
        # What is made and thrown away counts, too.
        if not named <= {made.kind, PLACEHOLDER}:
            raise ValueError(f"it names {sorted(named - {made.kind, PLACEHOLDER})}")
    except (AttributeError, IndexError, LookupError, TypeError, ValueError) as error:
        raise refusal(Reason.CODE, f"its pickle is not that of a model ({error})") from error
    return made.kind


@dataclass
class _Instance:
    """What loading a pickle would make: of which class (module, name), and its state."""

    kind: tuple[str, str]
    state: dict | None = None


_MARK = object()


def _made_by_pickle(content: bytes):
    """What the pickle would make, and the globals it names: {(module, name), ...}.

    Of the opcodes, those that pickling such an object takes; no REDUCE: nothing is called. Raises
    what a stack machine raises for anything else.
    """
    stack, memo, named = [], [], set()
    for opcode, argument, position in pickletools.genops(content):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "MEMOIZE":
                memo.append(stack[-1])
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "SHORT_BINUNICODE":
                stack.append(argument)
            case "EMPTY_TUPLE":
                stack.append(())
            case "EMPTY_DICT":
                stack.append({})
            case "MARK":
                stack.append(_MARK)
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                if not isinstance(name, str) or not isinstance(module, str):
                    raise ValueError("a global without a name")
                named.add((module, name))
                stack.append((module, name))
            case "NEWOBJ":
                arguments, kind = stack.pop(), stack.pop()
                if arguments != () or len(kind) != 2:
                    raise ValueError("an instance made of something")
                stack.append(_Instance(kind))
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                stack[-1][key] = value
            case "SETITEMS":
                start = len(stack) - 1 - stack[::-1].index(_MARK)
                items = stack[start + 1 :]
                del stack[start:]
                stack[-1].update(zip(items[::2], items[1::2], strict=True))
            case "BUILD":
                state = stack.pop()
                if stack[-1].state is not None:
                    raise ValueError("a state that is set twice")
                stack[-1].state = dict(state)
            case "STOP":
                made = stack.pop()
                if stack or position != len(content) - 1:
                    raise ValueError("something follows it")
                return made, named
            case name:
                raise ValueError(f"the opcode {name}")
    raise ValueError("it has no end")
