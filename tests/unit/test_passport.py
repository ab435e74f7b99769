"""What this environment is."""

import hashlib
import importlib.metadata
import sys

import pytest

from pressbox import passport


def test_two_passports_are_the_same():
    assert passport.environment_digest() == passport.environment_digest()


@pytest.mark.parametrize("name", passport.STEERING)
def test_a_variable_that_steers_changes_the_digest(name, monkeypatch):
    before = passport.environment_digest()
    monkeypatch.setenv(name, "other")
    assert passport.environment_digest() != before
    monkeypatch.delenv(name)
    assert passport.environment_digest() != before


@pytest.mark.parametrize("name", ["HOME", "HOSTNAME", "PRESSBOX_DOOR", "USER"])
def test_where_and_who_we_are_does_not_change_the_digest(name, monkeypatch):
    before = passport.environment_digest()
    monkeypatch.setenv(name, "other")
    assert passport.environment_digest() == before


def test_a_passport_lists_packages_of_debian_and_of_python():
    found = passport.passport()
    assert found["debian_packages"].keys() >= {"gpg", "libgpgme11t64", "python3-gpg"}
    assert found["python_packages"].keys() >= {"gpg", "numpy", "scikit-learn", "special-k"}


def test_a_python_package_is_listed_with_the_digest_of_its_files():
    record = importlib.metadata.distribution("scikit-learn").read_text("RECORD")
    assert passport.passport()["python_packages"]["scikit-learn"] == {
        "version": importlib.metadata.version("scikit-learn"),
        "record": hashlib.sha256(record.encode()).hexdigest(),
    }


def test_of_two_packages_with_one_name_the_one_that_is_imported_is_listed(tmp_path, monkeypatch):
    metadata = tmp_path / "scikit_learn-0.1.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: scikit-learn\nVersion: 0.1\n")
    before = passport.environment_digest()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert passport.environment_digest() == before
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert passport.passport()["python_packages"]["scikit-learn"]["version"] == "0.1"


def test_a_package_that_was_removed_is_not_listed(tmp_path, monkeypatch):
    status = tmp_path / "status"
    status.write_text(
        "Package: here\nStatus: install ok installed\nVersion: 1:2-3\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
    )
    monkeypatch.setattr(passport, "DPKG_STATUS", status)
    assert passport.passport()["debian_packages"] == {"here": "1:2-3"}


def test_a_system_without_dpkg_has_a_passport(tmp_path, monkeypatch):
    monkeypatch.setattr(passport, "DPKG_STATUS", tmp_path / "nothing")
    assert passport.passport()["debian_packages"] == {}
