"""Fit, canonical form, evaluation."""

import contextlib
import copy
import json

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from support.models import WORDS, shuffled, solver, write_jsonl

from pressbox.classifier import SportClassifier
from pressbox.data import corpus as corpora
from pressbox.data.corpus import load_corpus
from pressbox.errors import PressboxError, UsageError
from pressbox.learning import calibration, newton, training
from pressbox.sealing import tarball
from pressbox.trust.signing_key import demo_key


def test_shuffled_rows_give_the_same_model_digest(rows, fitted, fit, tmp_path):
    other = fit(load_corpus(str(write_jsonl(tmp_path / "a.jsonl", shuffled(rows)))).train)
    assert other.digest == fitted.digest


def test_what_is_given_to_fit_is_not_changed(rows):
    given = (TfidfVectorizer(), solver())
    before = [copy.deepcopy(vars(each)) for each in given]
    training.fit(rows, *given)
    assert [vars(each) for each in given] == before


def test_what_was_fitted_on_other_rows_makes_no_difference(rows):
    vectorizer, estimator = TfidfVectorizer(), solver(warm_start=True)
    untouched = training.fit(rows, vectorizer, estimator).digest
    texts, labels = zip(*rows[::2], strict=True)
    estimator.fit(vectorizer.fit_transform(texts), labels)
    assert training.fit(rows, vectorizer, estimator).digest == untouched


def test_other_texts_give_another_model_digest(corpus, fitted, fit):
    assert fit(corpus.train[1:]).digest != fitted.digest


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("short_of", [0, 1])
def test_a_model_that_is_sure_to_be_too_large_is_refused_before_the_fit(
    short_of, labels, rows, fit, monkeypatch
):
    kept = tuple(row for row in rows if row[1] in sorted(WORDS)[:labels])
    payload = fit(kept).payload()
    numbers = sum(len(payload[f"{name}.npy"]) - 128 for name in ("idf", "coefficients"))
    least = training._least_size(json.loads(payload["vocabulary.json"]), labels)
    assert numbers < least <= numbers + len(payload["vocabulary.json"])
    monkeypatch.setattr(training, "MAX_INFLATED_BYTES", least - short_of)
    monkeypatch.setattr(training, "calibrate", lambda *given: pytest.fail("it was begun"))
    with pytest.raises(PressboxError if short_of else pytest.fail.Exception) as refusal:
        fit(kept)
    assert ("raise min_df" in str(refusal.value)) == short_of


@pytest.mark.parametrize(
    ("estimator", "reason"),
    [
        ({"solver": "liblinear"}, "also penalises the intercept"),
        ({"C": np.inf}, "without a penalty"),
        ({"solver": "saga", "l1_ratio": 1}, "the optimum has edges"),
        ({"solver": "saga", "l1_ratio": 0.5}, "the optimum has edges"),
        ({"dual": True}, "dual"),
        ({"class_weight": {"gofl": 2.0}}, "class_weight names 'gofl', and no text has such"),
        ({"class_weight": {"golf": 0}}, "class_weight of 'golf' is 0, which is not a positive"),
        ({"class_weight": {"golf": -1.5}}, "is -1.5, which is not a positive number"),
        ({"class_weight": {"golf": "2"}}, "is '2', which is not a positive number"),
        ({"class_weight": {"golf": np.nan}}, "is nan, which is not a positive number"),
    ],
)
def test_an_estimator_without_the_one_optimum_is_refused(estimator, reason, rows, fit):
    with pytest.raises(UsageError, match=reason):
        fit(rows, estimator=estimator)


WRONG = ("(", "30", b"x", "", None, True, -1, 0, 0.5, 10**400, -1e400, float("nan"), 1j, [], [1],
         {}, {"a": 1}, (), (1,), (2, 1), (0, 1), ("a", "b"), (1, 10**9), object(), int,
         np.ones(2))  # fmt: skip


@pytest.mark.parametrize("name", sorted(TfidfVectorizer().get_params()))
def test_any_wrong_parameter_of_the_vectorizer_is_one_line_or_works(name, rows, recwarn):
    for value in WRONG:
        with contextlib.suppress(PressboxError):
            training.fit(rows, TfidfVectorizer(**{name: value}), solver())


@pytest.mark.parametrize("name", sorted(LogisticRegression().get_params()))
def test_any_wrong_parameter_of_the_estimator_is_one_line_or_works(name, rows, recwarn):
    for value in WRONG:
        with contextlib.suppress(PressboxError):
            training.fit(rows, TfidfVectorizer(), LogisticRegression(**{name: value}))


