"""Where texts and labels come from."""

import csv
import itertools
import os
import re
import tracemalloc
from collections import Counter
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet
from support.models import shuffled, write_jsonl

from pressbox.data import corpus as corpora
from pressbox.data.corpus import load_corpus
from pressbox.errors import PressboxError, UsageError

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def newsroom():
    corpus = load_corpus()
    return corpus.train + corpus.test


@pytest.mark.default("corpus/newsroom.jsonl")
def test_newsroom_has_14_labels_of_45_texts(newsroom):
    counts = Counter(label for _, label in newsroom)
    assert len(counts) >= 14
    assert min(counts.values()) >= 45


@pytest.mark.default("corpus/newsroom.jsonl")
def test_newsroom_has_7000_distinct_words(newsroom):
    assert len({word for text, _ in newsroom for word in re.findall(r"\w+", text.lower())}) >= 7000


@pytest.mark.default("corpus/newsroom.jsonl")
def test_a_third_of_the_newsroom_texts_avoid_naming_their_sport(newsroom):
    silent = [text for text, label in newsroom if label not in text.lower()]
    assert len(silent) >= len(newsroom) / 3


@pytest.mark.default("corpus/newsroom.jsonl")
def test_newsroom_texts_have_the_length_of_a_paragraph(newsroom):
    lengths = {text: len(text.split()) for text, _ in newsroom}
    assert {text for text, length in lengths.items() if not 40 <= length <= 160} == set()


@pytest.mark.default("corpus/newsroom.jsonl")
def test_no_two_newsroom_texts_share_their_wording(newsroom):
    grams, holders = [], {}
    for number, (text, _) in enumerate(newsroom):
        words = re.findall(r"\w+", text.lower())
        grams.append(set(zip(*(words[shift:] for shift in range(5)), strict=False)))
        for gram in grams[-1]:
            holders.setdefault(gram, []).append(number)
    shared = Counter(pair for held in holders.values() for pair in itertools.combinations(held, 2))
    jaccard = {(a, b): n / len(grams[a] | grams[b]) for (a, b), n in shared.items()}
    assert {pair for pair, share in jaccard.items() if share > 0.05} == set()


def write_csv(path, rows, encoding="utf-8"):
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file)
        writer.writerows([("label", "id", "text"), *((label, 7, text) for text, label in rows)])
    return path


def write_parquet(path, rows, **options):
    texts, labels = zip(*rows, strict=True)
    parquet.write_table(pyarrow.table({"text": texts, "label": labels}), path, **options)
    return path


def write_folder(path, rows):
    for number, (text, label) in enumerate(rows):
        (path / label).mkdir(parents=True, exist_ok=True)
        (path / label / f"{number}.txt").write_bytes(text.encode())
    return path


def write_parts(path, rows):
    corpus = load_corpus(str(write_jsonl(path.with_suffix(".jsonl"), rows)))
    write_folder(path / "train", corpus.train)
    write_folder(path / "test", corpus.test)
    return path


FORMATS = {
    "a.csv": write_csv,
    "bom.csv": lambda path, rows: write_csv(path, rows, encoding="utf-8-sig"),
    "folder": write_folder,
    "train and test": write_parts,
    "plain.parquet": lambda path, rows: write_parquet(path, rows, compression="none"),
    "snappy.parquet": write_parquet,
    "gzip.parquet": lambda path, rows: write_parquet(path, rows, compression="gzip"),
}
# What the rows of every format gave when each was first read.
DIGEST = "sha256:2ee1774d06abedd19af3f65e7589d008a99a00d9fc4aa2725d6311d153206f12"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_corpus(name, rows, tmp_path):
    rows = [*rows, *((f'"Über", {i} said,\r\n\n\tthen \u2028 left.', "golf") for i in range(5))]
    expected = load_corpus(str(write_jsonl(tmp_path / "plain.jsonl", rows)))
    found = load_corpus(str(FORMATS[name](tmp_path / name, rows)))
    assert (found.train, found.test) == (expected.train, expected.test)
    if name != "train and test":
        assert found.digest == DIGEST
    assert found.digest == expected.digest


@pytest.mark.default("corpus/newsroom.jsonl")
def test_the_digest_of_the_newsroom_never_changes():
    assert load_corpus().digest == (
        "sha256:0630e12c61ea3a66c8b04b4e4ff83a103423205648169ab68db03132c8dcb012"
    )


