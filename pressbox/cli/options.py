"""Options that commands share, and what is made of them."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pressbox import ROOT
from pressbox.errors import UsageError


def add_command(
    commands, command: Callable[[Namespace], None], example: str = "", name: str = ""
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


def json_option(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")


def trusted_option(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--trusted",
        metavar="FOLDER",
        type=Path,
        default=ROOT / "gnupg",
        help="the trusted signers (default: %(default)s)",
    )


def policy_options(parser: ArgumentParser) -> None:
    trusted_option(parser)
    parser.add_argument("--name", default="", help="demand that the model has this name")
    parser.add_argument(
        "--not-before", metavar="DATE", type=_moment, help="demand that it was sealed since then"
    )
    parser.add_argument(
        "--signer",
        metavar="FINGERPRINT",
        action="append",
        default=[],
        help="demand one of these signers (40 hexadecimal digits)",
    )
    parser.add_argument(
        "--release",
        action="store_true",
        help="demand what a release is: docs/trust.md",
    )
    parser.add_argument(
        "--accepted",
        metavar="FILE",
        type=Path,
        default=ROOT / ".devcontainer" / "environment.lock",
        help="the accepted environments (default: %(default)s)",
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def policy(arguments: Namespace):
    """The ``Policy`` that the options give. Raises UsageError for what is not a fingerprint."""
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
