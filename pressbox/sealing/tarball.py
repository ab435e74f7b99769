"""Seal a model into a signed special_k tarball, and open one.

special_k writes the format and loads it. This module decides what special_k ever gets to see: a
tarball is opened in the order of docs/trust.md, and nothing in it is unpickled until its signature,
its signer and every byte have been checked.
"""

import contextlib
import copy
import importlib
import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pressbox import payload
from pressbox.atomic import beside, try_replacing
from pressbox.console import checkpoint, doing
from pressbox.errors import NotTrusted, PressboxError, Reason, UsageError, reading_model
from pressbox.payload import FEWER_TERMS, PARAMETERS, STATEMENT, payload_digest
from pressbox.provenance.statement import Facts, SignedBy, Statement
from pressbox.sealing import container
from pressbox.sealing.armour import signed_line
from pressbox.sealing.metadata import (
    NAKED,
    check_integrity,
    parse_json,
    parse_metadata,
)
from pressbox.sealing.pickles import check_class, check_installed, check_pickle
from pressbox.sealing.policy import NOTHING, Policy, demand
from pressbox.trust import gnupg
from pressbox.trust.gnupg import GNUPG, SigningKey
from pressbox.trust.signers import DEMO, Signer, expiry, trusted_signers

if TYPE_CHECKING:
    # Verifying a model does not need NumPy.
    import numpy as np

    from pressbox.classifier import Classifier

SUFFIX = ".tar.gz"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Verified:
    """A model whose origin and bytes are proven, and nothing of which has been loaded.

    members: name to content. tar: all of it. kind: module and name of the model's class.
    """

    facts: Facts
    statement: Statement = field(repr=False)
    metadata: dict = field(repr=False)
    members: dict[str, memoryview] = field(repr=False)
    tar: memoryview = field(repr=False)
    signer: Signer = field(repr=False)
    kind: tuple[str, str]

    def json(self, name: str):
        """What a member says. KeyError if there is none, ValueError if it is not JSON."""
        return json.loads(bytes(self.members[name]))

    def array(self, name: str) -> "np.ndarray":
        """The array that a member holds. KeyError if there is none, ValueError if it holds none."""
        return payload.read(bytes(self.members[name]))


def verify(path: Path | str, trusted: Path | str = GNUPG, policy: Policy = NOTHING) -> Verified:
    """Prove where the tarball at ``path`` comes from, against the signers in ``trusted``.

    Raises UsageError if there is no file, NotTrusted with its reason for anything that is not as
    it has to be.
    """
    return _verified(container.read_file(Path(path)), Path(trusted), policy)


def open_model(
    path: Path | str, trusted: Path | str = GNUPG, policy: Policy = NOTHING
) -> "Classifier":
    """Verify the tarball, and only then load it: the Classifier that was sealed.

    Raises what ``verify`` raises, and NotTrusted for a model that does not load.
    """
    return _loaded(verify(path, trusted, policy))


def describe(path: Path | str, trusted: Path | str = GNUPG, policy: Policy = NOTHING) -> dict:
    """Verify the tarball, and say what it is: the JSON of its ``Facts``."""
    return verify(path, trusted, policy).facts.as_json()


def _verified(content: bytes | bytearray, trusted: Path, policy: Policy) -> Verified:
    layout = container.survey(content)
    line = signed_line(layout.signed)
    signers = trusted_signers(trusted)
    armoured = {fingerprint: signer.armoured for fingerprint, signer in signers.items()}
    signature = gnupg.verify(layout.signed, line, armoured)
    signer = signers[signature.key.fingerprint]
    if signer.retired:
        raise NotTrusted(Reason.EXPIRED, f"its signer retired on {signer.until}")
    metadata = parse_metadata(line)
    tar = container.contents(content, layout)
    members = check_integrity(metadata, layout.cut(tar))
    signed_by = SignedBy(
        fingerprint=signature.key.fingerprint,
        demo=signature.key.fingerprint == DEMO,
        experiments_only=signer.experiments_only,
        expires=(day := expiry(signature.key, signer)) and day.isoformat(),
        user_id=signature.key.user_id,
    )
    statement, facts = _stated(members, signed_by)
    demand(policy, facts)
    kind = check_pickle(members[NAKED], set(metadata["attributes"]))
    check_class(kind)
    return Verified(facts, statement, metadata, members, tar, signer, kind)


def _stated(members: dict[str, memoryview], signed_by: SignedBy) -> tuple[Statement, Facts]:
    """The statement, and the facts, once it is known to be about this payload."""
    if STATEMENT not in members:
        raise NotTrusted(Reason.STATEMENT, "it has no statement")
    stated = parse_json(bytes(members[STATEMENT]), Reason.STATEMENT)
    if PARAMETERS not in members:
        raise NotTrusted(Reason.MODEL, "it has no labels")
    parameters = parse_json(bytes(members[PARAMETERS]), Reason.MODEL)
    labels = parameters.get("labels") if isinstance(parameters, dict) else None
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise NotTrusted(Reason.MODEL, "it has no labels")
    try:
        statement = Statement(stated)
        facts = Facts.of(signed_by, statement, labels)
        if not NAME.fullmatch(facts.name):
            raise ValueError("its name is not one that a model can have")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise NotTrusted(
            Reason.STATEMENT,
            f"its statement is not one that Pressbox writes ({type(error).__name__}: {error})",
        ) from error
    files = {name: members[name] for name in members if name not in (STATEMENT, NAKED)}
    if payload_digest(files) != facts.model_digest:
        raise NotTrusted(Reason.STATEMENT, "its statement describes another model")
    return statement, facts


