"""Compare models by cross-validation; print the tables of docs/model-tables.md.

Runs inside the image: choose_model.py [--data SOURCE] [--repeats N]. It sees the training part of
the source and nothing else; what load_corpus holds out stays held out.
"""

import json
import sys
import time
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.base import clone
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import f1_score
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.naive_bayes import ComplementNB
from sklearn.pipeline import make_pipeline, make_union
from sklearn.svm import LinearSVC

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from pressbox.console import Parser, note, reporting
from pressbox.data import corpus, sources
from pressbox.learning import features
from pressbox.learning.calibration import best_temperature, least_threshold, out_of_fold

# What a word is.
NO_DIGITS = r"(?u)\b[^\W\d_]{2,}\b"
ONE_LETTER = r"(?u)\b\w+\b"
HYPHENS = r"(?u)\b\w[\w'\u2019-]+\b"
# Stop words that are cut to six letters stay, or go, as a whole.
STEMS = {
    "token_pattern": r"(?u)\b(\w\w{1,5})\w*",
    "stop_words": sorted({word[:6] for word in ENGLISH_STOP_WORDS if len(word) > 1}),
}
# Near enough for a comparison; train.py goes on to the optimum.
TOLERANCE = 1e-4
BINS = 10


def words(**parameters):
    chosen = {"ngram_range": (1, 2), "min_df": 2, "stop_words": "english", "sublinear_tf": True}
    return TfidfVectorizer(**{**chosen, **parameters})


def letters(first, last):
    return words(analyzer="char_wb", ngram_range=(first, last), stop_words=None)


def regression(penalty=30, **parameters):
    return LogisticRegression(C=penalty, solver="newton-cg", tol=TOLERANCE, **parameters)


CHOSEN = "**words and pairs, stop words, C=30**"
# What a model can keep: one TfidfVectorizer, one LogisticRegression. Each differs from the chosen
# one by what its name says.
CANDIDATES = {
    CHOSEN: (words(), regression()),
    "stop words kept": (words(stop_words=None), regression()),
    "C=1": (words(), regression(1)),
    "C=3": (words(), regression(3)),
    "C=10": (words(), regression(10)),
    "C=100": (words(), regression(100)),
    "C=300": (words(), regression(300)),
    "class_weight='balanced'": (words(), regression(class_weight="balanced")),
    "words alone": (words(ngram_range=(1, 1)), regression()),
    "words alone, stop words kept": (words(ngram_range=(1, 1), stop_words=None), regression()),
    "up to triples": (words(ngram_range=(1, 3)), regression()),
    "min_df=1": (words(min_df=1), regression()),
    "min_df=3": (words(min_df=3), regression()),
    "plain counts": (words(sublinear_tf=False), regression()),
    "binary": (words(sublinear_tf=False, binary=True), regression()),
    "max_df=0.1 for the stop words": (words(stop_words=None, max_df=0.1), regression()),
    "max_df=0.1 as well": (words(max_df=0.1), regression()),
    "no digits": (words(token_pattern=NO_DIGITS), regression()),
    "one-letter words": (words(token_pattern=ONE_LETTER), regression()),
    "hyphens and apostrophes": (words(token_pattern=HYPHENS), regression()),
    "accents stripped": (words(strip_accents="unicode"), regression()),
    "upper and lower case": (words(lowercase=False), regression()),
    "words cut to six letters": (words(**STEMS), regression()),
    "letters, 4 to 5": (letters(4, 5), regression()),
    "letters, 3 to 5": (letters(3, 5), regression()),
}
# What it cannot, to know what that costs.
RIVALS = {
    "scikit-learn's defaults": (TfidfVectorizer(), LogisticRegression(max_iter=1000)),
    "ComplementNB": (words(), ComplementNB()),
    "LinearSVC": (words(), LinearSVC()),
    "RidgeClassifier": (words(), RidgeClassifier()),
    "words, pairs and letters 4 to 5": (make_union(words(), letters(4, 5)), regression()),
}


