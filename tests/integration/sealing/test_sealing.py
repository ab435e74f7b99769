"""Sealing: what is in the file, and what is left when it cannot be written."""

import base64
import copy
import io
import json
import os
import pickletools
import tarfile
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from support.keys import Ring, make_key, trust
from support.models import TEXTS
from support.processes import assert_refused, python

from pressbox.cli.options import Training, training_parser
from pressbox.errors import NotTrusted, PressboxError, Reason, UsageError
from pressbox.sealing import tarball
from pressbox.trust import gnupg, signers, signing_key

KEY = signing_key.demo_key()
PUBLIC = (gnupg.GNUPG / "demo.pub.asc").read_bytes()


@pytest.fixture(scope="module")
def members(sealed):
    """The files of the tarball, by the last part of their names."""
    with tarfile.open(fileobj=io.BytesIO(sealed)) as archive:
        files = [info for info in archive if info.isfile()]
        return {Path(info.name).name: archive.extractfile(info).read() for info in files}


def test_a_model_is_of_use_after_it_was_sealed(model, tmp_path):
    before = model.predict_proba(TEXTS)
    tarball.seal(model, tmp_path / "one.tar.gz", KEY)
    assert np.array_equal(model.predict_proba(TEXTS), before)
    tarball.seal(model, tmp_path / "two.tar.gz", KEY)
    assert tarball.describe(tmp_path / "two.tar.gz")["name"] == "small"


def test_the_payload_holds_no_pickle_but_the_naked_model(members):
    payload = members.keys() - {"THEMODEL.pickle", "meta.json.asc", "meta.version"}
    assert len(payload) == 7
    for name in payload:
        if name.endswith(".json"):
            json.loads(members[name])
        else:
            assert name.endswith(".npy")
            array = np.load(io.BytesIO(members[name]), allow_pickle=False)
            assert array.dtype == np.float64


def test_the_naked_model_names_two_globals(members):
    named, strings = set(), []
    for opcode, argument, _ in pickletools.genops(members["THEMODEL.pickle"]):
        if opcode.name.endswith("UNICODE"):
            strings.append(argument)
        elif opcode.name == "STACK_GLOBAL":
            named.add(".".join(strings[-2:]))
        else:
            assert opcode.name not in ("GLOBAL", "INST", "REDUCE", "EXT1", "EXT2", "EXT4")
    assert named == {
        "pressbox.classifier.SportClassifier",
        "special_k.serializable_model.CustomSerializedValue",
    }


@pytest.mark.parametrize(
    ("key", "saying"),
    [
        (gnupg.SigningKey(KEY.armoured, "wrong"), "passphrase"),
        (gnupg.SigningKey(KEY.armoured, ""), "passphrase"),
        (gnupg.SigningKey(PUBLIC, KEY.passphrase), "not one secret key"),
        (gnupg.SigningKey(b"", KEY.passphrase), "not one secret key"),
        (gnupg.SigningKey(b"no key", KEY.passphrase), "not one secret key"),
    ],
    ids=["wrong passphrase", "no passphrase", "public key", "no key", "garbage"],
)
def test_a_key_that_cannot_sign_leaves_the_earlier_model(key, saying, model, earlier, untouched):
    with pytest.raises(PressboxError, match=saying) as caught:
        tarball.seal(model, earlier, key)
    assert caught.value.exit_status == 1
    untouched()


def test_a_key_that_nobody_trusts_leaves_the_earlier_model(model, stranger, earlier, untouched):
    with pytest.raises(NotTrusted):
        tarball.seal(model, earlier, stranger.signing)
    untouched()


def test_a_model_that_is_not_valid_leaves_the_earlier_one(model, earlier, untouched):
    broken = copy.copy(model)
    broken.probes = []
    with pytest.raises(PressboxError, match="not valid"):
        tarball.seal(broken, earlier, KEY)
    untouched()


