"""What the locks of this checkout know about packages, by name and version.

An archive never gives another file the same name and version. So the locks tell the hashes of a
package wherever it is installed, even if it is not the environment that they describe.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

from pressbox import ROOT
from pressbox.errors import PressboxError

DEBIAN, PYTHON = ROOT / ".devcontainer" / "debian.lock", ROOT / "poetry.lock"
# What makes special_k anew, of the wheel that it pins.
SPECIAL_K = ROOT / "third_party" / "special_k" / "repackage.py"
PIN = re.compile(
    r'^WHEEL = "(special_k-(\S+)-py3-none-any\.whl)"\nWHEEL_SHA256 = "([0-9a-f]{64})"$', re.M
)
# What Debian calls the architectures of a passport.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
LINE = re.compile(r"(#.*|snapshot \S+|release \S+ \S+|(\S+) (\S+) (\S+) (\S+) ([0-9a-f]{64}))")
# The least glibc of a platform tag, and the older name of some tags (PEP 600).
OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}
OLDER_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True)
class Archive:
    """What a package was installed from.

    sha256: in hexadecimal. architecture: the package's own, for one of Debian. file: of one for
    Python, its name. needs: the names of the packages that it needs; None if that is unknown.
    """

    sha256: str | None = None
    architecture: str | None = None
    file: str | None = None
    needs: tuple[str, ...] | None = None


Archives = dict[tuple[str, str], Archive]


def debian(architecture: str, path: Path = DEBIAN) -> Archives:
    """Debian's packages for a passport's architecture, by name and version; none without a lock.

    Raises PressboxError for what is not a lock.
    """
    found: Archives = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        parts = LINE.fullmatch(line)
        if not parts:
            raise PressboxError(
                f"line {number} of {path} is not one of a lock",
                "resolve the conflict, or restore it with git",
            )
        if parts[2] and parts[2] == ARCHITECTURES.get(architecture):
            found[parts[3], parts[4]] = Archive(parts[6], architecture=parts[5])
    return found


def python(issued: dict, path: Path = PYTHON) -> Archives:
    """Python's packages by name and version, as pip chooses them there; none without a lock.

    issued: the passport of an environment. Raises PressboxError for what is not a lock.
    """
    try:
        packages = tomllib.loads(_text(path)).get("package", [])
    except tomllib.TOMLDecodeError as error:
        raise PressboxError(
            f"{path} is not a lock ({error})", "resolve the conflict, or restore it with git"
        ) from error
    order = {tag: rank for rank, tag in enumerate(_tags(issued))}
    there = _markers(issued)
    found: Archives = {}
    for package in packages:
        file = min(_wheels(package["files"], order), default=None)
        needs = tuple(_needs(package.get("dependencies", {}), there))
        archive = Archive(file[2], file=file[1], needs=needs) if file else Archive(needs=needs)
        found[canonicalize_name(package["name"]), package["version"]] = archive
    return found


def special_k(version: str, path: Path = SPECIAL_K) -> Archive:
    """The wheel of its authors that special_k's is made of; nothing is known of other versions."""
    pin = PIN.search(_text(path))
    return Archive(pin[3], file=pin[1]) if pin and pin[2] == version else Archive()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise PressboxError(f"{path} cannot be read ({error})", "restore it with git") from error


def _wheels(files: list[dict], order: dict[Tag, int]) -> Iterator[tuple[int, str, str]]:
    """Of each wheel that can be installed there: its rank, the best first, its name and hash."""
    for each in files:
        name = each["file"]
        if not name.endswith(".whl"):
            continue
        tags = parse_wheel_filename(name)[3]
        if ranks := [order[tag] for tag in tags if tag in order]:
            yield min(ranks), name, each["hash"].removeprefix("sha256:")


def _tags(issued: dict) -> Iterator[Tag]:
    """What a wheel may be made for, to be installed there; the best first."""
    major, minor = _version(issued)
    interpreter = f"cp{major}{minor}"
    platforms = list(_platforms(issued))
    yield from cpython_tags((major, minor), [interpreter], platforms)
    yield from compatible_tags((major, minor), interpreter, platforms)


def _version(issued: dict) -> tuple[int, int]:
    major, minor = issued["python"]["version"].split(".")[:2]
    return int(major), int(minor)


def _platforms(issued: dict) -> Iterator[str]:
    machine, glibc = issued["architecture"], issued["debian_packages"].get("libc6", "2.0")
    newest = int(re.split(r"\D", glibc)[1])
    for minor in range(newest, OLDEST_GLIBC.get(machine, newest) - 1, -1):
        yield f"manylinux_2_{minor}_{machine}"
        if minor in OLDER_NAMES:
            yield f"{OLDER_NAMES[minor]}_{machine}"
    yield f"linux_{machine}"


def _markers(issued: dict) -> dict[str, str]:
    """What PEP 508 asks about an environment."""
    return {
        "extra": "",
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": issued["architecture"],
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": issued["python"]["version"],
        "python_version": ".".join(map(str, _version(issued))),
        "sys_platform": "linux",
    }


def _needs(dependencies: dict[str, Any], there: dict[str, str]) -> Iterator[str]:
    for name, said in dependencies.items():
        for each in said if isinstance(said, list) else [said]:
            if isinstance(each, str) or (
                not each.get("optional")
                and ("markers" not in each or Marker(each["markers"]).evaluate(dict(there)))
            ):
                yield canonicalize_name(name)
                break
