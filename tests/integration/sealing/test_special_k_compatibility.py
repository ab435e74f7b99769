"""The other way round: plain special_k loads what we seal, and we open what it saves."""

import copy
import io
import tarfile
from pathlib import Path

import pytest
import special_k
from support.hostile import genuine, inflate, opens
from support.keys import demo_ring
from support.models import tiny

from pressbox.sealing import container, metadata, tarball
from pressbox.trust import gnupg, signing_key
from pressbox.trust.signers import DEMO

TEXTS = ["aa", "bb", "aa bb", ""]


@pytest.fixture
def home():
    """What plain special_k verifies in: its own trusted folder is ours."""
    signer = tarball.trusted_signers()[DEMO]
    with gnupg.special_k_home(signer.armoured, DEMO) as home:
        yield home


def test_plain_special_k_loads_a_file_that_we_sealed(home, tmp_path):
    path = tmp_path / "model.tar.gz"
    path.write_bytes(genuine())
    model = special_k.load_model_from_tarball(str(path), gpg_home_dir=home)
    assert list(model.predict(TEXTS)) == list(tiny().predict(TEXTS))
    assert model.statement["subject"][0]["name"] == "tiny"


def test_plain_special_k_loads_a_stream_that_we_sealed(home):
    model = special_k.load_model_from_tarball_stream(io.BytesIO(genuine()), gpg_home_dir=home)
    assert list(model.predict(TEXTS)) == list(tiny().predict(TEXTS))


def test_plain_special_k_loads_it_with_the_folder_of_trusted_signers(monkeypatch):
    monkeypatch.setenv("SERIALIZATION_TRUSTED_KEYS_DIR", str(gnupg.GNUPG))
    model = special_k.load_model_from_tarball_stream(io.BytesIO(genuine()))
    assert list(model.predict(TEXTS)) == list(tiny().predict(TEXTS))


def test_we_open_a_file_that_plain_special_k_saved(tmp_path):
    path = tmp_path / "model.tar.gz"
    passphrase = signing_key.demo_key().passphrase
    special_k.save_model_to_tarball(tiny(), str(path), demo_ring().home, DEMO, passphrase)
    assert list(tarball.open_model(path).predict(TEXTS)) == list(tiny().predict(TEXTS))
    assert tarball.describe(path)["name"] == "tiny"


def test_we_open_a_stream_that_plain_special_k_saved():
    passphrase = signing_key.demo_key().passphrase
    stream = special_k.save_model_to_tarball_stream(tiny(), demo_ring().home, DEMO, passphrase)
    assert list(opens(stream.getvalue()).predict(TEXTS)) == list(tiny().predict(TEXTS))


def test_the_model_that_was_sealed_stays_usable(tmp_path):
    model = tiny()
    before = copy.deepcopy(vars(model))
    tarball.seal(model, tmp_path / "model.tar.gz", signing_key.demo_key())
    assert model.labels == before["parameters"]["labels"]
    assert model.statement == before["statement"]
    assert list(model.predict(TEXTS)) == list(tiny().predict(TEXTS))


def test_what_tarfile_reads_is_what_we_survey():
    with tarfile.open(fileobj=io.BytesIO(genuine())) as tar:
        files = {
            Path(info.name).name: (info.offset_data, info.size)
            for info in tar.getmembers()
            if info.isfile()
        }
    layout = container.survey(genuine())
    assert layout.members == files
    assert layout.size == len(inflate(genuine()))
    assert Path(next(iter(files))).name == metadata.VERSION
