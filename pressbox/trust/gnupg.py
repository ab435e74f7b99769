"""GnuPG homes: one to sign in, one to verify in. Each lives as long as one ``with`` block.

A home is a folder of mode 0700 with a short path (GnuPG's socket needs it), in memory where the
system has such a place. It holds the keys it is given and reads no configuration but its own. One
with a secret key ends, and its agent does, with the block or with this process. Nothing in the
caller's environment says where GnuPG is or how it runs.
"""

import contextlib
import functools
import itertools
import math
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pressbox import ROOT
from pressbox.errors import FromLater, NotTrusted, PressboxError, Reason

GNUPG = ROOT / "gnupg"
MEMORY = Path("/dev/shm")  # noqa: S108 - the homes in it are 0700 and have random names
GPG_TIMEOUT_S = 20  # GnuPG answers in milliseconds, or hangs
# Where programs are; in the image, and on Debian, all of them are in the first of these.
PLACES = "/usr/bin:/bin:/usr/local/bin:/opt/homebrew/bin"
VARIABLES = {"PATH": PLACES, "LC_ALL": "C.UTF-8"}
# What special_k accepts, as GnuPG numbers them (RFC 9580, 9.5): SHA-256, 384, 512 and 224.
HASHES = {"8", "9", "10", "11"}
CLEAR_TEXT = "01"
# What may sign (RFC 9580, 9.1), and with how many bits: RSA, DSA, and the curves, which are all
# strong enough.
ALGORITHMS = {"1": 2048, "3": 2048, "17": 2048, "19": 0, "22": 0}
# What a public key is made of (RFC 9580, 5): a key, its subkeys, names, pictures and signatures.
KEY_PACKET, PACKETS = 6, {2, 6, 13, 14, 17}
# What has gpg read a passphrase from the first line of its standard input.
UNLOCK = ("--pinentry-mode", "loopback", "--passphrase-fd", "0")
# gpg starts an agent to ask whether it has a secret key, even to verify.
AGENT, WITHOUT_AGENT = "gpg-agent.conf", "--no-autostart"
# Its standard input ends with the block that a home is for, or with this process: kill -9 leaves
# neither an agent nor a home behind. The agent that a home points to elsewhere is not its own.
KEEPER = """
read -r _
[ ! -S "$2/S.gpg-agent" ] || "$1" --homedir "$2" --kill gpg-agent
rm -rf -- "$2"
"""


@dataclass(frozen=True)
class Key:
    """A public key as GnuPG describes it. Times are seconds since 1970; ``expires`` may be None.

    secret: whether it came with its secret half. signs: whether it, or a subkey, can sign today.
    flaw: why no signature of it would ever be accepted; empty if there is no such reason.
    """

    secret: bool
    fingerprint: str
    user_id: str
    created: int
    expires: int | None
    revoked: bool
    signs: bool
    flaw: str


@dataclass(frozen=True)
class SigningKey:
    """What signs: an armoured secret key with its passphrase, or a key in a running agent.

    With ``agent``, the path of a gpg-agent's socket, ``armoured`` is the public key, and whoever
    owns the agent is asked for whatever it takes.
    """

    armoured: bytes = field(repr=False)
    passphrase: str = field(default="", repr=False)
    agent: str = ""

    @property
    def remedy(self) -> str:
        """What to do if it does not sign."""
        if self.agent:
            return (
                "so that its agent can ask for the passphrase, set GPG_TTY=$(tty) in a terminal"
                " and say so: gpg-connect-agent updatestartuptty /bye"
            )
        return "check the signing key, its passphrase and its expiry"

    def __reduce__(self):
        raise TypeError("a signing key is not pickled")


@functools.cache
def program(name: str) -> str:
    """The full path of one of GnuPG's programs, whatever PATH says."""
    found = shutil.which(name, path=PLACES)
    if not found:
        raise PressboxError("GnuPG is not installed", "install it (Debian: gnupg)")
    return found


_changing_path = threading.Lock()


