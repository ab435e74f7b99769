"""The version stands in three places, and is the same in each."""

import re
import tomllib

from support import ROOT

import pressbox


def test_the_version_is_that_of_the_project_and_has_its_changes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert project["version"] == pressbox.__version__
    assert pressbox.__version__ in headings
