"""Train the sports classifier and seal it: train.py MODEL_PATH [--data SOURCE]."""

import argparse
import os
from pathlib import Path

from pressbox.console import Parser, note, reporting
from pressbox.data import tables
from pressbox.trust import signing_key


def train(arguments: argparse.Namespace) -> None:
    """Train on the source and leave a sealed model at the path."""
    # scikit-learn takes a second to import: not before the command line is known to be right.
    from pressbox.data.corpus import load_corpus
    from pressbox.runs import publishing

    edition = publishing.begin(
        arguments.model_path,
        signing_key.signing_key(arguments),
        release=arguments.release,
        allow_drift=arguments.allow_drift,
        replace_newer=arguments.replace_newer,
        with_page=arguments.page,
    )
    data = load_corpus(arguments.data, arguments.test, tables.layout(arguments))
    origin = f"{data.source} and {data.test_source}" if data.test_source else data.source
    note(f"{len(data.train)} texts to train on, {len(data.test)} to evaluate on, from {origin}")

    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    from pressbox.learning.training import fit

    # This is the part to edit; docs/model.md says how it was chosen. The fit is brought to its
    # optimum whatever the solver and its tolerance.
    vectorizer = TfidfVectorizer(
        sublinear_tf=True, ngram_range=(1, 2), min_df=2, stop_words="english"
    )
    estimator = LogisticRegression(C=30, tol=0.1)

    model = fit(data.train, vectorizer, estimator)
    note(f"{len(model.vocabulary)} terms, {len(model.labels)} labels")
    edition.publish(model, data)


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("model_path", type=Path, help="where to put it, e.g. models/sports.tar.gz")
    parser.add_argument(
        "--data",
        metavar="SOURCE",
        default="newsroom",
        help="newsroom (default), newsgroups, a folder of texts, or a table: .csv, .tsv, .jsonl,"
        " .json, .parquet, a folder of such parts; each also .gz or .zst",
    )
    parser.add_argument(
        "--test", metavar="SOURCE", default="", help="evaluate on another source than the training"
    )
    tables.add_arguments(parser)
    parser.add_argument(
        "--no-page",
        dest="page",
        action="store_false",
        help="write no page beside the model, and let it hold no text for one",
    )
    parser.add_argument(
        "--replace-newer",
        action="store_true",
        help="even a model that says it was sealed later than now",
    )
    parser.add_argument(
        "--allow-drift",
        action="store_true",
        help="even in an environment that is not as it was built; the model says so for ever",
    )
    signing_key.add_arguments(parser)
    arguments = parser.parse_args()
    signing_key.leave_environment(hand_over=True)
    with reporting():
        train(arguments)
        # A door of the scripts prints the model's path on the host.
        if "PRESSBOX_DOOR" not in os.environ:
            print(arguments.model_path)


if __name__ == "__main__":
    main()
