"""Which key signs: the demo key, one from the environment or a pipe, files, or an agent's.

A secret key and its passphrase are read where they lie and go nowhere but into a GnuPG home that
ends with the signing.
"""

import argparse
import base64
import os
import subprocess
import time
from pathlib import Path

from pressbox.errors import NotTrusted, PressboxError, Reason, UsageError
from pressbox.keys import GNUPG, SigningKey, describe_keys
from pressbox.signers import DEMO, find_signer, trusted_signers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of train.py that choose the key."""
    group = parser.add_argument_group("signing (default: PRESSBOX_SIGNING_KEY, else the demo key)")
    group.add_argument("--signing-key", metavar="FILE", type=Path, help="armoured secret key")
    group.add_argument("--passphrase-file", metavar="FILE", type=Path, help="its passphrase")
    group.add_argument(
        "--signing-agent",
        metavar="FINGERPRINT",
        help="a trusted signer whose secret key the running gpg-agent holds, or its smartcard",
    )
    group.add_argument("--agent-socket", metavar="PATH", help="default: that of your GnuPG home")
    group.add_argument(
        "--release", action="store_true", help="refuse to sign with the published demo key"
    )


def signing_key(arguments: argparse.Namespace) -> SigningKey:
    """The key that the arguments and the environment choose.

    A door hands over two base64 fields in one line on the descriptor PRESSBOX_SIGNING_FD.
    Codespaces and CI set PRESSBOX_SIGNING_KEY and PRESSBOX_SIGNING_PASSPHRASE.
    """
    if arguments.signing_agent:
        key = _from_agent(arguments.signing_agent, arguments.agent_socket)
    elif arguments.signing_key:
        passphrase = arguments.passphrase_file
        key = SigningKey(
            _read(arguments.signing_key), _text(_read(passphrase) if passphrase else b"")
        )
    else:
        return default_key(arguments.release)
    _check(key, arguments.release)
    return key


def default_key(release: bool = False) -> SigningKey:
    """The key that the environment gives, else the demo key, unless this is a release."""
    if descriptor := os.environ.get("PRESSBOX_SIGNING_FD"):
        key = _from_pipe(descriptor)
    elif armoured := os.environ.get("PRESSBOX_SIGNING_KEY"):
        key = SigningKey(armoured.encode(), os.environ.get("PRESSBOX_SIGNING_PASSPHRASE", ""))
    else:
        key = demo_key()
    _check(key, release)
    return key


def _check(key: SigningKey, release: bool) -> None:
    """Say before the training, not after it, that the key is of no use."""
    found = describe_keys(key.armoured)
    if len(found) != 1:
        raise PressboxError(
            "the signing key is not one secret key",
            "give what gpg --armor --export-secret-keys prints for it",
        )
    public = found[0]
    if public.expires is not None and public.expires < time.time():
        raise PressboxError(
            f"the signing key {public.fingerprint} has expired", "replace it: scripts/keys.sh new"
        )
    if public.fingerprint not in trusted_signers():
        raise NotTrusted(
            Reason.SIGNER,
            f"the signing key {public.fingerprint} is not among the trusted signers",
            "trust it first: scripts/keys.sh trust FILE",
        )
    if release and public.fingerprint == DEMO:
        raise NotTrusted(
            Reason.POLICY,
            "a release is not signed with the demo key, which everybody has",
            "give a key of your own: scripts/keys.sh new --help",
        )


def demo_key(folder: Path = GNUPG) -> SigningKey:
    """The published key, which shows how signing works and proves nothing."""
    return SigningKey(_read(folder / "demo.secret.asc"), _text(_read(folder / "demo.passphrase")))


def _from_pipe(descriptor: str) -> SigningKey:
    try:
        with open(int(descriptor), "rb") as pipe:
            armoured, _, passphrase = pipe.read().strip().partition(b" ")
        return SigningKey(
            base64.b64decode(armoured, validate=True),
            _text(base64.b64decode(passphrase, validate=True)),
        )
    except (OSError, ValueError) as error:
        raise PressboxError(
            f"the signing key was not handed over on descriptor {descriptor} ({error})",
            "leave PRESSBOX_SIGNING_FD to the scripts",
        ) from error


def _from_agent(fingerprint: str, socket: str | None) -> SigningKey:
    signers = trusted_signers()
    signer = signers[find_signer(fingerprint, signers)]
    if not socket:
        listing = subprocess.run(
            ["gpgconf", "--list-dirs", "agent-socket"], capture_output=True, text=True, check=True
        )
        socket = listing.stdout.strip()
    if not Path(socket).is_socket():
        raise UsageError(f"no gpg-agent listens at {socket}", "start it, or forward it to here")
    return SigningKey(signer.armoured, agent=socket)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PressboxError(
            f"the signing key cannot be read ({path}: {error.strerror})",
            "bring the demo key back with: git checkout gnupg, or name a file that is there",
        ) from error


def _text(passphrase: bytes) -> str:
    try:
        return passphrase.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise PressboxError(
            "the passphrase of the signing key is not UTF-8", "give it as text"
        ) from error
