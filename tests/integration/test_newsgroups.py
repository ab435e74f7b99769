"""20 Newsgroups, through scikit-learn's own fetch_20newsgroups."""

import codecs
import pickle

import pytest
from conftest import assert_refused, python
from sklearn.datasets import _twenty_newsgroups, load_files

from pressbox.corpus import NEWSGROUPS, load_corpus


@pytest.mark.real_data
def test_newsgroups_come_out_of_scikit_learns_cache(real_data, tmp_path, monkeypatch):
    parts = {part: load_files(real_data / part, encoding="latin1") for part in ("train", "test")}
    cache = _twenty_newsgroups._pkl_filepath(tmp_path, _twenty_newsgroups.CACHE_NAME)
    with open(cache, "wb") as file:
        file.write(codecs.encode(pickle.dumps(parts), "zlib_codec"))
    monkeypatch.setenv("PRESSBOX_DATA_HOME", str(tmp_path))
    corpus = load_corpus("newsgroups")
    assert corpus.labels == list(NEWSGROUPS)
    assert corpus.digest == load_corpus(str(real_data)).digest


def test_newsgroups_without_cache_and_network_are_one_clear_error(earlier, untouched, tmp_path):
    nowhere = {"https_proxy": "http://127.0.0.1:9", "PRESSBOX_DATA_HOME": str(tmp_path / "cache")}
    done = python("train.py", str(earlier), "--data", "newsgroups", env=nowhere)
    assert_refused(done, 1, "20 Newsgroups could not be fetched")
    assert done.stdout == ""
    untouched()
