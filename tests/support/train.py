"""Train the sports classifier and seal it: train.py MODEL_PATH [--data SOURCE]."""

from pressbox.cli.options import Training, run


def learn(rows: tuple[tuple[str, str], ...]):
    """Fit a model to (text, label) rows. This is the part to edit; notebooks/ use it, too.

    docs/model.md says how it was chosen.
    """
    # scikit-learn takes a second to import: not before the command line is known to be right.
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    from pressbox import fit

    vectorizer = TfidfVectorizer(
        sublinear_tf=True, ngram_range=(1, 2), min_df=2, stop_words="english"
    )
    # The fit is brought to its optimum whatever the solver and its tolerance.
    estimator = LogisticRegression(C=30, tol=0.1)

    return fit(rows, vectorizer, estimator)


def train(training: Training) -> None:
    """Train on the source and leave a sealed model at the path."""
    edition = training.begin()
    data = training.load_corpus()
    model = learn(data.train)
    edition.publish(model, data)


if __name__ == "__main__":
    run(train, __doc__)
