"""What the passport of an environment says."""

import hashlib
import importlib.metadata
import os
import sys

import pytest
from support import ROOT

from pressbox.environment import passport

FILES = {"/usr/bin/python3.13": "a" * 64, "/usr/lib/libz.so.1": "b" * 64}


@pytest.mark.usefixtures("few_packages")
@pytest.mark.parametrize("name", passport.STEERING)
def test_a_variable_that_steers_changes_the_passport(name, monkeypatch):
    before = passport.describe(FILES)
    monkeypatch.setenv(name, "other")
    assert passport.describe(FILES) != before


@pytest.mark.usefixtures("few_packages")
@pytest.mark.parametrize("name", ["HOME", "HOSTNAME", "PRESSBOX_DOOR", "USER"])
def test_where_and_who_we_are_does_not_change_the_passport(name, monkeypatch):
    before = passport.describe(FILES)
    monkeypatch.setenv(name, "other")
    assert passport.describe(FILES) == before


@pytest.mark.usefixtures("few_packages")
@pytest.mark.parametrize("path", FILES)
def test_a_file_changes_the_passport(path):
    before, after = passport.describe(FILES), passport.describe({**FILES, path: "c" * 64})
    assert before["files"] != after["files"]
    assert (before["python"] != after["python"]) == (path == "/usr/bin/python3.13")


def test_a_passport_lists_packages_of_debian_and_of_python():
    found = passport.describe(FILES)
    assert found["debian_packages"].keys() >= {"gpg", "libgpgme11t64", "python3-gpg"}
    assert found["python_packages"].keys() >= {"gpg", "numpy", "scikit-learn", "special-k"}


def test_a_python_package_is_listed_with_the_digest_of_its_files():
    distribution = importlib.metadata.distribution("threadpoolctl")
    module = str(distribution.locate_file("threadpoolctl.py"))
    files = {**FILES, module: "c" * 64}
    entry = passport.describe(files)["python_packages"]["threadpoolctl"]
    assert entry["version"] == distribution.version
    assert entry["files"] == passport.digest(passport.canonical({module: "c" * 64}))


def test_every_package_is_listed_under_its_own_name():
    found = passport.python_packages()
    for distribution in importlib.metadata.distributions():
        name = distribution.name.replace("_", "-").lower().replace(".", "-")
        assert found[name][0] == distribution.version


def test_of_two_packages_with_one_name_the_one_that_is_imported_is_listed(tmp_path, monkeypatch):
    packages = tmp_path / "site-packages"
    (packages / "scikit_learn-0.1.dist-info").mkdir(parents=True)
    before = passport.python_packages()
    monkeypatch.setattr(sys, "path", [*sys.path, str(packages)])
    assert passport.python_packages() == before
    monkeypatch.setattr(sys, "path", [str(packages), *sys.path])
    assert passport.python_packages()["scikit-learn"][0] == "0.1"


def test_a_package_that_was_removed_is_not_listed(tmp_path, monkeypatch):
    status = tmp_path / "status"
    status.write_text(
        "Package: here\nStatus: install ok installed\nVersion: 1:2-3\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
    )
    monkeypatch.setattr(passport, "DPKG_STATUS", status)
    assert passport.debian_packages() == {"here": "1:2-3"}


def test_a_system_without_dpkg_has_no_packages(tmp_path, monkeypatch):
    monkeypatch.setattr(passport, "DPKG_STATUS", tmp_path / "nothing")
    assert passport.debian_packages() == {}


def test_each_entry_is_measured_links_through_to_their_files(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "folder").mkdir(mode=0o755)
    (tmp_path / "folder" / "file").write_text("content")
    (tmp_path / "folder" / "closed").write_text("content")
    (tmp_path / "folder" / "closed").chmod(0o600)
    (tmp_path / "secret").mkdir(mode=0o700)
    (tmp_path / "secret" / "file").write_text("content")
    (tmp_path / "link").symlink_to("folder/file")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "other").symlink_to("folder")
    os.mkfifo(tmp_path / "pipe", 0o644)
    digest = hashlib.sha256(b"content").hexdigest()
    expected = {
        "": "folder 755",
        "/dangling": "link to nowhere",
        "/folder": "folder 755",
        "/folder/closed": "file 600 cannot be read",
        "/folder/file": f"file 644 {digest}",
        "/link": f"link to folder/file {digest}",
        "/other": "link to folder",
        "/pipe": "special prw-r--r--",
        "/secret": "folder 700 cannot be read",
    }
    measured = passport.measure([str(tmp_path), "/nowhere"])
    assert measured == {f"{tmp_path}{name}": entry for name, entry in expected.items()}


def test_whom_the_network_trusts_is_no_part_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(passport, "AUTHORITIES", str(tmp_path / "certs"))
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "all").write_text("ours")
    link, other = tmp_path / "cert.pem", tmp_path / "other"
    link.symlink_to(tmp_path / "certs" / "all")
    other.symlink_to("certs/all")
    before = passport.entry(str(link)), passport.entry(str(other))
    (tmp_path / "certs" / "all").write_text("theirs")
    assert passport.entry(str(link)) == before[0] == f"link to {tmp_path / 'certs' / 'all'}"
    assert passport.entry(str(other)) != before[1]


def test_sums_are_read_as_they_are_written():
    assert passport.parsed_sums(passport.sums(FILES)) == FILES


def test_the_image_was_built_from_what_the_scripts_think_it_was():
    """scripts/lib/image.sh builds a new image when one of these has changed."""
    inputs = passport.parsed_sums((passport.FOLDER / passport.INPUTS).read_bytes())
    listed = (ROOT / "scripts" / "lib" / "image.sh").read_text()
    ignored = (ROOT / ".dockerignore").read_text()
    for path in inputs:
        if not path.startswith("third_party/"):
            assert path in listed
            assert f"!{path}\n" in ignored


def test_the_image_was_built_from_this_checkout():
    inputs = passport.parsed_sums((passport.FOLDER / passport.INPUTS).read_bytes())
    assert inputs.keys() >= {
        ".devcontainer/Dockerfile",
        "poetry.lock",
        "pressbox/environment/passport.py",
    }
    for path, expected in inputs.items():
        assert hashlib.sha256((ROOT / path).read_bytes()).hexdigest() == expected
