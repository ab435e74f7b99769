"""The terms of texts and their weights: what TfidfVectorizer makes of them, in less memory.

Most word pairs of a large corpus occur in a single text, and ``min_df`` throws them away again; to
remember each until then takes gigabytes. Here a first pass counts texts by the hash of the term,
and the second remembers only terms that can be frequent enough.
"""

import warnings
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from numbers import Integral

import numpy as np
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer

# From so many texts on, the first pass is worth its time. A bucket is a byte; the more there are,
# the fewer rare terms get through because they share one.
SIEVE_FROM_TEXTS = 20_000
SIEVE_BUCKETS = 1 << 26


def tfidf(vectorizer: TfidfVectorizer, texts: Sequence[str]) -> csr_array:
    """``vectorizer.fit_transform(texts)``, bit for bit: sparse (n_texts, n_terms), float64.

    But for one thing: where there are more than ``max_features`` terms, of equally frequent ones
    the first in the alphabet stay; the vectorizer leaves them to a sort that differs with the CPU.
    Sets ``vocabulary_`` and ``idf_`` of the vectorizer. Raises ValueError as it does.
    """
    return weighted(vectorizer, counted(vectorizer, texts))


def counted(vectorizer: TfidfVectorizer, texts: Sequence[str]) -> csr_array:
    """The first half of ``tfidf``: how often each term is in each text, (n_texts, n_terms) float64.

    Sets ``vocabulary_`` of the vectorizer. Raises ValueError if no term remains.
    """
    if vectorizer.vocabulary is not None:
        return CountVectorizer.fit_transform(vectorizer, texts).astype(np.float64)
    parameters = vectorizer.get_params()
    # scikit-learn checks the parameters, before anything depends on them.
    counter = {name: parameters[name] for name in CountVectorizer().get_params()}
    with warnings.catch_warnings():
        # Of what it warns, it warns again below.
        warnings.simplefilter("ignore")
        CountVectorizer(**{**counter, "vocabulary": ["a"]}).fit(["a"])
    least, most = _bounds(vectorizer, len(texts))

    terms, counts = _counted(_analyzer(vectorizer, texts, least), texts)
    if vectorizer.binary:
        counts.data.fill(1)
    kept = _kept(terms, counts, least, most, vectorizer.max_features)
    # Each step lets go of what the one before it made: these are the largest arrays of a training.
    counts = counts if len(kept) == len(terms) else counts[:, np.sort(kept)]
    vectorizer.vocabulary_ = {terms[number]: place for place, number in enumerate(kept)}
    return _in_order(counts, kept)


def weighted(vectorizer: TfidfVectorizer, counts: csr_array) -> csr_array:
    """The other half: the counts (n_texts, n_terms), overwritten with the weights.

    Sets ``idf_`` of the vectorizer, if it uses that.
    """
    weighting = _weighting(vectorizer).fit(counts)
    if vectorizer.use_idf:
        vectorizer.idf_ = weighting.idf_
    return weighting.transform(counts, copy=False)


def idf(vectorizer: TfidfVectorizer) -> np.ndarray:
    """The weight of each term of a vectorizer that ``weighted`` has set: (n_terms,)."""
    return vectorizer.idf_ if vectorizer.use_idf else np.ones(len(vectorizer.vocabulary_))


def weighted_apart(
    vectorizer: TfidfVectorizer, seen: csr_array, unseen: csr_array
) -> tuple[csr_array, csr_array]:
    """Weights for the counts of some texts, and for those of others that nothing is learned from.

    seen, unseen: (n_seen, n_terms) and (n_unseen, n_terms); what is returned has the columns of the
    terms that are frequent enough in the seen ones. The vectorizer is not changed. Raises
    ValueError if no term is.
    """
    if vectorizer.vocabulary is None:
        columns = _frequent(seen, *_bounds(vectorizer, seen.shape[0]))
        seen, unseen = seen[:, columns], unseen[:, columns]
    weighting = _weighting(vectorizer).fit(seen)
    return weighting.transform(seen), weighting.transform(unseen)