@functools.cache
def gpgme():
    """The module gpg, once it has found GnuPG in the same places.

    The first context asks the gpgconf on PATH where GnuPG is, and the others believe the first.
    """
    # Else it writes down whatever passes, passphrases too.
    os.environ.pop("GPGME_DEBUG", None)
    import gpg

    with _changing_path:
        kept = os.environ.get("PATH", PLACES)
        os.environ["PATH"] = PLACES
        try:
            gpg.Context()
        finally:
            os.environ["PATH"] = kept
    return gpg


def run_gpg(
    home: str, *arguments: str, stdin: bytes = b"", timeout: float | None = GPG_TIMEOUT_S
) -> subprocess.CompletedProcess[bytes]:
    """Run gpg in the home, reading no configuration; the completed process, whatever its status.

    timeout: in seconds; None where a person may be asked.
    """
    command = [program("gpg"), "--homedir", home, "--no-options", "--batch", "--no-tty"]
    command += ["--status-fd", "2", "--no-auto-check-trustdb", "--no-auto-key-retrieve"]
    # Whoever cuts the self-signature off a key cuts off its expiry and its usage.
    command += ["--disable-dirmngr", "--no-allow-non-selfsigned-uid"]
    if not Path(home, AGENT).exists():
        command.append(WITHOUT_AGENT)
    try:
        return subprocess.run(
            [*command, *arguments],
            input=stdin,
            env=VARIABLES,
            capture_output=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as error:
        what = f"GnuPG did not answer within {timeout} s"
        raise PressboxError(what, "try again") from error


@contextlib.contextmanager
def gnupg_home(agent: str | None = None) -> Iterator[str]:
    """Yield the path of an empty home; end its agent, if it has one, and remove it afterwards.

    agent: its configuration; None for a home without secret keys, where none is started, and which
    kill -9 may leave behind.
    """
    place = MEMORY if os.access(MEMORY, os.W_OK) else None
    try:
        folder = tempfile.TemporaryDirectory("", "pressbox-", place, ignore_cleanup_errors=True)
        if agent is None:
            # For special_k, which does not pass options on.
            Path(folder.name, "gpg.conf").write_text(WITHOUT_AGENT.removeprefix("--"))
        else:
            Path(folder.name, AGENT).write_text(agent)
    except OSError as error:
        raise PressboxError(
            f"there is not enough space for a GnuPG home ({error.strerror})",
            f"free some space in {place or 'the folder that TMPDIR names'}",
        ) from error
    with folder as home, contextlib.nullcontext() if agent is None else _keeper(home):
        yield home


def _keeper(home: str) -> subprocess.Popen:
    keeper = [program("sh"), "-c", KEEPER, "keeper", program("gpgconf"), home]
    return subprocess.Popen(
        keeper,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=VARIABLES,
        cwd="/",
        # Ctrl-C in a terminal is for us.
        start_new_session=True,
    )


def describe_keys(armoured: bytes) -> list[Key]:
    """The primary keys in an armoured export; empty if it is none. Nothing is imported."""
    with gnupg_home() as home:
        return _keys(run_gpg(home, "--with-colons", "--show-keys", stdin=armoured).stdout)


def _keys(listing: bytes) -> list[Key]:
    lines = [line.split(":") for line in listing.decode(errors="replace").splitlines()]
    starts = [i for i, line in enumerate(lines) if line[0] in ("pub", "sec")]
    return [_key(lines[i:j]) for i, j in itertools.pairwise([*starts, len(lines)])]


def _key(lines: list[list[str]]) -> Key:
    """A key of its lines (GnuPG's doc/DETAILS): itself, its user ids, its subkeys."""
    first = lines[0]
    user_ids = [line[9] for line in lines if line[0] == "uid"]
    subkeys = [line for line in lines if line[0] in ("sub", "ssb")]
    return Key(
        secret=first[0] == "sec",
        fingerprint=next(line[9] for line in lines if line[0] == "fpr"),
        user_id=next(iter(user_ids), "").replace("\\x3a", ":"),
        created=int(first[5] or 0),
        expires=int(first[6]) if first[6] else None,
        revoked=first[1] == "r",
        signs="S" in first[11],
        flaw=_flaw(first, subkeys),
    )


def _flaw(primary: list[str], subkeys: list[list[str]]) -> str:
    signing = [line for line in (primary, *subkeys) if "s" in line[11]]
    if not signing:
        return "it cannot sign"
    for line in (primary, *signing):
        bits, algorithm = line[2:4]
        if int(bits) < ALGORITHMS.get(algorithm, math.inf):
            return f"{bits} bits of OpenPGP's algorithm {algorithm} are too weak"
    return ""


def packets_of(armoured: bytes) -> tuple[list[int], int]:
    """The tags of the OpenPGP packets, and how many bytes they are together."""
    with gnupg_home() as home:
        listing = run_gpg(home, "--list-packets", stdin=armoured).stdout
    found = re.findall(rb"^# off=\d+ ctb=\w+ tag=(\d+) hlen=(\d+) plen=(\d+)", listing, re.M)
    packets = [[int(number) for number in packet] for packet in found]
    return [tag for tag, _, _ in packets], sum(head + length for _, head, length in packets)


@contextlib.contextmanager
def signing_home(key: SigningKey) -> Iterator[tuple[str, str]]:
    """Yield the path of a home that can sign with the key, and the key's fingerprint."""
    # Unlocking a key, the agent protects its copy anew, and spends a second on making guesses at
    # the passphrase slow. This copy is gone before anybody could start guessing.
    with gnupg_home(None if key.agent else "s2k-count 65536\n") as home:
        if key.agent:
            # GnuPG follows such a file to the socket (libassuan's redirection).
            Path(home, "S.gpg-agent").write_text(f"%Assuan%\nsocket={key.agent}\n")
        run_gpg(home, "--import", stdin=key.armoured)
        found = _keys(run_gpg(home, "--with-colons", "--list-secret-keys").stdout)
        if len(found) != 1:
            if later := _later_key(key.armoured):
                raise PressboxError(f"the signing key {later}", "set this machine's clock")
            raise PressboxError(
                "the signing key is not one secret key",
                "give what gpg --armor --export-secret-keys prints for it"
                if not key.agent
                else f"check that the agent at {key.agent} runs and has it: gpg --list-secret-keys",
            )
        yield home, found[0].fingerprint


def try_signing(key: SigningKey) -> None:
    """Sign something that nobody gets. Raises PressboxError, with GnuPG's reason, if that fails."""
    clear_sign(key, b"")


def clear_sign(key: SigningKey, text: bytes) -> bytes:
    """The text, clear-signed. Raises PressboxError, with GnuPG's reason, if that fails."""
    with signing_home(key) as (home, fingerprint):
        sign = ("--local-user", fingerprint, "--digest-algo", "SHA512", "--clear-sign")
        if key.agent:
            done = run_gpg(home, *sign, stdin=text, timeout=None)
        else:
            done = run_gpg(home, *UNLOCK, *sign, stdin=f"{key.passphrase}\n".encode() + text)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        detail = said.rpartition(": ")[2]
        what = f"the signing key {fingerprint} does not sign ({detail})"
        raise PressboxError(what, key.remedy)
    return done.stdout


@contextlib.contextmanager
def verifying_home(keys: dict[str, bytes]) -> Iterator[tuple[str, dict[str, Key]]]:
    """Yield a home with these armoured public keys alone, and what they are, by fingerprint.

    NotTrusted if GnuPG takes another key, or not each, or if one of them has a flaw.
    """
    with gnupg_home() as home:
        run_gpg(home, "--import", stdin=b"\n".join(keys.values()))
        known = {key.fingerprint: key for key in list_keys(home)}
        if known.keys() != keys.keys():
            if later := _later_key(b"\n".join(keys.values())):
                raise FromLater(Reason.KEYS, f"the trusted key {later}")
            raise NotTrusted(Reason.KEYS, "a trusted key is not the one its fingerprint names")
        for key in known.values():
            if key.flaw:
                raise NotTrusted(
                    Reason.KEYS,
                    f"the trusted key {key.fingerprint} cannot be trusted: {key.flaw}",
                    "remove it: scripts/keys.sh revoke",
                )
        yield home, known


def _later_key(armoured: bytes) -> str:
    """The first key from the future, in words; empty without one. GnuPG takes none of them."""
    later = (key for key in describe_keys(armoured) if key.created > time.time())
    return next((f"{key.fingerprint} {_made(key.created)}" for key in later), "")


def _made(moment: float) -> str:
    """When something was made that is from the future, in words. moment: seconds since 1970."""
    days = (datetime.fromtimestamp(each, UTC).date() for each in (moment, time.time()))
    return "was made on {}, and this machine's clock says {}".format(*days)


@dataclass(frozen=True)
class Signature:
    """A good signature by a trusted key. ``made`` is in seconds since 1970."""

    key: Key
    made: int


def verify(signed: bytes, line: bytes, keys: dict[str, bytes]) -> Signature:
    """Verify that one of the keys has signed the line, and nothing else; NotTrusted if not.

    ``signed`` is the clear-signed message whose only line is ``line``; ``keys`` maps fingerprints
    of primary keys to their armoured exports.
    """
    with verifying_home(keys) as (home, known):
        done = run_gpg(home, "--trust-model", "always", "--output", "-", "--decrypt", stdin=signed)
        status = _Status(done.stderr)
        _refuse(status)
        # GnuPG reports one signature as good and valid, ...
        if [status.count(word) for word in ("NEWSIG", "GOODSIG", "VALIDSIG")] != [1, 1, 1]:
            raise NotTrusted(Reason.SIGNATURE, "there is not exactly one good signature")
        made, hash_, kind, primary = (status.arguments("VALIDSIG")[i] for i in (2, 7, 8, 9))
        # ... of a primary key in the list, whichever subkey it was, ...
        if primary not in known:
            raise NotTrusted(Reason.SIGNER, f"the key {primary} is not trusted here")
        # ... over text, with a hash that still means something, ...
        if hash_ not in HASHES or kind != CLEAR_TEXT:
            raise NotTrusted(Reason.SIGNATURE, "its hash or kind is not one that is accepted")
        # ... made in the past, while the key existed, ...
        if int(made) > time.time():
            raise FromLater(Reason.SIGNATURE, f"it {_made(int(made))}")
        if int(made) < known[primary].created:
            raise NotTrusted(Reason.SIGNATURE, "it was made before its key")
        # ... and what it covers is the line.
        if done.returncode != 0 or done.stdout != line + b"\n":
            raise NotTrusted(Reason.SIGNATURE, "what was signed is not what it shows")
        return Signature(known[primary], int(made))


def list_keys(home: str) -> list[Key]:
    """The primary keys in the home."""
    return _keys(run_gpg(home, "--with-colons", "--list-keys").stdout)


class _Status(list):
    """The keywords of gpg's status lines, in order, and the arguments of each."""

    def __init__(self, stderr: bytes):
        lines = [
            line.split()[1:]
            for line in stderr.decode(errors="replace").splitlines()
            if line.startswith("[GNUPG:] ")
        ]
        super().__init__(line[0] for line in lines if line)
        self._arguments = {line[0]: line[1:] for line in lines if line}

    def arguments(self, keyword: str) -> list[str]:
        return self._arguments[keyword]


def _refuse(status: _Status) -> None:
    """Raise NotTrusted for what GnuPG itself refuses, with its reason."""
    for keyword, reason, what in (
        ("REVKEYSIG", Reason.REVOKED, "its signer's key has been revoked"),
        ("EXPKEYSIG", Reason.EXPIRED, "its signer's key has expired"),
        ("EXPSIG", Reason.EXPIRED, "its signature has expired"),
        ("NO_PUBKEY", Reason.SIGNER, "its signer is not trusted here"),
        ("BADSIG", Reason.SIGNATURE, "its signature does not fit"),
        ("ERRSIG", Reason.SIGNATURE, "its signature cannot be checked"),
        ("NODATA", Reason.SIGNATURE, "it is not signed"),
    ):
        if keyword in status:
            detail = " ".join(status.arguments(keyword)[:1])
            raise NotTrusted(reason, f"{what} ({detail})" if reason is Reason.SIGNER else what)


@contextlib.contextmanager
def special_k_home(armoured: bytes, fingerprint: str) -> Iterator[str]:
    """Yield a home in which special_k accepts this one key and no other."""
    with gnupg_home() as home:
        run_gpg(home, "--import", stdin=armoured)
        run_gpg(home, "--import-ownertrust", stdin=f"{fingerprint}:6:\n".encode())
        yield home
