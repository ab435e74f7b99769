"""The trusted signers: a folder of public keys, in the layout of special_k.

``*.pub.asc`` (one armoured public key each), ``keyname-to-fingerprint.json`` (which file is whose)
and ``trustdb.txt`` (the same for GnuPG). ``retiring.json``, which special_k does not read, has the
day after which a signer's models are refused, by fingerprint.
"""

import json
import os
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pressbox import ROOT
from pressbox.errors import NotTrusted, PressboxError, Reason, UsageError
from pressbox.files import beside
from pressbox.keys import GNUPG, Key, describe_keys, gnupg_home, list_keys, run_gpg

DEMO = "D4021E7D4529EC2E3058A92277DDEEAA3A5411D4"
# Shipped with special_k, secret half included: whoever trusts it trusts everybody.
SPECIAL_K_TEST_KEY = "56BC24E20C87C09D3F8C76A96FD20A3075CFFAF2"
NAMES, TRUST, RETIRING = "keyname-to-fingerprint.json", "trustdb.txt", "retiring.json"
FINGERPRINT = re.compile(r"[0-9A-F]{40}")
WARNING = timedelta(days=30)
SUFFIXES = {
    "secret key": "secret.asc",
    "passphrase": "passphrase",
    "public key": "pub.asc",
    "revocation certificate": "revocation.asc",
}
PUBLIC_KEY = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
MAX_KEY = 64 << 10  # bytes; a larger one hangs special_k's own importer
TRUST_HEAD = (
    "# Ownertrust for special_k: FINGERPRINT:6: is ultimate. The same fingerprints as in\n"
    f"# {NAMES}.\n"
)


@dataclass(frozen=True)
class Signer:
    """Somebody whose models are trusted. ``until`` is the last day, for one who retires."""

    name: str
    fingerprint: str
    armoured: bytes
    until: date | None

    @property
    def retired(self) -> bool:
        return self.until is not None and datetime.now(UTC).date() > self.until


def trusted_signers(folder: Path = GNUPG) -> dict[str, Signer]:
    """The signers by fingerprint; NotTrusted if the folder is not in order."""
    try:
        names = _read_json(folder / NAMES)
        retiring = _read_json(folder / RETIRING) if (folder / RETIRING).exists() else {}
        signers = {}
        for name, fingerprint in names.items():
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*\.pub\.asc", name):
                raise _unsound(folder, f"{name!r} is no name of a public key")
            if not isinstance(fingerprint, str) or not FINGERPRINT.fullmatch(fingerprint):
                raise _unsound(folder, f"{name} has no fingerprint of 40 digits")
            if fingerprint == SPECIAL_K_TEST_KEY:
                raise _unsound(folder, f"{name} is special_k's published test key")
            until = retiring.get(fingerprint)
            signers[fingerprint] = Signer(
                name,
                fingerprint,
                _read_key(folder / name),
                date.fromisoformat(until) if until else None,
            )
        owners = set(re.findall(r"^([0-9A-F]{40}):6:$", (folder / TRUST).read_text(), re.MULTILINE))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _unsound(folder, f"they cannot be read: {error}") from error
    if owners != signers.keys():
        raise _unsound(folder, f"{NAMES} and {TRUST} do not name the same keys")
    return signers


def _unsound(folder: Path, what: str) -> NotTrusted:
    return NotTrusted(
        Reason.KEYS,
        f"the trusted signers in {folder} are not in order: {what}",
        "bring them back, e.g. with: git checkout gnupg",
    )


def _read_json(path: Path) -> dict:
    with open(path, "rb") as file:
        return json.loads(file.read(MAX_KEY))


def _read_key(path: Path) -> bytes:
    with open(path, "rb") as file:
        armoured = file.read(MAX_KEY + 1)
    if len(armoured) > MAX_KEY:
        raise ValueError(f"{path.name} is larger than {MAX_KEY >> 10} KiB")
    ends = armoured.rstrip().endswith(PUBLIC_KEY.replace(b"BEGIN", b"END"))
    if armoured.count(b"-----BEGIN ") != 1 or PUBLIC_KEY not in armoured or not ends:
        raise ValueError(f"{path.name} is not one armoured public key")
    return armoured


def expiry(key: Key, signer: Signer) -> date | None:
    """The last day on which a model of the signer is accepted, or None."""
    days = [signer.until] if signer.until else []
    if key.expires is not None:
        days.append(datetime.fromtimestamp(key.expires, UTC).date())
    return min(days, default=None)


