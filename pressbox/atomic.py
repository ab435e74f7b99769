"""Files that are replaced in one step: a reader finds the earlier one or the new one, in full."""

import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def beside(path: Path) -> Iterator[io.BufferedRandom]:
    """Yield a new binary file, which replaces ``path`` if the block succeeds and else disappears.

    It has no name until then, so that not even ``kill -9`` leaves it behind. Where the file system
    cannot do that (some network and desktop mounts), it has a hidden name of its own. Raises
    OSError if the file cannot be written; ``path`` then is as it was.
    """
    folder = os.open(path.parent, os.O_RDONLY)
    hidden = f".{path.name}.{secrets.token_hex(4)}"
    try:
        try:
            descriptor = os.open(path.parent, os.O_TMPFILE | os.O_RDWR, 0o666)
        except OSError:
            with _named_beside(path) as file:
                yield file
        else:
            with open(descriptor, "w+b") as file:
                yield file
                # A full disk shows here, where nothing has a name yet.
                file.flush()
                # A link cannot replace a file, a rename can. With a dir_fd, Python follows the
                # link in /proc to the file itself.
                os.link(f"/proc/self/fd/{descriptor}", hidden, dst_dir_fd=folder)
            try:
                os.replace(hidden, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                os.unlink(hidden, dir_fd=folder)
                raise
    finally:
        os.close(folder)


@contextmanager
def _named_beside(path: Path) -> Iterator[io.BufferedRandom]:
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with hidden.open("x+b") as file:
            yield file
        hidden.replace(path)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise
