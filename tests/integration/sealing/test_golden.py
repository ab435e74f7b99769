"""What earlier releases sealed opens for ever, and special_k is what it was."""

import pytest
from support import ROOT
from support.processes import python

from pressbox.sealing import tarball

GOLDEN = {
    "newsroom-0.1.0": "sha256:eb9572c6e3bb2e9a2e703ea28a0739ca1462b55f970bb399ae160919f0804dc2",
}
TEXTS = {
    "The goalie made forty saves in overtime": "ice hockey",
    "A googly beat the bat": "cricket",
    "He pitched seven scoreless innings": "baseball",
}


def test_each_golden_model_is_tested():
    assert {path.name for path in (ROOT / "tests" / "golden").iterdir()} == {
        f"{name}.tar.gz" for name in GOLDEN
    }


@pytest.mark.parametrize("name", GOLDEN)
def test_a_model_of_an_earlier_release_opens_and_predicts_as_it_did(name):
    path = ROOT / "tests" / "golden" / f"{name}.tar.gz"
    assert tarball.describe(path)["model_digest"] == GOLDEN[name]
    assert list(tarball.open_model(path).predict(TEXTS)) == list(TEXTS.values())


def test_special_ks_own_tests_pass_in_this_environment(tmp_path):
    # test_serializers and test_serialization_helpers need Keras, which is no part of it.
    subjects = (
        "model_interface",
        "model_serialization",
        "registry",
        "signing",
        "verifiable_stream",
    )
    modules = [f"special_k.tests.test_{subject}" for subject in subjects]
    quiet = ["-q", "-c", "/dev/null", "-W", "ignore", "-p", "no:cacheprovider"]
    done = python(
        *("-m", "pytest", *quiet, "--pyargs", *modules),
        cwd=tmp_path,
        env={"UNSAFE_GPG_TESTING_ENABLED": "1"},
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
