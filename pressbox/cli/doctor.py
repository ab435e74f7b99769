"""Looking for what is wrong here."""

import json
import sys
from argparse import Namespace
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from pressbox.cli import output
from pressbox.cli.options import Commands, add_command, json_option
from pressbox.console import note


def add_commands(commands: Commands) -> None:
    sub = add_command(commands, doctor)
    sub.add_argument("--deep", action="store_true", help="read every file of the environment")
    sub.add_argument(
        "--accept", action="store_true", help="add this environment to the accepted ones"
    )
    sub.add_argument(
        "--files-before",
        metavar="FILE",
        type=Path,
        help="/opt/pressbox/files.json of the image before, to name the files that --accept finds"
        " changed (default: they are not named)",
    )
    json_option(sub)


def doctor(arguments: Namespace) -> None:
    """Check the environment and suggest fixes; exit 4 for drift."""
    from pressbox.environment import drift, lock
    from pressbox.runs.doctor import examine

    if arguments.accept:
        earlier = arguments.files_before and json.loads(arguments.files_before.read_bytes())
        here, today = drift.current(deep=True), datetime.now(UTC).date()
        changes = lock.accept(here, today, earlier=earlier)
        for change in changes:
            note(f"accepted: {change}")
        note("commit .devcontainer/environment.lock" if changes else "already accepted")
    findings = list(examine(arguments.deep))
    if arguments.json:
        output.say_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            remedy = f"; {finding.remedy}" if finding.remedy else ""
            mark = "WRONG" if finding.status else ""
            line = f"{mark:6}{finding.subject:13}{finding.found}{remedy}"
            output.say(line, indent=19, mark=mark)
    sys.exit(max(finding.status for finding in findings))
