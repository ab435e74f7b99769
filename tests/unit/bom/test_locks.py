"""What the locks know about packages."""

import tomllib
from importlib.metadata import distribution

import pytest
from packaging.utils import canonicalize_name, parse_wheel_filename
from support import ROOT

from pressbox.bom import locks
from pressbox.errors import PressboxError

ENTRY = """
[[package]]
name = "{name}"
version = "1.0"
files = [{files}]

[package.dependencies]
{needs}
"""


def entry(*files, name="thing", needs=""):
    listed = (f'{{file = "{file}", hash = "sha256:{number:064}"}}' for number, file in files)
    return ENTRY.format(name=name, files=", ".join(listed), needs=needs)


def on(issued, **changes):
    """The passport of another environment. glibc: its version."""
    debian = {**issued["debian_packages"], "libc6": changes.pop("glibc", "2.41-12")}
    return {**issued, "debian_packages": debian, **changes}


@pytest.fixture
def chosen(issued, tmp_path):
    """Which of the files of a package is installed there."""

    def chosen(*names, **environment):
        path = tmp_path / "poetry.lock"
        path.write_text(entry(*enumerate(names)))
        archive = locks.python(on(issued, **environment), path)["thing", "1.0"]
        assert (archive.file is None) == (archive.sha256 is None)
        assert archive.file is None or int(archive.sha256) == names.index(archive.file)
        return archive.file

    return chosen


def test_each_package_of_debian_has_the_hash_of_its_archive(issued):
    archives = locks.debian(issued["architecture"])
    on = locks.ARCHITECTURES[issued["architecture"]]
    lines = map(str.split, locks.DEBIAN.read_text().splitlines())
    hashes = {tuple(line[1:3]): (line[3], line[4]) for line in lines if line[0] == on}
    assert set(issued["debian_packages"].items()) <= hashes.keys()
    assert {key: (each.architecture, each.sha256) for key, each in archives.items()} == hashes


def test_another_architecture_has_other_archives():
    ours, theirs = locks.debian("x86_64"), locks.debian("aarch64")
    (key,) = (key for key in ours if key[0] == "python3-minimal")
    assert (ours[key].architecture, theirs[key].architecture) == ("amd64", "arm64")
    assert ours[key].sha256 != theirs[key].sha256
    assert locks.debian("riscv64") == {}


def test_the_wheel_of_each_package_is_the_one_that_was_installed(issued):
    archives = locks.python(issued)
    listed = {
        (canonicalize_name(package["name"]), package["version"]): {
            (file["file"], file["hash"]) for file in package["files"]
        }
        for package in tomllib.loads((ROOT / "poetry.lock").read_text())["package"]
    }
    tested = 0
    for name, said in issued["python_packages"].items():
        archive = archives.get((name, said["version"]))
        if archive is None or archive.file is None:
            # Debian's, and the one that is made anew.
            assert name in ("gpg", "special-k")
            continue
        assert (archive.file, f"sha256:{archive.sha256}") in listed[name, said["version"]]
        wheel = distribution(name).read_text("WHEEL")
        tags = {line.split()[1] for line in wheel.splitlines() if line.startswith("Tag: ")}
        assert {str(tag) for tag in parse_wheel_filename(archive.file)[3]} & tags, name
        tested += 1
    assert tested > 50


def test_the_wheel_is_that_of_the_environment_and_not_of_this_machine(issued):
    names = [key for key in locks.python(issued) if key[0] == "numpy"]
    for machine in ("x86_64", "aarch64"):
        archive = locks.python(on(issued, architecture=machine))[names[0]]
        assert archive.file.endswith(f"_{machine}.whl")
        assert "-cp313-cp313-" in archive.file


def test_the_best_wheel_is_taken_that_the_environment_can_use(chosen):
    new, old = "thing-1.0-cp313-cp313-manylinux_2_34_x86_64.whl", "thing-1.0-cp313-cp313-{}.whl"
    old = old.format("manylinux2014_x86_64.manylinux_2_17_x86_64")
    pure, stable = "thing-1.0-py3-none-any.whl", "thing-1.0-cp39-abi3-manylinux1_x86_64.whl"
    source, foreign = "thing-1.0.tar.gz", "thing-1.0-cp313-cp313-musllinux_1_2_x86_64.whl"
    everything = (source, foreign, pure, stable, old, new)
    machine = {"architecture": "x86_64"}
    assert chosen(*everything, **machine) == new
    assert chosen(*everything, glibc="2.28-1", **machine) == old
    assert chosen(*everything, glibc="2.12-1", **machine) == stable
    assert chosen(*everything, architecture="aarch64") == pure
    assert chosen(source, foreign, new, glibc="2.28-1", **machine) is None


def test_a_package_needs_what_its_markers_ask_for_there(issued, tmp_path):
    path = tmp_path / "poetry.lock"
    needs = """
Plain_Name = ">=1"
windows = {version = "*", markers = "platform_system == \\"Windows\\""}
linux = [{version = "<2", markers = "python_version < \\"3.9\\""}, {version = ">=2"}]
extra = {version = "*", optional = true}
"""
    path.write_text(entry(needs=needs))
    assert locks.python(issued, path)["thing", "1.0"].needs == ("plain-name", "linux")


@pytest.mark.parametrize("read", [locks.debian, locks.python])
def test_without_a_lock_nothing_is_known(read, issued, tmp_path):
    subject = issued["architecture"] if read is locks.debian else issued
    assert read(subject, tmp_path / "none") == {}


@pytest.mark.parametrize("read", [locks.debian, locks.python])
@pytest.mark.parametrize("content", [b"<<<<<<< HEAD\n=======\n>>>>>>> other\n", b"\xff\n"])
def test_what_is_not_a_lock_is_an_error(read, content, issued, tmp_path):
    path = tmp_path / "some.lock"
    path.write_bytes(content)
    with pytest.raises(PressboxError, match=r"some\.lock .*; .*restore it with git"):
        read(issued["architecture"] if read is locks.debian else issued, path)
