"""python -m pressbox predict: tables in, with all their fields, and tables out."""

import csv
import datetime
import gzip
import json

import pyarrow
import pytest
from pyarrow import parquet

from pressbox.cli.main import main
from pressbox.data import tables, writing

ROWS = [
    {"id": 7, "headline": "a wicket fell", "label": "golf"},
    {"id": 8, "headline": "the caddie's bunker", "label": "golf"},
]
ANSWERS = ["cricket", "golf"]
FORMATS = [
    ".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet",
    ".csv.gz", ".jsonl.gz", ".jsonl.zst", ".json.zst", ".parquet.gz", ".parquet.zst",
]  # fmt: skip


def write(path, rows):
    with writing.written(path) as put:
        put(rows)
    return path


def read(path, column="headline"):
    return [row for _, row in tables.records(path, tables.Layout(column, ""))]


def predict(model, *arguments):
    main(["predict", str(model), *map(str, arguments)])


@pytest.fixture
def refused(earlier, capsys):
    """Predict, which has to fail with one line; its status and that line."""

    def refused(*arguments):
        with pytest.raises(SystemExit) as ended:
            predict(earlier, *arguments)
        said = capsys.readouterr()
        assert said.err.startswith("error: ")
        assert len(said.err.splitlines()) == 1
        return ended.value.code, said.err

    return refused


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_is_read_and_written_with_its_other_fields(suffix, earlier, tmp_path):
    source = write(tmp_path / f"in{suffix}", ROWS)
    written = tmp_path / f"out{suffix}"
    predict(earlier, "--file", source, "--text-column", "headline", "--output", written)
    found = read(written)
    assert [row["label"] for row in found] == ANSWERS
    assert [str(row["id"]) for row in found] == ["7", "8"]
    assert [row["headline"] for row in found] == [row["headline"] for row in ROWS]
    assert [row["given label"] for row in found] == ["golf", "golf"]
    assert [*found[0]] == ["id", "headline", "given label", "label", "probability", "sure"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_is_answered_on_standard_output(suffix, earlier, tmp_path, capsys):
    source = write(tmp_path / f"in{suffix}", ROWS)
    predict(earlier, "--file", source, "--text-column", "headline")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ANSWERS


def test_programs_get_the_fields_too(earlier, tmp_path, capsys):
    source = write(tmp_path / "in.parquet", [{"text": "a wicket fell", "on": datetime.date.min}])
    predict(earlier, "--file", source, "--json")
    answer = json.loads(capsys.readouterr().out)
    assert (answer["on"], answer["label"]) == ("0001-01-01", "cricket")


def test_every_label_has_its_probability(earlier, tmp_path, capsys):
    source, written = write(tmp_path / "in.csv", ROWS), tmp_path / "out.csv"
    options = ("--file", source, "--text-column", "headline", "--all")
    predict(earlier, *options, "--output", written)
    row = read(written)[0]
    shares = {name: float(row[f"probability of {name}"]) for name in ("cricket", "golf", "tennis")}
    assert sum(shares.values()) == pytest.approx(1, abs=2e-4)
    assert shares["cricket"] == float(row["probability"])
    predict(earlier, *options)
    first = capsys.readouterr().out.splitlines()[0].split("\t")
    assert first[0].split()[0] == "cricket"
    assert len(first) == 3


def test_lines_are_written_as_a_table_of_texts(earlier, tmp_path):
    (tmp_path / "in.txt").write_text("a wicket fell\nthe caddie's bunker\n")
    predict(earlier, "--file", tmp_path / "in.txt", "--output", tmp_path / "out.jsonl")
    assert [row["label"] for row in read(tmp_path / "out.jsonl", "text")] == ANSWERS


def test_types_of_parquet_stay(earlier, tmp_path):
    rows = [{"text": "a wicket fell", "n": 2**40, "x": 0.5, "many": ["a"], "on": datetime.date.max}]
    predict(earlier, "--file", write(tmp_path / "in.parquet", rows), "--output",
            tmp_path / "out.parquet")  # fmt: skip
    schema = parquet.read_schema(tmp_path / "out.parquet")
    kinds = {name: str(schema.field(name).type) for name in schema.names}
    assert (kinds["n"], kinds["x"], kinds["on"]) == ("int64", "double", "date32[day]")
    assert pyarrow.types.is_list(schema.field("many").type)
    assert (kinds["probability"], kinds["sure"]) == ("double", "bool")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json", ".parquet", ".jsonl.gz"])
def test_an_error_on_the_way_leaves_the_earlier_output(suffix, refused, tmp_path):
    many = [{"text": "a wicket fell"}] * 3000
    source = write(tmp_path / "in.jsonl", [*many, {"text": 5}])
    written = tmp_path / f"out{suffix}"
    written.write_bytes(b"earlier")
    status, line = refused("--file", source, "--output", written)
    assert (status, "line 3001 of" in line) == (1, True)
    assert written.read_bytes() == b"earlier"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == sorted(
        [source.name, written.name]
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_row_that_a_format_has_no_place_for_is_refused(suffix, refused, tmp_path):
    rows = [{"text": "a"}] * 2000 + [{"text": "b", "more": 1}]
    source = write(tmp_path / "in.jsonl", rows)
    status, line = refused("--file", source, "--output", tmp_path / f"out{suffix}")
    assert (status, "the first has no 'more'" in line) == (1, True)
    assert not (tmp_path / f"out{suffix}").exists()


def test_missing_fields_are_empty_where_a_format_has_a_header(earlier, tmp_path):
    source = write(tmp_path / "in.jsonl", [{"text": "a", "n": None, "t": "x"}, {"text": None}])
    predict(earlier, "--file", source, "--output", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert [(row["n"], row["t"]) for row in rows] == [("", "x"), ("", "")]


def test_no_rows_are_a_table_without_rows(earlier, tmp_path):
    (tmp_path / "in.jsonl").touch()
    for suffix in (".jsonl", ".json", ".csv", ".parquet"):
        predict(earlier, "--file", tmp_path / "in.jsonl", "--output", tmp_path / f"out{suffix}")
        assert (tmp_path / f"out{suffix}").exists()


def test_the_same_answers_are_the_same_bytes(earlier, tmp_path):
    source = write(tmp_path / "in.csv", ROWS)
    for name in ("one", "two"):
        predict(earlier, "--file", source, "--text-column", "headline", "--output",
                tmp_path / f"{name}.jsonl.gz")  # fmt: skip
    assert (tmp_path / "one.jsonl.gz").read_bytes() == (tmp_path / "two.jsonl.gz").read_bytes()


def test_a_column_that_is_not_there_is_named(refused, tmp_path):
    status, line = refused("--file", write(tmp_path / "in.csv", ROWS))
    assert status == 1
    assert "has no text, but: 'id', 'headline', 'label'; say which column it is" in line


@pytest.mark.parametrize(
    ("name", "saying"),
    [("out.xlsx", "does not say the format"), ("none/out.csv", "there is no folder"),
     ("folder.csv", "is a folder")],
)  # fmt: skip
def test_an_output_that_cannot_be_written_is_told_before_anything_else(
    name, saying, refused, tmp_path
):
    (tmp_path / "folder.csv").mkdir()
    status, line = refused("a text", "--output", tmp_path / name)
    assert (status, saying in line) == (2, True)


def test_a_file_that_is_no_text_is_named(refused, tmp_path):
    (tmp_path / "texts.txt.gz").write_bytes(gzip.compress(b"a wicket fell"))
    status, line = refused("--file", tmp_path / "texts.txt.gz")
    assert (status, "is compressed with gzip, not a text on each line" in line) == (2, True)


def test_a_field_that_an_answer_needs_twice_is_refused(refused, tmp_path):
    rows = [{"text": "a", "label": "x", "given label": "y"}]
    status, line = refused("--file", write(tmp_path / "in.jsonl", rows))
    assert (status, "rename the fields that begin with 'given '" in line) == (1, True)