def trust(file: Path, folder: Path = GNUPG) -> Key:
    """Add the one public key in the file to the trusted signers."""
    try:
        armoured = _read_key(file)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{file} is no public key ({error})", "give what gpg --armor --export prints"
        ) from error
    found = describe_keys(armoured)
    if len(found) != 1:
        raise UsageError(f"{file} holds {len(found)} keys", "give one in each file")
    key = found[0]
    if key.fingerprint == SPECIAL_K_TEST_KEY:
        raise PressboxError(
            "this is special_k's published test key", "everybody can sign with it; make your own"
        )
    if key.created > datetime.now(UTC).timestamp():
        raise PressboxError(
            f"{key.fingerprint} is dated in the future", "see to the clock it was made by"
        )
    if key.revoked or (key.expires is not None and key.expires < datetime.now(UTC).timestamp()):
        raise PressboxError(
            f"the key {key.fingerprint} has expired or was revoked", "make a new one"
        )
    signers = trusted_signers(folder)
    name = f"{key.fingerprint[-16:]}.pub.asc"
    if key.fingerprint not in signers:
        _write(folder / name, armoured)
        signers[key.fingerprint] = Signer(name, key.fingerprint, armoured, None)
        _store(signers, folder)
    return key


def revoke(fingerprint: str, folder: Path = GNUPG) -> None:
    """Take a signer out: whatever they have signed, or will sign, is refused."""
    signers = trusted_signers(folder)
    signer = signers.pop(find_signer(fingerprint, signers))
    _store(signers, folder)
    (folder / signer.name).unlink()


def rotate(file: Path, fingerprint: str, until: date, folder: Path = GNUPG) -> Key:
    """Trust the key in the file, and its predecessor only to the end of the day ``until``."""
    old = find_signer(fingerprint, trusted_signers(folder))
    key = trust(file, folder)
    signers = trusted_signers(folder)
    if key.fingerprint == old:
        raise UsageError("the new key is the old one", "make a new one: scripts/keys.sh new")
    signers[old] = Signer(signers[old].name, old, signers[old].armoured, until)
    _store(signers, folder)
    return key


def find_signer(fingerprint: str, signers: dict[str, Signer]) -> str:
    """The full fingerprint of one of the signers, given that or its last 16 digits or more."""
    wanted = fingerprint.replace(" ", "").upper().removeprefix("0X")
    matches = [known for known in signers if len(wanted) >= 16 and known.endswith(wanted)]
    if len(matches) != 1:
        raise UsageError(
            f"{fingerprint} is none of the trusted signers", "see them with: scripts/keys.sh list"
        )
    return matches[0]


def _store(signers: dict[str, Signer], folder: Path) -> None:
    ordered = sorted(signers.values(), key=lambda signer: signer.name)
    _write_json(folder / NAMES, {signer.name: signer.fingerprint for signer in ordered})
    _write(
        folder / TRUST, (TRUST_HEAD + "".join(f"{s.fingerprint}:6:\n" for s in ordered)).encode()
    )
    retiring = {s.fingerprint: s.until.isoformat() for s in ordered if s.until}
    if retiring:
        _write_json(folder / RETIRING, retiring)
    else:
        (folder / RETIRING).unlink(missing_ok=True)


def _write_json(path: Path, value: dict) -> None:
    _write(path, (json.dumps(value, indent=2) + "\n").encode())


def _write(path: Path, content: bytes) -> None:
    try:
        with beside(path) as file:
            file.write(content)
    except OSError as error:
        raise PressboxError(
            f"{path} cannot be written ({error.strerror})", "see that the folder is yours"
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
    for signer in trusted_signers(folder).values():
        [key] = describe_keys(signer.armoured)
        until = expiry(key, signer)
        expired = key.revoked or (until is not None and until < today)
        remarks = []
        if key.fingerprint == DEMO:
            remarks.append("the demo key: everybody can sign with it")
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
        raise UsageError("a key has to be valid for a day at least", "give --days 365")
    passphrase = secrets.token_urlsafe(24)
    with gnupg_home("") as home:
        unlock = ["--pinentry-mode", "loopback", "--passphrase-file", f"{home}/passphrase"]
        Path(home, "passphrase").write_text(passphrase)
        done = run_gpg(
            home, *unlock, "--quick-generate-key", user_id, "ed25519", "sign", f"{days}d"
        )
        found = list_keys(home)
        if done.returncode or len(found) != 1:
            raise PressboxError(
                f"GnuPG made no key for {user_id!r}",
                "give a name and address: 'Name <a@b.example>'",
            )
        [key] = found
        armoured = {
            "secret key": run_gpg(home, *unlock, "--armor", "--export-secret-keys").stdout,
            "passphrase": passphrase.encode() + b"\n",
            "public key": run_gpg(home, "--armor", "--export").stdout,
            "revocation certificate": Path(
                home, "openpgp-revocs.d", f"{key.fingerprint}.rev"
            ).read_bytes(),
        }
    files = {}
    for what, suffix in SUFFIXES.items():
        files[what] = out / f"{key.fingerprint[-16:]}.{suffix}"
        _write_secret(files[what], armoured[what])
    return NewKey(key.fingerprint, files)


def _write_secret(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(content)
    except OSError as error:
        raise PressboxError(
            f"{path} cannot be written ({error.strerror})", "name a folder of yours"
        ) from error
