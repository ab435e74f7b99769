"""Files are replaced whole or not at all."""

import os
import resource

import pytest

from pressbox.atomic import beside, try_replacing


@pytest.fixture
def earlier(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("earlier")
    return path


@pytest.fixture
def no_more_than_1000_bytes():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_is_complete_takes_the_earlier_file_s_place(earlier):
    with beside(earlier) as file:
        file.write(b"new")
        assert earlier.read_text() == "earlier"
    assert earlier.read_text() == "new"
    assert list(earlier.parent.iterdir()) == [earlier]


def test_what_does_not_fit_leaves_the_earlier_file_alone(earlier, no_more_than_1000_bytes):
    # Little enough to be buffered until the end.
    with pytest.raises(OSError, match="too large"), beside(earlier) as file:
        file.write(bytes(5000))
    assert earlier.read_text() == "earlier"
    assert list(earlier.parent.iterdir()) == [earlier]


def test_who_gives_up_leaves_the_earlier_file_alone(earlier):
    with pytest.raises(KeyboardInterrupt), beside(earlier) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert earlier.read_text() == "earlier"
    assert list(earlier.parent.iterdir()) == [earlier]


def test_to_try_changes_nothing_and_finds_room_that_is_not_there(earlier, no_more_than_1000_bytes):
    with pytest.raises(OSError, match="too large"):
        try_replacing(earlier)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    try_replacing(earlier)
    assert earlier.read_text() == "earlier"
    assert list(earlier.parent.iterdir()) == [earlier]


@pytest.mark.parametrize(("mode", "refused"), [(0o1777, True), (0o777, False)])
def test_somebody_elses_file_in_a_folder_like_tmp_is_not_to_be_replaced(
    mode, refused, earlier, monkeypatch
):
    earlier.parent.chmod(mode)
    try_replacing(earlier)
    monkeypatch.setattr(os, "geteuid", lambda: earlier.stat().st_uid + 1)
    try_replacing(earlier.with_name("new.html"))
    if not refused:
        try_replacing(earlier)
        return
    with pytest.raises(PermissionError):
        try_replacing(earlier)
