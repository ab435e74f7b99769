"""Terms and their weights, as TfidfVectorizer has them."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from pressbox.learning import features

PARAMETERS = [
    {},
    {"sublinear_tf": True, "ngram_range": (1, 2), "min_df": 2},
    {"min_df": 0.05, "max_df": 0.5},
    {"max_df": 200, "binary": True, "norm": "l1"},
    {"analyzer": "char", "ngram_range": (2, 3), "min_df": 3},
    {"analyzer": "char_wb", "ngram_range": (1, 4), "norm": None, "smooth_idf": False},
    {"stop_words": ["wa"], "lowercase": False, "min_df": 300},
    {"strip_accents": "unicode", "token_pattern": r"\w+", "min_df": 2},
]


@pytest.fixture(scope="module")
def texts():
    """400 texts with Zipf's frequencies, capitals, accents, an empty one and one of stop signs."""
    rng = np.random.default_rng(0)
    words = [first + second for first in "wWéb" for second in "aeioußü"] + ["a", "of", "Zoë"]
    weights = 1 / np.arange(1, len(words) + 1)
    lengths = [0, *rng.integers(1, 40, 400)]
    drawn = (rng.choice(words, length, p=weights / weights.sum()) for length in lengths)
    return [" ".join(text) for text in drawn] + ["? !"]


@pytest.fixture(params=[1, 1 << 30], ids=["sieved", "at once"])
def many(request, monkeypatch):
    monkeypatch.setattr(features, "SIEVE_FROM_TEXTS", request.param)


@pytest.fixture
def few_buckets(monkeypatch):
    """So few that most rare terms share one with another, and get through."""
    monkeypatch.setattr(features, "SIEVE_BUCKETS", 64)


@pytest.mark.parametrize("parameters", PARAMETERS, ids=str)
def test_terms_and_weights_are_scikit_learns_to_the_bit(parameters, texts, many):
    assert_same(TfidfVectorizer(**parameters), TfidfVectorizer(**parameters), texts)


@pytest.mark.parametrize("parameters", PARAMETERS[:3], ids=str)
def test_terms_that_share_a_bucket_do_not_matter(parameters, texts, many, few_buckets):
    assert_same(TfidfVectorizer(**parameters), TfidfVectorizer(**parameters), texts)


def assert_same(theirs, ours, texts):
    expected, found = theirs.fit_transform(texts), features.tfidf(ours, texts)
    assert type(found) is type(expected)
    assert found.shape == expected.shape
    for part in ("indptr", "indices", "data"):
        one, other = getattr(expected, part), getattr(found, part)
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()
    assert ours.vocabulary_ == theirs.vocabulary_
    assert ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()
    assert ours.idf_.tobytes() == theirs.idf_.tobytes()
    assert (ours.transform(texts) != theirs.transform(texts)).nnz == 0


def test_a_vocabulary_that_is_given_is_kept(texts, many):
    chosen = {"vocabulary": ["wa", "zoë"]}
    assert_same(TfidfVectorizer(**chosen), TfidfVectorizer(**chosen), texts)


@pytest.mark.parametrize("parameters", PARAMETERS[:2], ids=str)
def test_of_texts_apart_terms_and_weights_are_those_of_the_seen_ones(parameters, texts, many):
    counts = features.counted(TfidfVectorizer(**parameters), texts)
    found = features.weighted_apart(TfidfVectorizer(**parameters), counts[:300], counts[300:])
    theirs = TfidfVectorizer(**parameters)
    expected = theirs.fit_transform(texts[:300]), theirs.transform(texts[300:])
    for one, other in zip(found, expected, strict=True):
        assert abs(one - other).max() < 1e-15


def test_rare_terms_are_not_even_remembered(texts, monkeypatch):
    monkeypatch.setattr(features, "SIEVE_FROM_TEXTS", 1)
    seen, counted = [], features._counted

    def spy(*arguments):
        seen.append(counted(*arguments))
        return seen[-1]

    monkeypatch.setattr(features, "_counted", spy)
    vectorizer = TfidfVectorizer(ngram_range=(1, 3), min_df=2)
    features.tfidf(vectorizer, texts)
    every = TfidfVectorizer(ngram_range=(1, 3)).fit(texts).vocabulary_
    [(terms, _)] = seen
    assert sorted(terms) == sorted(vectorizer.vocabulary_)
    assert len(terms) < 0.6 * len(every)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_of_equally_frequent_terms_the_first_in_the_alphabet_stay(size, many):
    texts = ["cc bb aa dd", "dd cc bb aa", "dd ee", "ee zz"]
    vectorizer = TfidfVectorizer(max_features=size)
    features.tfidf(vectorizer, texts)
    assert list(vectorizer.vocabulary_) == sorted(["dd", "aa", "bb", "cc", "ee"][:size])


def test_the_most_frequent_terms_are_scikit_learns(texts, many):
    theirs = TfidfVectorizer(max_features=4, ngram_range=(1, 2))
    assert_same(theirs, TfidfVectorizer(max_features=4, ngram_range=(1, 2)), texts)


@pytest.mark.parametrize(
    "parameters",
    [
        {"min_df": 1000},
        {"min_df": 5, "max_df": 4},
        {"min_df": -1},
        {"min_df": "2"},
        {"norm": "l3"},
        {"analyzer": "chars"},
        {"ngram_range": (2, 1)},
        {"token_pattern": "%%"},
    ],
    ids=str,
)
def test_what_the_vectorizer_refuses_is_refused(parameters, texts, many):
    with pytest.raises(ValueError, match=r"."):
        TfidfVectorizer(**parameters).fit(texts)
    with pytest.raises(ValueError, match=r"."):
        features.tfidf(TfidfVectorizer(**parameters), texts)