@pytest.mark.parametrize(
    ("vectorizer", "estimator", "reason"),
    [
        ({"token_pattern": "("}, {}, r"the vectorizer \(missing \), unterminated"),
        ({"ngram_range": (2, 1)}, {}, "the vectorizer .*ngram_range"),
        ({"ngram_range": ("a", "b")}, {}, "the vectorizer"),
        ({"stop_words": "klingon"}, {}, "the vectorizer .*klingon"),
        ({"norm": "l3"}, {}, "the vectorizer .*'norm'"),
        ({"min_df": -1}, {}, "the vectorizer .*'min_df'"),
        ({"ngram_range": (1, 10**9)}, {}, "ngram_range=.* too much memory"),
        ({}, {"C": "30"}, "the estimator .*'C' parameter"),
        ({}, {"max_iter": "many"}, "the estimator .*'max_iter'"),
        ({}, {"solver": "mine"}, "the estimator .*'solver'"),
    ],
)
def test_what_scikit_learn_refuses_is_said_in_one_line(vectorizer, estimator, reason, rows, fit):
    with pytest.raises(UsageError, match=reason):
        fit(rows, vectorizer, estimator)


def test_other_classes_than_scikit_learns_own_are_refused(rows):
    with pytest.raises(UsageError, match=r"^LogisticRegressionCV "):
        training.fit(rows, TfidfVectorizer(), LogisticRegressionCV())
    with pytest.raises(UsageError, match=r"^CountVectorizer "):
        training.fit(rows, CountVectorizer(), solver())


def test_a_fit_that_did_not_converge_is_no_model(rows, fit):
    with pytest.raises(PressboxError, match="converge within 1 iterations"):
        fit(rows, estimator={"max_iter": 1})


def test_a_fit_that_stays_away_from_the_optimum_is_no_model(rows, fit, monkeypatch):
    monkeypatch.setattr(newton, "MAX_NEWTON_STEPS", 0)
    with pytest.raises(PressboxError, match="away from its optimum"):
        fit(rows, estimator={"tol": 1e-2})


@pytest.mark.parametrize("labels", [2, 3])
def test_any_solver_and_any_tolerance_come_to_the_same_numbers(labels, rows, fit):
    rows = [row for row in rows if row[1] in list(WORDS)[:labels]]
    ways = [
        {"solver": "newton-cg", "tol": 1e-8},
        {"solver": "newton-cg", "tol": 10},
        {"solver": "lbfgs"},
        {"solver": "saga", "random_state": 1},
        {"solver": "newton-cholesky", "verbose": 0, "warm_start": True},
    ]
    models = [fit(rows, estimator={"C": 30, **way}) for way in ways]
    payloads = [{**model.payload(), "parameters.json": b""} for model in models]
    assert all(payload == payloads[0] for payload in payloads)
    assert "warm_start" not in models[-1].parameters["estimator"]


def test_each_part_of_a_training_says_that_it_goes_on(rows, model, monkeypatch, tmp_path):
    done = []

    @contextlib.contextmanager
    def doing(what):
        yield lambda step: done.append(f"{what}: {step}")
        done.append(what)

    for module in (calibration, corpora, newton, tarball, training):
        monkeypatch.setattr(module, "doing", doing)
    training.fit(
        load_corpus(str(write_jsonl(tmp_path / "a.jsonl", rows))).train, TfidfVectorizer(), solver()
    )
    tarball.seal(model, tmp_path / "small.tar.gz", demo_key())
    assert {"reading a.jsonl: 30", "finding the terms of 24 texts", "calibrating: fold 3 of 3",
            "fitting", "going on to the optimum: step 1", "signing the model",
            "opening what was signed"} <= set(done)  # fmt: skip


@pytest.mark.parametrize(
    "parameters",
    [{}, {"fit_intercept": False}, {"class_weight": "balanced"}, {"C": 1e-3}, {"C": 1e4}],
)
def test_a_certificate_says_that_rounding_has_one_outcome(parameters, rows, fit):
    certificate = fit(rows, estimator={"C": 30, **parameters}).certificate
    assert certificate["certified"] is True
    assert 0 < certificate["bound"] < certificate["margin"] <= 0.5e-4
    assert certificate["gradient"] < 1e-10
    assert certificate["decimals"] == 4


def test_what_cannot_be_certified_is_said_and_trained_all_the_same(rows, fit, monkeypatch, capsys):
    monkeypatch.setattr(training, "DECIMALS", 13)
    certificate = fit(rows).certificate
    assert certificate["certified"] is False
    assert certificate["margin"] <= certificate["bound"]
    assert "not certified, another machine may" in capsys.readouterr().err