@pytest.mark.parametrize("told", [False, True])
def test_a_model_that_was_sealed_later_than_now_is_replaced_only_when_told_so(
    told, model, table, tmp_path
):
    newer = copy.copy(model)
    newer.statement = copy.deepcopy(model.statement)
    newer.statement["predicate"]["runDetails"]["metadata"]["finishedOn"] = "2999-01-01T00:00:00Z"
    path = tmp_path / "small.tar.gz"
    tarball.seal(newer, path, KEY)
    before = path.read_bytes()
    done = python("train.py", path, "--data", table, *["--replace-newer"] * told)
    assert (path.read_bytes() != before) is told
    if told:
        assert done.returncode == 0, done.stderr
    else:
        assert_refused(done, 1, "later than now")


@pytest.mark.parametrize("name", ["demo.passphrase", "demo.secret.asc"])
def test_a_missing_key_file_is_named(name, checkout):
    (checkout / "gnupg" / name).unlink()
    with pytest.raises(PressboxError, match=f"{name}.*; ") as caught:
        signing_key.demo_key(checkout / "gnupg")
    assert caught.value.exit_status == 1


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    """What one test hands over is not there for the next."""
    monkeypatch.setattr(signing_key, "_kept", None)


def piped(content):
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    return str(reading)


def chosen(*options):
    """The key that train.py would sign with."""
    return Training(training_parser("").parse_args(["a.tar.gz", *options])).key()


def test_the_key_on_a_pipe_comes_before_that_in_the_environment(stranger, monkeypatch):
    assert chosen() == KEY
    monkeypatch.setenv("PRESSBOX_SIGNING_KEY", stranger.signing.armoured.decode())
    monkeypatch.setenv("PRESSBOX_SIGNING_PASSPHRASE", stranger.signing.passphrase)
    with pytest.raises(NotTrusted, match=f"{stranger.fingerprint} is not among the trusted"):
        chosen()
    fields = (KEY.armoured, KEY.passphrase.encode())
    monkeypatch.setenv("PRESSBOX_SIGNING_FD", piped(b" ".join(map(base64.b64encode, fields))))
    assert chosen() == KEY


def test_the_key_in_files_comes_before_that_on_a_pipe(monkeypatch):
    monkeypatch.setenv("PRESSBOX_SIGNING_FD", piped(b"x"))
    secret, passphrase = gnupg.GNUPG / "demo.secret.asc", gnupg.GNUPG / "demo.passphrase"
    assert chosen("--signing-key", str(secret), "--passphrase-file", str(passphrase)) == KEY


@pytest.fixture
def signer(stranger, checkout, monkeypatch):
    """Somebody who is trusted, and the folder that says so."""
    folder = trust(checkout / "gnupg", stranger)
    known = partial(signers.trusted_signers, folder)
    monkeypatch.setattr(signing_key, "trusted_signers", known)
    monkeypatch.setenv(signing_key.KEY, stranger.signing.armoured.decode())
    return stranger, folder


@pytest.mark.parametrize(("days", "status"), [(-1, 3), (0, 0), (1, 0)])
def test_a_key_that_was_retired_is_said_before_the_training(days, status, signer):
    holder, folder = signer
    until = datetime.now(UTC).date() + timedelta(days=days)
    (folder / signers.RETIRING).write_text(json.dumps({holder.fingerprint: f"{until}"}))
    if not status:
        assert chosen().armoured == holder.signing.armoured
        return
    with pytest.raises(NotTrusted, match="retired") as caught:
        chosen()
    assert caught.value.reason is Reason.EXPIRED


@pytest.mark.parametrize(
    ("options", "saying"),
    [
        ({"algorithm": "rsa1024"}, "1024 bits"),
        ({"usage": "cert"}, "cannot sign"),
        ({"expires": "2021-01-01", "clock": "20200101"}, "has expired"),
    ],
    ids=["weak", "certifies only", "expired"],
)
def test_a_key_whose_signature_nobody_accepts_is_said_before_the_training(
    options, saying, monkeypatch
):
    ring = Ring()
    key = ring.holder(ring.new("useless", **options)).signing
    monkeypatch.setenv(signing_key.KEY, key.armoured.decode())
    with pytest.raises(PressboxError, match=saying):
        chosen()


