"""The command line inside: pressbox verify|show|predict|compare|replay|doctor|keys|fetch …"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from pressbox import ROOT
from pressbox.console import Parser, note, reporting
from pressbox.data import decoding, tables
from pressbox.errors import NotTrusted, PressboxError, UsageError, visible
from pressbox.trust import signing_key

CHUNK = 1 << 18  # bytes


def main(argv: list[str] | None = None) -> None:
    signing_key.leave_environment()
    parser = Parser(prog="pressbox", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (verify, show, predict):
        sub = _command(commands, command)
        sub.add_argument("model", type=Path, help="e.g. models/sports.tar.gz")
        sub.add_argument("--json", action="store_true", help="for programs")
        _policy_options(sub)
        if command is predict:
            sub.add_argument("texts", metavar="TEXT", nargs="*", help="default: lines of stdin")
            sub.add_argument("--file", metavar="FILE", type=Path, help="a text on each line")
            sub.add_argument("--encoding", metavar="NAME", default="", help="e.g. cp1252")
        elif command is show:
            sub.add_argument(
                "--statement", action="store_true", help="the in-toto statement itself, as JSON"
            )
            sub.add_argument("--html", metavar="FILE", type=Path, help="write its page there")
    _comparing_commands(commands)
    _doctor_command(commands)
    _key_commands(commands)
    sub = _command(commands, fetch)
    sub.add_argument("source", choices=["newsgroups"], help="the source to fetch")
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


def _comparing_commands(commands) -> None:
    sub = _command(commands, compare)
    sub.add_argument("before", metavar="A", type=Path, help="e.g. models/sports.tar.gz")
    sub.add_argument("after", metavar="B", type=Path, help="another model")
    sub.add_argument("--json", action="store_true", help="for programs")
    _trusted_option(sub)
    sub = _command(commands, replay)
    sub.add_argument("model", type=Path, help="e.g. models/sports.tar.gz")
    sub.add_argument("--data", metavar="PATH", help="where its source is, if that is a path")
    sub.add_argument("--test", metavar="PATH", help="where its test source is, if that is a path")
    sub.add_argument(
        "--demo", action="store_true", help="even a model of the demo key, which everybody has"
    )
    sub.add_argument("--json", action="store_true", help="for programs")
    _policy_options(sub)


def _doctor_command(commands) -> None:
    sub = _command(commands, doctor)
    sub.add_argument("--deep", action="store_true", help="read every file of the environment")
    sub.add_argument(
        "--accept", action="store_true", help="add this environment to the accepted ones"
    )
    sub.add_argument("--json", action="store_true", help="for programs")


def _trusted_option(sub) -> None:
    sub.add_argument(
        "--trusted",
        metavar="FOLDER",
        type=Path,
        default=ROOT / "gnupg",
        help="the trusted signers (default: %(default)s)",
    )


def _policy_options(sub) -> None:
    _trusted_option(sub)
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
    sub.add_argument(
        "--release",
        action="store_true",
        help="demand what a release is: docs/trust.md",
    )
    sub.add_argument(
        "--accepted",
        metavar="FILE",
        type=Path,
        default=ROOT / ".devcontainer" / "environment.lock",
        help="the accepted environments (default: %(default)s)",
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _policy(arguments):
    from pressbox.sealing.tarball import Policy
    from pressbox.trust.signers import FINGERPRINT

    for signer in arguments.signer:
        if not FINGERPRINT.fullmatch(signer):
            raise UsageError(f"{signer!r} is no fingerprint", "give 40 digits, A to F in capitals")
    environments = None
    if arguments.release:
        from pressbox.environment import lock

        environments = tuple(lock.digests(lock.read(arguments.accepted)))
    return Policy(arguments.name, arguments.not_before, tuple(arguments.signer), environments)


def verify(arguments) -> None:
    """Say who signed a model, and whether every byte of it holds."""
    from pressbox.sealing.tarball import describe

    try:
        facts = describe(arguments.model, arguments.trusted, _policy(arguments))
    except NotTrusted as refusal:
        if arguments.json:
            _print({"trusted": False, "reason": refusal.reason, "detail": str(refusal)}, True)
        raise
    _print({"trusted": True, "reason": "ok", **facts}, arguments.json)


def show(arguments) -> None:
    """Say what a model is, how good, and what it was made of."""
    from pressbox.sealing.tarball import verify

    model = verify(arguments.model, arguments.trusted, _policy(arguments))
    if arguments.html:
        from pressbox.runs.publishing import write_page

        write_page(model, arguments.html)
    elif arguments.statement:
        _say_json(model.statement)
    else:
        _print(model.facts, arguments.json)


def predict(arguments) -> None:
    """Say which sport texts are about: arguments, or the lines of a file or of standard input."""
    from pressbox.sealing.tarball import open_model

    if arguments.texts and arguments.file:
        raise UsageError("there are texts and a file", "give one of the two")
    model = open_model(arguments.model, arguments.trusted, _policy(arguments))
    encoding = tables.Layout(encoding=arguments.encoding).encoding
    for texts in [arguments.texts] if arguments.texts else _lines(arguments.file, encoding):
        answers = zip(*model.decide(texts), strict=True)
        print("\n".join(_answer(*answer, arguments.json) for answer in answers), flush=True)


def _answer(label: str, probability: float, sure: bool, as_json: bool) -> str:
    probability, sure = round(float(probability), 4), bool(sure)
    if as_json:
        return _json({"label": label, "probability": probability, "sure": sure})
    return f"{visible(label if sure else f'unsure ({label})')}\t{probability:.2f}"


def _lines(path: Path | None, encoding: str) -> Iterator[list[str]]:
    """Lines of a file or of standard input, as many at a time as have arrived."""
    if path is None and sys.stdin is None:
        raise UsageError("standard input is closed", "give texts, --file, or lines")
    try:
        with path.open("rb") if path else sys.stdin.buffer as stream:
            if stream.isatty():
                note("one text a line; Ctrl-D ends")
            yield from _decoded(stream, encoding)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})", "name a file") from error


def _decoded(stream: BinaryIO, encoding: str) -> Iterator[list[str]]:
    """The lines that have arrived, decoded as a training decodes a folder of texts."""
    decoder, rest, number = decoding.decoder(stream, encoding), "", 0
    while chunk := stream.read1(CHUNK):
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        if len(rest) > decoding.LONGEST_LINE:
            raise PressboxError(
                f"line {number + len(lines) + 1} is longer than {decoding.LONGEST_LINE >> 20} MiB",
                "split it: a line is one text",
            )
        if lines:
            yield [line.removesuffix("\r") for line in lines]
            number += len(lines)
    if rest := rest + decoder.decode(b"", final=True):
        yield [rest.removesuffix("\r")]


def compare(arguments) -> None:
    """Say how two models differ, in words; exit 1 if their numbers do."""
    from pressbox.runs import comparison
    from pressbox.sealing.tarball import verify

    one, other = (verify(path, arguments.trusted) for path in (arguments.before, arguments.after))
    digest = other.facts["model_digest"]
    identical = digest == one.facts["model_digest"]
    _print_differences(identical, digest, comparison.compare(one, other), arguments.json)


def replay(arguments) -> None:
    """Train a model again from what it says it was made of; exit 1 unless it is the same."""
    from pressbox.runs.replay import replay

    given = {"source": arguments.data, "test": arguments.test}
    sources = {purpose: path for purpose, path in given.items() if path}
    policy = _policy(arguments)
    result = replay(arguments.model, arguments.trusted, policy, sources, demo=arguments.demo)
    _print_differences(result.identical, result.digest, result.differences, arguments.json)


def _print_differences(identical: bool, digest: str, differences: dict, as_json: bool) -> None:
    if as_json:
        facts = {"identical": identical, "model_digest": digest, "differences": differences}
        _say_json(facts)
    else:
        _say(f"identical {digest}" if identical else "different")
        for subject, lines in differences.items():
            for line in lines:
                _say(f"{subject:13}{line}")
    if not identical:
        sys.exit(PressboxError.exit_status)


def fetch(arguments) -> None:
    """Download a source that is trained on by its name, and check it; once, with a network."""
    from pressbox.data import newsgroups

    note("fetched" if newsgroups.fetch() else "it was fetched before")
    print(newsgroups.kept())


def doctor(arguments) -> None:
    """Say what is wrong here, and what mends it; exit 4 for drift."""
    from pressbox.environment import drift, lock
    from pressbox.runs.doctor import examine

    if arguments.accept:
        changes = lock.accept(drift.current(deep=True), datetime.now(UTC).date())
        for change in changes:
            note(f"accepted: {change}")
        note("commit .devcontainer/environment.lock" if changes else "it was accepted before")
    findings = list(examine(arguments.deep))
    if arguments.json:
        _say_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            remedy = f"; {finding.remedy}" if finding.remedy else ""
            _say(
                f"{'WRONG' if finding.status else '':6}{finding.subject:13}{finding.found}{remedy}"
            )
    sys.exit(max(finding.status for finding in findings))


def _say(line: str) -> None:
    """Print one line: whatever stands in it, it stays one, and looks like what it is."""
    print(visible(line))


def _say_json(value) -> None:
    print(_json(value, indent=2))


def _json(value, **options) -> str:
    # Of the characters that a terminal obeys, json leaves one as it is.
    return json.dumps(value, **options).replace("\x7f", "\\u007f")


def _print(facts: dict, as_json: bool) -> None:
    if as_json:
        _say_json(facts)
        return
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {entry}" for key, entry in value.items())
        elif isinstance(value, list):
            value = ", ".join(value) or "none"
        _say(f"{name.replace('_', ' '):20}{value}")


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
    from pressbox.trust.signers import new_key

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
    from pressbox.trust.signers import standing

    expired = False
    for state in standing():
        until = f"until {state.until}" if state.until else "no expiry"
        print(f"{state.fingerprint}\t{until}\t{visible(state.user_id)}{state.remark}")
        expired = expired or state.expired
    if expired:
        raise PressboxError(
            "a trusted key has expired", "replace it: scripts/keys.sh rotate, or revoke"
        )


def keys_trust(arguments) -> None:
    """Trust whoever holds the secret half of a public key."""
    from pressbox.trust.signers import trust

    key = trust(arguments.file)
    print(f"{key.fingerprint}\t{visible(key.user_id)}")


def keys_revoke(arguments) -> None:
    """Trust somebody no longer: all their models are refused, old ones too."""
    from pressbox.trust.signers import revoke

    revoke(arguments.fingerprint)


def keys_rotate(arguments) -> None:
    """Trust a new key, and its predecessor only until a date."""
    from pressbox.trust.signers import rotate

    key = rotate(arguments.file, arguments.old, arguments.until)
    print(f"{key.fingerprint}\t{visible(key.user_id)}")


if __name__ == "__main__":
    main()