def test_a_margin_is_the_distance_to_the_nearest_edge_of_rounding():
    margins = training._margins(np.array([0, 0.00005, 0.00004, -0.00006, 1.00002]))
    assert margins == pytest.approx([5e-5, 0, 1e-5, 1e-5, 3e-5], abs=1e-15)


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("parameters", [{}, {"norm": None}, {"C": 1e3}, {"fit_intercept": False}])
def test_no_number_is_farther_from_the_optimum_than_its_bound(labels, parameters, rows):
    rows = [row for row in rows if row[1] in list(WORDS)[:labels]]
    texts, y_true = zip(*rows, strict=True)
    vectorizer = TfidfVectorizer(norm=parameters.get("norm", "l2"), ngram_range=(1, 2))
    matrix = vectorizer.fit_transform(texts)
    chosen = {name: value for name, value in parameters.items() if name != "norm"}
    estimator = solver(**{"C": 30, "tol": 1e-4, **chosen}).fit(matrix, y_true)
    nearness = newton.polish(estimator, matrix, y_true)
    coefficients, intercepts = exact_optimum(vectorizer, estimator, texts, y_true)
    off = abs(estimator.coef_ - coefficients)
    assert (off <= nearness.coefficients).all()
    assert (abs(estimator.intercept_ - intercepts) <= nearness.intercepts).all()
    assert 0 < off.max() < nearness.coefficients.max() < 1e-8


def exact_optimum(vectorizer, estimator, texts, y_true):
    """Coefficients and intercepts in extended precision, by Newton's method from near them."""
    counts = CountVectorizer(vocabulary=vectorizer.vocabulary_, ngram_range=(1, 2))
    matrix = counts.transform(texts).toarray().astype(np.longdouble)
    matrix *= np.log(np.longdouble(1 + len(texts)) / (1 + (matrix > 0).sum(axis=0))) + 1
    if vectorizer.norm:
        matrix /= np.sqrt((matrix**2).sum(axis=1, keepdims=True))
    free = int(estimator.fit_intercept)
    matrix = np.hstack([matrix, np.full((len(texts), free), 1, np.longdouble)])
    penalised = np.ones(matrix.shape[1])
    penalised[len(penalised) - free :] = 0
    labels = len(estimator.classes_)
    right = np.asarray(y_true)[:, None] == estimator.classes_[None, :]
    point = np.hstack([estimator.coef_, estimator.intercept_[:, None]][: 1 + free]).T
    if labels == 2:
        point = np.hstack([-point, point]) / 2
    # Two labels as a softmax with columns w/2 and -w/2: the penalty counts twice what it was.
    penalised = penalised * (2 if labels == 2 else 1)
    point = point.astype(np.longdouble)
    for _ in range(4):
        exponentials = np.exp(matrix @ point - (matrix @ point).max(axis=1, keepdims=True))
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        gradient = estimator.C * (matrix.T @ (probabilities - right)) + penalised[:, None] * point
        hessian = np.zeros((labels, len(point), labels, len(point)))
        for i in range(labels):
            hessian[i, :, i] += np.diag(penalised)
            for j in range(labels):
                weights = estimator.C * probabilities[:, i] * ((i == j) - probabilities[:, j])
                hessian[i, :, j] += (matrix.T * weights) @ matrix
        size = labels * len(point)
        step = np.linalg.lstsq(hessian.reshape(size, size), gradient.T.ravel().astype(float))[0]
        point = point - step.reshape(labels, -1).T
    assert np.linalg.norm(gradient.astype(float)) < 1e-15
    if labels == 2:
        point = point[:, 1:] - point[:, :1]
    coefficients, intercepts = point[: len(point) - free].T, point[len(point) - free :].ravel()
    if labels > 2 and free:
        intercepts = intercepts - intercepts.mean()
    return coefficients, intercepts if free else 0


@pytest.mark.parametrize("labels", [2, 3])
def test_all_numbers_are_on_the_grid(labels, rows, fit):
    model = fit([row for row in rows if row[1] in list(WORDS)[:labels]])
    for numbers in (model.idf, model.coefficients, model.intercepts):
        assert numbers.dtype == np.float64
        assert np.array_equal(numbers, np.round(numbers, 4))
        assert not np.signbit(numbers[numbers == 0]).any()


