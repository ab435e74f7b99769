"""The page beside a model."""

import copy
import html.parser
import importlib.metadata
import itertools
import json
import platform
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from support import ROOT

import pressbox
from pressbox.learning import evaluation
from pressbox.page import charts, report
from pressbox.provenance.statement import Revision, SignedBy, Statement

EVIL = """<script>alert(1)</script>"'&{{ 7 * 7 }} $\\frac{$"""
# What is nothing but a frame, unless it has words.
BOXES = {"aside", "dd", "div", "dl", "li", "ol", "section", "table", "tbody", "td", "th", "ul"}
VOID = {"meta", "link", "br", "rect", "path", "ellipse"}


class Document(html.parser.HTMLParser):
    """What a browser makes of a page: (tag, attributes) in order, and the text of each element."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.texts, self._open = [], [], []
        self.sections, self.empty, self._full = {}, [], [False]
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        assert len(dict(attributes)) == len(attributes), (tag, attributes)
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)
            self._full.append(False)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        assert self._open.pop() == tag
        if self._full.pop():
            self._full[-1] = True
        elif tag in BOXES:
            self.empty.append(tag)

    def handle_data(self, data):
        self.texts.append((self._open[-1] if self._open else "", data))
        self._full[-1] |= bool(data.strip())
        if "section" in self._open:
            section = [found["id"] for tag, found in self.elements if tag == "section"][-1]
            self.sections[section] = f"{self.sections.get(section, '')} {data}"

    def attributes(self, name):
        return [attributes[name] for _, attributes in self.elements if name in attributes]

    def section(self, name):
        """The words of a section, each white space a blank; "" if there is no such section."""
        return " ".join(self.sections.get(name, "").split())

    def text(self, *tags):
        return [text for tag, text in self.texts if not tags or tag in tags]


def made_up(count):
    """The details of a model of so many labels that is right with the first two of each three."""
    labels = [f"label {number}" for number in range(count)]

    class Model:
        threshold = 0.6

        def predict_proba(self, texts):
            probabilities = np.full((len(texts), count), 0.2 / count)
            for row, text in zip(probabilities, texts, strict=True):
                row[int(text) % count] += 0.8
            return probabilities

    Model.labels = labels
    rows = [
        (str((number + (number % 3 == 2)) % count), labels[number % count])
        for number in range(3 * count)
    ]
    return labels, evaluation.evaluate(Model(), rows)[1]


def test_it_says_what_the_model_is_how_good_and_who_signed_it(page, facts, details):
    document = Document(page())
    text = " ".join(document.text())
    assert document.text("h1") == ["small"]
    for value in (
        facts.model_digest,
        facts.environment_digest,
        facts.data_digest,
        facts.code.commit,
        facts.signer.fingerprint,
    ):
        assert value in document.text("code")
    assert "by Sports Desk <desk@sports.example>." in text
    assert "5 November 2026, 04:03 UTC" in text
    assert "31 January 2027" in text
    low, high = details["intervals"]["macro_f1"]
    assert f"95% interval: {low:.3f} to {high:.3f} (bootstrap)" in text
    assert "the caddie took the putter" in document.text("blockquote")


def test_each_value_can_be_copied(page):
    document = Document(page())
    copied = document.attributes("data-copies")
    assert copied == ["model-digest", "environment-digest", "data-digest", "commit", "fingerprint"]
    assert set(copied) <= set(document.attributes("id"))


def test_text_of_the_corpus_is_text_on_the_page(page, facts, words, details):
    labels = [EVIL, *details["order"][1:]]
    renamed = dict(zip(details["order"], labels, strict=True))
    evil = json.loads(json.dumps(details))
    evil["order"] = labels
    evil["labels"] = {renamed[label]: scores for label, scores in evil["labels"].items()}
    evil["mistakes"][0] |= {"text": EVIL, "label": EVIL, "predicted": EVIL}
    evil_words = {renamed[label]: terms for label, terms in words.items()}
    evil_words[EVIL] = [(EVIL, 1.0), *evil_words[EVIL]]
    evil_facts = replace(
        facts,
        labels=labels,
        source=EVIL,
        code=Revision(EVIL, dirty=True),
        signer=replace(facts.signer, user_id=EVIL, fingerprint=EVIL),
    )
    previous = report.remembered(facts, details, words)
    document = Document(page(evil_facts, evil, evil_words, previous))
    harmless = Document(page(previous=previous))
    tags = ["script", "style", "img", "iframe"]
    for count in (document, harmless):
        assert [tag for tag, _ in count.elements if tag in tags] == ["style", "script"]
    assert document.text("script") == [(ROOT / "pressbox/page/page.js").read_text()]
    whole = {tag for tag, text in document.texts if EVIL in text}
    assert whole >= {"blockquote", "b", "th", "dt", "dd", "li", "code", "em", "p"}
    # In the picture, where a label is cut.
    assert EVIL[:23] + "…" in document.text("text")
    assert not any(name.startswith("on") for _, found in document.elements for name in found)


def test_characters_that_deceive_a_reader_are_escaped_on_the_page(page, facts, model, corpus):
    evil = "golf\u202e\u200b\x1b"
    other = copy.copy(model)
    other.parameters = {**model.parameters, "labels": ["cricket", evil, "tennis"]}
    details = evaluation.evaluate(other, [*corpus.test, ("an ace", evil)])[1]
    signer = replace(facts.signer, user_id="Desk \u2066<desk>\ud800")
    made = page(replace(facts, source="a\u202eb", signer=signer), details=details)
    assert not {char for char in made if not char.isprintable()} - {"\n", "\t", "\xa0"}
    assert r"golf\u202e\u200b\x1b" in made
    assert r"Desk \u2066&lt;desk&gt;\ud800" in made
    assert made.encode()


def test_it_asks_no_network_for_anything(page):
    text = page()
    document = Document(text)
    assert document.attributes("src") == []
    assert [target for target in document.attributes("href") if not target.startswith("#")] == []
    assert {target[1:] for target in document.attributes("href")} <= set(document.attributes("id"))
    assert not re.search(r"https?://|url\(|@import|xlink", text)


def test_its_policy_lets_in_its_own_style_and_script_alone(page):
    document = Document(page())
    [policy] = document.attributes("content")[:1]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    for part in ("page.css", "page.js"):
        assert report._hashed((ROOT / "pressbox/page" / part).read_text()) in policy
    assert document.attributes("style") == []


def test_it_is_a_well_formed_and_labelled_document(page, facts, details, words):
    document = Document(page(previous=report.remembered(facts, details, words)))
    ids = document.attributes("id")
    assert len(ids) == len(set(ids))
    named = itertools.chain.from_iterable(map(str.split, document.attributes("aria-labelledby")))
    assert set(named) <= set(ids)
    levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_image_holds_the_list_of_fonts_of_its_matplotlib():
    from matplotlib.font_manager import FontManager

    [fonts] = charts.FONTS.iterdir()
    assert fonts.name == f"fontlist-v{FontManager.__version__}.json"


def test_pictures_and_the_settings_of_a_notebook_leave_each_other_alone():
    import matplotlib

    undisturbed = charts.reliability([[0.5, 0.5, 1]])
    with matplotlib.rc_context({"text.usetex": True, "font.size": 21}):
        before = dict(matplotlib.rcParams)
        assert charts.reliability([[0.5, 0.5, 1]]) == undisturbed
        assert dict(matplotlib.rcParams) == before


def test_a_model_without_details_has_a_page_that_says_so(page):
    document = Document(page(details=None))
    assert any("sealed without the details" in text for text in document.text())
    ids = document.attributes("id")
    assert {"quality", "words", "origin"} <= set(ids)
    assert not {"sports", "confusion", "reliability", "mistakes"} & set(ids)


def test_a_model_without_mistakes_has_a_page(page, model, corpus):
    rows = [(text, str(model.predict([text])[0])) for text, _ in corpus.test]
    document = Document(page(details=evaluation.evaluate(model, rows)[1]))
    assert "It made none." in document.text("p")
    assert "It confused nothing." in document.text("p")


@pytest.mark.parametrize("count", [2, 14, 40, 60])
def test_the_confusion_matrix_is_drawn_for_two_labels_and_for_sixty(count, page):
    labels, details = made_up(count)
    document = Document(page(details=details))
    texts = document.text("text")
    assert all(texts.count(label) == 2 for label in labels)
    numbers = [int(text) for text in texts if text.isdigit()]
    assert sum(numbers) == 3 * count


def test_more_labels_are_no_picture(page):
    document = Document(page(details=made_up(61)[1]))
    assert "label 60" in document.text("th")
    assert any("too many sports" in text for text in document.text("p"))
    assert not document.text("text").count("label 60")


def test_a_label_that_the_model_does_not_know_is_named(page, model, corpus):
    _, details = evaluation.evaluate(model, [*corpus.test, ("the oche", "darts")])
    document = Document(page(details=details))
    assert "darts " in document.text("th")
    assert "unknown to the model" in document.text("span")


@pytest.fixture
def of_254(details):
    """The details of a model that is right about 230 of 254 texts."""
    confusion = [[223, 0, 1], [8, 2, 0], [15, 0, 5]]
    intervals = {"accuracy": [0.8633, 0.9357], "macro_f1": [0.5, 0.7]}
    return {**details, "confusion": confusion, "intervals": intervals}


def test_shares_are_those_of_the_counts_wherever_they_are(page, facts, of_254, words):
    previous = report.remembered(facts, of_254, words)
    document = Document(page(details=of_254, previous={**previous, "model_digest": "sha256:0"}))
    assert "90.6%" in document.text("span")
    assert "right sport for 230 of 254 texts" in document.section("quality")
    assert "would get 88.2% right" in document.section("quality")
    assert "Accuracy (%) 90.6 90.6 unchanged" in document.section("change")
    assert "230 of 254 texts are on its diagonal." in " ".join(document.text("desc"))
    assert "90.5" not in " ".join(document.text())


def test_what_an_earlier_release_remembered_to_four_digits_is_the_same_share(
    page, facts, of_254, words
):
    previous = report.remembered(facts, of_254, words)
    rounded = {name: round(previous[name], 4) for name in ("accuracy", "macro_f1")}
    rounded["f1"] = {label: round(f1, 4) for label, f1 in previous["f1"].items()}
    document = Document(page(details=of_254, previous={**previous, **rounded}))
    assert "Accuracy (%) 90.6 90.6 unchanged" in document.section("change")
    assert "F1 is unchanged for 3 sports." in document.section("change")


def test_per_cent_is_written_without_a_blank(page, previous):
    text = " ".join(Document(page(previous=previous)).text())
    assert "100%" in text
    assert not re.search(r"\d\s%", text)


def test_the_worst_sport_comes_first_and_the_header_says_so(page, of_254):
    document = Document(page(details=of_254))
    found = document.section("sports")
    assert found.index("golf ") < found.index("tennis ") < found.index("cricket ")
    headers = [found for tag, found in document.elements if tag == "th"]
    sorts = [header.get("aria-sort") for header in headers[:6]]
    assert sorts == [None, None, None, "ascending", None, None]


def test_it_says_what_was_chosen_and_what_it_was_trained_on(page, model):
    chosen = {"min_df": 2, "ngram_range": [1, 2], "stop_words": ["a"] * 318, "norm": None}
    parameters = {**model.parameters, "vectorizer": chosen, "estimator": {}}
    document = Document(page(parameters={**parameters, "temperature": 0.25, "threshold": 0.65}))
    assert document.section("training").startswith(
        "How it was trained Texts 24 to train on (8 per sport), 8 others to test on "
        "Vectorizer min_df=2 ngram_range=(1, 2) 318 stop words norm=None "
        "Estimator scikit-learn's defaults "
        "Calibration scores divided by 0.25 (the temperature); “unsure” below 65% "
    )
    assert "Parameters that are not listed have scikit-learn's defaults." in document.text("p")
    assert "Trained on 24 texts from" in " ".join(document.text("p"))
    # For each sport: F1, how many texts of it were tested, and how many it was trained on.
    assert re.search(r" golf \d+% \d+% [01]\.\d\d 2 8 ", document.section("sports"))


def test_a_parameter_is_short_whatever_it_holds(page, model):
    huge = {"pattern": "x" * 500, "weights": {f"label {n}": n for n in range(9)}, "few": {"a": 1}}
    document = Document(page(parameters={**model.parameters, "vectorizer": huge}))
    section = document.section("training")
    assert "9 values of weights" in section
    assert "few={'a': 1}" in section
    assert "pattern='xxx" in section and "x…" in section
    assert "x" * 80 not in section
    many = {f"p{number}": number for number in range(30)}
    section = Document(page(parameters={**many, "weights": many})).section("training")
    assert "p19=19 11 more" in section
    assert "p20" not in section


def test_it_says_which_versions_it_was_made_with(page, model):
    section = Document(page()).section("training")
    expected = {"Python": platform.python_version(), "Pressbox": pressbox.__version__}
    for shown, name in (
        ("scikit-learn", "scikit-learn"),
        ("NumPy", "numpy"),
        ("SciPy", "scipy"),
        ("special_k", "special-k"),
    ):
        expected[shown] = importlib.metadata.version(name)
    assert all(f"{name} {version}" in section for name, version in expected.items())


CERTIFICATE = {
    "margin": 3.158e-10,
    "bound": 1.434e-12,
    "gradient": 3e-13,
    "decimals": 4,
    "certified": True,
}


def test_it_says_in_a_sentence_what_the_certificate_proves(page):
    section = Document(page(certificate=CERTIFICATE)).section("training")
    assert "Certificate Proves that the same code, data and packages give this model" in section
    times, minus = "\N{MULTIPLICATION SIGN}", "\N{MINUS SIGN}"
    assert (
        f"is 3.2 {times} 10 {minus}10 from that edge, and off by 1.4 {times} 10 {minus}12 at most."
    ) in section
    uncertain = {**CERTIFICATE, "margin": 1e-12, "certified": False}
    section = Document(page(certificate=uncertain)).section("training")
    assert "Certificate None: on another machine" in section
    assert "Proves" not in section
    assert "Certificate" not in Document(page()).section("training")


def test_it_says_when_it_is_unsure_and_how_good_it_is_when_it_is_not(page, details):
    sure = {"threshold": 0.65, "rows": 7, "right": 6, "interval": [0.4869, 0.9743]}
    document = Document(page(details={**details, "sure": sure}))
    assert "Accuracy when sure 85.7% 95% interval: 48.7% to 97.4% (Wilson)" in document.section(
        "quality"
    )
    assert (
        "Below 65% confidence it says “unsure”. It was sure about 7 of the 8 texts (87.5%), and"
        in document.section("quality")
    )


def test_a_model_that_is_sure_of_nothing_has_no_share_of_it(page, details):
    sure = {"threshold": 0.65, "rows": 0, "right": 0, "interval": [0, 1]}
    section = Document(page(details={**details, "sure": sure})).section("quality")
    assert "Accuracy when sure \N{EN DASH} Below 65% confidence it says “unsure”." in section
    assert "It was sure about none of the 8 texts." in section


@pytest.mark.parametrize(
    "sure", [None, {"threshold": 0.0, "rows": 8, "right": 7, "interval": [0.5, 0.9]}]
)
def test_where_nothing_was_counted_or_nothing_is_unsure_no_figure_says_so(sure, page, details):
    section = Document(page(details={**details, "sure": sure})).section("quality")
    assert "when sure" not in section
    assert "Accuracy 87.5%" in section


def test_each_interval_has_width_and_the_name_of_its_method(page, model, corpus):
    rows = [(text, str(model.predict([text])[0])) for text, _ in corpus.test]
    details = evaluation.evaluate(model, rows)[1]
    section = Document(page(details=details)).section("quality")
    assert "1.000 95% interval: 0.610 to 1.000 (Wilson)" in section
    # As an earlier release had it.
    details["intervals"]["macro_f1"] = [1.0, 1.0]
    section = Document(page(details=details)).section("quality")
    assert "1.000 The mean of the F1 scores" in section


def assert_nothing_is_empty(document):
    assert document.empty == []
    # Two links at the top lead to the origin; those below name each section that there is.
    assert document.attributes("href")[:2] == ["#origin"] * 2
    assert document.attributes("href")[2:] == [f"#{name}" for name in document.sections]


def test_a_model_of_ones_own_has_no_empty_section(page, model, previous):
    own = {"labels": model.labels, "threshold": 0.6}
    document = Document(page(words={}, parameters=own, previous={**previous, "words": {}}))
    assert_nothing_is_empty(document)
    assert "words" not in document.sections
    section = document.section("training")
    assert "Calibration “unsure” below 60%" in section
    assert "scikit-learn's defaults" not in section
    with_more = Document(page(words={}, parameters={**own, "sharpness": 20}))
    assert "Parameters sharpness=20" in with_more.section("training")


def test_a_statement_that_says_nothing_of_a_training_has_no_section_of_it(facts, model):
    content = copy.deepcopy(model.statement)
    predicate = content["predicate"]
    del predicate["runDetails"]["builder"]["version"]
    dependencies = predicate["buildDefinition"]["resolvedDependencies"]
    named = {entry["name"]: entry for entry in dependencies}
    named["environment"]["annotations"]["passport"] = None
    del named["data"]["annotations"]
    dependencies.remove(named["special_k"])
    document = Document(report.page(facts, Statement(content), {"labels": model.labels}, {}))
    assert list(document.sections) == ["quality", "origin"]
    assert_nothing_is_empty(document)


def test_whatever_a_page_shows_no_box_of_it_is_empty(page, previous):
    for document in map(Document, (page(), page(details=None), page(previous=previous))):
        assert_nothing_is_empty(document)
        assert "words" in document.sections


def test_what_a_page_may_not_show_is_told_from_what_it_does(page):
    emptied = page().replace("1.000", "").replace("</main>", "<ul><li> </li></ul></main>")
    assert Document(emptied).empty == ["li", "ul"]


def test_where_the_texts_of_mistakes_were_kept_out_it_does_not_say_that_there_were_none(
    page, details
):
    document = Document(page(details={**details, "mistakes": []}))
    assert "It made 1; the model does not hold the texts." in document.text("p")


def old_headings(document):
    """Those that the picture in the docs has and the page does not."""
    with Image.open(ROOT / "docs" / "page.png") as picture:
        headings = json.loads(picture.info["Headings"])
    assert "How good it is" in headings
    return set(headings) - set(document.text("a", "h2", "dt"))


def test_the_headings_of_the_picture_in_the_docs_are_those_of_the_page(page):
    # scripts/test.sh browser makes it: .cache/screenshots/page.png.
    assert old_headings(Document(page())) == set()
    renamed = page().replace(">How good it is<", ">How well it does<")
    assert old_headings(Document(renamed)) == {"How good it is"}


def test_the_picture_in_the_docs_is_no_burden():
    path = ROOT / "docs" / "page.png"
    assert path.stat().st_size < 150_000
    with Image.open(path) as picture:
        assert picture.width == 1280


def test_points_of_one_size_are_drawn_in_full():
    drawing = charts.reliability([[number / 10, 0.5, 3] for number in range(10)]).drawing
    assert drawing.count('class="fill-accent"') == 10
    assert "<use" not in drawing


def test_labels_in_any_script_are_drawn_without_a_glyph():
    labels = ["相撲", "كرة", "a\tb", "🏉", "$x$ and $y"]
    drawing = charts.confusion(np.eye(5, dtype=int).tolist(), labels).drawing
    assert all(drawing.count(f">{label}<") == 2 for label in labels)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"code": Revision("c" * 40, dirty=True)}, "Trained from changed files."),
        ({"code": Revision("unknown", dirty=None)}, "Trained from unknown files."),
        ({"signer": SignedBy("D402", True, False, None, "Demo")}, "Signed with the demo key."),
        ({"drift": ["numpy was changed"]}, "Trained in an environment that had drifted."),
    ],
)
def test_what_weakens_the_proof_is_said_at_the_top(changed, what, page, facts):
    assert what not in page()
    document = Document(page(replace(facts, **changed)))
    assert what in document.text("strong")


def test_drift_without_end_is_cut_short(page, facts):
    drift = [f"package {number} is new" for number in range(2000)]
    document = Document(page(replace(facts, drift=drift)))
    [warning] = [text for tag, text in document.texts if "no longer as it was built" in text]
    assert "package 0 is new, " in warning
    assert warning.endswith(" more (pressbox show names them).")
    assert len(warning) < 300


@pytest.fixture
def previous(facts, details, words):
    """The model before, as plain JSON: one label was another, one word was not there."""
    previous = report.remembered(facts, details, words)
    previous = json.loads(json.dumps(previous))
    previous["model_digest"] = previous["data_digest"] = "sha256:0"
    previous["labels"] = ["chess", *previous["labels"][1:]]
    previous["accuracy"] -= 0.1
    previous["f1"]["golf"] += 0.25
    previous["words"]["golf"].remove("putt")
    return previous


def test_the_difference_from_the_model_before_is_told(page, previous):
    document = Document(page(previous=previous))
    text = " ".join(document.text())
    assert "Data has changed" in text
    assert "+10.0" in document.text("td")
    assert "\N{MINUS SIGN}0.25" in document.text("td")
    kinds = [attributes.get("class") for tag, attributes in document.elements if tag == "td"]
    assert kinds.count("better") == 1
    assert kinds.count("worse") == 1
    assert "Removed:" in text and "chess" in document.text("b")
    assert "Added:" in text and "cricket" in document.text("b")
    assert document.text("h3") == ["New among the strongest words"]
    after = text[text.index("New among") :]
    assert "putt" in after[: after.index("Where it comes from")]


def test_the_same_model_again_is_called_the_same(page, facts, details, words):
    text = page(previous=report.remembered(facts, details, words))
    assert "The two are identical, bit for bit." in text


def test_a_model_before_that_held_no_details_is_compared_by_its_metrics(page, facts, words):
    document = Document(page(previous=report.remembered(facts, None, words)))
    assert "Accuracy (%)" in document.text("th")


def test_the_strongest_words_of_two_labels_are_the_ends_of_one_row():
    words = report.strongest_words(["a", "b", "c"], np.array([[0.5, -2.0, 0.0]]), ["x", "y"])
    assert words == {"x": [("b", 2.0)], "y": [("a", 0.5)]}
