"""The trusted signers and their keys."""

from argparse import Namespace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pressbox.cli.options import Commands, add_command, day
from pressbox.console import note
from pressbox.errors import PressboxError, visible
from pressbox.trust import signers


def add_commands(commands: Commands) -> None:
    keys = commands.add_parser(
        "keys", help="the trusted signers and their keys", description="The trusted signers."
    ).add_subparsers(required=True, metavar="new|list|trust|revoke|rotate")
    sub = add_command(
        keys, new, "scripts/keys.sh new 'Sports desk <sports@example.org>' --out ~/keys"
    )
    sub.add_argument("user_id", help="whose key, e.g. 'Sports desk <sports@example.org>'")
    sub.add_argument("--out", type=Path, required=True, help="a folder outside the repository")
    sub.add_argument("--shown-as", metavar="PATH", type=Path, help="its name for the reader")
    sub.add_argument("--days", type=int, default=365, help="how long it is valid (default: a year)")
    add_command(keys, list_signers, "scripts/keys.sh list", name="list")
    sub = add_command(keys, trust, "scripts/keys.sh trust ~/keys/signing.pub.asc")
    sub.add_argument("file", type=Path, help="a public key, as gpg --armor --export prints it")
    sub = add_command(keys, revoke, "scripts/keys.sh revoke D402…11D4")
    sub.add_argument("fingerprint", help="whose models are refused from now on")
    sub = add_command(
        keys,
        rotate,
        "scripts/keys.sh rotate ~/keys/signing.pub.asc --old D402…11D4 --until 2027-01-31",
    )
    sub.add_argument("file", type=Path, help="the new public key")
    sub.add_argument("--old", metavar="FINGERPRINT", required=True, help="the key it replaces")
    sub.add_argument(
        "--until",
        type=day,
        default=datetime.now(UTC).date() + timedelta(days=30),
        help="the last day on which the old one is accepted (default: in 30 days)",
    )


def new(arguments: Namespace) -> None:
    """Make a signing key (ed25519), and say what to put where."""
    made = signers.new_key(arguments.user_id, arguments.out, arguments.days)
    folder = arguments.shown_as or arguments.out
    files = {what: folder / path.name for what, path in made.files.items()}
    note("made a signing key; keep these files to yourselves, and out of every repository")
    for what, path in files.items():
        print(f"{path}\t{what}")
    print(f"next: scripts/keys.sh trust {files['public key']}, and commit gnupg/")
    print("then put the secret key into PRESSBOX_SIGNING_KEY and the passphrase into")
    print("PRESSBOX_SIGNING_PASSPHRASE (Codespaces, CI), or sign from the files:")
    print(
        f"scripts/train.sh --signing-key {files['secret key']}"
        f" --passphrase-file {files['passphrase']}"
    )


def list_signers(arguments: Namespace) -> None:
    """Say who is trusted, and until when; exit 1 if one of the keys has expired."""
    expired = False
    for state in signers.standing():
        until = f"until {state.until}" if state.until else "no expiry"
        print(f"{state.fingerprint}\t{until}\t{visible(state.user_id)}{state.remark}")
        expired = expired or state.expired
    if expired:
        raise PressboxError(
            "a trusted key has expired", "replace it: scripts/keys.sh rotate, or revoke"
        )


def trust(arguments: Namespace) -> None:
    """Trust whoever holds the secret half of a public key."""
    key = signers.trust(arguments.file)
    print(f"{key.fingerprint}\t{visible(key.user_id)}")


def revoke(arguments: Namespace) -> None:
    """Trust somebody no longer: all their models are refused, old ones too."""
    signers.revoke(arguments.fingerprint)


def rotate(arguments: Namespace) -> None:
    """Trust a new key, and its predecessor only until a date."""
    key = signers.rotate(arguments.file, arguments.old, arguments.until)
    print(f"{key.fingerprint}\t{visible(key.user_id)}")
