"""GnuPG homes: one to sign in, one to verify in. Each lives as long as one ``with`` block.

A home is a folder of mode 0700 with a short path (GnuPG's socket needs it), in memory where the
system has such a place. It holds the keys it is given and no configuration; its agent ends with it.
"""

import base64
import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gpg

from pressbox.corpus import ROOT
from pressbox.errors import PressboxError

GNUPG = ROOT / "gnupg"
MEMORY = Path("/dev/shm")  # noqa: S108 - the homes in it are 0700 and have random names


@dataclass(frozen=True)
class SigningKey:
    """An ASCII-armoured secret key, and the passphrase that unlocks it."""

    armoured: bytes
    passphrase: str


def signing_key() -> SigningKey:
    """The key of this run: handed over on a pipe, in the environment, or else the demo key.

    A door hands over two base64 fields in one line on the descriptor PRESSBOX_SIGNING_FD.
    Codespaces and CI set PRESSBOX_SIGNING_KEY and PRESSBOX_SIGNING_PASSPHRASE.
    """
    if descriptor := os.environ.get("PRESSBOX_SIGNING_FD"):
        with open(int(descriptor), "rb") as pipe:
            armoured, _, passphrase = pipe.read().strip().partition(b" ")
        return SigningKey(base64.b64decode(armoured), base64.b64decode(passphrase).decode())
    if armoured := os.environ.get("PRESSBOX_SIGNING_KEY"):
        return SigningKey(armoured.encode(), os.environ.get("PRESSBOX_SIGNING_PASSPHRASE", ""))
    return demo_key()


def demo_key(folder: Path = GNUPG) -> SigningKey:
    """The published key, which shows how signing works and proves nothing."""
    try:
        return SigningKey(
            (folder / "demo.secret.asc").read_bytes(),
            (folder / "demo.passphrase").read_text().strip(),
        )
    except OSError as error:
        raise PressboxError(
            f"the signing key cannot be read ({error.filename}: {error.strerror})",
            "bring it back with: git checkout gnupg",
        ) from error


@contextlib.contextmanager
def signing_home(key: SigningKey) -> Iterator[tuple[str, str]]:
    """Yield the path of a home that holds the key, and the key's fingerprint."""
    with _home() as home:
        # Unlocking a key, the agent protects its copy anew, and spends a second on making guesses
        # at the passphrase slow. This copy is gone before anybody could start guessing.
        Path(home, "gpg-agent.conf").write_text("s2k-count 65536\n")
        with gpg.Context(home_dir=home, offline=True) as context:
            # Bytes that are no key at all come back as a GPGME error instead of a result.
            imported = context.key_import(key.armoured)
            if getattr(imported, "secret_imported", 0) != 1:
                raise PressboxError(
                    "the signing key is not one secret key",
                    "give what gpg --armor --export-secret-keys prints for it",
                )
            fingerprint = imported.imports[0].fpr
        yield home, fingerprint


@contextlib.contextmanager
def verifying_home(folder: Path = GNUPG) -> Iterator[str]:
    """Yield the path of a home that holds the trusted signers' public keys and nothing else."""
    try:
        names = json.loads((folder / "keyname-to-fingerprint.json").read_text())
        keys = [(folder / name).read_bytes() for name in sorted(names)]
        trust = (folder / "trustdb.txt").read_bytes()
    except (OSError, ValueError) as error:
        raise PressboxError(
            f"the trusted signers in {folder} cannot be read ({error})",
            "bring them back with: git checkout gnupg",
        ) from error
    with _home() as home:
        with gpg.Context(home_dir=home, offline=True) as context:
            for key in keys:
                context.key_import(key)
        _gpg(home, "--import-ownertrust", stdin=trust)
        yield home


@contextlib.contextmanager
def _home() -> Iterator[str]:
    place = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="pressbox-", dir=place) as home:
        try:
            yield home
        finally:
            subprocess.run(
                ["gpgconf", "--homedir", home, "--kill", "all"], check=False, capture_output=True
            )


def _gpg(home: str, *arguments: str, stdin: bytes) -> None:
    subprocess.run(
        ["gpg", "--homedir", home, "--batch", "--quiet", *arguments],
        input=stdin,
        capture_output=True,
        check=True,
    )
