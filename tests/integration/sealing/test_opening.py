"""Opening: special_k and GnuPG as they are, and what must not be believed."""

import copy
import gzip
import io
import lzma
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import special_k
from support.keys import Holder, trust
from support.models import TEXTS

from pressbox.errors import NotTrusted, Reason
from pressbox.sealing import tarball
from pressbox.trust import gnupg, signing_key
from pressbox.trust.signers import DEMO


@pytest.fixture
def demo():
    return Holder(DEMO, (gnupg.GNUPG / "demo.pub.asc").read_bytes(), signing_key.demo_key())


def written(path, content):
    path.write_bytes(content)
    return path


def signed(model, key):
    """What anybody with a key can make of a model, Pressbox or not."""
    with gnupg.signing_home(key) as (home, fingerprint):
        stream = special_k.save_model_to_tarball_stream(
            copy.copy(model), home, fingerprint, key.passphrase
        )
    return stream.getvalue()


def test_an_opened_model_predicts_as_before_it_was_sealed(model, earlier):
    opened = tarball.open_model(earlier)
    assert opened.labels == model.labels
    assert np.array_equal(opened.predict_proba(TEXTS), model.predict_proba(TEXTS))


def test_an_opened_model_says_whose_it_is(earlier, model, stranger, tmp_path):
    said = repr(tarball.open_model(earlier))
    assert said.startswith("<SportClassifier 'small': ")
    assert "signed with the published demo key, as anybody could; sealed at 20" in said
    path = tmp_path / "theirs.tar.gz"
    folder = trust(tmp_path / "trusted", stranger)
    tarball.seal(model, str(path), stranger.signing, str(folder))
    opened = tarball.open_model(str(path), str(folder))
    assert f"signed by {opened.facts.signer.user_id} ({stranger.fingerprint})" in repr(opened)
    assert len(repr(tarball.verify(path, folder))) < 5000


@pytest.mark.parametrize("trusted", [True, False])
def test_plain_special_k_loads_what_its_trusted_keys_signed(
    trusted, model, earlier, stranger, tmp_path, monkeypatch
):
    folder = gnupg.GNUPG if trusted else trust(tmp_path / "other", stranger)
    monkeypatch.setenv("SERIALIZATION_TRUSTED_KEYS_DIR", str(folder))
    if trusted:
        opened = special_k.load_model_from_tarball(str(earlier))
        assert opened.predict(TEXTS).tolist() == model.predict(TEXTS).tolist()
    else:
        with pytest.raises(Exception, match="No public key"):
            special_k.load_model_from_tarball(str(earlier))


def rewritten(sealed, name="", change=bytes):
    """The same tarball, with another content of one member."""
    stream = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(sealed)) as old,
        tarfile.open(fileobj=stream, mode="w:gz") as new,
    ):
        for info in old:
            content = old.extractfile(info).read() if info.isfile() else b""
            if Path(info.name).name == name:
                content = change(content)
            info.size = len(content)
            new.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def one_byte_changed(content, at=0.5):
    at = int((len(content) - 1) * at)
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_a_tarball_that_was_written_anew_with_the_same_members_opens(sealed, tmp_path):
    tarball.open_model(written(tmp_path / "a.tar.gz", rewritten(sealed)))


@pytest.mark.parametrize(
    "name",
    [
        "THEMODEL.pickle",
        "coefficients.npy",
        "idf.npy",
        "intercepts.npy",
        "meta.json.asc",
        "meta.version",
        "parameters.json",
        "probes.json",
        "statement.json",
        "vocabulary.json",
    ],
)
def test_one_changed_byte_in_any_member_is_not_trusted(name, sealed, tmp_path):
    with pytest.raises(NotTrusted):
        tarball.open_model(
            written(tmp_path / "a.tar.gz", rewritten(sealed, name, one_byte_changed))
        )


