"""Whatever fails while a model is sealed, the earlier one stays as it was and nothing is left."""

import errno
import os
import resource
import signal
import tempfile
from functools import partial
from pathlib import Path

import pytest
from support.hostile import opens
from support.keys import Ring, demo_ring, trust
from support.models import tiny
from support.processes import apart, ended

from pressbox.errors import NotTrusted, PressboxError, Reason
from pressbox.sealing import container, tarball
from pressbox.trust import gnupg, signing_key
from pressbox.trust.gnupg import SigningKey
from pressbox.trust.signers import DEMO


@pytest.fixture
def seal(earlier):
    def seal(key=None, model=None, trusted=gnupg.GNUPG):
        tarball.seal(model or tiny(), earlier, key or signing_key.demo_key(), trusted)

    return seal


@pytest.fixture(autouse=True)
def no_home_is_left(monkeypatch):
    with tempfile.TemporaryDirectory(prefix="homes-", dir=gnupg.MEMORY) as homes:
        monkeypatch.setattr(gnupg, "MEMORY", Path(homes))
        yield
        assert not list(Path(homes).iterdir())


def without_o_tmpfile(monkeypatch):
    """A file system that has no files without a name."""
    real = os.open

    def refuse(path, flags, *arguments, **options):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return real(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)


@pytest.fixture(params=["with", "without"])
def file_system(request, monkeypatch):
    """With files that have no name, and without."""
    if request.param == "without":
        without_o_tmpfile(monkeypatch)


def test_a_model_takes_the_place_of_the_earlier_one_in_one_step(seal, earlier, sealed, file_system):
    seal()
    assert earlier.read_bytes() != sealed
    assert opens(earlier.read_bytes()).labels == ["x", "y"]
    assert list(earlier.parent.iterdir()) == [earlier]
    assert earlier.stat().st_mode & 0o777 == 0o644


# The key


@pytest.mark.parametrize("bound", ["MAX_FILE_BYTES", "MAX_INFLATED_BYTES"])
def test_a_model_that_nobody_could_open_is_too_large(bound, seal, untouched, monkeypatch):
    monkeypatch.setattr(container, bound, 1 << 10)
    with pytest.raises(PressboxError, match="too large to be opened") as error:
        seal()
    assert error.value.exit_status == 1
    untouched()


def test_a_wrong_passphrase_is_refused(seal, untouched):
    with pytest.raises(PressboxError, match="passphrase"):
        seal(SigningKey(signing_key.demo_key().armoured, "wrong"))
    untouched()


def test_a_wrong_passphrase_is_refused_though_the_agents_around_know_the_right_one(
    seal, earlier, sealed, monkeypatch
):
    demo_ring().clear_sign(b"{}", DEMO)
    monkeypatch.setenv("GNUPGHOME", demo_ring().home)
    seal()
    warm = earlier.read_bytes()
    with pytest.raises(PressboxError, match="passphrase"):
        seal(SigningKey(signing_key.demo_key().armoured, "wrong"))
    assert earlier.read_bytes() == warm != sealed


def test_no_passphrase_is_refused_for_a_key_that_has_one(seal, untouched):
    with pytest.raises(PressboxError, match="passphrase"):
        seal(SigningKey(signing_key.demo_key().armoured))
    untouched()


def dead(state):
    """A trusted key that can sign no longer."""
    ring = Ring()
    if state == "expired":
        return ring, ring.holder(ring.new("old", "2021-01-01", "20200101"))
    fingerprint = ring.new("old")
    certificate = Path(ring.home, "openpgp-revocs.d", f"{fingerprint}.rev").read_bytes()
    ring.gpg("--import", stdin=certificate.replace(b":-----BEGIN", b"-----BEGIN"))
    return ring, ring.holder(fingerprint)


@pytest.mark.parametrize("state", ["expired", "revoked"])
def test_a_signing_key_that_is_expired_or_revoked_is_refused(state, seal, untouched, tmp_path):
    _, holder = dead(state)
    with pytest.raises(PressboxError):
        seal(holder.signing, trusted=trust(tmp_path / "trusted", holder))
    untouched()


def test_a_signing_key_that_nobody_trusts_is_refused(seal, untouched, stranger):
    with pytest.raises(NotTrusted) as refusal:
        seal(stranger.signing)
    assert refusal.value.reason == Reason.SIGNER
    untouched()


def test_a_signing_key_that_is_trusted_seals(seal, earlier, stranger, tmp_path):
    trusted = trust(tmp_path / "trusted", stranger)
    seal(stranger.signing, trusted=trusted)
    assert opens(earlier.read_bytes(), trusted).labels == ["x", "y"]


@pytest.mark.parametrize(
    "armoured",
    [
        lambda stranger: b"",
        lambda stranger: b"not a key",
        lambda stranger: stranger.public,
        lambda stranger: stranger.signing.armoured[:300],
        lambda stranger: stranger.signing.armoured + signing_key.demo_key().armoured,
    ],
    ids=["nothing", "rubbish", "a public key", "half a key", "two keys"],
)
def test_what_is_not_one_secret_key_is_refused(armoured, seal, untouched, stranger):
    with pytest.raises(PressboxError):
        seal(SigningKey(armoured(stranger), stranger.signing.passphrase))
    untouched()


def test_a_model_that_does_not_predict_as_it_says_is_refused(seal, untouched):
    model = tiny()
    model.probes = [{"text": "aa", "probabilities": [0.5, 0.5]}]
    with pytest.raises(PressboxError):
        seal(model=model)
    untouched()


