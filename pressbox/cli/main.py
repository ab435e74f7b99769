"""The command line inside: pressbox verify|show|predict|compare|replay|doctor|keys|fetch …"""

from pressbox.cli import bundle, data, doctor, keys, models, prediction, publication
from pressbox.console import Parser, reporting
from pressbox.trust import signing_key


def main(argv: list[str] | None = None) -> None:
    """Do what the command line asks: ``argv``, or the arguments of this process."""
    signing_key.leave_environment()
    parser = Parser(prog="pressbox", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (models, prediction, doctor, keys, data, publication, bundle):
        module.add_commands(commands)
    arguments = parser.parse_args(argv)
    with reporting():
        arguments.command(arguments)