UNTRUSTED = {
    "an empty file": lambda sealed: b"",
    "garbage": lambda sealed: bytes(range(256)) * 40,
    "a page of the web": lambda sealed: b"<html>404</html>\n",
    "a gzip of garbage": lambda sealed: gzip.compress(bytes(range(256)) * 40),
    "an empty tar": lambda sealed: bytes(10240),
    "the first half": lambda sealed: sealed[: len(sealed) // 2],
    "a changed byte in the first half": lambda sealed: one_byte_changed(sealed, 0.3),
    "a changed byte in the last half": lambda sealed: one_byte_changed(sealed, 0.8),
    "a damaged xz": lambda sealed: one_byte_changed(lzma.compress(gzip.decompress(sealed))),
    "no signature": lambda sealed: rewritten(sealed, "meta.json.asc", lambda content: b""),
    "no naked model": lambda sealed: rewritten(sealed, "THEMODEL.pickle", lambda content: b""),
}


@pytest.mark.parametrize("name", UNTRUSTED)
def test_what_is_no_intact_model_is_not_trusted(name, sealed, tmp_path):
    path = written(tmp_path / "a.tar.gz", UNTRUSTED[name](sealed))
    with pytest.raises(NotTrusted, match="; "):
        tarball.open_model(path)


@pytest.mark.parametrize("trusted", [True, False])
def test_a_model_opens_only_where_its_signer_is_trusted(trusted, model, demo, stranger, tmp_path):
    path = written(tmp_path / "a.tar.gz", signed(model, stranger.signing))
    folder = trust(tmp_path / "trusted", *([demo, stranger] if trusted else [demo]))
    if trusted:
        assert tarball.describe(path, folder)["signer"] == {
            "fingerprint": stranger.fingerprint,
            "user_id": "nobody <nobody@x.example>",
            "expires": None,
            "demo": False,
            "experiments_only": False,
        }
    else:
        with pytest.raises(NotTrusted):
            tarball.open_model(path, folder)


def test_a_key_that_is_present_without_ownertrust_is_not_trusted(earlier, demo, tmp_path):
    folder = trust(tmp_path / "trusted", demo)
    tarball.open_model(earlier, folder)
    (folder / "trustdb.txt").write_text("")
    with pytest.raises(NotTrusted):
        tarball.open_model(earlier, folder)


def test_the_demo_key_is_refused_once_it_is_removed(earlier, stranger, tmp_path):
    with pytest.raises(NotTrusted):
        tarball.open_model(earlier, trust(tmp_path / "others", stranger))
    with pytest.raises(NotTrusted):
        tarball.open_model(earlier, trust(tmp_path / "nobody"))


STATEMENTS = {
    "of another payload": lambda made: made["subject"][0].update(digest={"sha256": "0" * 64}),
    "without a subject": lambda made: made.update(subject=[]),
    "without metrics": lambda made: made["predicate"]["runDetails"].update(byproducts=[]),
    "that is empty": lambda made: made.clear(),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_model_signed_with_a_statement_is_not_trusted(name, model, tmp_path):
    other = copy.copy(model)
    other.statement = copy.deepcopy(model.statement)
    STATEMENTS[name](other.statement)
    path = written(tmp_path / "a.tar.gz", signed(other, signing_key.demo_key()))
    with pytest.raises(NotTrusted):
        tarball.describe(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("demo.pub.asc", None),
        ("keyname-to-fingerprint.json", None),
        ("keyname-to-fingerprint.json", "{"),
        ("keyname-to-fingerprint.json", "5"),
        ("trustdb.txt", None),
        ("trustdb.txt", "garbage\n"),
    ],
)
def test_without_readable_trusted_signers_nothing_opens(name, content, earlier, tmp_path):
    folder = shutil.copytree(gnupg.GNUPG, tmp_path / "gnupg")
    tarball.open_model(earlier, folder)
    (folder / name).unlink() if content is None else (folder / name).write_text(content)
    with pytest.raises(NotTrusted, match="trusted signers") as caught:
        tarball.open_model(earlier, folder)
    assert caught.value.reason is Reason.KEYS
