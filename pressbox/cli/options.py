"""Options that commands share, and what is made of them."""

from __future__ import annotations

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace, _SubParsersAction
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pressbox import ROOT
from pressbox.console import Parser, note, reporting
from pressbox.data import tables
from pressbox.trust import signing_key
from pressbox.trust.gnupg import GNUPG

if TYPE_CHECKING:
    from pressbox.data.corpus import Corpus
    from pressbox.runs.publishing import Edition
    from pressbox.sealing.policy import Policy
    from pressbox.trust.gnupg import SigningKey

Commands = _SubParsersAction
# What ``begin`` takes besides the path and the key: its keyword, how the option sets it, and help.
FLAGS = {
    "with_page": (
        "--no-page",
        "store_false",
        "write no page beside the model, and let it hold no text for one",
    ),
    "replace_newer": (
        "--replace-newer",
        "store_true",
        "replace even a model that says it was sealed later than now",
    ),
    "allow_drift": (
        "--allow-drift",
        "store_true",
        "train even in an environment that is not as it was built; this is recorded in the model",
    ),
    "release": (
        "--release",
        "store_true",
        "refuse the demo key, and whatever else is not a release (docs/trust.md)",
    ),
}


def add_command(
    commands: Commands,
    command: Callable[[Namespace], None],
    example: str = "",
    name: str = "",
) -> ArgumentParser:
    """Add the command, which is called with the arguments; its docstring is its help."""
    sub = commands.add_parser(
        name or command.__name__,
        help=command.__doc__,
        description=command.__doc__,
        epilog=example and f"example: {example}",
    )
    sub.set_defaults(command=command)
    return sub


def add_model_command(
    commands: Commands, command: Callable[[Namespace], None], needed: bool = True
) -> ArgumentParser:
    """Add a command about a model. needed: whether one has to be named."""
    sub = add_command(commands, command)
    number = None if needed else "?"
    sub.add_argument("model", type=Path, nargs=number, help="e.g. models/sports.tar.gz")
    json_option(sub)
    policy_options(sub)
    return sub


