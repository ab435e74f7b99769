"""Whose signature counts, in each state a key can be in, and what keys.sh does to the list.

The other models of a state open: each refusal stands beside one that is like it but for the state.
"""

import json
import os
import resource
import shutil
import signal
import subprocess
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import special_k
from support import ROOT
from support.hostile import armoured, forged, genuine, opens, refuses, sealed_by
from support.keys import PASSPHRASE, Holder, Ring, demo_signs, trust
from support.models import tiny
from support.processes import apart, assert_refused, ended, python

from pressbox.errors import FromLater, NotTrusted, PressboxError, Reason, UsageError
from pressbox.runs import publishing
from pressbox.sealing import policy, tarball
from pressbox.trust import gnupg, signers, signing_key
from pressbox.trust.signers import (
    DEMO,
    EXPERIMENTS,
    NAMES,
    RETIRING,
    SPECIAL_K_TEST_KEY,
    trusted_signers,
)

TODAY = datetime.now(UTC).date()
YESTERDAY, TOMORROW = TODAY - timedelta(days=1), TODAY + timedelta(days=1)


def day(moment):
    return moment.strftime("%Y%m%d")


@pytest.fixture(scope="module")
def ring():
    return Ring()


@pytest.fixture(scope="module")
def good(ring):
    return ring.holder(ring.new("good"))


@pytest.fixture(scope="module")
def rsa(ring):
    return ring, ring.holder(ring.new("rsa", algorithm="rsa2048"))


@pytest.fixture
def folder(tmp_path):
    return partial(trust, tmp_path / "trusted")


def signed_by(ring, holder, *options, clock=""):
    """A model signed with the key, whatever GnuPG would say of it now."""
    return forged(
        sign=lambda line: ring.clear_sign(line, holder.fingerprint, *options, clock=clock)
    )


# The states of a key


def test_a_good_key_that_is_trusted_is_accepted_and_one_that_is_not_is_refused(ring, good, folder):
    model = signed_by(ring, good)
    assert opens(model, folder(good)).labels == ["x", "y"]
    refuses(model, Reason.SIGNER)
    refuses(genuine(), Reason.SIGNER, folder(good))


def test_an_expired_key_is_refused_though_the_signature_is_older(ring, folder):
    old = ring.holder(ring.new("expired", "2021-01-01", "20200101"))
    refuses(signed_by(ring, old, clock="20200601"), Reason.EXPIRED, folder(old))


def test_an_expired_signature_is_refused(ring, good, folder):
    model = signed_by(ring, good, "--default-sig-expire", "1d")
    assert opens(model, folder(good)).labels == ["x", "y"]
    old = ring.holder(ring.new("old", "never", "20200101"))
    refuses(
        signed_by(ring, old, "--default-sig-expire", "1d", clock="20200102"),
        Reason.EXPIRED,
        folder(old),
    )


def test_a_revoked_key_is_refused_from_then_on(folder):
    ring = Ring()
    holder = ring.holder(ring.new("revoked"))
    model = signed_by(ring, holder)
    assert opens(model, folder(holder)).labels == ["x", "y"]
    certificate = Path(ring.home, "openpgp-revocs.d", f"{holder.fingerprint}.rev").read_bytes()
    ring.gpg("--import", stdin=certificate.replace(b":-----BEGIN", b"-----BEGIN"))
    revoked = Holder(holder.fingerprint, ring.gpg("--armor", "--export"), holder.signing)
    refuses(model, Reason.REVOKED, folder(revoked))


@pytest.fixture
def clock(monkeypatch):
    """Set this machine's clock, as Pressbox and its gpg see it, to noon of a day."""
    run, gpg = subprocess.run, gnupg.program("gpg")

    def clock(moment):
        def faked(command, **options):
            if command[0] == gpg:
                command = [gpg, "--faked-system-time", f"{day(moment)}T120000!", *command[1:]]
            return run(command, **options)

        noon = datetime(moment.year, moment.month, moment.day, 12, tzinfo=UTC).timestamp()
        monkeypatch.setattr(gnupg.subprocess, "run", faked)
        monkeypatch.setattr(gnupg.time, "time", lambda: noon)

    return clock


def test_a_slow_clock_is_named_and_not_the_model(ring, good, folder, clock):
    old = ring.holder(ring.new("since 2020", clock="20200101"))
    models = [signed_by(ring, holder) for holder in (old, good)]
    clock(TODAY - timedelta(days=365))
    # The one was made since, and of the other the key too.
    for model, holder, what in zip(models, (old, good), ("it", "the trusted key"), strict=True):
        with pytest.raises(FromLater, match=f"{what} .*was made on {TODAY}, and .* clock") as it:
            opens(model, folder(holder))
        assert it.value.remedy.startswith("set this machine's clock; ")
    with pytest.raises(PressboxError, match=r"the signing key .* was made on .* set this m"):
        gnupg.try_signing(good.signing)
    gnupg.try_signing(old.signing)


