"""How good a model is, and where it is wrong."""

import base64
import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from pressbox.learning import evaluation
from pressbox.provenance.statement import row_digest, row_digests


class Oracle:
    """A model whose probabilities stand in the texts: "football .8 0"."""

    threshold = 0.8

    def __init__(self, *labels):
        self.labels = list(labels)
        self.asked = 0

    def predict_proba(self, texts):
        self.asked += 1
        probabilities = np.zeros((len(texts), len(self.labels)))
        for row, text in zip(probabilities, texts, strict=True):
            label, probability, *_ = text.split()
            row[:] = (1 - float(probability)) / (len(self.labels) - 1)
            row[self.labels.index(label)] = float(probability)
        return probabilities


LABELS = ["boxing", "cricket", "golf"]


def says(label, probability=0.9, number=0):
    return f"{label} {probability} {number}"


@pytest.fixture
def mixed():
    """60 rows: a model of three labels that is often wrong, of which one is never predicted."""
    generator = np.random.default_rng(7)
    return [
        (
            says(LABELS[generator.integers(2)], round(generator.uniform(0.5, 1), 2), number),
            [*LABELS, "polo"][generator.integers(4)],
        )
        for number in range(60)
    ]


def test_metrics_are_those_of_scikit_learn(mixed):
    metrics, details = evaluation.evaluate(Oracle(*LABELS), mixed)
    truth = [label for _, label in mixed]
    predicted = [text.split()[0] for text, _ in mixed]
    assert metrics == {
        "accuracy": round(accuracy_score(truth, predicted), 4),
        "macro_f1": round(f1_score(truth, predicted, average="macro", zero_division=0), 4),
        "rows": 60,
    }
    expected = precision_recall_fscore_support(
        truth, predicted, labels=details["order"], zero_division=0
    )
    for label, *scores in zip(details["order"], *expected, strict=True):
        found = details["labels"][label]
        assert list(found) == ["precision", "recall", "f1", "rows"]
        assert list(found.values()) == [round(float(score), 4) for score in scores]


def test_a_label_that_never_occurs_takes_no_part_in_the_mean():
    metrics, details = evaluation.evaluate(Oracle(*LABELS), [(says("golf"), "golf")])
    assert metrics["macro_f1"] == 1
    assert details["labels"]["boxing"] == {"precision": 0, "recall": 0, "f1": 0, "rows": 0}


def test_the_model_is_asked_once(mixed):
    model = Oracle(*LABELS)
    evaluation.evaluate(model, mixed)
    assert model.asked == 1


def test_rows_in_another_order_say_the_same(mixed):
    there = evaluation.evaluate(Oracle(*LABELS), mixed)
    assert evaluation.evaluate(Oracle(*LABELS), mixed[::-1]) == there


def test_everything_is_plain_json_of_four_digits(mixed):
    answers = evaluation.evaluate(Oracle(*LABELS), mixed)
    assert json.loads(json.dumps(answers)) == list(answers)
    numbers = json.dumps(answers).replace("]", " ").replace("}", " ").replace(",", " ").split()
    assert max(len(number.partition(".")[2]) for number in numbers if number[0].isdigit()) == 4


def test_confusion_is_truth_by_prediction_and_labels_of_the_rows_alone_come_last():
    rows = [(says("golf"), "cricket")] * 3 + [(says("cricket"), "cricket")] * 2
    rows += [(says("golf"), "angling"), (says("boxing"), "boxing")]
    _, details = evaluation.evaluate(Oracle(*LABELS), rows)
    assert details["order"] == ["boxing", "cricket", "golf", "angling"]
    assert details["only_in_test"] == ["angling"]
    assert details["confusion"] == [[1, 0, 0, 0], [0, 2, 3, 0], [0, 0, 0, 0], [0, 0, 1, 0]]


def test_the_interval_of_accuracy_is_wilsons():
    rows = [(says("golf"), "golf")] * 8 + [(says("golf"), "cricket")] * 2
    _, details = evaluation.evaluate(Oracle(*LABELS), rows)
    assert details["intervals"]["accuracy"] == [0.4902, 0.9433]


def test_the_interval_of_macro_f1_is_that_of_resampled_rows(mixed):
    _, details = evaluation.evaluate(Oracle(*LABELS), mixed)
    truth = np.array([label for _, label in mixed])
    predicted = np.array([text.split()[0] for text, _ in mixed])
    generator = np.random.default_rng(1)
    scores = []
    for _ in range(300):
        drawn = generator.integers(60, size=60)
        scores.append(f1_score(truth[drawn], predicted[drawn], average="macro", zero_division=0))
    assert details["intervals"]["macro_f1"] == pytest.approx(
        np.quantile(scores, [0.025, 0.975]), abs=0.02
    )


def test_a_model_without_a_mistake_has_an_interval_that_allows_for_one():
    rows = [(says(label, 0.75), label) for label in LABELS]
    metrics, details = evaluation.evaluate(Oracle(*LABELS), rows)
    assert metrics == {"accuracy": 1, "macro_f1": 1, "rows": 3}
    # Wilson's of 3 of 3.
    assert details["intervals"] == {"accuracy": [0.4385, 1.0], "macro_f1": [0.4385, 1.0]}
    assert details["mistakes"] == []


