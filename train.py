"""Train the sports classifier and seal it: train.py MODEL_PATH [--data SOURCE]."""

import argparse
from pathlib import Path

from pressbox.errors import note, reporting


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model_path", type=Path, help="where to put it, e.g. models/sports.tar.gz")
    parser.add_argument(
        "--data",
        metavar="SOURCE",
        default="newsroom",
        help="newsroom (default), newsgroups, a folder of folders, or a .csv, .jsonl or .parquet",
    )
    arguments = parser.parse_args()
    with reporting():
        train(arguments.model_path, arguments.data)
        print(arguments.model_path)


def train(path: Path, source: str) -> None:
    """Train on the source and leave a sealed model at the path."""
    # scikit-learn takes a second to import: not before the command line is known to be right.
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    from pressbox import corpus, keys, provenance, tarball, training
    from pressbox.classifier import payload, payload_digest

    name = tarball.model_name(path)
    key = keys.signing_key()
    data = corpus.load_corpus(source)
    note(f"{len(data.train)} texts to train on, {len(data.test)} to evaluate on, from {source}")

    # This is the part to edit. docs/decisions.md says why newton-cg.
    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2)
    estimator = LogisticRegression(C=30, solver="newton-cg", tol=1e-12, max_iter=1000)

    model = training.fit(data.train, vectorizer, estimator)
    note(f"{len(model.vocabulary)} terms, {len(model.labels)} labels")
    metrics = training.evaluate(model, data.test)
    note(f"accuracy {metrics['accuracy']}, macro F1 {metrics['macro_f1']}")

    digest = payload_digest(payload(model))
    model.statement = provenance.statement(name, digest, data, metrics)
    tarball.seal(model, path, key)
    note(f"model digest {digest}")


if __name__ == "__main__":
    main()