def test_to_a_slow_clock_a_new_key_is_dated_in_the_future(good, clock, folder, tmp_path):
    file = tmp_path / "key.asc"
    file.write_bytes(good.public)
    clock(TODAY - timedelta(days=365))
    with pytest.raises(PressboxError, match="is dated in the future; check this machine's clock"):
        signers.trust(file, folder())


def test_a_slow_clock_replaces_no_model_unless_told_so(clock, tmp_path):
    path = tmp_path / "model.tar.gz"
    path.write_bytes(genuine())
    clock(YESTERDAY)
    with pytest.raises(PressboxError, match=r"from later than now: .* --replace-newer"):
        publishing._replaced(path, replace_newer=False)
    assert publishing._replaced(path, replace_newer=True) is None


def test_a_fast_clock_expires_keys_and_nothing_else(ring, good, folder, clock):
    fleeting = ring.holder(ring.new("fleeting", f"{TODAY + timedelta(days=30)}"))
    models = [signed_by(ring, holder) for holder in (good, fleeting)]
    clock(TODAY + timedelta(days=365))
    assert opens(models[0], folder(good)).labels == ["x", "y"]
    refuses(models[1], Reason.EXPIRED, folder(fleeting))


def test_a_key_that_is_not_yet_valid_is_refused(ring, folder):
    future = ring.holder(ring.new("future", "never", "20990101"))
    model = signed_by(ring, future, clock="20990102")
    with pytest.raises(NotTrusted) as refusal:
        opens(model, folder(future))
    # Either GnuPG does not take the key yet, or not its signature.
    assert refusal.value.reason in (Reason.KEYS, Reason.SIGNATURE)


def test_a_signature_from_tomorrow_is_refused_and_one_from_today_is_not(ring, good, folder):
    refuses(
        signed_by(ring, good, clock=day(TOMORROW + timedelta(days=1))),
        Reason.SIGNATURE,
        folder(good),
    )
    assert opens(signed_by(ring, good), folder(good)).labels == ["x", "y"]


def test_a_signature_from_before_its_key_is_refused(ring, good, folder):
    model = signed_by(ring, good, "--ignore-time-conflict", clock="20200101")
    refuses(model, Reason.SIGNATURE, folder(good))


def test_a_key_that_a_trusted_key_has_certified_is_refused(folder):
    ring = Ring()
    trusted = ring.holder(ring.new("trusted", usage="default"))
    friend = ring.holder(ring.new("friend"))
    ring.gpg("--local-user", trusted.fingerprint, "--quick-sign-key", friend.fingerprint)
    certified = Holder(trusted.fingerprint, trusted.public, trusted.signing)
    refuses(signed_by(ring, friend), Reason.SIGNER, folder(certified))
    assert opens(signed_by(ring, trusted), folder(certified)).labels == ["x", "y"]


def with_subkey(ring, name, usage="sign", **options):
    primary = ring.new(name, usage="cert")
    ring.gpg("--quick-add-key", primary, "ed25519", usage, "never", **options)
    return ring.holder(primary)


def test_a_signing_subkey_of_a_trusted_key_is_accepted(folder):
    ring = Ring()
    holder = with_subkey(ring, "subkey")
    assert opens(signed_by(ring, holder), folder(holder)).labels == ["x", "y"]
    described = tarball._verified(signed_by(ring, holder), folder(holder), policy.Policy())
    assert described.facts.signer.fingerprint == holder.fingerprint


def test_a_subkey_that_was_revoked_is_refused(folder):
    ring = Ring()
    holder = with_subkey(ring, "subkey")
    model = signed_by(ring, holder)
    answers = b"key 1\nrevkey\ny\n1\n\ny\nsave\n"
    ring.gpg("--command-fd", "0", "--edit-key", holder.fingerprint, stdin=answers)
    revoked = Holder(holder.fingerprint, ring.gpg("--armor", "--export"), holder.signing)
    refuses(model, Reason.REVOKED, folder(revoked))


