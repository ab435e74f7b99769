"""Files that are replaced in one step: a reader finds the earlier one or the new one, in full."""

import errno
import io
import os
import secrets
import stat
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


def try_replacing(path: Path) -> None:
    """OSError if no file could take the place of ``path``. Nothing is changed."""
    try:
        with beside(path) as file:
            file.write(bytes(io.DEFAULT_BUFFER_SIZE))
            file.flush()
            raise _Enough
    except _Enough:
        pass
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    folder = path.parent.stat()
    # In a folder like /tmp, a file is replaced by its owner, the folder's, or root.
    if folder.st_mode & stat.S_ISVTX and path.exists():
        owners = {0, folder.st_uid, path.lstat().st_uid}
        if os.geteuid() not in owners:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))


class _Enough(Exception):
    """What was tried works; the file is not to take anything's place."""


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