def _weighting(vectorizer: TfidfVectorizer) -> TfidfTransformer:
    parameters = vectorizer.get_params()
    return TfidfTransformer(**{name: parameters[name] for name in TfidfTransformer().get_params()})


def _bounds(vectorizer: TfidfVectorizer, count: int) -> tuple[float, float]:
    """In how many of so many texts a term has to be, and may be."""
    least, most = (
        int(share) if isinstance(share, Integral) else share * count
        for share in (vectorizer.min_df, vectorizer.max_df)
    )
    if most < least:
        raise ValueError("max_df corresponds to < documents than min_df")
    return least, most


def _analyzer(
    vectorizer: TfidfVectorizer, texts: Sequence[str], least: float
) -> Callable[[str], Iterable[str]]:
    """What makes terms of a text; rare ones may be left out, if that is worth it."""
    analyze = vectorizer.build_analyzer()
    if len(texts) < SIEVE_FROM_TEXTS or least <= 1:
        return analyze
    enough = min(int(np.ceil(least)), np.iinfo(np.uint8).max)
    texts_with = np.zeros(SIEVE_BUCKETS, np.uint8)
    for text in texts:
        buckets = np.unique(_buckets(analyze(text)))
        texts_with[buckets] += texts_with[buckets] < enough

    def sieve(text: str) -> Iterable[str]:
        terms = analyze(text)
        return compress(terms, (texts_with[_buckets(terms)] == enough).tobytes())

    return sieve


def _buckets(terms: list[str]) -> np.ndarray:
    return np.fromiter(map(hash, terms), np.int64, len(terms)) & (SIEVE_BUCKETS - 1)


def _counted(
    analyze: Callable[[str], Iterable[str]], texts: Sequence[str]
) -> tuple[list[str], csr_array]:
    """The terms in the order in which they are first seen, and the count of each in each text."""
    numbers = defaultdict()
    numbers.default_factory = numbers.__len__
    columns, counts, ends = array("i"), array("i"), array("q", [0])
    for text in texts:
        found = Counter(map(numbers.__getitem__, analyze(text)))
        columns.extend(found.keys())
        counts.extend(found.values())
        ends.append(len(columns))
    if not numbers:
        raise ValueError("empty vocabulary; perhaps the documents only contain stop words")
    # SciPy would make long integers of all if one of the three has them.
    index = np.int32 if ends[-1] <= np.iinfo(np.int32).max else np.int64
    parts = (np.frombuffer(counts, "i"), np.frombuffer(columns, "i"), np.array(ends, index))
    matrix = csr_array(parts, shape=(len(texts), len(numbers)))
    matrix.sort_indices()
    return list(numbers), matrix


def _kept(
    terms: list[str], counts: csr_array, least: float, most: float, max_features: int | None
) -> list[int]:
    """The numbers of the terms that stay, in the alphabet's order."""
    stay = sorted(_frequent(counts, least, most), key=terms.__getitem__)
    if max_features is not None and len(stay) > max_features:
        totals = counts.sum(axis=0)[stay]
        stay = np.array(stay)[np.sort(np.argsort(-totals, kind="stable")[:max_features])].tolist()
    return stay


def _frequent(counts: csr_array, least: float, most: float) -> list[int]:
    frequency = np.bincount(counts.indices, minlength=counts.shape[1])
    stay = np.flatnonzero((frequency >= least) & (frequency <= most)).tolist()
    if not stay:
        raise ValueError("no terms remain; try a lower min_df or a higher max_df")
    return stay


def _in_order(counts: csr_array, kept: list[int]) -> csr_array:
    """The columns in the order of ``kept``, as floats. The entries of a row stay in their order."""
    places = np.argsort(kept).astype(np.int32)
    entries = (counts.data.astype(np.float64), places[counts.indices], counts.indptr)
    return csr_array(entries, shape=counts.shape)
