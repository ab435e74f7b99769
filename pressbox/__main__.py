"""The command line inside: python -m pressbox verify|show|predict|keys …"""

import json
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pressbox import ROOT
from pressbox.errors import NotTrusted, Parser, PressboxError, UsageError, note, reporting


def main(argv: list[str] | None = None) -> None:
    parser = Parser(prog="pressbox", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (verify, show, predict):
        sub = _command(commands, command)
        sub.add_argument("model", type=Path, help="e.g. models/sports.tar.gz")
        sub.add_argument("--json", action="store_true", help="for programs")
        _policy_options(sub)
        if command is predict:
            sub.add_argument("texts", metavar="TEXT", nargs="*", help="default: lines of stdin")
    _key_commands(commands)
    arguments = parser.parse_args(argv)
    with reporting():
        arguments.command(arguments)


def _command(commands, command, name="", example=""):
    sub = commands.add_parser(
        name or command.__name__,
        help=command.__doc__,
        description=command.__doc__,
        epilog=example and f"example: {example}",
    )
    sub.set_defaults(command=command)
    return sub


def _policy_options(sub) -> None:
    sub.add_argument(
        "--trusted",
        metavar="FOLDER",
        type=Path,
        default=ROOT / "gnupg",
        help="the trusted signers (default: %(default)s)",
    )
    sub.add_argument("--name", default="", help="demand that the model has this name")
    sub.add_argument(
        "--not-before", metavar="DATE", type=_moment, help="demand that it was sealed since then"
    )
    sub.add_argument(
        "--signer",
        metavar="FINGERPRINT",
        action="append",
        default=[],
        help="demand one of these signers (40 hexadecimal digits)",
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _policy(arguments):
    from pressbox.signers import FINGERPRINT
    from pressbox.tarball import Policy

    for signer in arguments.signer:
        if not FINGERPRINT.fullmatch(signer):
            raise UsageError(f"{signer!r} is no fingerprint", "give 40 digits, A to F in capitals")
    return Policy(arguments.name, arguments.not_before, tuple(arguments.signer))


def verify(arguments) -> None:
    """Say who signed a model, and whether every byte of it holds."""
    from pressbox.tarball import describe

    try:
        facts = describe(arguments.model, arguments.trusted, _policy(arguments))
    except NotTrusted as refusal:
        if arguments.json:
            _print({"trusted": False, "reason": refusal.reason, "detail": str(refusal)}, True)
        raise
    _print({"trusted": True, "reason": "ok", **facts}, arguments.json)


def show(arguments) -> None:
    """Say what a model is, how good, and what it was made of."""
    from pressbox.tarball import describe

    _print(describe(arguments.model, arguments.trusted, _policy(arguments)), arguments.json)


def predict(arguments) -> None:
    """Say which sport texts are about: arguments, or the lines of standard input."""
    from pressbox.tarball import open_model

    model = open_model(arguments.model, arguments.trusted, _policy(arguments))
    for text in arguments.texts or (line.rstrip("\n") for line in sys.stdin):
        probabilities = model.predict_proba([text])[0]
        best = int(probabilities.argmax())
        label, probability = model.labels[best], round(float(probabilities[best]), 4)
        if arguments.json:
            print(json.dumps({"label": label, "probability": probability}))
        else:
            print(f"{label}\t{probability:.2f}")


def _print(facts: dict, as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {entry}" for key, entry in value.items())
        elif isinstance(value, list):
            value = ", ".join(value)
        print(f"{name.replace('_', ' '):20}{value}")


def _key_commands(commands) -> None:
    keys = commands.add_parser(
        "keys", help="the trusted signers and their keys", description="The trusted signers."
    ).add_subparsers(required=True, metavar="new|list|trust|revoke|rotate")
    sub = _command(
        keys, keys_new, "new", "scripts/keys.sh new 'Sports desk <sports@example.org>' --out ~/keys"
    )
    sub.add_argument("user_id", help="whose key, e.g. 'Sports desk <sports@example.org>'")
    sub.add_argument("--out", type=Path, required=True, help="a folder outside the repository")
    sub.add_argument("--shown-as", metavar="PATH", type=Path, help="its name for the reader")
    sub.add_argument("--days", type=int, default=365, help="how long it is valid (default: a year)")
    _command(keys, keys_list, "list", "scripts/keys.sh list")
    sub = _command(keys, keys_trust, "trust", "scripts/keys.sh trust ~/keys/signing.pub.asc")
    sub.add_argument("file", type=Path, help="a public key, as gpg --armor --export prints it")
    sub = _command(keys, keys_revoke, "revoke", f"scripts/keys.sh revoke {'D402…11D4'}")
    sub.add_argument("fingerprint", help="whose models are refused from now on")
    sub = _command(
        keys,
        keys_rotate,
        "rotate",
        "scripts/keys.sh rotate ~/keys/signing.pub.asc --old D402…11D4 --until 2027-01-31",
    )
    sub.add_argument("file", type=Path, help="the new public key")
    sub.add_argument("--old", metavar="FINGERPRINT", required=True, help="the key it replaces")
    sub.add_argument(
        "--until",
        type=date.fromisoformat,
        default=datetime.now(UTC).date() + timedelta(days=30),
        help="the last day on which the old one is accepted (default: in 30 days)",
    )


def keys_new(arguments) -> None:
    """Make a signing key (ed25519), and say what to put where."""
    from pressbox.signers import new_key

    made = new_key(arguments.user_id, arguments.out, arguments.days)
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


def keys_list(arguments) -> None:
    """Say who is trusted, and until when; exit 1 if one of the keys has expired."""
    from pressbox.signers import standing

    expired = False
    for state in standing():
        until = f"until {state.until}" if state.until else "no expiry"
        print(f"{state.fingerprint}\t{until}\t{state.user_id}{state.remark}")
        expired = expired or state.expired
    if expired:
        raise PressboxError(
            "a trusted key has expired", "replace it: scripts/keys.sh rotate, or revoke"
        )


def keys_trust(arguments) -> None:
    """Trust whoever holds the secret half of a public key."""
    from pressbox.signers import trust

    key = trust(arguments.file)
    print(f"{key.fingerprint}\t{key.user_id}")


def keys_revoke(arguments) -> None:
    """Trust somebody no longer: all their models are refused, old ones too."""
    from pressbox.signers import revoke

    revoke(arguments.fingerprint)


def keys_rotate(arguments) -> None:
    """Trust a new key, and its predecessor only until a date."""
    from pressbox.signers import rotate

    key = rotate(arguments.file, arguments.old, arguments.until)
    print(f"{key.fingerprint}\t{key.user_id}")


if __name__ == "__main__":
    main()
