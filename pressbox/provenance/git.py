"""Git, asked about a checkout that may be anybody's: no program that it configures is run."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pressbox.environment.drift import ISOLATED

GIT = "/usr/bin/git"
HARDENED = (
    "--no-optional-locks",
    *("-c", "safe.directory=*"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "protocol.allow=never"),
)
# No configuration but the repository's own; no objects but those with the digest in question.
VARIABLES = {
    **ISOLATED,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "HOME": "/nonexistent",
}


class NoAnswer(Exception):
    """Git did not answer. ``str`` says why."""


class Missing(NoAnswer):
    """Git is not installed."""


def ask(
    root: Path, *arguments: str, stdin: bytes = b"", variables: Mapping[str, str] = VARIABLES
) -> bytes:
    """What git prints about the checkout at ``root``.

    stdin: what git reads. variables: all that it gets. Raises Missing without git, and NoAnswer if
    git fails.
    """
    command = [GIT, "-C", root, *HARDENED, *arguments]
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, env=variables)
    except OSError as error:
        raise Missing(f"there is no {GIT} ({error.strerror})") from error
    if done.returncode:
        lines = os.fsdecode(done.stderr).strip().splitlines() or ["without a message"]
        raise NoAnswer(f"git: {lines[0].removeprefix('fatal: ')}")
    return done.stdout


def configured(settings: Mapping[str, str]) -> dict[str, str]:
    """Variables that make git use these settings, whatever characters their names have.

    ``-c`` would cut a name off at its first equals sign.
    """
    variables = {**VARIABLES, "GIT_CONFIG_COUNT": str(len(settings))}
    for number, (name, value) in enumerate(settings.items()):
        variables |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return variables
