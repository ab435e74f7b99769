"""Processes of their own: Python as a person runs it, and a fork that may die."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

from pressbox.errors import PressboxError
from support.checkouts import shared_copy


def python(*arguments, cwd=None, env=(), **options):
    """Run Python as a person does: ``python("train.py", path)``.

    That is in a copy of this checkout, with the train.py and the keys of the tests.
    """
    cwd = cwd or shared_copy()
    if arguments[:2] == ("-m", "pressbox"):
        # By its name, that of the container would be found, and not the one of a copy.
        folders = (Path(folder, "pressbox", "__main__.py") for folder in (cwd, shared_copy()))
        arguments = (next(filter(Path.exists, folders)), *arguments[2:])
    text = not isinstance(options.get("input"), bytes)
    options = {"input": "", "text": text, "timeout": 120, **options}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **dict(env)},
        capture_output=True,
        **options,
    )


def assert_refused(done, status, saying=""):
    """One error line, what happened and what to do, and nothing a person should not see."""
    assert done.returncode == status, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert "; " in errors[0]
    assert saying in errors[0]
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr


def apart(work):
    """A process that does the work. Its status is 1 after a PressboxError, negative if killed."""
    with warnings.catch_warnings():
        # The worker of pytest-xdist that forks has a thread, of which the child wants nothing.
        warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
        process = os.fork()
    if not process:
        outcome = 2
        try:
            work()
            outcome = 0
        except PressboxError:
            outcome = 1
        finally:
            os._exit(outcome)
    return process


def ended(process):
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
