"""A newsroom that has taken the demo key out: the tests bring keys of their own."""

import shutil

import pytest
from support import KEYS, ROOT
from support.processes import python

from pressbox.trust import signers
from pressbox.trust.signers import DEMO


@pytest.fixture
def newsroom(stranger, tmp_path):
    """This checkout with its tests, but a key of the newsroom's in place of the demo key."""
    ignored = shutil.ignore_patterns(".git", "node_modules", "__pycache__", "gnupg")
    folder = shutil.copytree(ROOT, tmp_path / "newsroom", ignore=ignored)
    for keys in (folder / "gnupg", folder / "tests" / "gnupg"):
        shutil.copytree(KEYS, keys)
    file = tmp_path / "desk.pub.asc"
    file.write_bytes(stranger.public)
    signers.trust(file, folder / "gnupg")
    signers.revoke(DEMO, folder / "gnupg")
    return folder


def suite(folder):
    """Collect all tests of the checkout, and run some that sign, trust and open."""
    some = "earlier_release or verify_tells"
    return python("-m", "pytest", "-q", "-p", "no:xdist", "-k", some, cwd=folder)


def test_the_tests_pass_where_the_demo_key_was_taken_out(newsroom):
    done = suite(newsroom)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_without_keys_of_their_own_they_do_not(newsroom):
    shutil.rmtree(newsroom / "tests" / "gnupg")
    shutil.copytree(newsroom / "gnupg", newsroom / "tests" / "gnupg")
    done = suite(newsroom)
    assert done.returncode not in (0, 5)
    assert "demo" in done.stdout


def test_the_tests_have_the_demo_key_that_is_published():
    published = (ROOT / "gnupg").glob("demo.*")
    assert all(file.read_bytes() == (KEYS / file.name).read_bytes() for file in published)
