"""The trusted signers and their keys."""

from argparse import Namespace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pressbox.cli.options import Commands, add_command, day, days
from pressbox.console import note
from pressbox.errors import PressboxError, visible
from pressbox.trust import signers
from pressbox.trust.gnupg import Key


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
    sub.add_argument(
        "--days", type=days, default=365, help="it is valid for so long (default: 365)"
    )
    add_command(keys, list_signers, "scripts/keys.sh list", name="list")
    sub = add_command(keys, trust, "scripts/keys.sh trust ~/keys/signing.pub.asc")
    sub.add_argument("file", type=Path, help="a public key, as gpg --armor --export prints it")
    sub.add_argument(
        "--experiments",
        action="store_true",
        help="trust it for experiments only: a model that it signs is never a release",
    )
    sub = add_command(keys, revoke, "scripts/keys.sh revoke D402…11D4")
    sub.add_argument(
        "fingerprint",
        nargs="+",
        help="whose models are refused from now on; blanks and lower case do not matter",
    )
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
    print("next, for a key of the newsroom's, which signs releases:")
    print(f"scripts/keys.sh trust {files['public key']}")
    print("or, for a key of your own, which signs experiments and never a release:")
    print(f"scripts/keys.sh trust --experiments {files['public key']}")
    print("then sign from the files:")
    print(
        f"scripts/train.sh --signing-key {files['secret key']}"
        f" --passphrase-file {files['passphrase']}"
    )
    print("or, in Codespaces and CI, from PRESSBOX_SIGNING_KEY and PRESSBOX_SIGNING_PASSPHRASE,")
    print("into which the contents of these two files go")


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
    key = signers.trust(arguments.file, experiments_only=arguments.experiments)
    scope = " for experiments only, never for a release" if arguments.experiments else ""
    print(f"trusted{scope}: {_shown(key)}")
    _commit(f"Trust {key.fingerprint}")


def revoke(arguments: Namespace) -> None:
    """Trust somebody no longer: all their models are refused, old ones too."""
    signer = signers.revoke(" ".join(arguments.fingerprint))
    print(f"no longer trusted: {signer.fingerprint}; all its models are refused, old ones too")
    if signer.fingerprint == signers.DEMO:
        print("that was the demo key, which is gone; a training needs a key of your own now")
    _commit(f"Revoke {signer.fingerprint}")


def rotate(arguments: Namespace) -> None:
    """Trust a new key, and its predecessor only until a date."""
    key, old = signers.rotate(arguments.file, arguments.old, arguments.until)
    print(f"trusted in place of {old}: {_shown(key)}")
    print(f"{old} is accepted to the end of {arguments.until}")
    _commit(f"Replace {old} by {key.fingerprint}")


def _shown(key: Key) -> str:
    return f"{key.fingerprint}, {visible(key.user_id)}"


def _commit(message: str) -> None:
    """Say how everybody gets what was written. The message is quoted, so it holds digits alone."""
    print("commit it, new files included, so that every other clone follows:")
    print(f"git add gnupg && git commit --message '{message}' -- gnupg")