def test_zeros_have_no_sign():
    assert not np.signbit(training.rounded(np.array([-0.0, -1e-5]))).any()


def test_intercepts_are_centred(rows, fit):
    model = fit(rows[:25])
    assert np.abs(model.intercepts).max() > 0.01
    assert abs(model.intercepts.sum()) < 5e-4


def expected_probabilities(model, vectorizer, estimator, rows, texts):
    """What scikit-learn's own fit on the rows says of the texts, at the model's temperature."""
    known, y_true = zip(*rows, strict=True)
    estimator.fit(vectorizer.fit_transform(known), y_true)
    estimator.coef_ /= model.parameters["temperature"]
    estimator.intercept_ /= model.parameters["temperature"]
    return estimator.predict_proba(vectorizer.transform(texts))


@pytest.mark.parametrize("labels", [2, 3])
def test_probabilitiesare_those_of_scikit_learn(labels, rows):
    rows = [row for row in rows if row[1] in list(WORDS)[:labels]]
    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2)
    estimator = solver(C=30)
    model = training.fit(rows, vectorizer, estimator)
    texts = [text for text, _ in rows] + ["", "nothing known", "wicket fairway ace ace ace"]
    expected = expected_probabilities(model, vectorizer, estimator, rows, texts)
    assert model.labels == estimator.classes_.tolist()
    assert np.allclose(model.predict_proba(texts), expected, rtol=0, atol=2e-4)


def test_texts_of_stop_characters_alone_cannot_be_trained_on(fit):
    with pytest.raises(PressboxError, match="finds no terms to learn from in the 6 texts"):
        fit([(". , !", "a"), ("? ; a", "b")] * 3)


@pytest.mark.parametrize("parameters", [{"min_df": 1000}, {"min_df": 9, "max_df": 8}], ids=str)
def test_bounds_that_leave_no_term_are_what_is_to_be_changed(parameters, rows, fit):
    with pytest.raises(PressboxError, match=r"no terms .* min_df\); check the texts, and min_df"):
        fit(rows, vectorizer=parameters)


NO_PICKLE = "cannot be stored in a model without a pickle; use "
# For each parameter a value that is not the default, and what becomes of it.
KEPT, WITHOUT_TRACE = "kept", "without trace"
VECTORIZER = {
    "analyzer": [("char", KEPT), (str.split, f"{NO_PICKLE}'word'")],
    "binary": [(True, KEPT)],
    "decode_error": [("ignore", WITHOUT_TRACE), ("loud", "scikit-learn refuses .*decode_error")],
    "dtype": [(np.float32, "dtype cannot be changed: a model computes in float64; remove")],
    "encoding": [("cp1252", WITHOUT_TRACE)],
    "input": [("file", "input cannot be changed: texts are given as they are"),
              ("filename", "input cannot be changed")],
    "lowercase": [(False, KEPT)],
    "max_df": [(20, KEPT), (0.5, KEPT), (np.int64(20), KEPT)],
    "max_features": [(9, KEPT)],
    "min_df": [(2, KEPT), (0.1, KEPT), (np.float64(0.1), KEPT)],
    "ngram_range": [((1, 2), KEPT)],
    "norm": [("l1", KEPT), (None, KEPT)],
    "preprocessor": [(str.lower, f"{NO_PICKLE}lowercase")],
    "smooth_idf": [(False, KEPT)],
    "stop_words": [("english", KEPT), (["wicket"], KEPT)],
    "strip_accents": [("unicode", KEPT)],
    "sublinear_tf": [(True, KEPT)],
    "token_pattern": [(r"\w+", KEPT)],
    "tokenizer": [(str.split, f"{NO_PICKLE}token_pattern")],
    "use_idf": [(False, KEPT)],
    "vocabulary": [(["ace", "putt", "wicket"], WITHOUT_TRACE)],
}  # fmt: skip
ESTIMATOR = {
    "C": [(30, KEPT), (np.float32(0.5), KEPT), (np.inf, "no unique optimum")],
    "class_weight": [("balanced", KEPT), ({"tennis": 2, "golf": np.float64(0.5)}, KEPT)],
    "dual": [(True, "scikit-learn refuses .*dual")],
    "fit_intercept": [(False, KEPT)],
    "intercept_scaling": [(2, KEPT)],
    "l1_ratio": [(0.5, "scikit-learn refuses .*elasticnet")],
    "max_iter": [(500, KEPT)],
    "n_jobs": [(2, WITHOUT_TRACE)],
    "penalty": [("l2", KEPT), (None, "no unique optimum"), ("l1", "refuses|edges")],
    "random_state": [(1, KEPT), (np.random.RandomState(1), f"{NO_PICKLE}a whole number")],
    "solver": [("newton-cholesky", KEPT), ("liblinear", "also penalises the intercept")],
    "tol": [(1e-3, KEPT)],
    "verbose": [(0, WITHOUT_TRACE)],
    "warm_start": [(True, WITHOUT_TRACE)],
}


