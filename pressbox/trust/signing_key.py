"""Which key signs: the demo key, one from the environment or a pipe, files, or an agent's.

A secret key and its passphrase are read where they lie and go nowhere but into a GnuPG home that
ends with the signing: into no child's environment, no core dump, and no debugger's hands.
"""

import base64
import contextlib
import ctypes
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

from pressbox.errors import NotTrusted, PressboxError, Reason, UsageError
from pressbox.trust.gnupg import GNUPG, VARIABLES, SigningKey, describe_keys, program, signing_home
from pressbox.trust.signers import (
    DEMO,
    DEMO_PASSPHRASE,
    DEMO_SECRET,
    find_signer,
    trusted_signers,
)

KEY, PASSPHRASE = "PRESSBOX_SIGNING_KEY", "PRESSBOX_SIGNING_PASSPHRASE"
DESCRIPTOR = "PRESSBOX_SIGNING_FD"
PR_SET_DUMPABLE = 4
# What says where a person's agent is, and that person's alone.
WHERE_AGENTS_ARE = ("HOME", "GNUPGHOME")
MAKE_YOUR_OWN = "scripts/keys.sh new makes one, and says what to do with it"
# What the environment handed over: it is no longer there when a notebook asks again.
_kept: SigningKey | None = None


def leave_environment(hand_over: bool = False) -> None:
    """If a key is in the environment, start this program again without it.

    hand_over: on a descriptor, as the doors do. Whatever a process deletes from its environment,
    /proc shows all its life the one that it began with; so this comes before anything is loaded.
    """
    if not {KEY, PASSPHRASE} & os.environ.keys():
        return
    key, passphrase = (os.environb.pop(name.encode(), b"") for name in (KEY, PASSPHRASE))
    if hand_over and key and DESCRIPTOR not in os.environ:
        # Without MFD_CLOEXEC.
        descriptor = os.memfd_create("key", 0)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(b" ".join(map(base64.b64encode, (key, passphrase))))
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.environ[DESCRIPTOR] = str(descriptor)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - it is itself


def choose(
    file: Path | None = None,
    passphrase_file: Path | None = None,
    agent: str | None = None,
    agent_socket: str | None = None,
    *,
    release: bool = False,
) -> SigningKey:
    """The key of the agent, else that in the file, else the one that the environment gives.

    agent: the fingerprint of a trusted signer whose key the agent at ``agent_socket`` holds; by
    default that of this user's GNUPGHOME. A door hands over two base64 fields in one line on the
    descriptor PRESSBOX_SIGNING_FD. Codespaces and CI set PRESSBOX_SIGNING_KEY and
    PRESSBOX_SIGNING_PASSPHRASE. Raises PressboxError for a key that cannot sign, NotTrusted for one
    that is not trusted or, in a release, is the demo key, and UsageError for an agent without it.
    """
    if agent or file:
        # Nobody needs the other one, whatever it is.
        with contextlib.suppress(PressboxError):
            _handed_over()
    if agent:
        key = _from_agent(agent, agent_socket)
    elif file:
        passphrase = _read(passphrase_file) if passphrase_file else b""
        key = SigningKey(_read(file), _text(passphrase))
    else:
        return default_key(release)
    _check(key, release)
    return key


def default_key(release: bool = False) -> SigningKey:
    """The key that the environment gives or gave, else the demo key, as long as it is trusted.

    Raises what ``choose`` does, and UsageError if there is no key.
    """
    global _kept
    _kept = _handed_over() or _kept
    if not _kept and DEMO not in trusted_signers():
        raise UsageError(
            "no signing key was given, and the demo key has been taken out",
            f"give yours with --signing-key and --passphrase-file, or in {KEY} and {PASSPHRASE};"
            f" {MAKE_YOUR_OWN}",
        )
    key = _kept or demo_key()
    _check(key, release)
    return key


def _handed_over() -> SigningKey | None:
    """Take the key out of the environment: the one on the descriptor, else that in a variable."""
    _keep_to_ourselves()
    descriptor, armoured, passphrase = (
        os.environ.pop(name, "") for name in (DESCRIPTOR, KEY, PASSPHRASE)
    )
    if descriptor:
        return _from_pipe(descriptor)
    return SigningKey(armoured.encode(), passphrase) if armoured else None


