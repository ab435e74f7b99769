"""Images and registries. scripts/publish.sh and scripts/doctor.sh --prove call this."""

import base64
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from pressbox.cli import output
from pressbox.cli.options import Commands, add_command, key, signing_options


def add_commands(commands: Commands) -> None:
    sub = add_command(commands, publish, "scripts/publish.sh registry.example/desk/pressbox")
    sub.add_argument("name", help="registry and repository, e.g. registry.example/desk/pressbox")
    sub.add_argument("--image", metavar="FILE", type=Path, required=True, help="as it was saved")
    sub.add_argument("--work", metavar="FOLDER", type=Path, required=True, help="an empty one")
    sub.add_argument("--inputs", metavar="DIGEST", required=True, help="of what it is made of")
    sub.add_argument("--base", metavar="NAME@DIGEST", required=True, help="what it stands on")
    _contents_option(sub)
    _registry_options(sub)
    signing_options(sub)
    sub = add_command(commands, prove, "scripts/doctor.sh --prove")
    sub.add_argument("--built", metavar="FOLDER", type=Path, required=True, help="as --contents")
    _contents_option(sub)
    _registry_options(sub)


def _contents_option(sub: ArgumentParser) -> None:
    sub.add_argument(
        "--contents",
        metavar="FOLDER",
        type=Path,
        required=True,
        help="a copy of the published image's /opt/pressbox",
    )


def _registry_options(sub: ArgumentParser) -> None:
    sub.add_argument(
        "--authority",
        metavar="FILE",
        type=Path,
        help="certificates to trust besides the usual ones (default: none)",
    )


def publish(arguments: Namespace) -> None:
    """Send an image to a registry, with a signed statement, and write its digest into the lock."""
    from pressbox.runs import publication

    contents = publication.Contents.read(arguments.contents)
    made = publication.origin(arguments.inputs, arguments.base)
    registry = _registry(arguments.name, arguments.authority)
    with arguments.image.open("rb") as saved:
        published, cache = publication.publish(
            saved, contents, made, registry, key(arguments), arguments.work
        )
    # Two lines: where the cache for builders is, which may be nowhere, and the index.
    print(cache)
    print(f"{published.name}@{published.digest}")


def prove(arguments: Namespace) -> None:
    """Compare the published image with one that was built anew, and verify what was signed."""
    from pressbox.environment import lock
    from pressbox.errors import Drifted, PressboxError
    from pressbox.runs import publication

    contents, built = map(publication.Contents.read, (arguments.contents, arguments.built))
    published = lock.read_published()
    if not published or contents.architecture not in published.images:
        raise PressboxError("environment.lock names no image for this machine", "publish one")
    changes = publication.differences(contents, built)
    for change in changes:
        output.say(f"{'WRONG':6}{'files':13}{change}", indent=19, mark="WRONG")
    if not changes:
        count = len(contents.files)
        output.say(f"{'':6}{'files':13}{count} files and the passport are the same", indent=19)
    digest = published.images[contents.architecture].digest
    registry = _registry(published.name, arguments.authority)
    who = publication.verify(registry, digest, contents)
    output.say(f"{'':6}{'signed by':13}{who}", indent=19)
    if changes:
        raise Drifted(
            "the published image is not what is built here", "ask its publisher; use --build"
        )


def _registry(name: str, authority: Path | None):
    """The registry. Standard input has, in Base64, a line with what ``docker login`` has written,
    and one with what its credential helper says.
    """
    from pressbox.environment.registry import Registry, login

    config, answer = (base64.b64decode(sys.stdin.readline()) for _ in range(2))
    return Registry(name, login(name.partition("/")[0], config, answer), authority)