def test_the_folder_one_is_in_is_a_source(rows, corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(write_folder(tmp_path / "here", rows))
    assert load_corpus(".").digest == corpus.digest


def test_a_path_is_a_source_and_never_a_name(rows, table, corpus, tmp_path, monkeypatch):
    assert load_corpus(table).digest == load_corpus(str(table)).digest == corpus.digest
    assert load_corpus(table, table.parent / table.name).test_source == "small.jsonl"
    monkeypatch.chdir(write_folder(tmp_path / "newsroom", rows).parent)
    assert load_corpus(Path("newsroom")).digest == corpus.digest
    assert load_corpus("newsroom").digest != corpus.digest


def test_a_corpus_says_what_it_is_and_not_all_that_it_holds(corpus):
    assert repr(corpus) == (
        "<Corpus of small.jsonl: 24 texts to train on, 6 to evaluate on; 3 labels>"
    )


def test_shuffled_rows_give_the_same_corpus(rows, corpus, tmp_path):
    assert (
        load_corpus(str(write_jsonl(tmp_path / "other.jsonl", shuffled(rows)))).digest
        == corpus.digest
    )


def test_another_text_gives_another_digest(rows, corpus, tmp_path):
    changed = [(rows[0][0] + ".", rows[0][1]), *rows[1:]]
    assert load_corpus(str(write_jsonl(tmp_path / "other.jsonl", changed))).digest != corpus.digest


def test_the_digest_tells_the_training_part_from_the_test_part(rows, tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, names in (one, ("train", "test")), (other, ("test", "train")):
        write_folder(folder / names[0], rows[::2])
        write_folder(folder / names[1], rows[1::2])
    assert load_corpus(str(one)).digest != load_corpus(str(other)).digest


@pytest.mark.parametrize(("texts", "held_out"), [(3, 1), (4, 1), (9, 1), (10, 2), (26, 5)])
def test_a_fifth_of_each_label_is_held_out(texts, held_out, tmp_path):
    rows = [(f"text {i} on {label}", label) for label in "ab" for i in range(texts)]
    corpus = load_corpus(str(write_jsonl(tmp_path / "a.jsonl", rows)))
    assert Counter(label for _, label in corpus.test) == {"a": held_out, "b": held_out}
    assert sorted(corpus.train + corpus.test) == sorted(rows)


def test_what_is_held_out_never_changes(corpus):
    assert corpus.test == (
        ("fairway bunker caddie on day 10", "golf"),
        ("googly maiden innings on day 16", "cricket"),
        ("rally tiebreak racket on day 15", "tennis"),
        ("serve volley deuce on day 11", "tennis"),
        ("stumps umpire maiden on day 14", "cricket"),
        ("tee fairway putt on day 17", "golf"),
    )


def test_files_that_are_not_utf_8_are_read_as_latin_1_and_counted(rows, tmp_path, capsys):
    folder = write_folder(tmp_path / "old", rows)
    (folder / "golf" / "latin").write_bytes("Ålesund".encode("latin-1"))
    corpus = load_corpus(str(folder))
    assert ("Ålesund", "golf") in corpus.train + corpus.test
    assert capsys.readouterr().err.startswith(
        f"files of {folder} that are not UTF-8, read as Latin-1: 1\n"
    )


def test_what_is_hidden_is_no_text(rows, corpus, tmp_path):
    folder = write_folder(tmp_path / "small.jsonl", rows)
    (folder / "golf" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    write_folder(folder, [(f"copy {i}", ".ipynb_checkpoints") for i in range(5)])
    assert load_corpus(str(folder)).digest == corpus.digest


NO_SOURCES = {
    "not there": lambda folder: folder / "nowhere",
    "nothing at all": lambda folder: "",
    "a name too long": lambda folder: folder / ("x" * 300 + ".csv"),
    "an unknown suffix": lambda folder: write_jsonl(folder / "rows.txt", [("a", "b")]),
    "a pipe": lambda folder: os.mkfifo(folder / "p.csv") or folder / "p.csv",
    "a device": lambda folder: (
        (folder / "zero.jsonl").symlink_to("/dev/zero") or folder / "zero.jsonl"
    ),
}


@pytest.mark.parametrize("name", NO_SOURCES)
def test_what_is_no_source_is_wrong_usage(name, tmp_path):
    with pytest.raises(UsageError, match="; "):
        load_corpus(str(NO_SOURCES[name](tmp_path)))


def table(name, content):
    return lambda folder: (folder / name).write_bytes(content) and folder / name


def jsonl(*rows):
    return lambda folder: write_jsonl(folder / "rows.jsonl", rows)


def closed(path):
    path.chmod(0)
    return path


LABELLED = [(f"text {i} on {label}", label) for label in "abc" for i in range(5)]
UNUSABLE = {
    "an empty csv": (table("a.csv", b"\n"), "no text and no label"),
    "an empty jsonl": (table("a.jsonl", b"\n"), "no texts"),
    "an empty parquet": (table("a.parquet", b"\n"), "a.parquet is damaged"),
    "an empty folder": (lambda folder: folder, "no texts"),
    "an empty test part": (
        lambda folder: (folder / "test").mkdir() or write_folder(folder / "train", LABELLED).parent,
        "test part",
    ),
    "one label": (jsonl(*LABELLED[:5]), "only one label"),
    "a label with one text": (jsonl(*LABELLED[:11]), "single text"),
    "labels that differ in case": (jsonl(*LABELLED, ("t", "A"), ("u", "A")), "'A' and 'a'"),
    "labels that differ in blanks": (
        jsonl(*LABELLED, *[(t, "ice hockey") for t in "uvw"], *[(t, "ice_hockey") for t in "xyz"]),
        "differ only in case or spaces: 'ice hockey' and 'ice_hockey'",
    ),
    "a label with a NUL byte": (jsonl(*LABELLED, ("t", "a\0b")), "cannot be seen"),
    "nothing new to evaluate on": (
        lambda folder: (
            write_folder(folder / "test", LABELLED)
            and write_folder(folder / "train", LABELLED).parent
        ),
        "nothing to evaluate on",
    ),
    "too few to hold any out": (jsonl(("a", "x"), ("b", "x"), ("c", "y"), ("d", "y")), "too few"),
    "a csv without labels": (table("a.csv", b"text,topic\na,b\n"), "no label"),
    "a jsonl without texts": (table("a.jsonl", b'{"label": "a"}\n'), "no text"),
    "a parquet without labels": (
        lambda folder: (
            parquet.write_table(pyarrow.table({"text": ["a"]}), folder / "a.parquet")
            or folder / "a.parquet"
        ),
        "no label",
    ),
    "csv in Latin-1": (table("a.csv", "text,label\nÅl,b\n".encode("latin-1")), "not UTF-8"),
    "jsonl in UTF-16 without its mark": (
        table("a.jsonl", '{"text": "Å"}'.encode("utf-16-le")),
        "not UTF-8",
    ),
    "a row too short": (table("a.csv", b"text,label\na,b\nc\n"), "line 3 of "),
    "a blank label": (jsonl(*LABELLED, ("text", " ")), "rows.jsonl has no label"),
    "a null label": (jsonl(*LABELLED, ("text", None)), "line 16 of "),
    "a number for a text": (jsonl((1, "a")), "line 1 of "),
    "a null label in a parquet": (
        lambda folder: write_parquet(folder / "a.parquet", [("a", "b"), ("c", None)]),
        "row 2 of ",
    ),
    "half a surrogate pair": (
        table("a.jsonl", b'{"text": "\\ud83c", "label": "a"}\n' * 9),
        "line 1 of ",
    ),
    "broken JSON": (table("a.jsonl", b'{"text": "a", "label": "b"}\n{"text": \n'), "line 2"),
    "JSON that is deeper than Python": (table("a.jsonl", b"[" * 100_000), "line 1"),
    "JSON that is no object": (table("a.jsonl", b'["text", "label"]\n'), "line 1"),
    "an open quote": (table("a.csv", b'text,label\n"a,b\n'), "not CSV"),
    "a closed file": (lambda folder: closed(write_jsonl(folder / "a.jsonl", LABELLED)), "denied"),
    "a closed text": (
        lambda folder: closed(write_folder(folder, LABELLED) / "a" / "0.txt").parents[1],
        "denied",
    ),
}


def assert_unusable(path, saying):
    with pytest.raises(PressboxError) as caught:
        load_corpus(str(path))
    assert caught.type is PressboxError
    what, _, remedy = str(caught.value).partition("; ")
    assert saying in what
    assert remedy
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_source_without_a_usable_corpus_is_refused(name, tmp_path):
    make, saying = UNUSABLE[name]
    assert_unusable(make(tmp_path), saying)


@pytest.mark.parametrize("closed_part", ["", "b"])
def test_a_closed_folder_is_refused_and_not_passed_over(closed_part, tmp_path):
    folder = write_folder(tmp_path / "source", LABELLED)
    (folder / closed_part).chmod(0)
    try:
        assert_unusable(folder, "denied")
    finally:
        (folder / closed_part).chmod(0o700)


NOISE = os.urandom(MEGABYTE)
GARBAGE = {
    "zeros.csv": b"",
    "zeros.jsonl": b"",
    "zeros.parquet": b"",
    "noise.csv": NOISE,
    "noise.jsonl": NOISE,
    "noise.parquet": NOISE,
    "header and zeros.csv": b"text,label\n",
    "an open string.jsonl": b'{"text": "',
}


@pytest.mark.parametrize("name", GARBAGE)
def test_200_megabytes_of_garbage_are_refused_without_being_swallowed(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(GARBAGE[name])
    os.truncate(path, 200 * MEGABYTE)
    assert memory_to_refuse(path) < 20 * MEGABYTE


def test_a_flood_of_rows_without_labels_stops_at_the_first(tmp_path):
    path = tmp_path / "flood.csv"
    path.write_bytes(b"text,label\n" + b"x\n" * 400_000)
    assert memory_to_refuse(path) < 20 * MEGABYTE


def test_ten_million_rows_of_one_class_stop_at_the_bound(tmp_path, monkeypatch):
    path = tmp_path / "flood.csv"
    path.write_bytes(b"text,label\n" + b"a text,golf\n" * 100_000)
    monkeypatch.setattr(corpora, "MAX_TEXTS", 50_000)
    with pytest.raises(PressboxError, match="more than 50,000 texts, all with the label 'golf'"):
        load_corpus(str(path))


def parts(tmp_path, train, test):
    write_folder(tmp_path / "parts" / "train", train)
    write_folder(tmp_path / "parts" / "test", test)
    return str(tmp_path / "parts")


def test_empty_texts_are_left_out_and_counted(tmp_path, capsys):
    rows = [*LABELLED, ("", "a"), (" \n\t", "b")]
    found = load_corpus(str(write_jsonl(tmp_path / "rows.jsonl", rows)))
    assert sorted([*found.train, *found.test]) == sorted(LABELLED)
    assert "empty texts of rows.jsonl, left out: 2" in capsys.readouterr().err


def test_texts_that_are_there_again_are_counted_and_the_first_shown(tmp_path, capsys):
    again = [("text 0 on a", "a"), ("text 1 on a", "a"), ("text 0 on b", "b"), ("text 0 on a", "a")]
    path = write_jsonl(tmp_path / "rows.jsonl", [*LABELLED, *again])
    found = load_corpus(str(path))
    assert len(found.train) + len(found.test) >= len(LABELLED) + 2
    assert (
        "repeated texts of rows.jsonl, kept: 4"
        f" (line 16 of {path}: 'text 0 on a'; line 17 of {path}: 'text 1 on a';"
        f" line 18 of {path}: 'text 0 on b'; …)\n"
    ) in capsys.readouterr().err


def test_texts_with_two_labels_are_counted_and_the_first_shown(tmp_path, capsys):
    path = write_jsonl(tmp_path / "rows.jsonl", [*LABELLED, ("text 0 on a", "b")])
    load_corpus(str(path))
    said = capsys.readouterr().err
    assert (
        "texts of rows.jsonl with more than one label, kept: 1"
        f" (line 16 of {path}: 'text 0 on a' is labelled b, earlier a)\n"
    ) in said
    assert "repeated" not in said


def test_texts_of_a_folder_that_are_there_again_are_told_by_their_files(tmp_path, capsys):
    folder = write_folder(tmp_path / "small", [*LABELLED, ("text 0 on a", "a")])
    load_corpus(str(folder))
    assert f"repeated texts of small, kept: 1 ({folder}/a/15.txt: " in capsys.readouterr().err


def test_where_no_text_is_there_again_nothing_is_said(capsys):
    load_corpus()
    assert capsys.readouterr().err == ""


def test_texts_that_were_trained_on_are_not_evaluated_on(tmp_path, capsys):
    fresh = [("a new one", "a"), ("another", "b")]
    found = load_corpus(parts(tmp_path, LABELLED, [*fresh, *LABELLED[:3]]))
    assert sorted(found.test) == sorted(fresh)
    assert "that are also in the training part, left out: 3" in capsys.readouterr().err


def test_labels_that_were_not_trained_on_are_named_and_left_out(tmp_path, capsys):
    strange = [("a new one", "a"), ("of curling", "curling"), ("of darts", "darts")]
    found = load_corpus(parts(tmp_path, LABELLED, strange))
    assert found.test == (("a new one", "a"),)
    assert "not in the training part, left out: curling, darts" in capsys.readouterr().err


def test_another_source_to_evaluate_on_does_not_change_the_training(rows, table, tmp_path, capsys):
    other = write_jsonl(tmp_path / "other.jsonl", [("a birdie", "golf"), ("an ace", "tennis")])
    alone, found = load_corpus(str(table)), load_corpus(str(table), str(other))
    assert found.train == alone.train
    assert found.test == (("a birdie", "golf"), ("an ace", "tennis"))
    assert (found.source, found.test_source) == ("small.jsonl", "other.jsonl")
    assert "labels that other.jsonl does not have: cricket" in capsys.readouterr().err


def test_of_another_source_the_test_part_is_evaluated_on(table, tmp_path):
    folder = parts(tmp_path, [("a birdie", "golf")] * 3, [("a bunker", "golf")])
    assert load_corpus(str(table), folder).test == (("a bunker", "golf"),)


def memory_to_refuse(path):
    tracemalloc.start()
    try:
        assert_unusable(path, "")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