def json_option(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")


def trusted_option(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--trusted",
        metavar="FOLDER",
        type=Path,
        default=GNUPG,
        help="the trusted signers (default: %(default)s)",
    )


def policy_options(parser: ArgumentParser) -> None:
    trusted_option(parser)
    parser.add_argument(
        "--name", default="", help="demand that the model has this name (default: any)"
    )
    parser.add_argument(
        "--not-before",
        metavar="DATE",
        type=_moment,
        help="demand that it was sealed since then, e.g. 2026-11-01 (default: at any time)",
    )
    parser.add_argument(
        "--signer",
        metavar="FINGERPRINT",
        type=fingerprint,
        action="append",
        default=[],
        help="demand one of these signers: 40 hexadecimal digits (default: any trusted one)",
    )
    parser.add_argument(
        "--release",
        action="store_true",
        help="demand a release (docs/trust.md)",
    )
    parser.add_argument(
        "--accepted",
        metavar="FILE",
        type=Path,
        default=ROOT / ".devcontainer" / "environment.lock",
        help="the accepted environments (default: %(default)s)",
    )


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _not_a_date(text) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def day(text: str) -> date:
    """The date. Raises ArgumentTypeError for what is not one."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise _not_a_date(text) from error


def _not_a_date(text: str) -> ArgumentTypeError:
    return ArgumentTypeError(f"{text!r} is not a date like 2026-11-01")


def fingerprint(text: str) -> str:
    """The fingerprint in its plain form. Raises ArgumentTypeError for what is not one."""
    from pressbox.trust.signers import FINGERPRINT, plain

    if not FINGERPRINT.fullmatch(plain(text)):
        raise ArgumentTypeError(f"{text!r} is not a fingerprint, which has 40 hexadecimal digits")
    return plain(text)


def days(text: str) -> int:
    """A number of days. Raises ArgumentTypeError for what is not one."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ArgumentTypeError(f"{text!r} is not a number of days like 365")
    return int(text)


def policy(arguments: Namespace) -> Policy:
    """The ``Policy`` that the options give."""
    from pressbox.sealing.policy import Policy

    environments = None
    if arguments.release:
        from pressbox.environment import lock

        environments = tuple(lock.digests(lock.read(arguments.accepted)))
    return Policy(arguments.name, arguments.not_before, tuple(arguments.signer), environments)


@dataclass(frozen=True)
class Training:
    """A training as the command line of train.py asks for it."""

    arguments: Namespace

    def begin(self) -> Edition:
        """Check what can be checked before a training; see ``pressbox.begin``."""
        from pressbox.runs import publishing

        flags = {name: getattr(self.arguments, name) for name in FLAGS}
        return publishing.begin(self.arguments.model_path, self.key(), **flags)

    def key(self) -> SigningKey:
        """What signs; see ``signing_key.choose``."""
        return key(self.arguments, release=self.arguments.release)

    def load_corpus(self) -> Corpus:
        """The texts of the source, and those to evaluate on; see ``pressbox.load_corpus``."""
        from pressbox.data.corpus import load_corpus

        layout = tables.Layout(**{name: getattr(self.arguments, name) for name in tables.DEFAULTS})
        data = load_corpus(self.arguments.data, self.arguments.test, layout)
        origin = f"{data.source} and {data.test_source}" if data.test_source else data.source
        note(f"{len(data.train)} texts to train on, {len(data.test)} to evaluate on, from {origin}")
        return data


def run(train: Callable[[Training], None], description: str | None) -> None:
    """Do the training that the command line asks for, and print where the model lies."""
    arguments = training_parser(description).parse_args()
    signing_key.leave_environment(hand_over=True)
    with reporting():
        train(Training(arguments))
        # A door of the scripts prints the model's path on the host.
        if "PRESSBOX_DOOR" not in os.environ:
            print(arguments.model_path)


def training_parser(description: str | None) -> Parser:
    """The command line of train.py."""
    parser = Parser(description=description)
    parser.add_argument("model_path", type=Path, help="where to put it, e.g. models/sports.tar.gz")
    parser.add_argument(
        "--data",
        metavar="SOURCE",
        default="newsroom",
        help="newsroom (default), newsgroups, a folder of texts, or a table: .csv, .tsv, .jsonl,"
        " .json, .parquet, a folder of such parts; each also .gz or .zst",
    )
    parser.add_argument(
        "--test",
        metavar="SOURCE",
        default="",
        help="evaluate on another source (default: the test part of the training's)",
    )
    _layout_options(parser)
    for name, (option, action, meaning) in FLAGS.items():
        parser.add_argument(option, dest=name, action=action, help=meaning)
    signing_options(parser)
    return parser


def _layout_options(parser: ArgumentParser) -> None:
    reading_options(parser)
    parser.add_argument(
        "--label-column", metavar="NAME", default="label", help="of a table (default: %(default)s)"
    )


def reading_options(parser: ArgumentParser) -> None:
    """Add what says how texts are read: column, delimiter, encoding."""
    parser.add_argument(
        "--text-column", metavar="NAME", default="text", help="of a table (default: %(default)s)"
    )
    parser.add_argument(
        "--delimiter",
        metavar="CHARACTER",
        default="",
        type=lambda text: "\t" if text == "\\t" else text,
        help="between the fields of a .csv or .tsv (default: the comma, the tab)",
    )
    parser.add_argument(
        "--encoding",
        metavar="NAME",
        default="",
        help="of files without a byte order mark, e.g. cp1252 (default: UTF-8)",
    )


def key(arguments: Namespace, *, release: bool = False) -> SigningKey:
    """What signs, as ``signing_options`` name it; see ``signing_key.choose``."""
    return signing_key.choose(
        arguments.signing_key,
        arguments.passphrase_file,
        arguments.signing_agent,
        arguments.agent_socket,
        release=release,
    )


def signing_options(parser: ArgumentParser) -> None:
    """Add what names the key; see ``key``."""
    group = parser.add_argument_group(
        "signing (default: PRESSBOX_SIGNING_KEY and _PASSPHRASE, else a trusted demo key)"
    )
    group.add_argument("--signing-key", metavar="FILE", type=Path, help="armoured secret key")
    group.add_argument("--passphrase-file", metavar="FILE", type=Path, help="its passphrase")
    group.add_argument(
        "--signing-agent",
        metavar="FINGERPRINT",
        type=fingerprint,
        help="a trusted signer whose secret key the running gpg-agent holds, or its smartcard",
    )
    group.add_argument("--agent-socket", metavar="PATH", help="default: that of your GNUPGHOME")
