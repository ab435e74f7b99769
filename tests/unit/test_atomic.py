"""Files are replaced whole or not at all."""

import resource

import pytest

from pressbox.atomic import beside


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
