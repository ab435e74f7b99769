"""Removes what the image goes without, and strips what is compiled.

    slim.py PLACE FOLDER [BINUTILS]

PLACE: whose patterns of ``slim.txt`` are used, below FOLDER. BINUTILS: a system that has strip;
then FOLDER is a ``site-packages``, and each RECORD in it says afterwards what is there. The
Dockerfile runs this file; it is in no image.
"""

import base64
import csv
import hashlib
import platform
import shutil
import subprocess
import sys
from pathlib import Path

LIST = Path(__file__).with_name("slim.txt")
ELF = b"\x7fELF"


def matches(place: str, folder: Path) -> list[Path]:
    """What the patterns of the place match. Exits if one of them matches nothing."""
    lines = [line.split() for line in LIST.read_text().splitlines() if line and line[0] != "#"]
    found = {pattern: list(folder.glob(pattern)) for where, pattern in lines if where == place}
    if stale := [pattern for pattern in found if not found[pattern]]:
        patterns = ", ".join(stale)
        sys.exit(f"error: nothing in {folder} matches {patterns} of slim.txt; correct the list")
    return [path for paths in found.values() for path in paths]


def remove(path: Path) -> None:
    """Remove the file or folder, unless it has gone with another that matched."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def strip(folder: Path, binutils: Path) -> None:
    """Remove the symbols of compiled files that only debuggers and linkers read."""
    compiled = [
        path
        for path in sorted(folder.rglob("*.so*"))
        if path.is_file() and not path.is_symlink() and path.read_bytes()[:4] == ELF
    ]
    libraries = {"LD_LIBRARY_PATH": str(binutils / "usr/lib" / f"{platform.machine()}-linux-gnu")}
    command = [binutils / "usr/bin/strip", "--strip-unneeded", "--", *compiled]
    subprocess.run(command, env=libraries, check=True)


def record(packages: Path) -> None:
    """Let each RECORD list what is there: paths, SHA-256 and sizes, as its standard has it."""
    for path in sorted(packages.glob("*.dist-info/RECORD")):
        with path.open(newline="") as file:
            rows = [row for row in csv.reader(file) if (packages / row[0]).exists()]
        for row in rows:
            if row[1] and ".so" in row[0]:
                content = (packages / row[0]).read_bytes()
                digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
                row[1:] = [f"sha256={digest.decode().rstrip('=')}", str(len(content))]
        with path.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def main(place: str, folder: Path, binutils: Path | None = None) -> None:
    """Make the folder slim."""
    for path in matches(place, folder):
        remove(path)
    if binutils:
        strip(folder, binutils)
        record(folder)


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