def scores(model, texts):
    """What the model would take the softmax of: (n_texts, n_classes)."""
    if hasattr(model, "decision_function"):
        found = model.decision_function(texts)
    else:
        found = model.predict_log_proba(texts)
    return np.column_stack([np.zeros_like(found), found]) if found.ndim == 1 else found


def log_loss(found, truth):
    return -log_softmax(found, axis=1)[np.arange(len(truth)), truth].mean()


def calibration_error(chances, truth):
    """Expected calibration error: by how much confidence and accuracy differ, over ten bins."""
    sure, right = chances.max(axis=1), chances.argmax(axis=1) == truth
    edges = np.append(np.arange(BINS) / BINS, np.inf)
    bins = [(sure >= low) & (sure < high) for low, high in pairwise(edges)]
    return sum(abs((sure[part] - right[part]).sum()) for part in bins) / len(truth)


class Source:
    """The training part of a source: texts, labels, and the splits to compare models on."""

    def __init__(self, name, repeats):
        rows = corpus.load_corpus(name).train
        self.texts = np.array([text for text, _ in rows], dtype=object)
        self.labels = np.array([label for _, label in rows])
        self.truth = np.unique(self.labels, return_inverse=True)[1]
        folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=repeats, random_state=0)
        self.folds = list(folds.split(self.texts, self.labels))
        self.registers = self._registers() if name == "newsroom" else []

    def _registers(self):
        lines = map(json.loads, sources.EMBEDDED.read_text().splitlines())
        register = {line["text"]: line["register"] for line in lines}
        register = np.array([register[text] for text in self.texts])
        return [
            (np.flatnonzero(register != left_out), np.flatnonzero(register == left_out))
            for left_out in sorted(set(register))
        ]


class Trial:
    """A model on a list of splits: scores of what it had not seen, cost, and how right it was."""

    def __init__(self, source, splits, vectorizer, estimator):
        model = make_pipeline(clone(vectorizer), clone(estimator))
        self.found, self.truth, self.terms, self.seconds = [], [], [], []
        for seen, unseen in splits:
            start = time.process_time()
            model.fit(source.texts[seen], source.labels[seen])
            self.seconds.append(time.process_time() - start)
            self.terms.append(len(model[0].get_feature_names_out()))
            self.found.append(scores(model, source.texts[unseen]))
            self.truth.append(source.truth[unseen])
        pairs = list(zip(self.found, self.truth, strict=True))
        self.accuracy = np.array([(found.argmax(axis=1) == truth).mean() for found, truth in pairs])
        self.f1 = np.array(
            [f1_score(truth, found.argmax(axis=1), average="macro") for found, truth in pairs]
        )

    def calibrated(self):
        """Probabilities, the temperature of each fold learned from the four others beside it."""
        chances = []
        for number, found in enumerate(self.found):
            first = number - number % 5
            others = [other for other in range(first, first + 5) if other != number]
            degree = best_temperature(
                np.concatenate([self.found[other] for other in others]),
                np.concatenate([self.truth[other] for other in others]),
            )
            chances.append(softmax(found / degree, axis=1))
        return np.concatenate(chances)


def mean(numbers):
    return f"{np.mean(numbers):.3f} ± {np.std(numbers, ddof=1) / len(numbers) ** 0.5:.3f}"


def difference(numbers, chosen):
    numbers = numbers - chosen
    return f"{np.mean(numbers):+.3f} ± {np.std(numbers, ddof=1) / len(numbers) ** 0.5:.3f}"


def table(*columns):
    row(*columns)
    row(*["---"] * len(columns))


