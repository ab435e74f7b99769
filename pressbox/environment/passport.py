"""The passport of an image: everything in it that can steer a training.

The last step of the image's build runs this file by itself, on what is installed, and writes to
``FOLDER``: ``passport.json``, whose SHA-256 is the environment digest; ``files.json``, all that a
training may load code from; and ``inputs.sha256``, what the image was built from. Door, user, host
and time take no part, so that an image has the same passport through every door.
"""

import hashlib
import json
import os
import platform
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

VERSION = 2
FOLDER = Path("/opt/pressbox")
PASSPORT, SEAL, FILES, INPUTS = "passport.json", "passport.sha256", "files.json", "inputs.sha256"
# Variables that the image sets because they steer a training.
STEERING = (
    "LANG",
    "LC_ALL",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "PYTHONNOUSERSITE",
    "PYTHONSAFEPATH",
    "SOURCE_DATE_EPOCH",
    "TZ",
)
# Where a training may load code from. What users, editors and certificate authorities add is
# elsewhere, and so is Poetry.
LOADED = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/python3",
    "/etc/python3.13",
    "/etc/ssl/openssl.cnf",
    "/opt/venv",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
)
# Whom a network trusts differs from host to host and steers no training: links that lead there are
# listed without what is at their end.
AUTHORITIES = "/etc/ssl/certs"
UNREADABLE = "cannot be read"
PYTHON = ("/usr/bin/python3.13", "/usr/lib/python3.13/")
DPKG_STATUS = Path("/var/lib/dpkg/status")
DISTRIBUTION = re.compile(r"([A-Za-z0-9_.]+)-([^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info")


def canonical(content: dict) -> bytes:
    """The bytes of a passport, or of a list of files, which have only one form."""
    return json.dumps(content, sort_keys=True, indent=1).encode() + b"\n"


def digest(content: bytes) -> str:
    """``sha256:<hex>`` of the content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def describe(files: dict[str, str]) -> dict:
    """The passport of the running environment. files: what ``measure`` found in it."""
    release = platform.freedesktop_os_release()
    python = {path: files[path] for path in files if path.startswith(PYTHON)}
    return {
        "version": VERSION,
        "architecture": platform.machine(),
        "base": f"{release['ID']} {release.get('VERSION_ID', 'rolling')}",
        "debian_packages": debian_packages(),
        "files": {"count": len(files), "digest": digest(canonical(files))},
        "python": {"version": platform.python_version(), "files": digest(canonical(python))},
        "python_packages": {
            name: {"version": version, "files": digest(canonical(_files_of(folder, files)))}
            for name, (version, folder) in python_packages().items()
        },
        "variables": {name: os.environ.get(name) for name in STEERING},
    }


def debian_packages() -> dict[str, str]:
    """Name and version of each installed package; empty on a system without dpkg."""
    if not DPKG_STATUS.exists():
        return {}
    packages = {}
    for stanza in DPKG_STATUS.read_text().split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in stanza.splitlines()
            if line.startswith(("Package: ", "Version: ", "Status: "))
        )
        if fields.get("Status", "").endswith(" installed"):
            packages[fields["Package"]] = fields["Version"]
    return packages


def python_packages() -> dict[str, tuple[str, Path]]:
    """Version and metadata of each distribution on Python's path, by its normalised name.

    Read from the names that pip gives their folders: opening all takes a quarter of a second.
    """
    packages = {}
    for folder in map(Path, sys.path):
        if "packages" not in folder.name or not folder.is_dir():
            continue
        for entry in sorted(folder.iterdir()):
            if found := DISTRIBUTION.fullmatch(entry.name):
                name = re.sub(r"[-_.]+", "-", found[1]).lower()
                # Of two with the same name, Python imports the first.
                packages.setdefault(name, (found[2], entry))
    return packages


def _files_of(metadata: Path, files: dict[str, str]) -> dict[str, str]:
    """Those of the files that a distribution installed; for one of Debian's, only its metadata."""
    record = metadata / "RECORD"
    if not record.is_file():
        within = {str(metadata), *map(str, metadata.glob("*"))}
    else:
        names = (line.rsplit(",", 2)[0].strip('"') for line in record.read_text().splitlines())
        within = {os.path.normpath(metadata.parent / name) for name in names}
    return {path: files[path] for path in within & files.keys()}


def measure(paths: Iterable[str] = LOADED) -> dict[str, str]:
    """What is in these places, folders included: path to what ``entry`` says of it."""
    entries = ((path, entry(path)) for path in _walk(paths))
    return {path: found for path, found in entries if found}


def entry(path: str) -> str | None:
    """What is there, as everybody sees it: kind, permissions and SHA-256; None if nothing is.

    For a link: where it leads, and the SHA-256 of the file at its end, unless that is AUTHORITIES'.
    """
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            end = str(Path(path).readlink())
            content = "" if end.startswith(AUTHORITIES) else file_digest(path) or ""
            return f"link to {end} {content}".rstrip()
    except FileNotFoundError:
        return None
    except OSError:
        return UNREADABLE
    permissions = f"{stat.S_IMODE(mode):o}"
    if stat.S_ISDIR(mode):
        return f"folder {permissions} {'' if _is_open(mode) else UNREADABLE}".rstrip()
    if stat.S_ISREG(mode):
        return f"file {permissions} {file_digest(path) or UNREADABLE}"
    return f"special {stat.filemode(mode)}"


def _is_open(folder: int) -> bool:
    """Whether everybody may see what lies in a folder of this mode."""
    return folder & 0o005 == 0o005


def file_digest(path: str) -> str | None:
    """The SHA-256 of the file, in hexadecimal; None if there is none that everybody may read."""
    try:
        state = os.stat(path)
        if not stat.S_ISREG(state.st_mode) or not state.st_mode & stat.S_IROTH:
            return None
        with open(path, "rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _walk(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        yield path
        try:
            mode = os.lstat(path).st_mode
            if not stat.S_ISDIR(mode) or not _is_open(mode):
                continue
            with os.scandir(path) as folder:
                within = sorted(entry.path for entry in folder)
        except OSError:
            continue
        yield from _walk(within)


def sums(files: dict[str, str]) -> bytes:
    """The files, path to SHA-256, as ``sha256sum`` writes and checks them."""
    return "".join(f"{files[path]}  {path}\n" for path in sorted(files)).encode()


def parsed_sums(content: bytes) -> dict[str, str]:
    """The files in what ``sums`` returned: path to SHA-256."""
    return {line[66:]: line[:64] for line in content.decode().splitlines()}


def issue(folder: Path, sources: Path) -> None:
    """Write to ``folder`` the passport of what is running, and the sums of what is in ``sources``.

    Raises FileExistsError if the folder is there already.
    """
    files = measure()
    inputs = {
        path.removeprefix(f"{sources}/"): content
        for path in _walk([str(sources)])
        if (content := file_digest(path))
    }
    passport = canonical(describe(files))
    seal = f"{hashlib.sha256(passport).hexdigest()}  {PASSPORT}\n".encode()
    folder.mkdir(parents=True)
    for name, content in {
        FILES: canonical(files),
        INPUTS: sums(inputs),
        PASSPORT: passport,
        SEAL: seal,
    }.items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    issue(Path(sys.argv[1]), Path(sys.argv[2]))
