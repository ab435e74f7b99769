"""The trusted signers: a folder of public keys, in the layout of special_k.

``*.pub.asc`` (one armoured public key each), ``keyname-to-fingerprint.json`` (which file is whose)
and ``trustdb.txt`` (the same for GnuPG). special_k does not read the other two: ``retiring.json``
has the day after which a signer's models are refused, by fingerprint; ``experiments.json`` lists
the fingerprints of signers who are trusted for experiments only, never for a release.
"""

import base64
import json
import os
import re
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

from pressbox import ROOT
from pressbox.atomic import beside
from pressbox.errors import FromLater, NotTrusted, PressboxError, Reason, UsageError
from pressbox.trust.gnupg import (
    GNUPG,
    KEY_PACKET,
    PACKETS,
    UNLOCK,
    Key,
    describe_keys,
    gnupg_home,
    list_keys,
    packets_of,
    run_gpg,
    verifying_home,
)

DEMO = "D4021E7D4529EC2E3058A92277DDEEAA3A5411D4"
# Shipped with special_k, secret half included: whoever trusts it trusts everybody.
SPECIAL_K_TEST_KEY = "56BC24E20C87C09D3F8C76A96FD20A3075CFFAF2"
NAMES, TRUST = "keyname-to-fingerprint.json", "trustdb.txt"
RETIRING, EXPERIMENTS = "retiring.json", "experiments.json"
# The secret half of the demo key, which lies in the folder as long as it is trusted.
DEMO_SECRET, DEMO_PASSPHRASE = "demo.secret.asc", "demo.passphrase"
FINGERPRINT = re.compile(r"[0-9A-F]{40}")
WARNING = timedelta(days=30)
MAKE_ONE = "make a new one: scripts/keys.sh new"
SUFFIXES = {
    "secret key": "secret.asc",
    "passphrase": "passphrase",
    "public key": "pub.asc",
    "revocation certificate": "revocation.asc",
}
PUBLIC_KEY = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\n(?:[!-~]+: [^\n]*\n)*\n"
    rb"([A-Za-z0-9+/\n]+={0,2})\n(?:=[A-Za-z0-9+/]{4}\n)?-----END PGP PUBLIC KEY BLOCK-----"
)
MAX_KEY_BYTES = 64 << 10  # a larger one hangs special_k's own importer
TRUST_HEAD = (
    "# Ownertrust for special_k: FINGERPRINT:6: is ultimate. The same fingerprints as in\n"
    f"# {NAMES}.\n"
)


@dataclass(frozen=True)
class Signer:
    """Somebody whose models are trusted. name: of the key's file.

    until: the last day, for one who retires. experiments_only: their models are never a release.
    """

    name: str
    fingerprint: str
    armoured: bytes
    until: date | None
    experiments_only: bool

    @property
    def retired(self) -> bool:
        return self.until is not None and datetime.now(UTC).date() > self.until


def trusted_signers(folder: Path = GNUPG) -> dict[str, Signer]:
    """The signers by fingerprint; NotTrusted if the folder is not in order."""
    signers, unfinished = _listed(folder)
    if unfinished:
        raise _unsound(folder, unfinished, "repeat the command that was stopped, or ")
    return signers