def test_a_model_with_another_models_statement_is_refused(seal, untouched):
    model = tiny()
    model.statement = tiny("other", 2.0).statement
    with pytest.raises(NotTrusted) as refusal:
        seal(model=model)
    assert refusal.value.reason == Reason.STATEMENT
    untouched()


# The disk


def failing(function, number=1):
    """The function, but its ``number``-th call finds no space."""
    calls = []

    def fail(*arguments, **options):
        calls.append(1)
        if len(calls) == number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return function(*arguments, **options)

    return fail


@pytest.mark.parametrize("step", ["fsync", "link", "replace"])
def test_a_step_that_finds_no_space_leaves_everything_as_it_was(step, seal, untouched, monkeypatch):
    monkeypatch.setattr(os, step, failing(getattr(os, step)))
    with pytest.raises(PressboxError, match="No space"):
        seal()
    monkeypatch.undo()
    untouched()


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_so_it_does_where_files_need_a_name(step, seal, untouched, monkeypatch):
    without_o_tmpfile(monkeypatch)
    monkeypatch.setattr(os, step, failing(getattr(os, step)))
    if step == "rename":
        monkeypatch.setattr(os, "replace", failing(os.replace))
    with pytest.raises(PressboxError, match="No space"):
        seal()
    monkeypatch.undo()
    untouched()


def test_a_folder_that_cannot_be_synced_holds_the_new_model_or_the_earlier_one(
    seal, earlier, monkeypatch
):
    monkeypatch.setattr(os, "fsync", failing(os.fsync, 2))
    said = ""
    try:
        seal()
    except PressboxError as error:
        said = str(error)
    monkeypatch.undo()
    assert list(earlier.parent.iterdir()) == [earlier]
    # What it says has to be what is: once the new model stands there, the earlier one does not.
    assert tarball.describe(earlier)["name"] == ("small" if "as it was" in said else "tiny")


@pytest.mark.parametrize("error", [KeyboardInterrupt, NotTrusted(Reason.MODEL, "it is not one")])
def test_a_reopening_that_fails_leaves_everything_as_it_was(
    error, seal, untouched, monkeypatch, file_system
):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(tarball, "_loaded", fail)
    with pytest.raises(type(error) if isinstance(error, Exception) else error):
        seal()
    untouched()


def test_a_folder_that_is_read_only_is_left_as_it_is(seal, earlier, untouched):
    earlier.parent.chmod(0o555)
    with pytest.raises(PressboxError, match="Permission denied"):
        seal()
    untouched()
    earlier.parent.chmod(0o755)
    seal()


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(PressboxError):
        tarball.seal(tiny(), tmp_path / "none" / "model.tar.gz", signing_key.demo_key())


def test_a_folder_in_the_place_of_the_model_is_left_as_it_is(tmp_path):
    path = tmp_path / "models" / "model.tar.gz"
    path.mkdir(parents=True)
    with pytest.raises(PressboxError):
        tarball.seal(tiny(), path, signing_key.demo_key())
    assert list(path.parent.iterdir()) == [path]


# Processes of their own: a disk that is full at some byte, and kill -9


@pytest.mark.parametrize("size", [0, 1, 100, 400, 1000, 2000])
def test_no_space_at_some_byte_leaves_everything_as_it_was(size, seal, untouched):
    def work():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        seal()

    assert ended(apart(work)) == 1
    untouched()


def test_with_space_enough_it_is_sealed(seal, earlier, sealed):
    assert ended(apart(seal)) == 0
    assert earlier.read_bytes() != sealed


def killed(seal, owner, name, after):
    """Seal, and die before or after the step."""
    real = getattr(owner, name)

    def kill(*arguments, **options):
        if after:
            real(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    def work():
        setattr(owner, name, kill)
        seal()

    assert ended(apart(work)) == -signal.SIGKILL


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (tarball, "_signed"),
        (os, "fsync"),
        (tarball, "_verified"),
        (tarball, "_loaded"),
        (os, "link"),
    ],
)
def test_kill_9_leaves_everything_as_it_was(owner, name, after, seal, earlier, sealed, untouched):
    killed(seal, owner, name, after)
    if (name, after) != ("link", True):
        untouched()
        return
    # The one moment in which a hidden file of a whole model stands beside the earlier one: Linux
    # can give a file a name, or a file another's name, but not both in one step.
    assert earlier.read_bytes() == sealed
    [hidden] = [file for file in earlier.parent.iterdir() if file != earlier]
    assert hidden.name.startswith(f".{earlier.name}.")
    assert opens(hidden.read_bytes()).labels == ["x", "y"]


def test_kill_9_after_the_rename_leaves_the_new_model_alone(seal, earlier):
    killed(seal, os, "replace", after=True)
    assert tarball.describe(earlier)["name"] == "tiny"
    assert list(earlier.parent.iterdir()) == [earlier]


def test_of_sealings_at_once_one_wins_whole_and_nothing_else_is_left(seal, earlier):
    models = [tiny(f"model-{number}", 1.0 + number) for number in range(4)]
    for process in [apart(partial(seal, model=model)) for model in models]:
        assert ended(process) == 0
    assert tarball.describe(earlier)["model_digest"] in {model.digest for model in models}
    assert list(earlier.parent.iterdir()) == [earlier]