def test_a_fingerprint_of_a_subkey_is_no_trusted_signer(folder):
    ring = Ring()
    holder = with_subkey(ring, "subkey")
    listing = ring.gpg("--with-colons", "--list-keys").decode()
    subkey = [line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr")][1]
    refuses(signed_by(ring, holder), Reason.KEYS, folder(Holder(subkey, holder.public, None)))


@pytest.mark.parametrize(
    ("algorithm", "reason"),
    [("SHA1", Reason.SIGNATURE), ("RIPEMD160", Reason.METADATA), ("MD5", Reason.METADATA)],
)
def test_a_signature_over_a_weak_hash_is_refused(algorithm, reason, rsa, folder):
    ring, holder = rsa
    weak = ["--digest-algo", algorithm, "--allow-weak-digest-algos"]
    refuses(signed_by(ring, holder, *weak), reason, folder(holder))


@pytest.mark.parametrize("algorithm", ["SHA224", "SHA256", "SHA384", "SHA512"])
def test_a_signature_over_a_strong_hash_is_accepted(algorithm, rsa, folder):
    ring, holder = rsa
    assert opens(signed_by(ring, holder, "--digest-algo", algorithm), folder(holder))


def test_a_text_signature_is_accepted_and_one_over_binary_data_is_not(ring, good, folder):
    def binary(line):
        packet = ring.gpg("--local-user", good.fingerprint, "--detach-sign", stdin=line)
        text = ring.clear_sign(line, good.fingerprint).partition(b"-----BEGIN PGP SIGNATURE")[0]
        return text + armoured(packet)

    refuses(forged(sign=binary), Reason.SIGNATURE, folder(good))


# The folder of trusted signers


def test_an_expired_or_revoked_key_of_somebody_else_does_not_disturb(ring, good, folder):
    expired = ring.holder(ring.new("gone", "2021-01-01", "20200101"))
    ring.gpg("--quick-add-key", expired.fingerprint, "ed25519", "sign", "never", clock="20200102")
    living = ring.holder(expired.fingerprint)
    assert opens(signed_by(ring, good), folder(good, living)).labels == ["x", "y"]


def test_a_key_file_that_holds_another_key_is_refused(ring, good, folder):
    other = ring.holder(ring.new("other"))
    swapped = folder(Holder(other.fingerprint, good.public, None))
    for model in (signed_by(ring, good), signed_by(ring, other)):
        refuses(model, Reason.KEYS, swapped)


def test_a_key_file_with_a_second_key_is_refused(ring, good, folder):
    both = ring.gpg("--armor", "--export", good.fingerprint, ring.new("second"))
    refuses(signed_by(ring, good), Reason.KEYS, folder(Holder(good.fingerprint, both, None)))


def test_a_key_file_without_the_signature_that_limits_the_key_is_refused(folder):
    ring = Ring()
    expired = ring.holder(ring.new("expired", "2021-01-01", "20200101"))
    packets = ring.gpg("--export")
    # The key and the user id, each with two bytes of header: no signature, so no expiry.
    bare = packets[: 4 + packets[1] + packets[packets[1] + 3]]
    forever = armoured(bare).replace(b"SIGNATURE", b"PUBLIC KEY BLOCK")
    model = signed_by(ring, expired, clock="20200601")
    refuses(model, Reason.KEYS, folder(Holder(expired.fingerprint, forever, None)))


def test_a_signer_who_retires_on_a_day_to_come_is_accepted_until_then(ring, good, folder):
    trusted = folder(good)
    (trusted / RETIRING).write_text(json.dumps({good.fingerprint: f"{TOMORROW}"}))
    assert opens(signed_by(ring, good), trusted).labels == ["x", "y"]


def test_a_signer_of_experiments_is_accepted_and_told_apart(ring, good, folder, tmp_path):
    model, trusted = signed_by(ring, good), folder()
    for experiments_only in (True, False):
        signers.trust(public_file(tmp_path, good), trusted, experiments_only)
        verified = tarball._verified(model, trusted, policy.Policy())
        assert verified.facts.signer.experiments_only is experiments_only
        [state] = signers.standing(trusted)
        assert ("for experiments only" in state.remark) is experiments_only
    signers.trust(public_file(tmp_path, good), trusted, experiments_only=True)
    signers.revoke(good.fingerprint, trusted)
    assert {file.name for file in trusted.iterdir()} == {NAMES, signers.TRUST}


def test_who_replaces_a_signer_of_experiments_is_one(ring, good, folder, tmp_path):
    successor = ring.holder(ring.new("next"))
    for experiments_only in (True, False):
        trusted = folder(good)
        signers.trust(public_file(tmp_path, good), trusted, experiments_only)
        file = public_file(tmp_path, successor)
        key, _ = signers.rotate(file, good.fingerprint, TOMORROW, trusted)
        assert trusted_signers(trusted)[key.fingerprint].experiments_only is experiments_only
        shutil.rmtree(trusted)


WEAK = {
    "RSA of 1024 bits": {"algorithm": "rsa1024"},
    "DSA of 1024 bits": {"algorithm": "dsa1024"},
    "certifies only": {"usage": "cert"},
}


@pytest.mark.parametrize("flaw", WEAK.values(), ids=WEAK)
def test_a_key_that_should_never_have_been_trusted_spoils_the_folder(flaw, ring, good, folder):
    weak = ring.holder(ring.new(f"weak {flaw}", **flaw))
    trusted = folder(good, weak)
    refuses(signed_by(ring, good), Reason.KEYS, trusted)
    with pytest.raises(NotTrusted, match=weak.fingerprint):
        signers.standing(trusted)
    signers.revoke(weak.fingerprint, trusted)
    assert opens(signed_by(ring, good), trusted).labels == ["x", "y"]


def test_a_key_file_of_a_megabyte_is_refused_at_once(ring, good, folder):
    large = good.public + b"\n" * (1 << 20)
    refuses(signed_by(ring, good), Reason.KEYS, folder(Holder(good.fingerprint, large, None)))


def test_the_published_test_key_of_special_k_is_refused_by_name_and_by_content(
    good, folder, tmp_path
):
    file = Path(special_k.__file__).parent / "tests" / "fake_keys" / "testing.pub.asc"
    public = file.read_bytes()
    refuses(genuine(), Reason.KEYS, folder(Holder(SPECIAL_K_TEST_KEY, public, None)))
    refuses(genuine(), Reason.KEYS, folder(Holder(good.fingerprint, public, None)))
    with pytest.raises(PressboxError, match="published test key"):
        signers.trust(file, folder(good))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / NAMES).unlink(),
        lambda folder: (folder / NAMES).write_text("{"),
        lambda folder: (folder / NAMES).write_text("[]"),
        lambda folder: (folder / NAMES).write_text("[" * 60_000),
        lambda folder: (folder / NAMES).write_text(json.dumps({"../a.pub.asc": DEMO})),
        lambda folder: (folder / NAMES).write_text(json.dumps({"a.pub.asc": DEMO[-16:]})),
        lambda folder: (folder / NAMES).write_text('{"a.pub.asc": 5}'),
        lambda folder: next(folder.glob("*.pub.asc")).unlink(),
        lambda folder: next(folder.glob("*.pub.asc")).write_bytes(b"key"),
        lambda folder: (folder / RETIRING).write_text("[]"),
        lambda folder: (folder / RETIRING).write_text(json.dumps({DEMO: "soon"})),
        lambda folder: (folder / RETIRING).write_text(json.dumps({DEMO: 5})),
        lambda folder: (folder / RETIRING).write_text(json.dumps({DEMO: None})),
        lambda folder: (folder / RETIRING).write_text(json.dumps({DEMO: ""})),
        lambda folder: (folder / RETIRING).write_text(json.dumps({DEMO: "2099-02-30"})),
        lambda folder: (folder / RETIRING).write_text(json.dumps({DEMO.lower(): "2099-01-31"})),
        lambda folder: (folder / RETIRING).write_text(json.dumps({"0" * 40: "2099-01-31"})),
        lambda folder: (folder / EXPERIMENTS).write_text("{}"),
        lambda folder: (folder / EXPERIMENTS).write_text("["),
        lambda folder: (folder / EXPERIMENTS).write_text("[5]"),
        lambda folder: (folder / EXPERIMENTS).write_text(json.dumps([DEMO.lower()])),
        lambda folder: (folder / EXPERIMENTS).write_text(json.dumps([DEMO, "0" * 40])),
        lambda folder: (folder / NAMES).write_text(
            json.dumps({"demo.pub.asc": DEMO, "again.pub.asc": DEMO})
        ),
        lambda folder: (folder / signers.TRUST).write_text(""),
    ],
)
def test_a_folder_that_is_not_in_order_is_refused(spoil, tmp_path, checkout):
    folder = checkout / "gnupg"
    assert opens(genuine(), folder).labels == ["x", "y"]
    spoil(folder)
    refuses(genuine(), Reason.KEYS, folder)