def _listed(folder: Path) -> tuple[dict[str, Signer], str]:
    """The signers by fingerprint, and what a command that was stopped has left; empty if nothing.

    NotTrusted for anything else that is not in order.
    """
    try:
        names = _read_json(folder / NAMES)
        retiring = _read_json(folder / RETIRING) if (folder / RETIRING).exists() else {}
        experiments = _read_list(folder / EXPERIMENTS) if (folder / EXPERIMENTS).exists() else []
        owners = set(re.findall(r"^([0-9A-F]{40}):6:$", (folder / TRUST).read_text(), re.MULTILINE))
        signers = {}
        for name, fingerprint in names.items():
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*\.pub\.asc", name):
                raise _unsound(folder, f"{name!r} is not the name of a public key")
            if not isinstance(fingerprint, str) or not FINGERPRINT.fullmatch(fingerprint):
                raise _unsound(folder, f"{name} has no fingerprint of 40 digits")
            if fingerprint == SPECIAL_K_TEST_KEY:
                raise _unsound(folder, f"{name} is special_k's published test key")
            if fingerprint in signers:
                raise _unsound(folder, f"{fingerprint} is listed twice")
            signers[fingerprint] = Signer(
                name,
                fingerprint,
                _read_key(folder / name),
                date.fromisoformat(retiring[fingerprint]) if fingerprint in retiring else None,
                fingerprint in experiments,
            )
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _unsound(folder, f"they cannot be read: {error}") from error
    if owners != signers.keys():
        return signers, f"{NAMES} and {TRUST} do not name the same keys"
    for file, named in ((RETIRING, retiring), (EXPERIMENTS, experiments)):
        for fingerprint in named:
            if fingerprint not in signers:
                return signers, f"{file} names {fingerprint!r}, who is not a signer"
    return signers, ""


def _unsound(folder: Path, what: str, remedy: str = "") -> NotTrusted:
    return NotTrusted(
        Reason.KEYS,
        f"the trusted signers in {folder} are not in order: {what}",
        f"{remedy}bring them back, e.g. with: git checkout gnupg",
    )


def _read_json(path: Path) -> dict:
    value = _json(path)
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} is not a JSON object")
    return value


def _read_list(path: Path) -> list[str]:
    value = _json(path)
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise ValueError(f"{path.name} is not a JSON array of fingerprints")
    return value


def _json(path: Path) -> object:
    with open(path, "rb") as file:
        return json.loads(file.read(MAX_KEY_BYTES))


def _read_key(path: Path) -> bytes:
    with open(path, "rb") as file:
        armoured = file.read(MAX_KEY_BYTES + 1)
    if len(armoured) > MAX_KEY_BYTES:
        raise ValueError(f"{path.name} is larger than {MAX_KEY_BYTES >> 10} KiB")
    _dearmoured(path.name, armoured)
    return armoured


def _dearmoured(name: str, armoured: bytes) -> bytes:
    found = PUBLIC_KEY.fullmatch(armoured.replace(b"\r\n", b"\n").strip())
    if not found:
        raise ValueError(f"{name} is not one armoured public key")
    return base64.b64decode(found[1].replace(b"\n", b""), validate=True)


def expiry(key: Key, signer: Signer) -> date | None:
    """The last day on which a model of the signer is accepted, or None."""
    days = [signer.until] if signer.until else []
    if key.expires is not None:
        days.append(datetime.fromtimestamp(key.expires, UTC).date())
    return min(days, default=None)


def trust(file: Path, folder: Path = GNUPG, experiments_only: bool = False) -> Key:
    """Trust the one public key in the file, for everything or for experiments only.

    Given again, the command changes what it is trusted for.
    """
    key, signer = _acceptable(file)
    signers, _ = _listed(folder)
    _add(signer, signers, folder)
    known = signers[key.fingerprint]
    signers[key.fingerprint] = replace(known, experiments_only=experiments_only)
    _store(signers, folder)
    return key


def revoke(fingerprint: str, folder: Path = GNUPG) -> Signer:
    """Take a signer out: whatever they have signed, or will sign, is refused. Who it was.

    With the demo key goes its secret half, which lies beside it.
    """
    signers, _ = _listed(folder)
    signer = signers.pop(find_signer(fingerprint, signers))
    _store(signers, folder)
    files = [signer.name]
    if signer.fingerprint == DEMO:
        files += [DEMO_SECRET, DEMO_PASSPHRASE]
    for name in files:
        (folder / name).unlink(missing_ok=True)
    return signer


def rotate(file: Path, fingerprint: str, until: date, folder: Path = GNUPG) -> tuple[Key, str]:
    """Trust the key in the file for what its predecessor is trusted for, which retires.

    until: the last day on which the predecessor is accepted. Returns the new key, and the
    fingerprint of the predecessor.
    """
    key, signer = _acceptable(file)
    signers, _ = _listed(folder)
    old = find_signer(fingerprint, signers)
    if key.fingerprint == old:
        raise UsageError("the new key is the old one", MAKE_ONE)
    signer = replace(signer, experiments_only=signers[old].experiments_only)
    _add(signer, signers, folder)
    signers[old] = replace(signers[old], until=until)
    _store(signers, folder)
    return key, old