def test_a_model_that_is_never_right_has_an_interval_that_allows_for_luck():
    _, details = evaluation.evaluate(Oracle(*LABELS), [(says("golf"), "boxing")] * 3)
    assert details["intervals"] == {"accuracy": [0.0, 0.5615], "macro_f1": [0.0, 0.5615]}


def test_a_rare_label_without_a_mistake_widens_the_interval_of_macro_f1():
    rows = [(says("golf"), "golf")] * 100 + [(says("boxing"), "boxing")]
    _, details = evaluation.evaluate(Oracle(*LABELS), rows)
    # Wilson's of 2 of 2: the one text of boxing is half of the score.
    assert details["intervals"] == {"accuracy": [0.9634, 1.0], "macro_f1": [0.3424, 1.0]}


def test_one_mistake_is_resampled():
    rows = [(says("golf"), "golf")] * 20 + [(says("golf"), "boxing")]
    _, details = evaluation.evaluate(Oracle(*LABELS), rows)
    low, high = details["intervals"]["macro_f1"]
    assert low < details["labels"]["golf"]["f1"] / 2 < high == 1


def test_what_it_is_sure_about_is_counted_from_the_threshold_on():
    rows = [(says("golf", 0.8), "golf"), (says("golf", 0.9), "boxing")]
    rows += [(says("golf", 0.79999), "golf"), (says("golf", 0.5), "boxing")]
    _, details = evaluation.evaluate(Oracle(*LABELS), rows)
    # Wilson's of 1 of 2.
    expected = {"threshold": 0.8, "rows": 2, "right": 1, "interval": [0.0945, 0.9055]}
    assert details["sure"] == expected


def test_of_a_model_that_is_sure_of_nothing_nothing_is_claimed():
    _, details = evaluation.evaluate(Oracle(*LABELS), [(says("golf", 0.5), "golf")])
    expected = {"threshold": 0.8, "rows": 0, "right": 0, "interval": [0.0, 1.0]}
    assert details["sure"] == expected


def test_many_rows_are_resampled_in_parts_with_the_same_result(mixed, monkeypatch):
    whole = evaluation.evaluate(Oracle(*LABELS), mixed)
    monkeypatch.setattr(evaluation, "MAX_DRAWS_AT_ONCE", 60 * 300)
    parts = evaluation.evaluate(Oracle(*LABELS), mixed)
    assert parts == whole


def test_reliability_sets_what_was_said_against_what_was_right():
    rows = [(says("golf", 0.82), "golf"), (says("golf", 0.86), "boxing")]
    rows += [(says("golf", 1.0), "golf"), (says("golf", 0.4), "golf")]
    _, details = evaluation.evaluate(Oracle(*LABELS), rows)
    assert details["reliability"] == [[0.4, 1.0, 1], [0.84, 0.5, 2], [1.0, 1.0, 1]]
    # (0.6 * 1 + 0.34 * 2 + 0 * 1) / 4
    assert details["expected_calibration_error"] == 0.32


def test_the_answers_are_in_the_order_in_which_a_statement_has_the_rows(mixed):
    _, details = evaluation.evaluate(Oracle(*LABELS), mixed)
    numbers = np.frombuffer(base64.b64decode(details["answers"]), "<u2")
    answers = {row_digest(row): row[0].split()[0] for row in mixed}
    expected = [answers[digest] for digest in row_digests(mixed)]
    assert [details["order"][number] for number in numbers] == expected


def test_the_ten_most_confident_mistakes_come_first_and_ties_go_by_text():
    rows = [(says("golf", 0.5 + number / 100, number), "boxing") for number in range(20)]
    rows += [(says("golf", 0.99, number), "cricket") for number in "ba"]
    rows += [(says("golf", 1.0), "golf")]
    _, details = evaluation.evaluate(Oracle(*LABELS), rows)
    mistakes = details["mistakes"]
    assert len(mistakes) == 10
    assert mistakes[0] == {
        "text": "golf 0.99 a",
        "label": "cricket",
        "predicted": "golf",
        "probability": 0.99,
        "row": row_digest(("golf 0.99 a", "cricket")).hex(),
    }
    assert [mistake["text"] for mistake in mistakes[1:3]] == ["golf 0.99 b", "golf 0.69 19"]


@pytest.mark.parametrize(
    ("rest", "cut"),
    [
        ("x" * 287, "x" * 287),
        ("x" * 288, "…"),
        ("word " * 80, "word " * 56 + "word…"),
    ],
)
def test_the_text_of_a_mistake_is_cut_between_words(rest, cut):
    rows = [(f"golf 0.9 abc {rest}", "boxing")]
    [mistake] = evaluation.evaluate(Oracle(*LABELS), rows)[1]["mistakes"]
    assert mistake["text"].replace(" ", "") == f"golf0.9abc{cut}".replace(" ", "")
    assert len(mistake["text"]) <= 300
