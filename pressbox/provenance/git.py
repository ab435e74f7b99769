"""Git, asked about a checkout that may be anybody's: nothing that it or the caller names is run."""

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
# No configuration but the repository's own, and no objects but those that a digest names.
VARIABLES = {
    **ISOLATED,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "HOME": "/nonexistent",
}


class NoAnswer(Exception):
    """Why git does not say what it was asked, in words."""


class Missing(NoAnswer):
    """There is no git."""


def ask(
    root: Path, *arguments: str, stdin: bytes = b"", variables: Mapping[str, str] = VARIABLES
) -> bytes:
    """What git prints of the checkout at ``root``. Raises NoAnswer if it fails."""
    command = [GIT, "-C", root, *HARDENED, *arguments]
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, env=variables)
    except OSError as error:
        raise Missing(f"there is no {GIT} ({error.strerror})") from error
    if done.returncode:
        lines = os.fsdecode(done.stderr).strip().splitlines() or ["it does not say why"]
        raise NoAnswer(f"git: {lines[0].removeprefix('fatal: ')}")
    return done.stdout


def configured(settings: Mapping[str, str]) -> dict[str, str]:
    """Variables with which git takes these settings for its own, whatever is in their names.

    With ``-c``, a name that holds an equals sign would end there.
    """
    variables = {**VARIABLES, "GIT_CONFIG_COUNT": str(len(settings))}
    for number, (name, value) in enumerate(settings.items()):
        variables |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return variables