def _acceptable(file: Path) -> tuple[Key, Signer]:
    """The public key in the file; PressboxError unless its signatures would be accepted today."""
    armoured, described = _one_key(file)
    fingerprint = described.fingerprint
    if fingerprint == SPECIAL_K_TEST_KEY:
        raise UsageError("special_k's published test key is not to be trusted", MAKE_ONE)
    try:
        with verifying_home({fingerprint: armoured}) as (_, known):
            key = known[fingerprint]
    except FromLater as error:
        raise PressboxError(
            f"{fingerprint} is dated in the future",
            "check this machine's clock, and that of the machine that made it",
        ) from error
    except NotTrusted as error:
        what = described.flaw or "GnuPG does not take it: it has no valid signature of its own"
        raise UsageError(f"the key {fingerprint} cannot be trusted: {what}", MAKE_ONE) from error
    if not key.signs:
        raise PressboxError(f"the key {key.fingerprint} has expired or was revoked", MAKE_ONE)
    return key, Signer(f"{fingerprint[-16:]}.pub.asc", fingerprint, armoured, None, False)


def _one_key(file: Path) -> tuple[bytes, Key]:
    """What the file holds, and what GnuPG says of it; UsageError if it is anything but one key."""
    try:
        armoured = _read_key(file)
        content = _dearmoured(file.name, armoured)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{file} is not a public key ({error})", "give what gpg --armor --export prints"
        ) from error
    tags, size = packets_of(armoured)
    if tags.count(KEY_PACKET) != 1 or not set(tags) <= PACKETS or size != len(content):
        raise UsageError(
            f"{file} is not one public key and nothing else",
            "give what gpg --armor --export prints for one key",
        )
    described = describe_keys(armoured)
    if len(described) != 1 or not FINGERPRINT.fullmatch(described[0].fingerprint):
        raise UsageError(f"{file} has no OpenPGP key of version 4", MAKE_ONE)
    return armoured, described[0]


def _add(signer: Signer, signers: dict[str, Signer], folder: Path) -> None:
    if signer.fingerprint not in signers:
        _write(folder / signer.name, signer.armoured)
        signers[signer.fingerprint] = signer


def plain(fingerprint: str) -> str:
    """The digits of a fingerprint in capitals, without the blanks and the 0x that gpg prints."""
    return "".join(fingerprint.split()).upper().removeprefix("0X")


def find_signer(fingerprint: str, signers: dict[str, Signer]) -> str:
    """The full fingerprint of one of the signers, given that or its last 16 digits or more."""
    wanted = plain(fingerprint)
    matches = [known for known in signers if len(wanted) >= 16 and known.endswith(wanted)]
    if len(matches) != 1:
        raise UsageError(
            f"{fingerprint} is not one of the trusted signers",
            "see them with: scripts/keys.sh list",
        )
    return matches[0]


def _store(signers: dict[str, Signer], folder: Path) -> None:
    """Write what says who is trusted.

    NAMES is written last: until then the folder is refused if TRUST has changed, and whoever was
    stopped gives the same command again.
    """
    ordered = sorted(signers.values(), key=lambda signer: signer.name)
    _write(
        folder / TRUST, (TRUST_HEAD + "".join(f"{s.fingerprint}:6:\n" for s in ordered)).encode()
    )
    retiring = {s.fingerprint: s.until.isoformat() for s in ordered if s.until}
    experiments = [s.fingerprint for s in ordered if s.experiments_only]
    for name, value in ((RETIRING, retiring), (EXPERIMENTS, experiments)):
        if value:
            _write_json(folder / name, value)
        else:
            (folder / name).unlink(missing_ok=True)
    _write_json(folder / NAMES, {signer.name: signer.fingerprint for signer in ordered})


