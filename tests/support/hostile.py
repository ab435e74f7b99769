"""What an attacker has: a tar and gzip writer without scruples, patience.

``genuine()`` is the small model that the attacks start from. ``packed`` writes members as special_k
does; ``forged`` signs whatever it is given with a key that is trusted.
"""

import base64
import contextlib
import functools
import hmac
import io
import json
import pickle
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import dill
import joblib
import numpy as np
import pytest
from special_k import REGISTRY
from special_k.model_metadata import metadata_format_v3

from pressbox import payload
from pressbox.classifier import SportClassifier
from pressbox.errors import NotTrusted
from pressbox.payload import payload_digest
from pressbox.provenance.statement import SignedBy
from pressbox.sealing import armour, container, metadata, pickles, policy, tarball
from pressbox.sealing.metadata import SIGNED, VERSION
from pressbox.trust import signing_key
from pressbox.trust.gnupg import GNUPG
from pressbox.trust.signers import DEMO
from support import ROOT
from support.keys import demo_signs
from support.models import tiny

FOLDER = "model_" + "0123456789abcdef" * 2
GZIP = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
SECONDS, MEBIBYTES = 2, 256
ANY = policy.Policy()


# Models


def sealed_by(key, model=None, trusted=GNUPG):
    """The bytes of a model, sealed as anybody would."""
    few = mock.patch.object(metadata_format_v3, "get_installed_packages", lambda: ["one==1"])
    with tempfile.TemporaryDirectory() as folder, few:
        path = Path(folder, "model.tar.gz")
        tarball.seal(model or tiny(), path, key, trusted)
        return path.read_bytes()


@functools.cache
def genuine(name="tiny", weight=1.0):
    return sealed_by(signing_key.demo_key(), tiny(name, weight))


# Archives


def inflate(content):
    return zlib.decompress(content, wbits=31)


def gzipped(tar, level=1):
    """One gzip member, with the header that Python writes for level 9."""
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15)
    body = deflate.compress(tar) + deflate.flush()
    return GZIP + body + zlib.crc32(tar).to_bytes(4, "little") + len(tar).to_bytes(4, "little")


def members(content):
    """Name to content, in order, as tarfile reads them."""
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        files = [info for info in tar.getmembers() if info.isfile()]
        return {info.name.partition("/")[2]: tar.extractfile(info).read() for info in files}


def member(name, content=b"", **fields):
    """One tar member as bytes; ``fields`` are those of TarInfo, ``format`` and ``spoil``."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    kind, spoil = fields.pop("format", tarfile.USTAR_FORMAT), fields.pop("spoil", bytes)
    for field, value in fields.items():
        setattr(info, field, value)
    header = info.tobuf(kind)
    return (spoil(header) if spoil is not bytes else header) + content + bytes(-len(content) % 512)


def tarred(parts, folder=FOLDER, extra=b"", **fields):
    """A tar of the parts: a mapping or pairs of name and content, or bytes as they are."""
    pairs = parts.items() if isinstance(parts, dict) else parts
    tar = member(folder, type=tarfile.DIRTYPE, **fields)
    for part in pairs:
        tar += part if isinstance(part, bytes) else member(f"{folder}/{part[0]}", part[1], **fields)
    tar += extra + bytes(1024)
    return tar + bytes(-len(tar) % tarfile.RECORDSIZE)


def packed(parts, **options):
    return gzipped(tarred(parts, **options))


def signed_line(parts):
    return parts[SIGNED].split(b"\n")[3]


def forged(changes=(), edit=None, sign=demo_signs, original=None):
    """The genuine model with changed members (None: removed), signed anew by a trusted key.

    The HMACs are made to fit; ``edit`` changes the metadata before it is signed. original: the
    bytes of another model to change.
    """
    parts = members(original or genuine())
    metadata = json.loads(signed_line(parts))
    parts.update(changes)
    parts = {name: content for name, content in parts.items() if content is not None}
    for stream in (metadata["model"], *metadata["attributes"].values()):
        nonce = base64.b64decode(stream["nonce"])
        code = hmac.digest(nonce, parts[stream["filename"]], "sha256")
        stream["hmac_code"] = base64.b64encode(code).decode()
    if edit:
        edit(metadata)
    parts[SIGNED] = sign(json.dumps(metadata).encode())
    return packed(parts)


def at(path, value):
    """Set the value that lies at the path in a JSON object."""

    def edit(object_):
        *keys, last = path
        for key in keys:
            object_ = object_[key]
        object_[last] = value

    return edit


def stated_anew(path, edit):
    """The model at the path with a statement that was edited, signed by a trusted key."""
    content = path.read_bytes()
    statement = json.loads(members(content)[payload.STATEMENT])
    edit(statement)
    return forged({payload.STATEMENT: json.dumps(statement).encode()}, original=content)


def resealed(attributes):
    """The genuine model with other content of attributes, and a statement that fits it."""
    parts = {**members(genuine()), **attributes}
    left_out = (payload.STATEMENT, metadata.NAKED, SIGNED, VERSION)
    files = {name: content for name, content in parts.items() if name not in left_out}
    statement = json.loads(parts[payload.STATEMENT])
    statement["subject"][0]["digest"]["sha256"] = payload_digest(files)[7:]
    return forged({**attributes, payload.STATEMENT: json.dumps(statement).encode()})


def attribute(name, content):
    return resealed({name: content})


def armoured(packet, crc=True):
    """The signature block that GnuPG writes for the packet."""
    lines = base64.encodebytes(packet).replace(b"\n", b"")
    body = b"".join(lines[i : i + 64] + b"\n" for i in range(0, len(lines), 64))
    check = b"=" + base64.b64encode(armour._crc24(packet)) + b"\n" if crc else b""
    return b"-----BEGIN PGP SIGNATURE-----\n\n" + body + check + b"-----END PGP SIGNATURE-----\n"


def unarmoured(signed):
    """The signature packet in a clear-signed message."""
    body = signed.partition(b"-----BEGIN PGP SIGNATURE-----\n\n")[2].partition(b"\n-----END")[0]
    return base64.b64decode(body.rpartition(b"\n=")[0])


# Opening


class Unpickled(BaseException):
    """Something was unpickled; no ``except Exception`` may hide it."""


@contextlib.contextmanager
def nothing_is_unpickled():
    def spy(*arguments, **options):
        raise Unpickled

    targets = [(pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (np, "load")]
    targets += [(module, name) for module in (dill, joblib) for name in ("load", "loads")]
    serializers = REGISTRY.serializer_map.values()
    targets += [(serializer, "_deserialize_from_stream") for serializer in serializers]
    with contextlib.ExitStack() as stack:
        for owner, name in targets:
            if hasattr(owner, name):
                stack.enter_context(mock.patch.object(owner, name, staticmethod(spy)))
        yield


def refuses(path, reason, trusted=GNUPG, policy=ANY):
    """Assert that the model at the path, or these bytes, is refused in time, nothing unpickled."""
    with tempfile.TemporaryDirectory() as folder, nothing_is_unpickled():
        if isinstance(path, bytes):
            content, path = path, Path(folder, "model.tar.gz")
            path.write_bytes(content)
        start = time.monotonic()
        with pytest.raises(NotTrusted) as refusal:
            tarball.open_model(path, trusted, policy)
        assert time.monotonic() - start < SECONDS
    assert refusal.value.reason == reason, refusal.value


def opens(content, trusted=GNUPG, policy=ANY):
    """Open the bytes as a model; the model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.tar.gz")
        path.write_bytes(content)
        return tarball.open_model(path, trusted, policy)


