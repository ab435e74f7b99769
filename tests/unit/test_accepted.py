"""The environments that a team has accepted."""

import copy
import json
from dataclasses import replace
from datetime import date

import pytest
from conftest import surroundings

from pressbox import accepted, environment, passport
from pressbox.environment import Environment
from pressbox.errors import Drifted, PressboxError

TODAY = date(2026, 11, 24)


def changed(change):
    issued = copy.deepcopy(surroundings().passport)
    change(issued)
    return Environment(issued, passport.digest(passport.canonical(issued)))


def updated(version):
    return changed(lambda issued: issued["debian_packages"].update(gpg=version))


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "environment.lock"


def test_an_accepted_environment_is_on_the_list_and_others_are_not(lock):
    here = surroundings()
    with pytest.raises(Drifted, match="not an accepted one: the first of its architecture"):
        accepted.demand(here, lock)
    assert accepted.accept(here, TODAY, lock) == [accepted.FIRST]
    accepted.demand(here, lock)
    with pytest.raises(Drifted, match=r"not an accepted one: Debian package gpg is 9\.9, was"):
        accepted.demand(updated("9.9"), lock)


def test_an_entry_has_its_date_and_what_changed(lock):
    accepted.accept(updated("9.8"), TODAY, lock)
    accepted.accept(updated("9.9"), date(2026, 12, 1), lock)
    one, two = accepted.read(lock)[surroundings().passport["architecture"]]
    assert (one["date"], two["date"]) == ("2026-11-24", "2026-12-01")
    assert two["changes"] == ["Debian package gpg is 9.9, was 9.8"]
    assert one["passport"] == updated("9.8").passport
    for version in ("9.8", "9.9"):
        accepted.demand(updated(version), lock)


def test_what_is_accepted_already_is_not_added_again(lock):
    accepted.accept(surroundings(), TODAY, lock)
    before = lock.read_bytes()
    assert accepted.accept(surroundings(), TODAY, lock) == ()
    assert lock.read_bytes() == before


def test_architectures_are_accepted_side_by_side(lock):
    arm = changed(lambda issued: issued.update(architecture="riscv64"))
    accepted.accept(surroundings(), TODAY, lock)
    assert accepted.accept(arm, TODAY, lock) == [accepted.FIRST]
    for here in (surroundings(), arm):
        accepted.demand(here, lock)


def test_what_has_drifted_is_neither_accepted_nor_released(lock):
    drifted = replace(surroundings(), drift=("numpy was changed",))
    for refused in (
        lambda: accepted.accept(drifted, TODAY, lock),
        lambda: accepted.demand(drifted, lock),
        lambda: accepted.accept(environment.Environment(), TODAY, lock),
    ):
        with pytest.raises(Drifted):
            refused()
    assert not lock.exists()


def edited(lock, change):
    content = json.loads(lock.read_text())
    change(content)
    lock.write_text(json.dumps(content))


EDITS = {
    "another version": lambda lock: lock.update(version=1),
    "no architectures": lambda lock: lock.pop("architectures"),
    "a list": lambda lock: lock.update(architectures=[]),
    "an edited digest": lambda lock: entries(lock)[0].update(digest="sha256:0"),
    "an edited passport": lambda lock: entries(lock)[0]["passport"].update(base="debian 12"),
    "another field": lambda lock: entries(lock)[0].update(by="me"),
    "a digest without a passport": lambda lock: entries(lock)[0].pop("passport"),
    "an entry slipped in": lambda lock: entries(lock).insert(
        0, {**entries(lock)[0], "digest": f"sha256:{'a' * 64}"}
    ),
    "another architecture": lambda lock: lock["architectures"].update(riscv64=entries(lock)),
    "no entry": lambda lock: entries(lock).clear(),
}


def entries(lock):
    return next(iter(lock["architectures"].values()))


@pytest.mark.parametrize("edit", EDITS)
def test_a_list_that_was_edited_is_refused(edit, lock):
    accepted.accept(surroundings(), TODAY, lock)
    accepted.read(lock)
    edited(lock, EDITS[edit])
    with pytest.raises(PressboxError, match="is not a list of accepted environments"):
        accepted.read(lock)


def test_a_merge_conflict_is_called_one(lock):
    accepted.accept(surroundings(), TODAY, lock)
    lock.write_text(f"<<<<<<< ours\n{lock.read_text()}=======\n>>>>>>> theirs\n")
    with pytest.raises(PressboxError, match="merge conflict"):
        accepted.read(lock)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[" * 100_000, b"null"])
def test_garbage_is_refused(content, lock):
    lock.write_bytes(content)
    with pytest.raises(PressboxError, match="is not a list of accepted environments"):
        accepted.read(lock)


def test_without_a_list_nothing_is_accepted(lock):
    assert accepted.read(lock) == {}


def test_a_list_that_cannot_be_written_is_one_error(lock):
    with pytest.raises(PressboxError, match="cannot be written"):
        accepted.accept(surroundings(), TODAY, lock.parent / "nowhere" / "environment.lock")


def test_the_list_of_this_repository_is_in_order():
    assert accepted.read()