def _write_json(path: Path, value: dict | list) -> None:
    _write(path, (json.dumps(value, indent=2) + "\n").encode())


def _write(path: Path, content: bytes) -> None:
    try:
        with beside(path) as file:
            file.write(content)
    except OSError as error:
        raise PressboxError(
            f"{path} cannot be written ({error.strerror})", "check that the folder is yours"
        ) from error


@dataclass(frozen=True)
class Standing:
    """What ``keys list`` says of a signer."""

    fingerprint: str
    user_id: str
    until: date | None
    expired: bool
    remark: str


def standing(folder: Path = GNUPG) -> list[Standing]:
    """Each trusted signer, until when, and what is remarkable about it."""
    found = []
    today = datetime.now(UTC).date()
    signers = trusted_signers(folder)
    with verifying_home({key: signer.armoured for key, signer in signers.items()}) as (_, known):
        keys = [(known[fingerprint], signer) for fingerprint, signer in signers.items()]
    for key, signer in keys:
        until = expiry(key, signer)
        expired = key.revoked or (until is not None and until < today)
        remarks = []
        if key.fingerprint == DEMO:
            remarks.append("the demo key: everybody can sign with it")
        if signer.experiments_only:
            remarks.append("for experiments only")
        if key.revoked:
            remarks.append("REVOKED")
        elif expired:
            remarks.append("EXPIRED")
        elif until is not None and until - today <= WARNING:
            remarks.append(f"expires in {(until - today).days} days: rotate it")
        remark = f" ({'; '.join(remarks)})" if remarks else ""
        found.append(Standing(key.fingerprint, key.user_id, until, expired, remark))
    return found


@dataclass(frozen=True)
class NewKey:
    """A key that was made: its fingerprint, and what lies in which file."""

    fingerprint: str
    files: dict[str, Path]


def new_key(user_id: str, out: Path, days: int, root: Path = ROOT) -> NewKey:
    """Make an ed25519 signing key with a random passphrase, in files of mode 0600 in ``out``.

    Raises UsageError if ``out`` is in the repository: a secret that has been committed is none.
    """
    out = Path(out).resolve()
    if out.is_relative_to(root.resolve()):
        raise UsageError(f"{out} is in the repository", "keep secret keys out of it")
    if not out.is_dir():
        raise UsageError(f"there is no folder {out}", "create it: mkdir -m 700 …")
    if days < 1:
        raise UsageError("a key must be valid for at least a day", "give --days 365")
    passphrase = secrets.token_urlsafe(24)
    with gnupg_home("") as home:
        unlocked = partial(run_gpg, home, *UNLOCK, stdin=passphrase.encode())
        done = unlocked("--quick-generate-key", user_id, "ed25519", "sign", f"{days}d")
        found = list_keys(home)
        if done.returncode or len(found) != 1:
            raise PressboxError(
                f"GnuPG could not make a key for {user_id!r}",
                "give a name and address: 'Name <a@b.example>'",
            )
        [key] = found
        armoured = {
            "secret key": unlocked("--armor", "--export-secret-keys").stdout,
            "passphrase": passphrase.encode() + b"\n",
            "public key": run_gpg(home, "--armor", "--export").stdout,
            "revocation certificate": Path(
                home, "openpgp-revocs.d", f"{key.fingerprint}.rev"
            ).read_bytes(),
        }
    files = {what: out / f"{key.fingerprint[-16:]}.{suffix}" for what, suffix in SUFFIXES.items()}
    _write_secrets({path: armoured[what] for what, path in files.items()})
    return NewKey(key.fingerprint, files)


def _write_secrets(contents: dict[Path, bytes]) -> None:
    """Write all of the files, or none."""
    made = []
    try:
        for path, content in contents.items():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            made.append(path)
            with open(descriptor, "wb") as file:
                file.write(content)
    except OSError as error:
        for written in made:
            written.unlink()
        raise PressboxError(
            f"{path} cannot be written ({error.strerror})", "name a folder of yours"
        ) from error
