"""docs/design.md has a line for each module, and for nothing that is not there."""

import re

from support import ROOT

LINE = re.compile(r"^\| `([^`]+\.(?:py|html|css|js|sh))` \|", re.MULTILINE)
PARTS = {".py", ".html", ".css", ".js"}


def test_each_module_and_library_has_a_line():
    described = LINE.findall((ROOT / "docs" / "design.md").read_text())
    package = ROOT / "pressbox"
    modules = {
        str(file.relative_to(package))
        for file in package.rglob("*.*")
        if file.suffix in PARTS and file.name != "__init__.py" and file.parent.name != "own"
    }
    libraries = {f"scripts/lib/{file.name}" for file in ROOT.glob("scripts/lib/*")}
    folders = {"train.py"}
    assert sorted(described) == sorted(modules | libraries | folders)