def row(*cells):
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def compare(source, models):
    """A line for each model; differences are to the chosen one, fold by fold."""
    table(
        *("model", "accuracy", "difference", "macro F1"),
        *(("register left out", "difference") if source.registers else ()),
        *("log loss", "ECE", "terms", "fit, s"),
    )
    chosen = None
    for name, model in models.items():
        note(name)
        trials = [
            Trial(source, splits, *model) for splits in (source.folds, source.registers) if splits
        ]
        chosen = chosen or trials
        cells = [name]
        for trial, best, f1 in zip(trials, chosen, (True, False), strict=False):
            cells += [mean(trial.accuracy), difference(trial.accuracy, best.accuracy)]
            cells += [mean(trial.f1)] if f1 else []
        folds = trials[0]
        chances, truth = folds.calibrated(), np.concatenate(folds.truth)
        row(
            *cells,
            f"{-np.log(chances[np.arange(len(truth)), truth]).mean():.3f}",
            f"{calibration_error(chances, truth):.3f}",
            f"{np.mean(folds.terms):.0f}",
            f"{np.median(folds.seconds):.2f}",
        )


def calibrate(source, splits):
    """What temperature and threshold are worth where they were not learned; the chosen model."""
    trial = Trial(source, splits, *CANDIDATES[CHOSEN])
    ways = {"raw": [], "temperature": [], "a scale and an offset for each label": []}
    kept = {target: [] for target in (0.9, 0.95)}
    degrees = []
    for (seen, _), found, truth in zip(splits, trial.found, trial.truth, strict=True):
        vectorizer, estimator = map(clone, CANDIDATES[CHOSEN])
        counts = features.counted(vectorizer, source.texts[seen])
        inner = out_of_fold(counts, source.labels[seen], vectorizer, estimator)
        degree = best_temperature(*inner)
        degrees.append(degree)
        ways["raw"].append(found)
        ways["temperature"].append(found / degree)
        ways["a scale and an offset for each label"].append(_each_label(*inner, degree)(found))
        chances = softmax(found / degree, axis=1)
        right, sure = chances.argmax(axis=1) == truth, chances.max(axis=1)
        for target, figures in kept.items():
            least = least_threshold(log_softmax(inner[0] / degree, axis=1), inner[1], target)
            figures.append((least, len(truth), (sure >= least).sum(), right[sure >= least].sum()))
    truth = np.concatenate(trial.truth)
    table("probabilities", "accuracy", "mean confidence", "log loss", "ECE")
    for name, found in ways.items():
        found = np.concatenate(found)
        chances = softmax(found, axis=1)
        row(
            name,
            f"{(found.argmax(axis=1) == truth).mean():.3f}",
            f"{chances.max(axis=1).mean():.3f}",
            f"{log_loss(found, truth):.3f}",
            f"{calibration_error(chances, truth):.3f}",
        )
    print(f"\nTemperatures {min(degrees)} to {max(degrees)}.\n")
    table("right when sure, wanted", "share sure", "right when sure", "thresholds")
    for target, figures in kept.items():
        least, texts, sure, right = np.array(figures).T
        share, correct = sure.sum() / texts.sum(), right.sum() / sure.sum()
        row(target, f"{share:.3f}", f"{correct:.3f}", f"{min(least):.2f} to {max(least):.2f}")


def _each_label(found, truth, degree):
    labels = found.shape[1]

    def scaled(weights, found):
        return found / degree * weights[:labels] + weights[labels:]

    start = np.append(np.ones(labels), np.zeros(labels))
    best = minimize(
        lambda weights: (
            log_loss(scaled(weights, found), truth) + 1e-3 * ((weights - start) ** 2).sum()
        ),
        start,
    ).x
    return lambda found: scaled(best, found)


def main():
    parser = Parser(description=__doc__)
    parser.add_argument("--data", metavar="SOURCE", default="newsroom")
    parser.add_argument("--repeats", metavar="N", type=int, default=5, help="of five folds")
    arguments = parser.parse_args()
    # max_df=0.1 and stop words that are cut: scikit-learn wonders, we mean it.
    warnings.simplefilter("ignore", UserWarning)
    with reporting():
        source = Source(arguments.data, arguments.repeats)
        print(f"{len(source.texts)} texts, {len(source.folds)} splits\n")
        compare(source, CANDIDATES | RIVALS)
        print("\nFolds:\n")
        calibrate(source, source.folds)
        if source.registers:
            print("\nRegisters left out:\n")
            calibrate(source, source.registers)


if __name__ == "__main__":
    main()
