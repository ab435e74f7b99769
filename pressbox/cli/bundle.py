"""Writing a bundle."""

import sys
from argparse import Namespace
from pathlib import Path

from pressbox import ROOT
from pressbox.cli.options import Commands, add_command, key, signing_options
from pressbox.errors import UsageError


def add_commands(commands: Commands) -> None:
    sub = add_command(commands, bundle)
    sub.add_argument("image", type=Path, help="the image, as the engine saves it")
    sub.add_argument("--tag", required=True, help="what engines call it once it is loaded")
    sub.add_argument("--inputs", required=True, help="the number of what it was made of")
    sub.add_argument("--check", action="store_true", help="say what is wrong, and write nothing")
    signing_options(sub)


def bundle(arguments: Namespace) -> None:
    """Print a bundle for machines without a network; scripts/bundle.sh makes a file of it."""
    from pressbox.runs import bundling

    if arguments.check:
        bundling.check(key(arguments))
        return
    if sys.stdout.isatty():
        raise UsageError("a bundle is nothing for a terminal", "use scripts/bundle.sh FILE")
    toolchain = ROOT / ".devcontainer" / "toolchain" / "node_modules"
    ingredients = bundling.Ingredients(arguments.image, arguments.tag, arguments.inputs, toolchain)
    bundling.write_bundle(sys.stdout.buffer, ingredients, key(arguments))
