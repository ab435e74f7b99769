"""Fetching a source."""

from argparse import Namespace

from pressbox.cli.options import Commands, add_command
from pressbox.console import note


def add_commands(commands: Commands) -> None:
    sub = add_command(commands, fetch)
    sub.add_argument("source", choices=["newsgroups"], help="the source to fetch")


def fetch(arguments: Namespace) -> None:
    """Download a source that is trained on by its name, and check it; once, with a network."""
    from pressbox.data import newsgroups

    note("fetched" if newsgroups.fetch() else "already fetched")
    print(newsgroups.kept())