def test_a_release_is_not_signed_with_the_demo_key():
    with pytest.raises(NotTrusted, match="demo key") as caught:
        chosen("--release")
    assert caught.value.reason is Reason.POLICY


@pytest.mark.parametrize("release", [True, False])
def test_a_release_is_not_signed_with_a_key_for_experiments(release, signer):
    holder, folder = signer
    (folder / signers.EXPERIMENTS).write_text(json.dumps([holder.fingerprint]))
    if not release:
        assert chosen().armoured == holder.signing.armoured
        return
    with pytest.raises(NotTrusted, match="experiments only") as caught:
        chosen("--release")
    assert caught.value.reason is Reason.POLICY


def test_without_any_key_it_is_said_what_is_missing_and_how_to_go_on(signer, monkeypatch):
    assert chosen()
    monkeypatch.delenv(signing_key.KEY, raising=False)
    monkeypatch.setattr(signing_key, "_kept", None)
    with pytest.raises(UsageError, match=r"no signing key was given.*scripts/keys.sh new"):
        chosen()


def test_nobody_is_told_to_trust_the_demo_key_again(signer, monkeypatch):
    monkeypatch.setenv(signing_key.KEY, KEY.armoured.decode())
    with pytest.raises(NotTrusted, match="key of your own") as caught:
        chosen()
    assert "keys.sh trust" not in str(caught.value)


@pytest.mark.parametrize("handed_over", [b"x y z", b"eA== /w==", b""])
def test_what_is_handed_over_and_is_no_key_is_one_error(handed_over, monkeypatch):
    monkeypatch.setenv("PRESSBOX_SIGNING_FD", piped(handed_over))
    with pytest.raises(PressboxError, match="signing key"):
        chosen()


@pytest.mark.parametrize("descriptor", ["999", "none"])
def test_a_descriptor_that_is_none_is_one_error(descriptor, monkeypatch):
    monkeypatch.setenv("PRESSBOX_SIGNING_FD", descriptor)
    with pytest.raises(PressboxError, match="signing key"):
        chosen()


def test_a_key_without_a_passphrase_signs(model, tmp_path):
    key = make_key("")
    path = tmp_path / "a.tar.gz"
    path.write_bytes(tarball._signed(model, key.signing))
    tarball.open_model(path, trust(tmp_path / "trusted", key))


def test_no_key_home_outlives_its_use():
    with gnupg.signing_home(KEY) as (home, _):
        assert Path(home).stat().st_mode & 0o777 == 0o700
        assert list(Path(home).glob("private-keys-v1.d/*.key"))
    assert not Path(home).exists()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "folder.tar.gz",
        "model",
        "model.zip",
        ".tar.gz",
        ".hidden.tar.gz",
        "my model.tar.gz",
        "größe.tar.gz",
        "line\n.tar.gz",
        "nowhere/model.tar.gz",
        "x" * 300 + ".tar.gz",
    ],
)
def test_what_can_be_no_model_file_is_wrong_usage(name, tmp_path):
    (tmp_path / "folder.tar.gz").mkdir()
    assert tarball.model_name(tmp_path / "Model_1.2-b.tar.gz") == "Model_1.2-b"
    with pytest.raises(UsageError, match="; "):
        tarball.model_name(tmp_path / name)


@pytest.mark.parametrize("mode", [0o500, 0o300, 0o200, 0o000])
def test_a_folder_without_all_rights_is_refused(mode, model, earlier, untouched):
    earlier.parent.chmod(mode)
    try:
        with pytest.raises(PressboxError, match=str(earlier.parent)) as caught:
            tarball.seal(model, earlier.with_name(f"{tarball.model_name(earlier)}.tar.gz"), KEY)
    finally:
        earlier.parent.chmod(0o700)
    assert caught.value.exit_status == 1
    untouched()