def test_no_home_and_no_configuration_of_the_user_takes_part(
    ring, good, folder, tmp_path, monkeypatch
):
    home = tmp_path / "home" / ".gnupg"
    home.mkdir(parents=True, mode=0o700)
    (home / "gpg.conf").write_text(
        f"trusted-key {good.fingerprint}\nkeyring {ring.home}/pubring.kbx\nutterly wrong\n"
    )
    subprocess.run(
        ["gpg", "--no-options", "--homedir", home, "--import"], input=good.public, check=True
    )
    monkeypatch.setenv("HOME", str(home.parent))
    for gnupghome in (None, str(home), ring.home):
        if gnupghome:
            monkeypatch.setenv("GNUPGHOME", gnupghome)
        refuses(signed_by(ring, good), Reason.SIGNER)
        assert opens(genuine()).labels == ["x", "y"]


LIAR = """#!/bin/bash
echo "$0" "$@" >>"${0%/*}/asked"
case "${0##*/} $*" in
"gpg "*--decrypt*)
	echo "[GNUPG:] NEWSIG
[GNUPG:] GOODSIG x x
[GNUPG:] VALIDSIG x x $(date +%s) 0 4 0 22 8 01 FINGERPRINT" >&2
	grep '^{'
	;;
*) exec "/usr/bin/${0##*/}" "$@" ;;
esac
"""


