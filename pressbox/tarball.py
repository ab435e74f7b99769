"""Seal a model into a signed special_k tarball, and open one.

special_k writes the format and loads it; what is around it here keeps the earlier model safe while
a new one is written, and the signature's verification in a home with the trusted signers alone.
"""

import binascii
import copy
import io
import os
import re
import secrets
import tarfile
import zlib
from pathlib import Path

import gpg
import special_k
import voluptuous
from special_k.exceptions import ModelValidationError, SerializationError

from pressbox.classifier import SportClassifier, payload, payload_digest
from pressbox.errors import NotTrusted, PressboxError, UsageError
from pressbox.keys import GNUPG, SigningKey, signing_home, verifying_home
from pressbox.provenance import summary

SUFFIX = ".tar.gz"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# What special_k and the libraries below it raise for a tarball that is not as it should be.
REFUSALS = (
    AssertionError,
    AttributeError,
    EOFError,
    KeyError,
    ModelValidationError,
    OSError,
    SerializationError,
    TypeError,
    ValueError,
    binascii.Error,
    gpg.errors.GpgError,
    tarfile.TarError,
    voluptuous.Invalid,
    zlib.error,
)


def model_name(path: Path) -> str:
    """The name of the model at ``path``; UsageError unless a model can be written there."""
    name = path.name.removesuffix(SUFFIX)
    if name == path.name or not NAME.fullmatch(name):
        raise UsageError(
            f"{path.name!r} is no name for a model",
            f"use letters, digits, '.', '_' and '-', and end in {SUFFIX}",
        )
    if path.is_dir():
        raise UsageError(f"{path} is a folder", f"name a file in it, e.g. {path}/sports{SUFFIX}")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", "create it, or name another")
    if not os.access(path.parent, os.W_OK):
        raise PressboxError(
            f"{path.parent} cannot be written to", "change its mode or name another"
        )
    return name


def seal(model: SportClassifier, path: Path, key: SigningKey) -> None:
    """Sign the model, open the result again, and put it at ``path`` in one step.

    Whatever fails, the file that was at ``path`` stays as it was and no other file is left.
    """
    content = _signed(model, key)
    _opened(content, GNUPG)
    _replace(Path(path), content)


def open_model(path: Path, trusted: Path = GNUPG) -> SportClassifier:
    """Verify the tarball at ``path`` against the signers in the folder ``trusted``, and load it."""
    return _opened(_read(Path(path)), trusted)[0]


def describe(path: Path, trusted: Path = GNUPG) -> dict:
    """Verify and load the tarball, and say what it is, as ``show`` and ``verify`` print it."""
    model, signer = _opened(_read(Path(path)), trusted)
    return {**summary(model.statement), "labels": model.labels, "signer": signer}


def _signed(model: SportClassifier, key: SigningKey) -> bytes:
    with signing_home(key) as (home, fingerprint):
        try:
            # special_k empties the model it saves: it gets a copy. It refuses an empty passphrase:
            # a key that has none never asks for this one.
            stream = special_k.save_model_to_tarball_stream(
                copy.copy(model), home, fingerprint, key.passphrase or "none"
            )
        except gpg.errors.GPGMEError as error:
            raise PressboxError(
                f"the model could not be signed ({error.getstring()})",
                "check the signing key and its passphrase",
            ) from error
    return stream.getvalue()


def _opened(content: bytes, trusted: Path) -> tuple[SportClassifier, dict]:
    with verifying_home(trusted) as home:
        try:
            signer = _signer(content, home)
            model = special_k.load_model_from_tarball_stream(io.BytesIO(content), gpg_home_dir=home)
            digest = summary(model.statement)["model_digest"]
        except REFUSALS as error:
            raise NotTrusted(
                f"the model is not trusted ({type(error).__name__}: {error})",
                "do not use it; ask for it again where it comes from",
            ) from error
    if payload_digest(payload(model)) != digest:
        raise NotTrusted(
            "the model is not the one its statement speaks of",
            "do not use it; ask for it again where it comes from",
        )
    return model, signer


def _signer(content: bytes, home: str) -> dict:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        [name] = [name for name in archive.getnames() if name.endswith("/meta.json.asc")]
        signed = archive.extractfile(name).read()
    with gpg.Context(home_dir=home, offline=True) as context:
        _, result = context.verify(signed)
        [signature] = result.signatures
        key = context.get_key(signature.fpr)
        return {"fingerprint": key.fpr, "user_id": key.uids[0].uid}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"the model {path} cannot be read ({error.strerror})", "give the path of a model"
        ) from error


def _replace(path: Path, content: bytes) -> None:
    """Write a file that has no name until it is complete, then put it in the place of ``path``."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with open(os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o666), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            # A link cannot replace a file, a rename can: the name in between lives microseconds.
            # With a dir_fd, Python follows the link in /proc to the file itself.
            complete = f".{path.name}.{secrets.token_hex(4)}"
            os.link(f"/proc/self/fd/{file.fileno()}", complete, dst_dir_fd=folder)
        os.replace(complete, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
    except OSError as error:
        raise PressboxError(
            f"the model could not be written to {path.parent} ({error.strerror})",
            "free some space or name another folder; an earlier model is as it was",
        ) from error
    finally:
        os.close(folder)
