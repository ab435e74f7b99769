"""Both definitions of the dev container are the same, but for where the image comes from."""

import re

from support import ROOT

FOLDER = ROOT / ".devcontainer"


def without_image(name: str) -> list[str]:
    """The lines of a definition, without those that say which image it is, and without comments."""
    text = (FOLDER / name).read_text()
    text = re.sub(r'^\t"(name|image)": .*\n|^\t"build": \{\n(.*\n)*?\t\},\n', "", text, flags=re.M)
    return [line for line in text.splitlines() if not line.lstrip().startswith("//")]


def test_the_definition_for_editors_that_pull_is_the_other_one_in_all_else():
    lines = without_image("prebuilt/devcontainer.json")
    assert lines == without_image("devcontainer.json")
    assert len(lines) > 20


def test_it_names_one_image_where_the_scripts_write_it():
    text = (FOLDER / "prebuilt" / "devcontainer.json").read_text()
    assert len(re.findall(r'^\t"image": "[^"]+",$', text, flags=re.M)) == 1
