"""Train, beside scikit-learn as it comes: a line for each, name, value and unit.

Runs inside the image: training.py [--large]. 20 Newsgroups is trained on where the folder
that PRESSBOX_REAL_DATA names has it; with --large so are 1,000, 10,000 and 100,000 made-up texts,
each by a train.py of its own. Memory is the peak of that process, texts and libraries included.
"""

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from pressbox import ROOT

SIZES = (1_000, 10_000, 100_000)
RUNS = 5
PLAIN = """
import json, sys
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
rows = [json.loads(line) for line in open(sys.argv[1])]
matrix = TfidfVectorizer({}).fit_transform([row["text"] for row in rows])
LogisticRegression().fit(matrix, [row["label"] for row in rows])
"""


def row(name, value, unit="s"):
    print(f"{name}\t{value:.2f}\t{unit}", flush=True)


# Made-up texts: 200,000 words and 3,000,000 phrases of two of them, both as frequent as Zipf's law
# has it. 1,200 such texts have somewhat more words and pairs than as many of 20 Newsgroups.
WORDS, PHRASES, LABELS = 200_000, 3_000_000, ("even", "odd")
SYLLABLES = [consonant + vowel for consonant in "bcdfghjklmnprst" for vowel in "aeiou"]


def texts(count):
    """(text, label), one after the other, about 300 words each, the same each time."""
    random = np.random.default_rng(0)
    words = np.array([_word(number) for number in range(WORDS)])
    of_words, of_phrases = _zipf(WORDS, 1.15, 8), _zipf(PHRASES, 1, 3)

    def draw(law, size):
        return np.searchsorted(law, random.random(size))

    phrases = np.stack([draw(of_words, PHRASES), draw(of_words, PHRASES)], axis=1)
    for number in range(count):
        label = number % 2
        length = np.clip(int(random.lognormal(5.45, 0.7)), 20, 5000) // 2
        fresh = draw(of_words, (length, 2))
        drawn = np.where(random.random((length, 1)) < 0.8, phrases[draw(of_phrases, length)], fresh)
        # What tells the labels apart: of some words, each has its own of two equally frequent ones.
        own = random.random(drawn.shape) < 0.1
        drawn = np.where(own, drawn // 2 * 2 + label, drawn)
        yield " ".join(words[drawn.ravel()]), LABELS[label]


def _word(number):
    word = ""
    for _ in range(3):
        number, syllable = divmod(number, len(SYLLABLES))
        word += SYLLABLES[syllable]
    return word


def _zipf(size, exponent, shift):
    frequencies = 1 / (np.arange(size) + shift) ** exponent
    return np.cumsum(frequencies) / frequencies.sum()


def write(count, path):
    with open(path, "w") as file:
        for text, label in texts(count):
            file.write(json.dumps({"text": text, "label": label}) + "\n")


def by_size(folder):
    for size in SIZES:
        path, name = Path(folder, "texts.jsonl"), f"{size:,} texts"
        alone(write, size * 5 // 4, path)  # a fifth of the rows is not trained on
        measured("train.py", name, "train.py", Path(folder, "bench.tar.gz"), "--data", path)
        if size == min(SIZES):
            measured("scikit-learn's defaults", name, "-c", PLAIN.format(""), path)
            measured(
                "its defaults, word pairs", name, "-c", PLAIN.format("ngram_range=(1, 2)"), path
            )


def alone(work, *arguments):
    """Do it in another process: what this one takes counts as the peak of those that it starts."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(f"{work.__name__} failed")


def measured(what, name, *command):
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *map(str, command)], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{what} failed")
    row(f"{what}, {name}", time.perf_counter() - start)
    row(f"memory of {what}, {name}", usage.ru_maxrss / 1000, "MB")


def on_newsgroups(folder):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    from pressbox.data import corpus
    from pressbox.learning import training

    with tarfile.open(Path(os.environ["PRESSBOX_REAL_DATA"], "20news-bydate-sport.tar.xz")) as file:
        file.extractall(folder, filter="data")
    rows = corpus.load_corpus(str(Path(folder, "20news"))).train
    texts, labels = zip(*rows, strict=True)

    def ours(**parameters):
        vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2, **parameters)
        estimator = LogisticRegression(C=30, tol=0.1)
        training.fit(rows, vectorizer, estimator)

    def plain(threads, **parameters):
        with threadpool_limits(threads, "blas"):
            matrix = TfidfVectorizer(**parameters).fit_transform(texts)
            LogisticRegression().fit(matrix, labels)

    # As it comes, BLAS takes a thread for each CPU; here it is told to take one.
    contenders = {
        "fit, calibration included": ours,
        "scikit-learn's defaults": partial(plain, os.cpu_count()),
        "its defaults, one BLAS thread": partial(plain, 1),
    }
    for kind, parameters in (("words", {}), ("word pairs", {"ngram_range": (1, 2)})):
        # Turn about, so that a busy moment of the machine hits all.
        times = [[timed(work, parameters) for work in contenders.values()] for _ in range(RUNS)]
        for name, median in zip(contenders, medians(times), strict=True):
            row(f"20 Newsgroups, {kind}: {name}", median)


def timed(work, parameters):
    start = time.perf_counter()
    work(**parameters)
    return time.perf_counter() - start


def medians(times):
    return [statistics.median(column) for column in zip(*times, strict=True)]


def main():
    with tempfile.TemporaryDirectory() as folder:
        if os.environ.get("PRESSBOX_REAL_DATA"):
            alone(on_newsgroups, folder)
        if "--large" in sys.argv:
            by_size(folder)


if __name__ == "__main__":
    main()