@pytest.fixture
def liar(good, in_memory, tmp_path):
    """A folder of programs that say of each signature that it is good, and the good key's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = in_memory(LIAR.replace("FINGERPRINT", good.fingerprint))
    for name in ("env", "gpg", "gpg-agent", "gpgconf", "sh"):
        (folder / name).symlink_to(program)
    return folder


def asked(liar):
    return (liar / "asked").exists()


def test_no_program_on_path_is_asked_who_signed(
    liar, ring, good, folder, table, checkout, tmp_path, monkeypatch
):
    trusted = folder(good)
    file = tmp_path / "forged.tar.gz"
    file.write_bytes(signed_by(ring, ring.holder(ring.new("stranger"))))
    misled = {
        "PATH": f"{liar}:.:{os.environ['PATH']}",
        "GNUPGHOME": ring.home,
        "GPG_AGENT_INFO": f"{ring.home}/S.gpg-agent:1:1",
        "LANGUAGE": "de",
    }
    for name, value in misled.items():
        monkeypatch.setenv(name, value)
    for arguments, status in {
        ("-m", "pressbox", "verify", file, "--trusted", trusted): 3,
        ("-m", "pressbox", "keys", "list"): 0,
        ("-m", "pressbox", "keys", "trust", public_file(tmp_path, good)): 0,
        ("train.py", tmp_path / "a.tar.gz", "--data", table, "--no-page"): 0,
        ("-m", "pressbox", "predict", tmp_path / "a.tar.gz", "a"): 0,
    }.items():
        done = python(*arguments, cwd=checkout)
        assert done.returncode == status, done.stderr
    assert not asked(liar)
    # It would have been believed.
    monkeypatch.setattr(gnupg, "PLACES", str(liar))
    gnupg.program.cache_clear()
    assert tarball.describe(file, trusted)["signer"]["fingerprint"] == good.fingerprint
    assert asked(liar)
    gnupg.program.cache_clear()


def test_gpgme_finds_gnupg_where_we_do_and_logs_nothing(liar, tmp_path):
    code = (
        "from pressbox.trust.gnupg import gpgme; print(gpgme().core.get_engine_info()[0].file_name)"
    )
    log = tmp_path / "log"
    env = {"PATH": f"{liar}:{os.environ['PATH']}", "GPGME_DEBUG": f"9:{log}"}
    assert python("-c", code, env=env).stdout == "/usr/bin/gpg\n"
    assert not asked(liar) and not log.exists()
    code = "import gpg; gpg.Context()"
    assert python("-c", code, env=env).returncode == 0
    assert asked(liar) and log.exists()


def test_whoever_took_the_demo_key_out_sees_its_models_refused(good, checkout, tmp_path):
    folder = checkout / "gnupg"
    file = tmp_path / "good.pub.asc"
    file.write_bytes(good.public)
    signers.trust(file, folder)
    assert opens(genuine(), folder).labels == ["x", "y"]
    signers.revoke(DEMO, folder)
    refuses(genuine(), Reason.SIGNER, folder)
    assert not list(folder.glob("demo.*"))


# keys.sh: new, list, trust, revoke, rotate


@pytest.fixture
def new(tmp_path):
    (tmp_path / "keys").mkdir()

    def new(name="Desk <desk@x.example>", days=365):
        return signers.new_key(name, tmp_path / "keys", days)

    return new


def test_a_new_key_is_private_is_valid_for_a_year_and_signs_what_opens(new, folder, tmp_path):
    made = new()
    assert {path.stat().st_mode & 0o777 for path in made.files.values()} == {0o600}
    secret, passphrase = (made.files[what] for what in ("secret key", "passphrase"))
    [key] = gnupg.describe_keys(made.files["public key"].read_bytes())
    assert key.fingerprint == made.fingerprint
    assert (
        timedelta(days=364)
        < datetime.fromtimestamp(key.expires, UTC) - datetime.now(UTC)
        <= timedelta(days=365)
    )
    trusted = folder()
    signers.trust(made.files["public key"], trusted)
    key = gnupg.SigningKey(secret.read_bytes(), passphrase.read_text().strip())
    assert opens(sealed_by(key, tiny(), trusted), trusted).labels == ["x", "y"]


def test_a_new_key_is_never_written_into_the_repository_or_over_a_file(new, tmp_path, checkout):
    with pytest.raises(UsageError, match="in the repository"):
        signers.new_key("Desk <desk@x.example>", checkout / "gnupg", 365, root=checkout)
    with pytest.raises(UsageError, match="in the repository"):
        signers.new_key("Desk <desk@x.example>", ROOT, 365)
    link = tmp_path / "link"
    link.symlink_to(checkout)
    with pytest.raises(UsageError, match="in the repository"):
        signers.new_key("Desk <desk@x.example>", link / "gnupg", 365, root=checkout)


@pytest.mark.parametrize(("name", "days"), [("Desk <desk@x.example>", 0), ("", 365)])
def test_a_new_key_needs_a_name_and_a_day(name, days, new, tmp_path):
    with pytest.raises(PressboxError):
        new(name, days)
    assert not list((tmp_path / "keys").iterdir())


@pytest.mark.parametrize("size", [0, 50, 400, 500])
def test_a_new_key_for_which_there_is_no_space_leaves_no_part_of_it(size, new, tmp_path):
    write = signers._write_secrets

    def small(contents):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        write(contents)

    def work():
        signers._write_secrets = small
        new()

    assert ended(apart(work)) == 1
    assert not list((tmp_path / "keys").iterdir())
    assert new().files.keys() == signers.SUFFIXES.keys()


def test_the_revocation_certificate_of_a_new_key_revokes_it(new, folder, tmp_path):
    made = new()
    ring = Ring()
    ring.gpg("--import", stdin=made.files["public key"].read_bytes())
    certificate = made.files["revocation certificate"].read_bytes()
    ring.gpg("--import", stdin=certificate.replace(b":-----BEGIN", b"-----BEGIN"))
    [key] = gnupg.describe_keys(ring.gpg("--armor", "--export"))
    assert key.revoked


def public_file(tmp_path, holder):
    file = tmp_path / f"{holder.fingerprint}.pub.asc"
    file.write_bytes(holder.public)
    return file


def test_who_is_trusted_is_accepted_by_us_and_by_special_k_and_who_is_revoked_by_neither(
    ring, good, checkout, tmp_path
):
    folder = checkout / "gnupg"
    signers.trust(public_file(tmp_path, good), folder)
    names = json.loads((folder / NAMES).read_text())
    assert set(names.values()) == {DEMO, good.fingerprint} == set(trusted_signers(folder))
    assert all((folder / name).is_file() for name in names)
    assert (folder / signers.TRUST).read_text().count(f"\n{good.fingerprint}:6:\n") == 1
    assert opens(signed_by(ring, good), folder).labels == ["x", "y"]
    signers.revoke(good.fingerprint[-16:].lower(), folder)
    assert list(trusted_signers(folder)) == [DEMO]
    assert [file.name for file in folder.glob("*.pub.asc")] == ["demo.pub.asc"]
    assert good.fingerprint not in (folder / signers.TRUST).read_text()
    refuses(signed_by(ring, good), Reason.SIGNER, folder)


def test_trusting_twice_changes_nothing(good, checkout, tmp_path):
    folder = checkout / "gnupg"
    signers.trust(public_file(tmp_path, good), folder)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    signers.trust(public_file(tmp_path, good), folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def public(packets):
    return armoured(packets).replace(b"SIGNATURE", b"PUBLIC KEY BLOCK")


def changed(ring, holder, offset, value):
    """The key with another byte at the offset of its first packet."""
    packets = bytearray(ring.gpg("--export", holder.fingerprint))
    packets[offset] = value
    return public(bytes(packets))


def version_5(ring):
    own = Ring()
    name = ("five <five@x.example>", "ed448", "sign", "never")
    own.gpg("--compliance=gnupg", "--quick-gen-key", *name)
    return own.gpg("--armor", "--export")


def weak_subkey(ring):
    primary = ring.new("weak subkey", usage="cert")
    ring.gpg("--quick-add-key", primary, "rsa1024", "sign", "never")
    return ring.holder(primary).public


def expired_subkey(ring):
    primary = ring.new("expired subkey", usage="cert", clock="20200101")
    ring.gpg("--quick-add-key", primary, "ed25519", "sign", "2021-01-01", clock="20200101")
    return ring.holder(primary).public


def cannot_sign(ring):
    primary = ring.new("reader", usage="cert")
    ring.gpg("--quick-add-key", primary, "cv25519", "encr", "never")
    return ring.holder(primary).public


def revoked(ring):
    own = Ring()
    holder = own.holder(own.new("revoked"))
    certificate = Path(own.home, "openpgp-revocs.d", f"{holder.fingerprint}.rev").read_bytes()
    own.gpg("--import", stdin=certificate.replace(b":-----BEGIN", b"-----BEGIN"))
    return own.gpg("--armor", "--export")


VERSION, ALGORITHM = 2, 7
NOT_TO_TRUST = {
    "nothing": lambda ring, good: b"",
    "secret": lambda ring, good: good.signing.armoured,
    "doubled": lambda ring, good: good.public * 2,
    "relabelled": lambda ring, good: good.public.replace(b"PUBLIC", b"PRIVATE"),
    "secret packets": lambda ring, good: good.signing.armoured.replace(b"PRIVATE", b"PUBLIC"),
    "a secret packet": lambda ring, good: public(
        ring.gpg("--export", good.fingerprint) + ring.gpg("--export-secret-keys", good.fingerprint)
    ),
    "half": lambda ring, good: good.public[:200],
    "megabyte": lambda ring, good: b"x" * (1 << 20),
    "pair": lambda ring, good: ring.gpg("--armor", "--export", good.fingerprint, ring.new("pair")),
    "binary": lambda ring, good: ring.gpg("--export", good.fingerprint),
    "bytes before": lambda ring, good: b"before\n" + good.public,
    "bytes behind": lambda ring, good: good.public + b"behind\n",
    "bytes behind the packets": lambda ring, good: public(
        ring.gpg("--export", good.fingerprint) + b"behind"
    ),
    "a packet of text": lambda ring, good: public(
        ring.gpg("--export", good.fingerprint) + b"\xcb\x07b\0\0\0\0\0x"
    ),
    "no self-signature": lambda ring, good: public(
        (packets := ring.gpg("--export", good.fingerprint))[: 4 + 51 + packets[54]]
    ),
    "version 3": lambda ring, good: changed(ring, good, VERSION, 3),
    "version 5": lambda ring, good: version_5(ring),
    "version 6": lambda ring, good: changed(ring, good, VERSION, 6),
    "unknown algorithm": lambda ring, good: changed(ring, good, ALGORITHM, 99),
    "expired": lambda ring, good: ring.holder(ring.new("late", "2021-01-01", "20200101")).public,
    "revoked": lambda ring, good: revoked(ring),
    "future": lambda ring, good: ring.holder(ring.new("soon", "never", "20990101")).public,
    "weak RSA": lambda ring, good: ring.holder(ring.new("rsa", algorithm="rsa1024")).public,
    "weak DSA": lambda ring, good: ring.holder(ring.new("dsa", algorithm="dsa1024")).public,
    "weak subkey": lambda ring, good: weak_subkey(ring),
    "expired subkey": lambda ring, good: expired_subkey(ring),
    "certifies only": lambda ring, good: ring.holder(ring.new("c", usage="cert")).public,
    "cannot sign": lambda ring, good: cannot_sign(ring),
}


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("content", NOT_TO_TRUST.values(), ids=NOT_TO_TRUST)
def test_what_is_no_living_public_key_is_neither_trusted_nor_written(
    content, ring, good, checkout, tmp_path
):
    file, folder = tmp_path / "key.asc", checkout / "gnupg"
    file.write_bytes(content(ring, good))
    before = contents(folder)
    with pytest.raises(PressboxError) as caught:
        signers.trust(file, folder)
    assert "; " in str(caught.value)
    with pytest.raises(PressboxError):
        signers.rotate(file, DEMO, TOMORROW, folder)
    assert contents(folder) == before


TO_TRUST = {
    "the same": lambda ring, good: good.public,
    "CRLF": lambda ring, good: good.public.replace(b"\n", b"\r\n"),
    "a comment": lambda ring, good: good.public.replace(
        b"BLOCK-----\n\n", b"BLOCK-----\nComment: x\n\n"
    ),
    "armoured anew": lambda ring, good: public(ring.gpg("--export", good.fingerprint)),
    "RSA": lambda ring, good: ring.holder(ring.new("r", algorithm="rsa2048")).public,
    "DSA": lambda ring, good: ring.holder(ring.new("d", algorithm="dsa2048")).public,
    "NIST P-256": lambda ring, good: ring.holder(ring.new("n", algorithm="nistp256")).public,
    "signing subkey": lambda ring, good: with_subkey(ring, "sub").public,
    "for both": lambda ring, good: ring.holder(ring.new("b", usage="default")).public,
    "certified": lambda ring, good: certified(ring),
}


def certified(ring):
    fingerprint = ring.new("friend")
    certifier = ring.new("certifier", usage="default")
    ring.gpg("--local-user", certifier, "--quick-sign-key", fingerprint)
    return ring.holder(fingerprint).public


@pytest.mark.parametrize("content", TO_TRUST.values(), ids=TO_TRUST)
def test_what_is_one_is_trusted_and_its_signature_accepted(content, ring, good, checkout, tmp_path):
    file, folder = tmp_path / "key.asc", checkout / "gnupg"
    file.write_bytes(content(ring, good))
    key = signers.trust(file, folder)
    assert opens(signed_by(ring, Holder(key.fingerprint, b"", None)), folder).labels == ["x", "y"]


def commands(file):
    return {
        "trust": lambda folder: signers.trust(file, folder),
        "trust for experiments": lambda folder: signers.trust(file, folder, experiments_only=True),
        "revoke": lambda folder: signers.revoke(DEMO, folder),
        "rotate": lambda folder: signers.rotate(file, DEMO, TOMORROW, folder),
    }


@pytest.mark.parametrize(
    ("command", "step"),
    # The files that each of them writes: the key, ownertrust, who retires, experiments, names.
    [
        (command, step)
        for command, files in {
            "trust": 4,
            "trust for experiments": 5,
            "revoke": 2,
            "rotate": 4,
        }.items()
        for step in range(files)
    ],
)
def test_a_command_that_is_killed_between_two_files_is_given_again(
    command, step, good, checkout, tmp_path
):
    folder, undisturbed = checkout / "gnupg", tmp_path / "undisturbed"
    (folder / RETIRING).write_text(json.dumps({DEMO: f"{TODAY}"}))
    shutil.copytree(folder, undisturbed)
    run = commands(public_file(tmp_path, good))[command]
    run(undisturbed)
    written = []

    def write(path, content):
        if len(written) == step:
            os._exit(9)
        written.append(path)
        signers_write(path, content)

    signers_write = signers._write

    def work():
        signers._write = write
        run(folder)

    assert ended(apart(work)) == 9
    try:
        # Nobody is trusted for more than was meant, not even until then.
        assert good.fingerprint not in trusted_signers(folder)
    except NotTrusted as error:
        assert "repeat the command" in str(error)
    run(folder)
    assert contents(folder) == contents(undisturbed)


def test_a_rotated_key_is_accepted_to_the_end_of_its_last_day_and_then_refused(
    ring, good, folder, tmp_path, monkeypatch
):
    successor = ring.holder(ring.new("successor"))
    trusted = folder(good)
    old, new = signed_by(ring, good), signed_by(ring, successor)
    signers.rotate(public_file(tmp_path, successor), good.fingerprint, TODAY, trusted)
    for model in (old, new):
        assert opens(model, trusted).labels == ["x", "y"]
    signers.rotate(public_file(tmp_path, successor), good.fingerprint, YESTERDAY, trusted)
    refuses(old, Reason.EXPIRED, trusted)
    assert opens(new, trusted).labels == ["x", "y"]
    [state] = [
        state for state in signers.standing(trusted) if state.fingerprint == good.fingerprint
    ]
    assert (state.until, state.expired) == (YESTERDAY, True)


def test_a_key_is_not_rotated_into_itself_or_for_somebody_unknown(good, folder, tmp_path):
    for old in (good.fingerprint, DEMO):
        with pytest.raises(UsageError):
            signers.rotate(public_file(tmp_path, good), old, TODAY, folder(good))


def test_the_list_warns_thirty_days_ahead_and_says_what_has_expired(ring, folder):
    def expiring(name, days, clock=""):
        return ring.holder(ring.new(name, f"{TODAY + timedelta(days=days)}", clock))

    soon, later, past = (
        expiring("soon", 29),
        expiring("later", 60),
        expiring("past", -5, "20200101"),
    )
    states = {
        state.user_id.split()[0]: state for state in signers.standing(folder(soon, later, past))
    }
    assert "expires in" in states["soon"].remark and not states["soon"].expired
    assert not states["later"].remark and not states["later"].expired
    assert "EXPIRED" in states["past"].remark and states["past"].expired


def test_the_list_names_the_demo_key_as_one_that_everybody_has():
    [state] = [state for state in signers.standing() if state.fingerprint == DEMO]
    assert "everybody" in state.remark


AS_GPG_HAS_IT = "D402 1E7D 4529 EC2E 3058  A922 77DD EEAA 3A54 11D4"


def test_commands_take_a_fingerprint_as_gpg_prints_it_with_quotes_or_without(checkout):
    for spelling in ([AS_GPG_HAS_IT.lower()], AS_GPG_HAS_IT.split()):
        folder = shutil.copytree(checkout / "gnupg", checkout / "kept")
        done = python("-m", "pressbox", "keys", "revoke", *spelling, cwd=checkout)
        assert done.returncode == 0, done.stderr
        assert DEMO not in trusted_signers(checkout / "gnupg")
        shutil.rmtree(checkout / "gnupg")
        folder.rename(checkout / "gnupg")
    another = AS_GPG_HAS_IT.replace("7", "8")
    done = python("-m", "pressbox", "keys", "revoke", another, cwd=checkout)
    assert_refused(done, 2, "is not one of the trusted signers")


@pytest.fixture
def git(checkout, monkeypatch):
    """Run git in the checkout, which is a repository; what it prints."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@b.example")

    def git(*arguments):
        command = ["git", *arguments]
        return subprocess.run(command, cwd=checkout, check=True, capture_output=True).stdout

    git("init")
    git("add", ".")
    git("commit", "--message", "before")
    return git


