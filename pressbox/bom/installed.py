"""What the packages that are installed here say about themselves: licences, sources, needs.

Nobody else says so: neither a passport nor a lock has them. What is true of a package here is true
wherever it has the same version.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email import message_from_string
from email.message import Message
from importlib.metadata import PathDistribution
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.license import License, LicenseAcknowledgement
from cyclonedx.spdx import fixup_id, is_expression

from pressbox.environment import passport

DOCUMENTATION = Path("/usr/share/doc")
# https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
MACHINE_READABLE = re.compile(r"Format: https?://\S+/copyright-format/1\.0/?\s")
OF_FILES = re.compile(r"^Files:", re.MULTILINE)
LICENCE = re.compile(r"^License:[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
# Debian's short names of licences that SPDX calls otherwise; GPL-2+ is GPL-2.0-or-later.
GNU = re.compile(r"(AGPL|GPL|LGPL|GFDL)-(\d)(\.\d)?(\+?)", re.IGNORECASE)
EXPAT = {"expat": "MIT"}
# What has one meaning among Python's classifiers of licences; "BSD License" has several.
CLASSIFIERS = {
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
LONGEST_NAME = 100
FACTORY, DECLARED = LicenseFactory(), LicenseAcknowledgement.DECLARED


@dataclass(frozen=True)
class Installed:
    """licences: as declared; none if they are unknown. source: the Debian source package it was
    built from, ``NAME`` or ``NAME@VERSION``, if it has another name or version. needs: the names of
    what it needs; None if unknown."""

    licences: tuple[License, ...] = ()
    source: str | None = None
    needs: tuple[str, ...] | None = None


Packages = dict[tuple[str, str], Installed]


def debian(status: Path | None = None, documentation: Path = DOCUMENTATION) -> Packages:
    """Debian's packages that are installed here, by name and version."""
    status = status or passport.DPKG_STATUS
    if not status.exists():
        return {}
    stanzas = [message_from_string(stanza) for stanza in status.read_text().split("\n\n")]
    stanzas = [each for each in stanzas if str(each["Status"]).endswith(" installed")]
    providers: dict[str, str] = {}
    for each in stanzas:
        for name in _names(each["Provides"]):
            providers.setdefault(name[0], each["Package"])
    providers.update({each["Package"]: each["Package"] for each in stanzas})
    return {
        (each["Package"], each["Version"]): Installed(
            tuple(_copyright(documentation / each["Package"] / "copyright")),
            each["Source"] and re.sub(r" \((.*)\)", r"@\1", each["Source"]),
            tuple(_debian_needs(each, providers)),
        )
        for each in stanzas
    }


def _names(field: str | None) -> Iterator[list[str]]:
    """The names in a field of relations; those between which one may choose, together."""
    for clause in (field or "").split(","):
        if names := re.findall(r"(?:^|\|)\s*([a-z0-9][a-z0-9+.-]+)", clause.strip()):
            yield names


def _debian_needs(stanza: Message, providers: dict[str, str]) -> Iterator[str]:
    for field in ("Pre-Depends", "Depends"):
        for names in _names(stanza[field]):
            # The first that is there is what the others were not installed for.
            if there := [providers[name] for name in names if name in providers]:
                yield there[0]


def _copyright(path: Path) -> Iterator[License]:
    """The licences that a machine-readable copyright file names for files of the package."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return
    if not MACHINE_READABLE.match(text):
        return
    found = (LICENCE.search(each) for each in re.split(r"\n\s*\n", text) if OF_FILES.search(each))
    yield from _named(sorted({each[1] for each in found if each}), _from_debian)


def _from_debian(name: str) -> str | None:
    """SPDX's identifier of one of Debian's names, if it is that of one licence."""
    if gnu := GNU.fullmatch(name):
        family, major, minor, later = gnu.groups()
        name = f"{family}-{major}{minor or '.0'}-{'or-later' if later else 'only'}"
    return fixup_id(EXPAT.get(name.lower(), name))


def _named(names: Iterable[str], identify) -> Iterator[License]:
    """A licence for each name: by its identifier, or else in the words of whoever named it."""
    seen = set()
    for name in names:
        found = identify(name)
        if (found or name) not in seen:
            seen.add(found or name)
            if found:
                yield FACTORY.make_with_id(found, acknowledgement=DECLARED)
            else:
                yield FACTORY.make_with_name(name, acknowledgement=DECLARED)


def python() -> Packages:
    """Python's packages that are installed here, by name and version."""
    found: Packages = {}
    for name, (version, folder) in passport.python_packages().items():
        found[name, version] = Installed(tuple(_metadata(PathDistribution(folder).metadata)))
    return found


def _metadata(said) -> Iterator[License]:
    """The licences in a package's core metadata, from the most exact field that has any."""
    field = (said.get("License") or "").strip()
    for expression in (said.get("License-Expression") or "", field):
        if fixup_id(expression) or (expression and is_expression(expression)):
            yield FACTORY.make_from_string(expression, license_acknowledgement=DECLARED)
            return
    prefix = "License :: OSI Approved :: "
    classifiers = [
        each.removeprefix(prefix)
        for each in said.get_all("Classifier") or ()
        if each.startswith(prefix)
    ]
    short = field if len(field) <= LONGEST_NAME and "\n" not in field else ""
    names = classifiers or ([short] if short not in ("", "UNKNOWN") else [])
    yield from _named(names, CLASSIFIERS.get)
