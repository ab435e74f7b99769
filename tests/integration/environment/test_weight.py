"""What the image goes without, and what it does not."""

import importlib
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest
from support import ROOT, TRAIN

PACKAGES = Path("/opt/venv/lib/python3.13/site-packages")
ELSEWHERE = {"poetry": Path("/opt/tools"), "python3.13": Path("/usr/lib/python3.13")}
# What pip calls otherwise than Python imports it.
ALSO = {"PIL": "pillow", "scikit_learn": "sklearn"}


def size(folder):
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_ten_largest_parts_are_those_of_the_documents():
    parts = {name: size(folder) for name, folder in ELSEWHERE.items()}
    for folder in PACKAGES.iterdir():
        if folder.is_dir() and folder.suffix != ".dist-info":
            name = folder.name.removesuffix(".libs")
            name = ALSO.get(name, name)
            parts[name] = parts.get(name, 0) + size(folder)
    table = (ROOT / "docs" / "image.md").read_text().partition("## What is left out")[0]
    named = re.findall(r"^\| `(.+?)` \| \d+ \| (\d+) \|", table, re.MULTILINE)
    # The tenth is the base, which is no folder.
    assert sorted(parts, key=parts.get)[-9:] == sorted({name for name, _ in named}, key=parts.get)
    for name, megabytes in named:
        assert parts[name] / 1e6 == pytest.approx(int(megabytes), rel=0.2)


def test_what_each_package_has_recorded_is_there():
    recorded = 0
    for distribution in distributions(path=[str(PACKAGES)]):
        for file in distribution.files:
            path = Path(file.locate())
            assert path.exists(), path
            if file.hash and path.suffix == ".so":
                assert path.stat().st_size == file.size, path
            recorded += 1
    assert recorded > 5_000


@pytest.mark.parametrize(
    "module",
    [
        "matplotlib.testing",
        "numpy.f2py",
        "numpy.testing",
        "pandas.testing",
        "pyarrow.compute",
        "pyarrow.dataset",
        "pyarrow.feather",
        "pyarrow.orc",
        "scipy.signal",
        "sklearn.utils.estimator_checks",
    ],
)
def test_what_people_use_of_the_packages_is_there(module):
    assert importlib.import_module(module)


def test_each_module_that_a_training_imports_is_compiled(tmp_path):
    watched = (
        "import sys, runpy; sys.argv = sys.argv[1:]\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally:\n"
        "    for module in list(sys.modules.values()):\n"
        "        cached = getattr(module, '__cached__', None) or ''\n"
        "        if cached.startswith('/opt/venv'): print(cached)\n"
    )
    command = [sys.executable, "-c", watched, TRAIN, tmp_path / "model.tar.gz", "--allow-drift"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    modules = [line for line in done.stdout.splitlines() if line.startswith("/opt/venv")]
    assert len(modules) > 500
    # Those of the image's own start, which is no module of a package.
    slow = [path for path in modules if not Path(path).exists()]
    assert slow == []