@pytest.mark.parametrize("command", ["trust", "revoke", "rotate"])
def test_a_command_ends_with_the_git_command_that_commits_all_it_wrote(
    command, good, checkout, git, tmp_path
):
    file = public_file(tmp_path, good)
    given = {
        "trust": (file, "--experiments"),
        "revoke": (DEMO,),
        "rotate": (file, "--old", DEMO),
    }[command]
    done = python("-m", "pressbox", "keys", command, *given, cwd=checkout)
    assert done.returncode == 0, done.stderr
    commit = done.stdout.splitlines()[-1]
    git("clone", ".", tmp_path / "before")
    subprocess.run(["sh", "-c", commit], cwd=checkout, check=True, capture_output=True)
    assert git("status", "--porcelain") == b""
    git("clone", ".", tmp_path / "clone")
    there = trusted_signers(tmp_path / "clone" / "gnupg")
    assert there == trusted_signers(checkout / "gnupg")
    assert there != trusted_signers(tmp_path / "before" / "gnupg")


def test_a_commit_of_changed_files_alone_leaves_a_clone_that_trusts_nobody(
    good, checkout, git, tmp_path
):
    signers.trust(public_file(tmp_path, good), checkout / "gnupg")
    git("commit", "--all", "--message", "usual")
    git("clone", ".", tmp_path / "clone")
    with pytest.raises(NotTrusted):
        trusted_signers(tmp_path / "clone" / "gnupg")


@pytest.mark.parametrize("fingerprint", ["", "11D4", "0" * 40, "*", f"{DEMO} {DEMO}"])
def test_a_signer_is_found_by_sixteen_digits_or_more_and_by_nothing_less(fingerprint):
    known = trusted_signers()
    with pytest.raises(UsageError):
        signers.find_signer(fingerprint, known)
    for spelling in (DEMO, DEMO.lower(), DEMO[-16:], f"0x{DEMO}", " ".join(DEMO), AS_GPG_HAS_IT):
        assert signers.find_signer(spelling, known) == DEMO


def test_the_demo_key_is_what_the_repository_holds():
    assert gnupg.describe_keys(signing_key.demo_key().armoured)[0].fingerprint == DEMO
    assert date.today() <= (signers.standing()[0].until or date.max)
    assert demo_signs(b"{}").startswith(b"-----BEGIN PGP SIGNED MESSAGE-----\n")
    assert PASSPHRASE not in signing_key.demo_key().passphrase
