"""A bundle: one file with all that a machine without a network needs.

It is a tar of four members. ``manifest.asc`` is a text that is signed: the commit, what the image
is and was made of, and the SHA-256 of the other members, as sha256sum writes it.
``checkout.tar.gz`` is a clone of the commit with its history, ``toolchain.tar.gz`` what npm has
installed from the lock, ``image.tar`` the image in the layout of the OCI. All but the signature is
the same for the same commit and image, wherever it is made. scripts/lib/bundle.sh reads it, before
there is a Python.
"""

import gzip
import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from pressbox import ROOT
from pressbox.console import doing, note
from pressbox.environment import oci
from pressbox.errors import PressboxError
from pressbox.provenance import code, git
from pressbox.provenance.git import NoAnswer
from pressbox.trust.gnupg import SigningKey, clear_sign, try_signing

HEAD = "pressbox bundle 1"
MANIFEST = "manifest.asc"
CHECKOUT, TOOLCHAIN, IMAGE = "checkout.tar.gz", "toolchain.tar.gz", "image.tar"
# The folder that a checkout is unpacked to.
FOLDER = "pressbox"
# As git writes a pack, whatever the machine has: of several threads, each makes one of its own.
SAME_PACK = ("-c", "pack.threads=1", "-c", "core.logAllRefUpdates=false")


@dataclass(frozen=True)
class Ingredients:
    """What goes into a bundle besides the checkout.

    saved: the image, as the engine saves it. tag: what engines call it once it is loaded. inputs:
    the number of what it was made of, as scripts/lib/bundle.sh counts it. toolchain: node_modules.
    """

    saved: Path
    tag: str
    inputs: str
    toolchain: Path


def write_bundle(out: IO[bytes], ingredients: Ingredients, key: SigningKey) -> None:
    """Write a bundle of the checkout's commit, signed with the key.

    Raises what ``check`` does, and PressboxError if the image or the toolchain cannot be read, or
    if there is no room for the parts.
    """
    commit, moment = check(key)
    try:
        with TemporaryDirectory() as name:
            folder = Path(name)
            lines = [HEAD, f"commit {commit}", f"inputs {ingredients.inputs}"]
            with doing("packing the checkout"):
                _clone(commit, folder / FOLDER)
                _write_tar(folder / CHECKOUT, folder / FOLDER, moment)
                shutil.rmtree(folder / FOLDER)
            with doing("packing the toolchain"):
                _write_tar(folder / TOOLCHAIN, ingredients.toolchain, moment)
            with doing("compressing the image"):
                lines += _write_image(folder / IMAGE, ingredients)
            lines += [f"{_sha256(folder / part)}  {part}" for part in (CHECKOUT, TOOLCHAIN, IMAGE)]
            text = "".join(f"{line}\n" for line in lines)
            (folder / MANIFEST).write_bytes(clear_sign(key, text.encode()))
            with (
                doing("writing the bundle"),
                tarfile.open(fileobj=out, mode="w|", format=tarfile.USTAR_FORMAT) as bundle,
            ):
                for part in (MANIFEST, CHECKOUT, TOOLCHAIN, IMAGE):
                    bundle.add(folder / part, part, filter=partial(_plain, moment))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise PressboxError(
            f"the bundle was not made ({error.strerror})",
            "its parts need room in the container's memory: PRESSBOX_MEMORY=8g",
        ) from error
    note(f"bundled commit {commit}")


def check(key: SigningKey) -> tuple[str, int]:
    """The checkout's commit, and when it was made in seconds since 1970.

    Raises PressboxError if there is none, if the checkout differs from it, or if the key does not
    sign.
    """
    try_signing(key)
    try:
        commit, changed = code.commit_and_changes()
        if changed:
            others = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise PressboxError(
                f"{changed[0]}{others} is not as it was committed, and a bundle holds a commit",
                "commit it, or bring it back with git restore",
            )
        return commit, int(git.ask(ROOT, "rev-list", "-1", "--timestamp", commit).split()[0])
    except NoAnswer as unknown:
        raise _without_history(unknown) from unknown


def _clone(commit: str, folder: Path) -> None:
    """A checkout of the commit with its history, and nothing else of the repository.

    Its objects are read and packed by a repository that has no configuration of anybody's.
    """

    def ask(*arguments: str) -> str:
        return os.fsdecode(git.ask(folder, *SAME_PACK, *arguments))

    def path_of(name: str) -> Path:
        path = git.ask(ROOT, "rev-parse", "--path-format=absolute", "--git-path", name)
        return Path(os.fsdecode(path.removesuffix(b"\n")))

    folder.mkdir()
    try:
        objects, shallow = path_of("objects"), path_of("shallow")
        kind = code.OBJECT_FORMATS[len(commit)]
        ask("init", "--quiet", "--template=", f"--object-format={kind}", "--initial-branch=main")
        inside = folder / ".git"
        if shallow.exists():
            shutil.copyfile(shallow, inside / "shallow")
        alternates = inside / "objects" / "info" / "alternates"
        alternates.write_bytes(os.fsencode(objects) + b"\n")
        ask("update-ref", "HEAD", commit)
        ask("repack", "-adfqn")
        alternates.unlink()
        ask("read-tree", "HEAD")
        ask("checkout-index", "--all")
        # Without the times of these files, which are others on each machine.
        (inside / "index").unlink()
        ask("read-tree", "HEAD")
    except NoAnswer as unknown:
        raise _without_history(unknown) from unknown


def _without_history(why: NoAnswer) -> PressboxError:
    return PressboxError(
        f"the checkout's history cannot be read ({why})", "make the bundle in a clone with git"
    )


def _write_image(path: Path, ingredients: Ingredients) -> list[str]:
    """Write the image, and say in lines of the manifest what it is."""
    with ingredients.saved.open("rb") as saved, TemporaryDirectory(dir=path.parent) as name:
        layout = oci.write_layout(saved, Path(name), name=ingredients.tag)
        with path.open("wb") as file:
            oci.pack(layout, file)
    return [
        f"architecture {layout.platform['architecture']}",
        # How an engine calls it: by its configuration, or, in containerd's store, its manifest.
        f"image {layout.config.digest} {layout.manifest.digest}",
    ]


def _write_tar(path: Path, folder: Path, moment: int) -> None:
    """Write the folder under its own name, with nothing in it of who packed it and when."""
    with (
        path.open("wb") as file,
        gzip.GzipFile("", "wb", oci.LEVEL, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for entry in _within(folder):
            name = str(entry.relative_to(folder.parent))
            archive.add(entry, name, recursive=False, filter=partial(_plain, moment))


def _within(folder: Path) -> Iterator[Path]:
    yield folder
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            yield from _within(entry)
        else:
            yield entry


def _plain(moment: int, entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = moment
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
