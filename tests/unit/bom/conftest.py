"""What the tests of bills of materials share."""

import json

import pytest

from pressbox.environment import passport


@pytest.fixture(scope="session")
def issued():
    """The passport of the environment that the tests run in. Shared: change a copy."""
    return json.loads((passport.FOLDER / passport.PASSPORT).read_text())
