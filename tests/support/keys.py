"""Throw-away keys, rings of them, and folders of whom somebody trusts."""

import atexit
import contextlib
import functools
import itertools
import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pressbox.trust import signing_key
from pressbox.trust.gnupg import SigningKey
from pressbox.trust.signers import DEMO

PASSPHRASE = "correct horse"  # noqa: S105


@dataclass(frozen=True)
class Holder:
    """Whoever has the key: what ``trust`` takes, and what signs."""

    fingerprint: str
    public: bytes
    signing: SigningKey


class Ring:
    """A GnuPG home of somebody's own, with any clock and any option."""

    def __init__(self, passphrase=PASSPHRASE):
        self.passphrase = passphrase
        self.home = tempfile.mkdtemp(prefix="ring-", dir="/dev/shm")
        # The agent would spend a second on making guesses at a passphrase slow.
        Path(self.home, "gpg-agent.conf").write_text("s2k-count 65536\n")
        atexit.register(self.close)

    def close(self):
        atexit.unregister(self.close)
        subprocess.run(["gpgconf", "--homedir", self.home, "--kill", "all"], check=False)
        shutil.rmtree(self.home, ignore_errors=True)

    def gpg(self, *arguments, stdin=b"", clock="", passphrase=None):
        if passphrase is None:
            passphrase = self.passphrase
        command = ["gpg", "--homedir", self.home, "--batch", "--quiet", "--yes", "--no-tty"]
        command += ["--pinentry-mode", "loopback", "--passphrase", passphrase]
        command += ["--faked-system-time", f"{clock}T120000!"] if clock else []
        done = subprocess.run([*command, *arguments], input=stdin, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def new(self, name, expires="never", clock="", algorithm="ed25519", usage="sign"):
        """Make a key; its fingerprint."""
        known = set(self.fingerprints())
        self.gpg(
            "--quick-gen-key", f"{name} <{name}@x.example>", algorithm, usage, expires, clock=clock
        )
        [fingerprint] = set(self.fingerprints()) - known
        return fingerprint

    def fingerprints(self):
        lines = self.gpg("--with-colons", "--list-keys").decode().splitlines()
        return [
            fields.split(":")[9]
            for before, fields in itertools.pairwise(lines)
            if before.startswith("pub:")
        ]

    def holder(self, fingerprint):
        secret = self.gpg("--armor", "--export-secret-keys", fingerprint)
        public = self.gpg("--armor", "--export", fingerprint)
        return Holder(fingerprint, public, SigningKey(secret, self.passphrase))

    def clear_sign(self, line, fingerprint, *options, clock=""):
        user = ["--local-user", fingerprint]
        return self.gpg(*options, *user, "--clear-sign", stdin=line + b"\n", clock=clock)


def make_key(passphrase):
    """The key of nobody whom anybody trusts."""
    with contextlib.closing(Ring(passphrase)) as ring:
        return ring.holder(ring.new("nobody"))


def trust(folder, *trusted):
    """Make the folder one of trusted signers, as gnupg/ is: these, and no others."""
    folder.mkdir(exist_ok=True)
    names = {f"{key.fingerprint}.pub.asc": key for key in trusted}
    for name, key in names.items():
        (folder / name).write_bytes(key.public)
    fingerprints = {name: key.fingerprint for name, key in names.items()}
    (folder / "keyname-to-fingerprint.json").write_text(json.dumps(fingerprints))
    lines = (f"{key.fingerprint}:6:\n" for key in trusted)
    (folder / "trustdb.txt").write_text("# ownertrust\n" + "".join(lines))
    return folder


def rest_all():
    """End all agents, which the next signatures start again: for tests that are alone.

    special_k leaves one behind in each home that it makes for itself.
    """
    for line in Path("/proc/net/unix").read_text().splitlines():
        socket = Path(line.split(maxsplit=7)[-1])
        if socket.name == "S.gpg-agent" and socket.exists():
            subprocess.run(["gpgconf", "--homedir", socket.parent, "--kill", "all"], check=False)
            # It answers before it is gone.
            socket.unlink(missing_ok=True)


@functools.cache
def demo_ring():
    """The ring of somebody who is trusted: the demo key's."""
    key = signing_key.demo_key()
    ring = Ring(key.passphrase)
    ring.gpg("--import", stdin=key.armoured)
    return ring


def demo_signs(line, *options):
    return demo_ring().clear_sign(line, DEMO, *options)
