"""Facts about the image, seen from inside."""

import base64
import hashlib
import importlib.util
import os
import re
import shutil
import site
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import special_k
from support import KEYS, ROOT
from support.processes import python

from pressbox.environment.passport import STEERING

# SHA-256 of the sorted lines that the RECORD of special_k 0.1.1, as published, has for its code.
UPSTREAM = "440f5766d5a16db14bc65c7304f5ad645ffa28afb3fe4e763dbf2725dd94170a"
SECRET_KEY = re.compile(rb"-----BEGIN PGP PRIVATE KEY BLOCK-----\r?\n(?:\w+: .*\n)*\r?\n[\w+/]{60}")


def test_nobody_is_root():
    assert os.getuid() != 0


def test_python_is_3_13():
    assert sys.version_info[:2] == (3, 13)


@pytest.mark.parametrize("command", ["c++", "cc", "clang", "g++", "gcc", "gfortran", "swig"])
def test_there_is_no_compiler(command):
    assert shutil.which(command) is None


@pytest.mark.parametrize("command", ["git", "gpg", "pip", "poetry"])
def test_the_tools_are_there(command):
    done = subprocess.run([command, "--version"], capture_output=True, check=True, text=True)
    assert re.search(r"\d+\.\d+", done.stdout)


@pytest.mark.parametrize("module", ["gpg", "ipykernel", "pip", "pytest", "special_k"])
def test_the_modules_are_there(module):
    assert importlib.util.find_spec(module)


def test_packages_of_the_user_take_no_part():
    assert site.ENABLE_USER_SITE is False


def test_all_variables_that_steer_are_set():
    values = {name: os.environ.get(name) for name in STEERING}
    assert int(values.pop("SOURCE_DATE_EPOCH")) > 0
    assert values == {
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "PYTHONSAFEPATH": "1",
        "TZ": "UTC",
    }


def test_the_lock_fits_the_project(tmp_path):
    places = ("HOME", "POETRY_CACHE_DIR", "POETRY_CONFIG_DIR", "POETRY_DATA_DIR")
    env = {**os.environ, **dict.fromkeys(places, str(tmp_path))}
    command = ["poetry", "check", "--lock"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "All set!\n"), done.stderr


def test_no_package_is_missing_or_in_the_way():
    done = python("-m", "pip", "check")
    assert (done.returncode, done.stdout) == (0, "No broken requirements found.\n")


def test_the_code_of_special_k_is_upstreams_byte_for_byte():
    folder = Path(special_k.__file__).parent
    lines = []
    for file in folder.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            content = file.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()
            name = file.relative_to(folder.parent)
            lines.append(f"{name},sha256={digest.rstrip('=')},{len(content)}")
    assert hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest() == UPSTREAM


def test_no_secret_key_is_in_the_image():
    fake = Path(special_k.__file__).parent / "tests" / "fake_keys" / "testing.secret.asc"
    demo = KEYS / "demo.secret.asc"
    assert all(SECRET_KEY.search(file.read_bytes()) for file in (fake, demo))
    image = ["find", "/", "-xdev", "-path", ROOT, "-prune", "-o", "-type", "f", "-readable"]
    holds = ["-exec", "grep", "-lFZ", "PRIVATE KEY BLOCK", "{}", "+"]
    keyrings = ["(", "-path", "*/private-keys-v1.d/*", "-o", "-name", "secring.gpg", ")", "-print0"]

    def find(*what):
        done = subprocess.run([*image, *what], capture_output=True)
        return {Path(name.decode()) for name in done.stdout.split(b"\0") if name}

    assert {file for file in find(*holds) if SECRET_KEY.search(file.read_bytes())} == {fake}
    assert find(*keyrings) == set()


def test_the_tools_of_the_image_are_pinned_with_hashes():
    text = (ROOT / ".devcontainer" / "tools.txt").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert any(line.startswith("poetry==") for line in lines)
    pinned = re.compile(r"[\w.-]+==[\w.]+( *;[^#]*?)?( +--hash=sha256:[0-9a-f]{64})+\s*(#.*)?")
    assert [line for line in lines if not pinned.fullmatch(line)] == []


def test_all_locked_packages_have_hashes_but_the_one_in_this_repository():
    packages = tomllib.loads((ROOT / "poetry.lock").read_text())["package"]
    assert {package["name"] for package in packages if not package["files"]} == {"special-k"}
    hashes = [file["hash"] for package in packages for file in package["files"]]
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", value) for value in hashes)


@pytest.mark.parametrize(
    "name",
    [
        ".devcontainer/tools.in",
        ".devcontainer/tools.txt",
        ".devcontainer/toolchain/package-lock.json",
        ".devcontainer/toolchain/package.json",
        "poetry.lock",
        "pyproject.toml",
        "third_party/special_k/pyproject.toml",
        "third_party/special_k/repackage.py",
    ],
)
def test_no_lock_names_the_host_of_a_registry(name):
    text = (ROOT / name).read_text()
    for host in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("yarnpkg", "com")):
        assert ".".join(host) not in text
    assert not re.search(r"index-url|\[\[tool\.poetry\.source|\"resolved\"", text)