def _keep_to_ourselves() -> None:
    """From now on this process leaves no core dump, and nobody reads its memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A pipe that takes core dumps has no limit.
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0)


def _check(key: SigningKey, release: bool) -> None:
    """Say before the training, not after it, that the key is of no use."""
    found = describe_keys(key.armoured)
    if len(found) != 1:
        raise PressboxError(
            "the signing key is not one secret key",
            "give what gpg --armor --export-secret-keys prints for it",
        )
    public = found[0]
    if not key.agent and not public.secret:
        raise PressboxError(
            f"the signing key {public.fingerprint} is a public key, which cannot sign",
            "give the secret key: what gpg --armor --export-secret-keys prints for it",
        )
    if not public.signs or public.flaw:
        what = public.flaw or "it has expired or was revoked"
        raise PressboxError(
            f"the signing key {public.fingerprint} cannot be used: {what}",
            "replace it: scripts/keys.sh new",
        )
    signer = trusted_signers().get(public.fingerprint)
    if signer is None:
        raise NotTrusted(
            Reason.SIGNER,
            f"the signing key {public.fingerprint} is not among the trusted signers",
            f"use a key of your own; {MAKE_YOUR_OWN}"
            if public.fingerprint == DEMO
            else "trust its public key: for your experiments, scripts/keys.sh trust --experiments"
            " FILE; for releases too, scripts/keys.sh trust FILE",
        )
    if signer.retired:
        raise NotTrusted(
            Reason.EXPIRED,
            f"the signing key {public.fingerprint} was retired on {signer.until}",
            "sign with the key that replaced it",
        )
    if release and public.fingerprint == DEMO:
        raise NotTrusted(
            Reason.POLICY,
            "a release is not signed with the demo key, which everybody has",
            f"use a key of your own; {MAKE_YOUR_OWN}",
        )
    if release and signer.experiments_only:
        raise NotTrusted(
            Reason.POLICY,
            f"the signing key {public.fingerprint} is trusted for experiments only",
            "sign with a key that is trusted for releases: scripts/keys.sh list",
        )


def demo_key(folder: Path = GNUPG) -> SigningKey:
    """The published key, which shows how signing works and proves nothing."""
    remedy = "bring the demo key back with: git checkout gnupg, or give a key of your own"
    secret, passphrase = (_read(folder / name, remedy) for name in (DEMO_SECRET, DEMO_PASSPHRASE))
    return SigningKey(secret, _text(passphrase))


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
            "let only the scripts set PRESSBOX_SIGNING_FD",
        ) from error


def _from_agent(fingerprint: str, path: str | None) -> SigningKey:
    signers = trusted_signers()
    signer = signers[find_signer(fingerprint, signers)]
    path = path or _agent_socket()
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
    except PermissionError as error:
        raise UsageError(
            f"the gpg-agent at {path} is somebody else's", "name yours with --agent-socket"
        ) from error
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no gpg-agent listens at {path} ({error})", "start it, or forward it to here"
        ) from error
    key = SigningKey(signer.armoured, agent=path)
    with signing_home(key):
        # It has the key, or else that is said before the training.
        return key


def _agent_socket() -> str:
    owner = {name: os.environ[name] for name in WHERE_AGENTS_ARE if name in os.environ}
    listing = subprocess.run(
        [program("gpgconf"), "--list-dirs", "agent-socket"],
        env={**VARIABLES, **owner},
        capture_output=True,
        text=True,
    )
    # gpgconf escapes as a URL does.
    return unquote(listing.stdout.strip())


def _read(path: Path, remedy: str = "name a file that you can read") -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PressboxError(
            f"the signing key cannot be read ({path}: {error.strerror})", remedy
        ) from error


def _text(passphrase: bytes) -> str:
    try:
        return passphrase.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise PressboxError(
            "the passphrase of the signing key is not UTF-8", "give it as text"
        ) from error
