"""What the tests of the passport and of drift share."""

import sys

import pytest

from pressbox.environment import passport


@pytest.fixture
def few_packages(tmp_path, monkeypatch):
    """Of the image's Python packages, let the passport see one: all take it a quarter second."""
    _, metadata = passport.python_packages()["numpy"]
    folder = tmp_path / "few-packages"
    folder.mkdir()
    (folder / metadata.name).symlink_to(metadata)
    others = [path for path in sys.path if "packages" not in path]
    monkeypatch.setattr(sys, "path", [*others, str(folder)])
