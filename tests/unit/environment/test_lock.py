"""The environments that a team has accepted."""

import copy
import json
from dataclasses import replace
from datetime import date

import pytest
from support.models import surroundings

from pressbox.environment import drift, lock, passport
from pressbox.environment.drift import Environment
from pressbox.errors import Drifted, PressboxError

TODAY = date(2026, 11, 24)


def changed(change):
    issued = copy.deepcopy(surroundings().passport)
    change(issued)
    return Environment(issued, passport.digest(passport.canonical(issued)))


def updated(version):
    return changed(lambda issued: issued["debian_packages"].update(gpg=version))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "environment.lock"


def test_an_accepted_environment_is_on_the_list_and_others_are_not(path):
    here = surroundings()
    with pytest.raises(Drifted, match="not an accepted one: the first of its architecture"):
        lock.demand(here, path)
    assert lock.accept(here, TODAY, path) == [lock.FIRST]
    lock.demand(here, path)
    with pytest.raises(Drifted, match=r"not an accepted one: Debian package gpg is 9\.9, was"):
        lock.demand(updated("9.9"), path)


def test_an_entry_has_its_date_and_what_changed(path):
    lock.accept(updated("9.8"), TODAY, path)
    lock.accept(updated("9.9"), date(2026, 12, 1), path)
    one, two = lock.read(path)[surroundings().passport["architecture"]]
    assert (one["date"], two["date"]) == ("2026-11-24", "2026-12-01")
    assert two["changes"] == ["Debian package gpg is 9.9, was 9.8"]
    assert one["passport"] == updated("9.8").passport
    for version in ("9.8", "9.9"):
        lock.demand(updated(version), path)


def listing(files):
    """An environment of these files."""
    digest = passport.digest(passport.canonical(files))
    here = changed(lambda issued: issued["files"].update(digest=digest))
    return replace(here, files=files)


@pytest.mark.parametrize(
    ("known", "named"),
    [({"/usr/lib/x": "1"}, ": /usr/lib/x"), ({"/usr/lib/x": "9"}, ""), (None, "")],
)
def test_an_entry_names_files_that_changed_if_the_list_is_that_of_the_latest(known, named, path):
    lock.accept(listing({"/usr/lib/x": "1"}), TODAY, path)
    changes = lock.accept(listing({"/usr/lib/x": "2"}), TODAY, path, known)
    assert changes == [f"files outside of Python's packages differ{named}"]


def test_what_is_accepted_already_is_not_added_again(path):
    lock.accept(surroundings(), TODAY, path)
    before = path.read_bytes()
    assert lock.accept(surroundings(), TODAY, path) == ()
    assert path.read_bytes() == before


def test_architectures_are_accepted_side_by_side(path):
    arm = changed(lambda issued: issued.update(architecture="riscv64"))
    lock.accept(surroundings(), TODAY, path)
    assert lock.accept(arm, TODAY, path) == [lock.FIRST]
    for here in (surroundings(), arm):
        lock.demand(here, path)


def test_what_has_drifted_is_neither_accepted_nor_released(path):
    drifted = replace(surroundings(), drift=("numpy was changed",))
    for refused in (
        lambda: lock.accept(drifted, TODAY, path),
        lambda: lock.demand(drifted, path),
        lambda: lock.accept(drift.Environment(), TODAY, path),
    ):
        with pytest.raises(Drifted):
            refused()
    assert not path.exists()


