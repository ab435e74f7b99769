"""What installed packages say about themselves."""

from email.message import Message

import pytest

from pressbox.bom import installed

FORMAT = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
STATUS = """\
Package: tool
Status: install ok installed
Version: 1:2.0-1+b1
Source: toolset (1:2.0-1)
Pre-Depends: libc (>= 2.4)
Depends: gone | mailer:any, awk, libc,
 helper (= 1), missing

Package: libc
Status: hold ok installed
Version: 3

Package: exim
Status: install ok installed
Version: 4
Provides: mailer (= 1), awk

Package: awk
Status: install ok installed
Version: 5

Package: helper
Status: deinstall ok config-files
Version: 1
"""


def named(licences):
    return [getattr(each, "value", None) or each.id or each.name for each in licences]


def test_a_package_of_debian_needs_what_is_there_of_what_it_names(tmp_path):
    status = tmp_path / "status"
    status.write_text(STATUS)
    found = installed.debian(status, tmp_path)
    assert found.keys() == {
        ("tool", "1:2.0-1+b1"), ("libc", "3"), ("exim", "4"), ("awk", "5")
    }  # fmt: skip
    tool = found["tool", "1:2.0-1+b1"]
    assert tool.needs == ("libc", "exim", "awk", "libc")
    assert tool.source == "toolset@1:2.0-1"
    assert (found["libc", "3"].needs, found["libc", "3"].source) == ((), None)


def test_elsewhere_than_on_debian_nothing_is_known(tmp_path):
    assert installed.debian(tmp_path / "none", tmp_path) == {}


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("GPL-2", "GPL-2.0-only"),
        ("GPL-2+", "GPL-2.0-or-later"),
        ("gpl-3.0+", "GPL-3.0-or-later"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("GFDL-1.3", "GFDL-1.3-only"),
        ("Expat", "MIT"),
        ("apache-2.0", "Apache-2.0"),
        ("Zlib", "Zlib"),
        # What is not one licence, or not one that SPDX knows, stays in Debian's words.
        ("GPL-9+", "GPL-9+"),
        ("GPL-2+ with Font exception", "GPL-2+ with Font exception"),
        ("GPL-1+ or Artistic", "GPL-1+ or Artistic"),
        ("BSD-style", "BSD-style"),
        ("public-domain", "public-domain"),
    ],
)
def test_a_licence_of_debian_is_named_as_spdx_names_it(name, licence, tmp_path):
    path = tmp_path / "copyright"
    path.write_text(f"{FORMAT}\nFiles: *\nCopyright: somebody\nLicense: {name}\n Text: of it\n")
    assert named(installed._copyright(path)) == [licence]


def test_each_licence_of_a_package_is_named_once(tmp_path):
    path = tmp_path / "copyright"
    files = "Files: {}\nCopyright: somebody\nLicense: {}\n"
    parts = [
        FORMAT + "License: CC0-1.0\n",
        files.format("*", "GPL-2+\n text\n .\n more"),
        files.format("a", "GPL-2.0+"),
        files.format("b", "Expat"),
        files.format("c", "\n text without a name"),
        "License: Zlib\n of no file\n",
    ]
    path.write_text("\n".join(parts))
    assert named(installed._copyright(path)) == ["MIT", "GPL-2.0-or-later"]


@pytest.mark.parametrize(
    "text", ["This package is under the GPL.\n", f"X: y\n{FORMAT}", "Format: 1.0\n", ""]
)
def test_what_is_not_machine_readable_names_no_licence(text, tmp_path):
    path = tmp_path / "copyright"
    path.write_text(text + "\nFiles: *\nLicense: Expat\n")
    assert named(installed._copyright(path)) == []
    assert named(installed._copyright(tmp_path / "none")) == []


def metadata(**fields):
    message = Message()
    for name, values in fields.items():
        for value in values:
            message[name.replace("_", "-")] = value
    return message


OSI = "License :: OSI Approved :: "


@pytest.mark.parametrize(
    ("said", "licences"),
    [
        ({"License_Expression": ["MIT AND Zlib"], "License": ["BSD"]}, ["MIT AND Zlib"]),
        ({"License_Expression": ["MIT"]}, ["MIT"]),
        ({"License": ["apache-2.0"]}, ["Apache-2.0"]),
        ({"License": ["BSD"], "Classifier": [f"{OSI}ISC License (ISCL)"]}, ["ISC"]),
        ({"License": ["MIT"], "Classifier": [f"{OSI}BSD License"]}, ["MIT"]),
        # Of which BSD licence it is, nobody has said anything.
        ({"Classifier": [f"{OSI}BSD License", f"{OSI}MIT License"]}, ["BSD License", "MIT"]),
        ({"License": ["Apache 2.0"]}, ["Apache 2.0"]),
        ({"License": ["UNKNOWN"]}, []),
        ({"License": ["A whole text\nof a licence"]}, []),
        ({"License": ["x" * 200]}, []),
        ({"Classifier": ["Programming Language :: Python"]}, []),
        ({}, []),
    ],
)
def test_a_python_package_has_the_licence_that_it_declares(said, licences):
    found = list(installed._metadata(metadata(**said)))
    assert named(found) == licences
    assert {each.acknowledgement for each in found} <= {installed.DECLARED}


def test_the_packages_that_are_installed_here_are_found():
    found = {name: each for (name, _), each in installed.python().items()}
    assert named(found["scikit-learn"].licences) == ["BSD-3-Clause"]
    here = {name: each for (name, _), each in installed.debian().items()}
    assert here["libssl3t64"].source == "openssl"
    assert "libssl3t64" in here["openssl"].needs
