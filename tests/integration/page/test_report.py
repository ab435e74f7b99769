"""The page beside a model, drawn by a process of its own, and of a sealed model."""

import os
import pickle
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from support import ROOT
from support.models import with_byproducts

from pressbox.errors import NotTrusted
from pressbox.page import charts, report
from pressbox.sealing import tarball


def test_the_same_input_gives_the_same_bytes_everywhere(
    page, facts, details, words, model, tmp_path
):
    given = tmp_path / "given.pickle"
    statement = with_byproducts(model.statement, evaluation=details)
    given.write_bytes(pickle.dumps([facts, statement, model.parameters, words]))
    program = """if True:
        import pickle, sys
        from pathlib import Path
        from pressbox.page import report
        page = report.page(*pickle.loads(Path(sys.argv[1]).read_bytes()))
        sys.stdout.buffer.write(page.encode())
    """
    # No home, somebody's settings, another order of sets: and not a word on standard error.
    settings = "text.usetex: True\nlines.scale_dashes: False\nsvg.fonttype: path\n"
    (tmp_path / "matplotlibrc").write_text(settings)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, given],
        cwd=tmp_path,
        env={
            **os.environ,
            "HOME": "/nonexistent",
            "PYTHONHASHSEED": "7",
            "PYTHONPATH": str(ROOT),
            "TZ": "Asia/Tokyo",
        },
        capture_output=True,
    )
    assert done.stderr == b""
    assert done.stdout == page().encode()


def test_matplotlib_is_imported_for_a_page_alone_and_leaves_nothing_behind(tmp_path):
    program = """if True:
        import os, sys
        from pressbox.page import charts, report
        assert "matplotlib" not in sys.modules and "jinja2" not in sys.modules
        charts.reliability([[0.5, 0.5, 1]])
        assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
        assert "MPLCONFIGDIR" not in os.environ
        [folder] = os.listdir(os.environ["TMPDIR"])
        print(sorted(os.listdir(os.path.join(os.environ["TMPDIR"], folder))))
    """
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # The image's list of fonts was taken, none was made.
    assert done.stdout.strip() == str([path.name for path in charts.FONTS.iterdir()])
    assert list(tmp_path.iterdir()) == []


def test_words_are_read_from_a_tarball_without_loading_it(sealed, words, tmp_path):
    path = tmp_path / "small.tar.gz"
    path.write_bytes(sealed)
    assert report.words_in(tarball.verify(path)) == words


@pytest.mark.parametrize(
    ("member", "content"),
    [("vocabulary.json", b'["one"]'), ("parameters.json", b"{}"), ("coefficients.npy", b"?")],
)
def test_a_model_whose_parts_do_not_fit_has_no_words(member, content, sealed, tmp_path):
    path = tmp_path / "small.tar.gz"
    path.write_bytes(sealed)
    verified = tarball.verify(path)
    changed = replace(verified, members={**verified.members, member: memoryview(content)})
    with pytest.raises(NotTrusted, match="cannot be shown"):
        report.words_in(changed)


def test_a_model_of_the_first_release_has_a_page_of_what_it_says():
    page = report.render(tarball.verify(ROOT / "tests" / "golden" / "newsroom-0.1.0.tar.gz"))
    sections = re.findall(r'<section id="(\w+)"', page)
    assert sections == ["quality", "training", "words", "origin"]
    assert re.findall(r'<li><a href="#(\w+)"', page) == sections
    # No texts, no calibration, no certificate are said to be there.
    training = page[page.index('<section id="training"') : page.index('<section id="words"')]
    assert re.findall(r"<dt>(.*?)</dt>", training) == ["Vectorizer", "Estimator", "Versions"]
    assert "right sport for 97 of 144 texts" in page