def edited(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


EDITS = {
    "another version": lambda listed: listed.update(version=1),
    "no architectures": lambda listed: listed.pop("architectures"),
    "a list": lambda listed: listed.update(architectures=[]),
    "an edited digest": lambda listed: entries(listed)[0].update(digest="sha256:0"),
    "an edited passport": lambda listed: entries(listed)[0]["passport"].update(base="debian 12"),
    "another field": lambda listed: entries(listed)[0].update(by="me"),
    "a digest without a passport": lambda listed: entries(listed)[0].pop("passport"),
    "an entry slipped in": lambda listed: entries(listed).insert(
        0, {**entries(listed)[0], "digest": f"sha256:{'a' * 64}"}
    ),
    "another architecture": lambda listed: listed["architectures"].update(riscv64=entries(listed)),
    "no entry": lambda listed: entries(listed).clear(),
}


def entries(listed):
    return next(iter(listed["architectures"].values()))


@pytest.mark.parametrize("edit", EDITS)
def test_a_list_that_was_edited_is_refused(edit, path):
    lock.accept(surroundings(), TODAY, path)
    lock.read(path)
    edited(path, EDITS[edit])
    with pytest.raises(PressboxError, match="is not a list of accepted environments"):
        lock.read(path)


def test_a_merge_conflict_is_called_one(path):
    lock.accept(surroundings(), TODAY, path)
    path.write_text(f"<<<<<<< ours\n{path.read_text()}=======\n>>>>>>> theirs\n")
    with pytest.raises(PressboxError, match="merge conflict"):
        lock.read(path)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[" * 100_000, b"null"])
def test_garbage_is_refused(content, path):
    path.write_bytes(content)
    with pytest.raises(PressboxError, match="is not a list of accepted environments"):
        lock.read(path)


def test_without_a_list_nothing_is_accepted(path):
    assert lock.read(path) == {}


def test_a_list_that_cannot_be_written_is_one_error(path):
    with pytest.raises(PressboxError, match="cannot be written"):
        lock.accept(surroundings(), TODAY, path.parent / "nowhere" / "environment.lock")


def published(**changes):
    """Where the image of ``surroundings`` lies."""
    here = surroundings()
    image = lock.Image(f"sha256:{'b' * 64}", here.digest)
    told = {
        "name": "registry.example:5000/desk/pressbox",
        "inputs": f"sha256:{'a' * 64}",
        "digest": f"sha256:{'c' * 64}",
        "images": {here.passport["architecture"]: image},
    }
    return lock.Published(**{**told, **changes})


def test_where_images_were_published_stays_until_others_are(path):
    lock.accept(surroundings(), TODAY, path)
    assert lock.read_published(path) is None
    lock.publish(published(), path)
    lock.accept(updated("9.9"), TODAY, path)
    assert lock.read_published(path) == published()
    assert len(lock.digests(lock.read(path))) == 2
    lock.publish(published(name="elsewhere.example/pressbox"), path)
    assert lock.read_published(path).name == "elsewhere.example/pressbox"


def test_an_image_of_an_environment_that_is_not_accepted_is_not_published(path):
    lock.accept(updated("9.9"), TODAY, path)
    with pytest.raises(Drifted, match=r"the image for .* is not an accepted one"):
        lock.publish(published(), path)
    assert lock.read_published(path) is None


def test_a_list_of_the_last_version_is_read_and_becomes_one_of_this(path):
    lock.accept(surroundings(), TODAY, path)
    edited(path, lambda listed: listed.update(version=2))
    assert lock.digests(lock.read(path)) == {surroundings().digest}
    lock.publish(published(), path)
    assert json.loads(path.read_text())["version"] == lock.VERSION


PUBLISHED_EDITS = {
    "an option for a name": lambda listed: listed["published"].update(name="--help"),
    "no host": lambda listed: listed["published"].update(name="pressbox"),
    "no digest": lambda listed: listed["published"].update(digest="latest"),
    "no inputs": lambda listed: listed["published"].pop("inputs"),
    "no images": lambda listed: listed["published"]["images"].clear(),
    "another field": lambda listed: listed["published"].update(by="me"),
    "another environment": lambda listed: image_of(listed).update(environment=f"sha256:{'d' * 64}"),
    "an image without a digest": lambda listed: image_of(listed).update(digest="sha256:1"),
    "an earlier version": lambda listed: listed.update(version=2),
    "something besides": lambda listed: listed.update(notes=[]),
}


def image_of(listed):
    return next(iter(listed["published"]["images"].values()))


@pytest.mark.parametrize("edit", PUBLISHED_EDITS)
def test_a_place_that_was_edited_is_refused(edit, path):
    lock.accept(surroundings(), TODAY, path)
    lock.publish(published(), path)
    edited(path, PUBLISHED_EDITS[edit])
    for read in (lock.read, lock.read_published):
        with pytest.raises(PressboxError, match="is not a list of accepted environments"):
            read(path)


def test_the_list_of_this_repository_is_in_order():
    assert lock.read()