APART = """
import resource, sys, time
from pathlib import Path
from pressbox.errors import PressboxError
from pressbox.sealing import tarball
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + ({mebibytes} << 20),) * 2)
start, busy = time.monotonic(), time.process_time()
try:
    tarball.verify(*map(Path, sys.argv[1:]))
    print("opened", end=" ")
except PressboxError as error:
    print(getattr(error, "reason", "usage"), end=" ")
print(time.monotonic() - start, time.process_time() - busy)
"""


def verdict_apart(path):
    """The verdict of a process of its own that may take 256 MiB more than its imports, and GnuPG
    as much: the reason or "opened", the seconds, and how many of them it was at work."""
    script = APART.format(mebibytes=MEBIBYTES)
    command = [sys.executable, "-c", script, path, GNUPG]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    verdict, *seconds = done.stdout.split()
    return verdict, *map(float, seconds)


# Fuzzing: what takes bytes that nobody has vouched for, and what to start from


def fuzz(parse, content):
    """Let the parser have the content: NotTrusted may come out, and nothing else."""
    with contextlib.suppress(NotTrusted):
        parse(content)


@functools.cache
def _members_of_genuine():
    return container.survey(genuine()).cut(memoryview(inflate(genuine())))


def _metadata(line):
    metadata.check_integrity(metadata.parse_metadata(line), _members_of_genuine())


@functools.cache
def _signed_members():
    parts = members(genuine()).items()
    return {name: memoryview(part) for name, part in parts if name not in (VERSION, SIGNED)}


def _statement(content):
    signer = SignedBy(DEMO, demo=True, experiments_only=False, expires=None, user_id="Demo")
    parts = {**_signed_members(), payload.STATEMENT: memoryview(content)}
    _, facts = tarball._stated(parts, signer)
    floor = datetime(2026, 1, 1, tzinfo=UTC)
    policy.demand(policy.Policy("tiny", floor, (DEMO,)), facts)


FUZZED = {
    "gzip": (container.survey, genuine),
    "tar": (lambda tar: container.survey(gzipped(tar)), lambda: inflate(genuine())),
    "clear-signed": (armour.signed_line, lambda: members(genuine())[SIGNED]),
    "metadata": (_metadata, lambda: signed_line(members(genuine()))),
    "pickle": (
        lambda content: pickles.check_class(
            pickles.check_pickle(memoryview(content), set(SportClassifier.stored()))
        ),
        lambda: members(genuine())[metadata.NAKED],
    ),
    "statement": (_statement, lambda: members(genuine())[payload.STATEMENT]),
}