def test_what_becomes_of_each_parameter_is_written_down():
    assert VECTORIZER.keys() == TfidfVectorizer().get_params().keys()
    assert ESTIMATOR.keys() == LogisticRegression().get_params().keys()


@pytest.mark.parametrize(
    ("kind", "name", "value", "outcome"),
    [
        (kind, name, *row)
        for kind, table in (("vectorizer", VECTORIZER), ("estimator", ESTIMATOR))
        for name, entries in table.items()
        for row in entries
    ],
)
@pytest.mark.filterwarnings("ignore:'(n_jobs|penalty)':FutureWarning")
@pytest.mark.filterwarnings("ignore:The parameter 'token_pattern' will not be used:UserWarning")
def test_each_parameter_is_kept_or_refused_in_words(kind, name, value, outcome, rows):
    vectorizer, estimator = TfidfVectorizer(), LogisticRegression()
    (vectorizer if kind == "vectorizer" else estimator).set_params(**{name: value})
    if outcome not in (KEPT, WITHOUT_TRACE):
        with pytest.raises(UsageError, match=outcome) as caught:
            training.fit(rows, vectorizer, estimator)
        assert len(str(caught.value)) < 300
        return
    model = training.fit(rows, vectorizer, estimator)
    assert (name in model.parameters[kind]) == (outcome == KEPT)
    # Sealed and opened, it answers as scikit-learn does.
    stored = json.loads(model.payload()["parameters.json"])
    opened = SportClassifier(
        model.vocabulary, model.idf, model.coefficients, model.intercepts, stored
    )
    texts = [text for text, _ in rows] + ["", "The ACE is Ålesund's"]
    exact = estimator.set_params(solver="newton-cg", tol=1e-9, max_iter=1000)
    expected = expected_probabilities(model, vectorizer, exact, rows, texts)
    assert np.allclose(opened.predict_proba(texts), expected, rtol=0, atol=3e-4)


def test_sets_of_stop_words_are_kept_and_always_the_same(rows, fit):
    words = ["wicket", "ace", *TfidfVectorizer(stop_words="english").get_stop_words()]
    given = [kind(words) for kind in (frozenset, set, tuple, sorted)]
    models = [fit(rows, vectorizer={"stop_words": words}) for words in given]
    assert len({model.digest for model in models}) == 1
    assert models[0].parameters["vectorizer"]["stop_words"] == sorted(words)
    assert not {"wicket", "ace"} & set(models[0].vocabulary)


def test_weights_of_labels_are_kept_and_always_the_same(rows, fit):
    weights = {"golf": 2.0, "cricket": 0.5}
    ways = [weights, dict(reversed(weights.items())), {"golf": 2, "cricket": np.float64(0.5)}]
    models = [fit(rows, estimator={"C": 30, "class_weight": way}) for way in ways]
    assert len({model.digest for model in models}) == 1
    assert models[0].certificate["certified"] is True
    assert models[0].digest != fit(rows, estimator={"C": 30}).digest


@pytest.mark.parametrize(
    ("vectorizer", "estimator", "warning"),
    [({}, {"n_jobs": 2}, "n_jobs"), ({}, {"penalty": "l2"}, "penalty"),
     ({"stop_words": ["The"]}, {}, "stop_words")],
)  # fmt: skip
def test_what_scikit_learn_warns_of_is_said_once(vectorizer, estimator, warning, rows, fit):
    with pytest.warns(match=warning) as said:
        fit(rows, vectorizer, estimator)
    assert len(said) == 1


@pytest.mark.parametrize("labels", [2, 3])
def test_probes_hold_the_strongest_terms_of_each_label_and_no_text(labels, rows, fit):
    rows = [row for row in rows if row[1] in list(WORDS)[:labels]]
    model = fit(rows)
    *probes, undecided = model.probes
    assert max(undecided["probabilities"]) < 0.9
    for label, probe in zip(model.labels, probes, strict=True):
        assert model.predict([probe["text"]]) == [label]
        assert set(probe["text"].split()) & set(WORDS[label])
    assert {probe["text"] for probe in model.probes}.isdisjoint(text for text, _ in rows)