class _Memory(io.RawIOBase):
    """A memoryview as a readable file, without a copy."""

    def __init__(self, view: memoryview):
        self._view, self._position = view, 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def readinto(self, buffer):
        part = self._view[self._position : self._position + len(buffer)]
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)

    def seek(self, offset, whence=io.SEEK_SET):
        self._position = offset + (0, self._position, len(self._view))[whence]
        return self._position

    def tell(self):
        return self._position


def _loaded(verified: Verified):
    from pressbox.special_k import special_k

    signer = verified.facts.signer
    check_installed(verified.kind, f"{signer.user_id} ({signer.fingerprint})")
    with (
        gnupg.special_k_home(verified.signer.armoured, verified.signer.fingerprint) as home,
        reading_model("does not load"),
    ):
        _demand_attributes(verified)
        model = special_k.load_model_from_tarball_stream(
            _Memory(verified.tar), gpg_home_dir=home, run_model_validation=True
        )
    model.facts = verified.facts
    return model


def _demand_attributes(verified: Verified) -> None:
    """Raise ValueError unless exactly the attributes of its class are stored, as that class says.

    Any other could replace a method of the class before the class has checked it.
    """
    from pressbox.classifier import Classifier

    module, name = verified.kind
    kind = getattr(importlib.import_module(module), name)
    stored = {
        attribute: (stream["serializer"], stream["filename"])
        for attribute, stream in verified.metadata["attributes"].items()
    }
    if not issubclass(kind, Classifier) or stored != kind.stored():
        raise ValueError("it is not a model of this release")


def model_name(path: Path) -> str:
    """The name of the model at ``path``; PressboxError unless a model can be written there."""
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder", f"name a file in it, e.g. {path}/sports{SUFFIX}")
    name = path.name.removesuffix(SUFFIX)
    if name == path.name:
        raise UsageError(
            f"the model's file name must end in {SUFFIX}, and {path.name!r} does not",
            f"use e.g. sports{SUFFIX}",
        )
    if not NAME.fullmatch(name):
        raise UsageError(
            f"a model cannot be named {name!r}",
            "use up to 100 letters, digits, '.', '_' and '-', and begin with a letter or a digit",
        )
    if not os.path.isdir(path.parent):
        raise UsageError(f"there is no folder {path.parent}", "create it, or name another")
    try:
        try_replacing(path)
    except OSError as error:
        raise PressboxError(
            f"no model can be written to {path} ({error.strerror})", "name another path"
        ) from error
    return name


def seal(model: Any, path: Path | str, key: SigningKey, trusted: Path | str = GNUPG) -> Verified:
    """Sign the model, open the result again in full, and put it at ``path`` in one step.

    Returns what was opened. Whatever fails, the file that was at ``path`` stays as it was and no
    other file is left. The model itself is not touched.
    """
    path, trusted = Path(path), Path(trusted)
    with doing("signing the model"):
        content = _signed(model, key)
    try:
        with doing("opening what was signed"), beside(path) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            sealed = _reopened(file, trusted)
            _loaded(sealed)
            checkpoint()
    except OSError as error:
        raise PressboxError(
            f"the model could not be written to {path.parent} ({error.strerror})",
            "free some space or name another folder; an earlier model is unchanged",
        ) from error
    try:
        _sync(path.parent)
    except OSError as error:
        raise PressboxError(
            f"the model is at {path}, but may not survive a power cut ({error.strerror})",
            "check the disk, and seal it again",
        ) from error
    return sealed


def _reopened(file, trusted: Path) -> Verified:
    try:
        return _verified(container.read_open(file), trusted, NOTHING)
    except NotTrusted as refusal:
        # For what has just been written, these two can only mean that it is too large.
        if refusal.reason in (Reason.FILE, Reason.COMPRESSION):
            raise PressboxError(
                f"the model is too large to be opened ({refusal})",
                FEWER_TERMS,
            ) from refusal
        raise


def _signed(model, key: SigningKey) -> bytes:
    import gpg

    from pressbox.special_k import special_k

    # special_k insists on giving the passphrase itself (loopback). An agent that was forwarded here
    # forbids that, and asks its owner.
    mode = gpg.constants.PINENTRY_MODE_LOOPBACK
    if key.agent:
        mode = gpg.constants.PINENTRY_MODE_DEFAULT
    with gnupg.signing_home(key) as (home, fingerprint), _pinentry(mode):
        try:
            # special_k empties the model that it saves, so it gets a copy. It refuses an empty
            # passphrase; a key that has none never asks for the one that is given instead.
            stream = special_k.save_model_to_tarball_stream(
                copy.copy(model), home, fingerprint, key.passphrase or "none"
            )
        except special_k.exceptions.ModelValidationError as error:
            raise PressboxError(f"the model is not valid ({error})", "repair its class") from error
        except gpg.errors.GpgError as error:
            raise PressboxError(f"the model could not be signed ({error})", key.remedy) from error
    return stream.getvalue()


@contextlib.contextmanager
def _pinentry(mode: int) -> Iterator[None]:
    """Make special_k use this mode instead of the loopback."""
    import gpg

    kept = gpg.constants.PINENTRY_MODE_LOOPBACK
    gpg.constants.PINENTRY_MODE_LOOPBACK = mode
    try:
        yield
    finally:
        gpg.constants.PINENTRY_MODE_LOOPBACK = kept


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
