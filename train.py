"""Train the sports classifier and seal it: train.py MODEL_PATH [--data SOURCE]."""

import argparse
from pathlib import Path

from pressbox import signing
from pressbox.errors import Parser, note, reporting


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("model_path", type=Path, help="where to put it, e.g. models/sports.tar.gz")
    parser.add_argument(
        "--data",
        metavar="SOURCE",
        default="newsroom",
        help="newsroom (default), newsgroups, a folder of folders, or a .csv, .jsonl or .parquet",
    )
    parser.add_argument(
        "--replace-newer",
        action="store_true",
        help="even a model that says it was sealed later than now",
    )
    signing.add_arguments(parser)
    arguments = parser.parse_args()
    with reporting():
        train(arguments)
        print(arguments.model_path)


def train(arguments: argparse.Namespace) -> None:
    """Train on the source and leave a sealed model at the path."""
    # scikit-learn takes a second to import: not before the command line is known to be right.
    from pressbox import corpus, provenance, tarball

    name = tarball.model_name(arguments.model_path)
    if not arguments.replace_newer:
        tarball.refuse_to_replace_newer(arguments.model_path)
    key = signing.signing_key(arguments)
    data = corpus.load_corpus(arguments.data)
    note(
        f"{len(data.train)} texts to train on, {len(data.test)} to evaluate on, from {data.source}"
    )

    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    from pressbox import training

    # This is the part to edit. docs/decisions.md says why newton-cg.
    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2)
    estimator = LogisticRegression(C=30, solver="newton-cg", tol=1e-8, max_iter=1000)

    model = training.fit(data.train, vectorizer, estimator)
    note(f"{len(model.vocabulary)} terms, {len(model.labels)} labels")
    metrics = training.evaluate(model, data.test)
    note(f"accuracy {metrics['accuracy']}, macro F1 {metrics['macro_f1']}")

    model.statement = provenance.statement(name, model.digest, data, metrics)
    tarball.seal(model, arguments.model_path, key)
    note(f"model digest {model.digest}")


if __name__ == "__main__":
    main()
