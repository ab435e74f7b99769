"""Tables in the shapes that people's tools write: each gives its rows to the letter, or a line."""

import csv
import errno
import gzip
import json
import tempfile

import pandas
import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from support import ROOT

from pressbox.data import corpus, tables
from pressbox.data.tables import Layout
from pressbox.errors import PressboxError, UsageError

WORDS = (
    "ippon",
    "caddie",
    "naïve",
    "東京",
    "🏓",
    'the "pin"',
    "a; b",
    "one, two",
    "a\ttab",
    "x\\y",
)
# Text, label; some over two lines, in three scripts, with whatever separates fields.
ROWS = tuple(
    (f"{WORDS[i % 10]} {WORDS[i * 3 % 10]} no {i}" + ("\r\nmore" if i % 7 == 0 else ""), label)
    for i, label in enumerate(("judo", "chess", "rowing", "pétanque") * 10)
)
PLAIN = tuple((f"a text on {label}, no {i}", label) for i, label in enumerate(["judo", "golf"] * 5))


def read(path, layout=None):
    """The rows in the order of the file, as a corpus takes them."""
    return tuple(corpus._cleaned(tables.table(path, layout or Layout()), path.name))


def assert_refused(path, saying, layout=None):
    with pytest.raises(PressboxError) as caught:
        read(path, layout)
    what, _, remedy = str(caught.value).partition("; ")
    assert saying in what
    assert remedy
    assert "\n" not in str(caught.value)
    return remedy


def as_csv(rows, header=("text", "label"), **options):
    with tempfile.TemporaryFile("w+", newline="") as file:
        csv.writer(file, **options).writerows([header, *rows])
        file.seek(0)
        return file.read()


def as_lines(rows, **options):
    entries = ({"id": 7, "text": text, "label": label} for text, label in rows)
    return "".join(json.dumps(entry, **options) + "\n" for entry in entries)


def as_array(rows, **options):
    return json.dumps([{"text": t, "label": label} for t, label in rows], **options)


def zstd(content):
    return pyarrow.compress(content, "zstd", asbytes=True)


TEXTS = {
    "comma.csv": as_csv(ROWS).encode(),
    "upper.CSV": as_csv(ROWS).encode(),
    "newlines of a spreadsheet.csv": as_csv(ROWS, lineterminator="\r\n").encode("utf-8-sig"),
    "newlines of an old one.csv": as_csv(ROWS, lineterminator="\r").encode(),
    "blank lines.csv": as_csv(ROWS, lineterminator="\n\n").encode(),
    "all quoted.csv": as_csv(ROWS, quoting=csv.QUOTE_ALL).encode(),
    "blank lines before.csv": ("\r\n\n" + as_csv(ROWS)).encode(),
    "no newline at the end.csv": as_csv(ROWS).rstrip().encode(),
    "tab.tsv": as_csv(ROWS, delimiter="\t").encode(),
    "unicode text.tsv": as_csv(ROWS, delimiter="\t").encode("utf-16"),
    "other order.csv": as_csv([(7, b, a) for a, b in ROWS], ("id", "label", "text")).encode(),
    "utf-16.csv": as_csv(ROWS).encode("utf-16"),
    "utf-16-be.csv": ("\ufeff" + as_csv(ROWS)).encode("utf-16-be"),
    "utf-32.csv": as_csv(ROWS).encode("utf-32"),
    "lines.jsonl": as_lines(ROWS).encode(),
    "lines.ndjson": as_lines(ROWS).encode(),
    "upper.JSONL": as_lines(ROWS).encode(),
    "windows.jsonl": as_lines(ROWS).replace("\n", "\r\n").encode("utf-8-sig"),
    "utf-16.jsonl": as_lines(ROWS).encode("utf-16"),
    "not escaped.jsonl": as_lines(ROWS, ensure_ascii=False).encode(),
    "array.json": as_array(ROWS).encode(),
    "indented.json": as_array(ROWS, indent=2).encode("utf-8-sig"),
    "blanks around.json": f"\n {as_array(ROWS, separators=(' , ', ' : '))}\n\n".encode(),
    "utf-16.json": as_array(ROWS).encode("utf-16"),
    "of spark.json": as_lines(ROWS).encode(),
}


@pytest.mark.parametrize("packed", ["", ".gz", ".zst", ".GZ"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_table_of_text_gives_its_rows_to_the_letter(name, packed, tmp_path):
    pack = {"": bytes, ".gz": gzip.compress, ".zst": zstd}[packed.lower()]
    path = tmp_path / (name + packed)
    path.write_bytes(pack(TEXTS[name]))
    assert read(path) == ROWS


def test_an_array_is_read_by_blocks(tmp_path, monkeypatch):
    path = tmp_path / "rows.json"
    for indent in (None, 2):
        path.write_text(as_array(ROWS, indent=indent))
        for size in range(1, 90, 8):
            monkeypatch.setattr(tables, "BLOCK_BYTES", size)
            assert read(path) == ROWS


def arrow(rows=ROWS, label=None):
    texts, labels = zip(*rows, strict=True)
    return pyarrow.table({"text": texts, "label": pyarrow.array(labels, label)})


def by_groups(path, rows=ROWS):
    """Each row group has a dictionary of its own, in the order in which its labels come."""
    kind = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    with parquet.ParquetWriter(
        path, pyarrow.schema({"text": pyarrow.string(), "label": kind})
    ) as w:
        for start, order in ((0, 1), (10, -1), (20, 1), (30, -1)):
            part = rows[start : start + 10]
            names = sorted({label for _, label in part})[::order]
            codes = pyarrow.array([names.index(label) for _, label in part], pyarrow.int32())
            labels = pyarrow.DictionaryArray.from_arrays(codes, names)
            w.write_table(pyarrow.table({"text": [text for text, _ in part], "label": labels}))


def frame():
    return pandas.DataFrame(ROWS, columns=["text", "label"])


def deltas(kind):
    columns = {"text": kind, "label": "DELTA_LENGTH_BYTE_ARRAY"}
    return {"use_dictionary": False, "column_encoding": columns}


PARQUETS = {
    "row groups with their own dictionaries": by_groups,
    "pandas": lambda path: frame().to_parquet(path),
    "pandas, categories": lambda path: (
        frame().astype({"label": "category"}).to_parquet(path, row_group_size=7)
    ),
    "pandas, label as index": lambda path: frame().set_index("label").to_parquet(path),
    "pandas, other index": lambda path: (
        frame().set_index(pandas.RangeIndex(5, 45)).to_parquet(path)
    ),
    "pages of version 2": lambda path: parquet.write_table(
        arrow(), path, data_page_version="2.0", version="2.6", data_page_size=64
    ),
    "delta byte array": lambda path: parquet.write_table(
        arrow(), path, **deltas("DELTA_BYTE_ARRAY")
    ),
    "plain": lambda path: parquet.write_table(
        arrow(), path, use_dictionary=False, compression="none"
    ),
    "large strings": lambda path: parquet.write_table(arrow(label=pyarrow.large_string()), path),
    "views": lambda path: parquet.write_table(arrow(label=pyarrow.string_view()), path),
    "bytes": lambda path: parquet.write_table(
        arrow([(text.encode(), label.encode()) for text, label in ROWS]), path
    ),
    "small row groups": lambda path: parquet.write_table(arrow(), path, row_group_size=3),
    "checksums": lambda path: parquet.write_table(arrow(), path, write_page_checksum=True),
    "other columns": lambda path: parquet.write_table(
        arrow().append_column("texts", [[{"text": "no", "label": "no"}] * len(ROWS)]), path
    ),
    **{
        codec: lambda path, codec=codec: parquet.write_table(arrow(), path, compression=codec)
        for codec in ("snappy", "gzip", "zstd", "brotli", "lz4")
    },
}


@pytest.mark.parametrize("name", PARQUETS)
def test_a_parquet_gives_its_rows_to_the_letter(name, tmp_path):
    path = tmp_path / "rows.parquet"
    PARQUETS[name](path)
    assert read(path) == ROWS


# By programs that are not in this environment: DuckDB 2.0.1, Polars 2.1.0, fastparquet 2026.9.0,
# sqlite3 3.40.1, jq 1.6, zstd 1.5.
WRITTEN = sorted(ROOT.glob("tests/data/[!.]*"))


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_what_other_programs_wrote_gives_its_rows_to_the_letter(path):
    assert read(path) == ROWS


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".zst", zstd)])
def test_a_parquet_may_be_compressed_as_a_whole(suffix, pack, tmp_path):
    parquet.write_table(arrow(), tmp_path / "rows.parquet")
    path = tmp_path / f"rows.parquet{suffix}"
    path.write_bytes(pack((tmp_path / "rows.parquet").read_bytes()))
    assert read(path) == ROWS


# What others take for numbers, truths or nothing, and what is a label.
STRINGS = ("NA", "007", "1e5", "null", "nan", "None", "True", "1.0", "-0", "N/A", "2026-01-01")


def write(path, rows):
    suffix = path.suffix
    if suffix == ".parquet":
        texts, labels = zip(*rows, strict=True)
        parquet.write_table(pyarrow.table({"text": texts, "label": labels}), path)
    elif suffix == ".jsonl":
        path.write_text(as_lines(rows))
    elif suffix == ".json":
        path.write_text(as_array(rows))
    else:
        path.write_text(as_csv(rows, delimiter="\t" if suffix == ".tsv" else ","))
    return path


SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_string_stays_a_string(suffix, tmp_path):
    rows = tuple((f"{value} in a text", value) for value in STRINGS)
    rows += tuple((value, "label") for value in STRINGS)
    assert read(write(tmp_path / f"rows{suffix}", rows)) == rows


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
def test_integer_labels_become_their_digits_and_that_is_said(suffix, tmp_path, capsys):
    path = write(tmp_path / f"rows{suffix}", [("a", 0), ("b", -1), ("c", 1 << 62)])
    assert read(path) == (("a", "0"), ("b", "-1"), ("c", "4611686018427387904"))
    assert "are read as strings of digits" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["int8", "uint64", "dictionary"])
def test_integers_of_every_width_are_labels(kind, tmp_path):
    labels = pyarrow.array([1, 2, 1], getattr(pyarrow, kind)() if kind != "dictionary" else None)
    if kind == "dictionary":
        labels = labels.dictionary_encode()
    parquet.write_table(
        pyarrow.table({"text": ["a", "b", "c"], "label": labels}), tmp_path / "rows.parquet"
    )
    assert read(tmp_path / "rows.parquet") == (("a", "1"), ("b", "2"), ("c", "1"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_for_a_text_is_left_out_and_said_in_every_format(suffix, tmp_path, capsys):
    path = write(tmp_path / f"rows{suffix}", [("a", "x"), (None, "y"), ("", "y"), ("b", "x")])
    assert read(path) == (("a", "x"), ("b", "x"))
    assert f"empty texts of {path.name}, left out: 2" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_for_a_label_is_an_error_with_its_place_in_every_format(suffix, tmp_path):
    path = write(tmp_path / f"rows{suffix}", [("a", "x"), ("b", None)])
    number = {".csv": "line 3", ".tsv": "line 3", ".jsonl": "line 2"}.get(suffix, "row 2")
    assert_refused(path, f"{number} of {path} has no label")


def test_the_two_spellings_of_a_label_are_one(tmp_path):
    path = write(tmp_path / "rows.jsonl", [("a", "pétanque"), ("b", "pe\u0301tanque")])
    assert read(path) == (("a", "pétanque"), ("b", "pétanque"))


def test_the_columns_can_be_named(tmp_path):
    layout = Layout("body text", "-topic")
    path = tmp_path / "rows.csv"
    path.write_text(as_csv(ROWS, ("body text", "-topic")))
    assert read(path, layout) == ROWS
    table = arrow().rename_columns(["body text", "-topic"])
    parquet.write_table(table, tmp_path / "rows.parquet")
    assert read(tmp_path / "rows.parquet", layout) == ROWS
    parquet.write_table(arrow().rename_columns(["a.b", "c.d"]), tmp_path / "dots.parquet")
    assert read(tmp_path / "dots.parquet", Layout("a.b", "c.d")) == ROWS


def test_the_delimiter_can_be_given(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(as_csv(ROWS, delimiter=";"))
    assert "--delimiter" in assert_refused(
        path, "has no text and no label, as its first line is one field"
    )
    assert read(path, Layout(delimiter=";")) == ROWS
    path.write_text("text\na ball\n")
    assert_refused(path, "has no label, but: 'text'")
    path.write_text(as_csv(ROWS, delimiter="\t"))
    assert read(path, Layout(delimiter="\t")) == ROWS


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".json", ".csv.gz", ".csv.zst"])
def test_the_encoding_can_be_given_and_a_byte_order_mark_knows_better(ending, tmp_path):
    rows = (("une façade", "pétanque"), ("100 €", "golf")) * 20
    path = tmp_path / f"rows{ending}"
    if "csv" in ending:
        content = as_csv(rows)
    else:
        lines = [json.dumps({"text": t, "label": n}, ensure_ascii=False) for t, n in rows]
        content = f"[{','.join(lines)}]" if ending == ".json" else "\n".join(lines)
    pack = {".gz": gzip.compress, ".zst": zstd}.get(path.suffix, bytes)
    path.write_bytes(pack(content.encode("cp1252")))
    assert "--encoding" in assert_refused(path, "is not UTF-8")
    assert read(path, Layout(encoding="cp1252")) == rows
    path.write_bytes(pack(content.encode("utf-16")))
    assert read(path, Layout(encoding="cp1252")) == rows


def test_the_line_that_is_not_utf_8_is_named_wherever_it_is(tmp_path):
    path = tmp_path / "rows.jsonl"
    for line in (1, 2, 75, 999):
        lines = as_lines(ROWS * 25).encode().splitlines()
        lines[line - 1] = lines[line - 1].replace(b"no", b"n\xf6")
        path.write_bytes(b"\n".join(lines))
        assert_refused(path, f"line {line} of {path} is not UTF-8")


@pytest.mark.parametrize(
    "wrong",
    [
        {"delimiter": ";;"},
        {"delimiter": '"'},
        {"delimiter": "\n"},
        {"encoding": "klingon"},
        {"encoding": "base64"},
        {"text_column": "label"},
    ],
)
def test_a_layout_that_cannot_be_is_wrong_usage(wrong):
    with pytest.raises(UsageError, match="; "):
        Layout(**wrong)


def broken(position, row, rows=PLAIN, **options):
    lines = as_csv(rows, **options).splitlines()
    lines.insert(position, row)
    return "\n".join(lines).encode()


REFUSED = {
    "no quotes around commas.csv": (
        b"label,text\njudo,a throw, a hold\n",
        "line 2 of {} has 3 fields, the header 2",
    ),
    "one stray comma.csv": (broken(4, "a, b,judo"), "line 5 of {} has 3 fields"),
    "too few.csv": (broken(4, "a b"), "line 5 of {} has 1 of the header's 2 fields"),
    "too few after a text of two lines.csv": (
        b'text,label\n"a\nb",judo\nc\n',
        "line 4 of {} has 1 of",
    ),
    "a column twice.csv": (b"text,label,label\na,b,c\n", "has the column 'label' twice"),
    "other names.csv": (b"body,topic\na,b\n", "has no text and no label, but: 'body', 'topic'"),
    "backslashes of spark.csv": (b'text,label\n"say \\"hi\\"",judo\n', "line 2 of {} is not CSV"),
    "utf-16 without its mark.csv": (as_csv(PLAIN).encode("utf-16-le"), "has no text and no label"),
    "a name twice.jsonl": (
        b'{"text": "a", "label": "b"}\n{"text": "a", "label": "b", "label": "c"}\n',
        "line 2 of {} is not JSON (it has the name 'label' twice)",
    ),
    "a name twice.json": (b'[{"text": "a", "text": "b", "label": "c"}]', "row 1 of {} is not JSON"),
    "indented objects.jsonl": (b'{\n  "text": "a",\n  "label": "b"\n}\n', "line 1 of {} is not"),
    "columns of pandas.json": (b'{"text":{"0":"a"},"label":{"0":"b"}}', "must be a string"),
    "another kind of blank.jsonl": (
        ("\u2028\n" + as_lines(PLAIN)).encode(),
        "line 1 of {} is not JSON",
    ),
    "strings.json": (b'["a", "b"]', "row 1 of {} has no text and no label, as it is not an object"),
    "half.json": (as_array(PLAIN).encode()[:-20], "row 10 of {} is not JSON"),
    "no comma.json": (as_array(PLAIN).replace("}, {", "} {").encode(), "row 2 of {} is not JSON"),
    "a comma at the end.json": (as_array(PLAIN)[:-1].encode() + b",]", "row 11 of {} is not JSON"),
    "two arrays.json": (as_array(PLAIN).encode() * 2, "something follows the array"),
    "a fraction.jsonl": (b'{"text": "a", "label": 1.5}\n', "line 1 of {}: the label must be"),
    "a truth.jsonl": (b'{"text": "a", "label": true}\n', "line 1 of {}: the label must be"),
    "a number as text.jsonl": (b'{"text": 5, "label": "a"}\n', "line 1 of {}: the text must be"),
    "half a surrogate.jsonl": (b'{"text": "\\udc00", "label": "a"}\n', "is not valid Unicode"),
    "half a surrogate.json": (b'[{"text": "a", "label": "\\ud83c"}]', "is not valid Unicode"),
    "a pointer.csv": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "LFS pointer"),
    "a pointer.parquet": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "LFS"),
    "a spreadsheet.csv": (b"PK\x03\x04\x14\0", "is a ZIP archive or an Office document"),
    "gzip.csv": (gzip.compress(b"text,label\n"), "is compressed with gzip, which its name does"),
    "no gzip.csv.gz": (b"text,label\na,b\n", "is damaged (Not a gzipped file"),
    "zstd.csv.gz": (zstd(b"text,label\n"), "is compressed with zstd"),
    "half of gzip.csv.gz": (gzip.compress(as_csv(ROWS).encode())[:-9], "is damaged (Compressed"),
    "half of zstd.csv.zst": (zstd(as_csv(ROWS).encode())[:-9], "is damaged"),
    "half of gzip.parquet.gz": (gzip.compress(bytes(99))[:-9], "is damaged"),
    "noise.csv.zst": (b"\x28\xb5\x2f\xfd" + bytes(range(99)), "is damaged"),
    "no parquet.parquet": (as_csv(ROWS).encode(), "is damaged"),
    "encrypted.parquet": (b"PARE" + bytes(40) + b"\x08\0\0\0PARE", "not supported"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_exactly_is_one_line(name, tmp_path):
    content, saying = REFUSED[name]
    path = tmp_path / name
    path.write_bytes(content)
    assert_refused(path, saying.format(path))


ODD_PARQUETS = {
    "a column twice": (
        pyarrow.Table.from_arrays([["a"], ["b"], ["c"]], ["text", "label", "label"]),
        "has the column 'label' twice",
    ),
    "other names": (pyarrow.table({"body": ["a"], "label": ["b"]}), "has no text, but: 'body'"),
    "lists": (pyarrow.table({"text": [["a"]], "label": ["b"]}), "of the type list"),
    "fractions": (pyarrow.table({"text": ["a"], "label": [1.5]}), "of the type double"),
    "bytes in Latin-1": (pyarrow.table({"text": [b"\xe9"], "label": ["b"]}), "row 1 of {} has"),
    "a string in Latin-1": (
        pyarrow.table({"text": pyarrow.array([b"\xe9"]).view(pyarrow.string()), "label": ["b"]}),
        "has text that is not UTF-8",
    ),
}


@pytest.mark.parametrize("name", ODD_PARQUETS)
def test_a_parquet_that_cannot_be_read_exactly_is_one_line(name, tmp_path):
    table, saying = ODD_PARQUETS[name]
    path = tmp_path / "rows.parquet"
    parquet.write_table(table, path)
    assert_refused(path, saying.format(path))


def test_bytes_of_a_parquet_have_the_encoding_that_is_given(tmp_path):
    path = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.table({"text": [b"\xe9t\xe9"], "label": ["b"]}), path)
    assert read(path, Layout(encoding="latin-1")) == (("été", "b"),)


def test_a_compression_that_is_not_supported_is_not_called_damage(tmp_path):
    path = tmp_path / "rows.parquet"
    parquet.write_table(arrow(), path, compression="brotli", use_dictionary=False)
    content = path.read_bytes()
    # In the footer, the codec of each column: 3 is LZO, which has a licence that few want.
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    footer = content[start:].replace(b"\x15\x08\x16", b"\x15\x06\x16")
    assert footer != content[start:]
    path.write_bytes(content[:start] + footer)
    remedy = assert_refused(path, "is written in a way that is not supported")
    assert "snappy" in remedy


def test_no_room_to_unpack_is_said_as_that(tmp_path, monkeypatch):
    class Full:
        def __enter__(self):
            raise OSError(errno.ENOSPC, "No space left on device")

        def __exit__(self, *_):
            raise AssertionError

    path = tmp_path / "rows.parquet.gz"
    path.write_bytes(gzip.compress(b"PAR1"))
    monkeypatch.setattr(tables.tempfile, "TemporaryFile", Full)
    assert_refused(path, "there is not enough space in ")


DAMAGED = {
    "rows.parquet": PARQUETS["plain"],
    "groups.parquet": by_groups,
    "snappy.parquet": PARQUETS["snappy"],
    "delta.parquet": PARQUETS["delta byte array"],
    **{
        name: lambda path, content=content: path.write_bytes(content)
        for name, content in (
            ("rows.csv", TEXTS["comma.csv"]),
            ("rows.jsonl", TEXTS["lines.jsonl"]),
            ("rows.json", TEXTS["array.json"]),
            ("utf-16.tsv", TEXTS["unicode text.tsv"]),
            ("rows.csv.gz", gzip.compress(TEXTS["comma.csv"])),
            ("rows.jsonl.zst", zstd(TEXTS["lines.jsonl"])),
        )
    },
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_ends_in_rows_or_in_one_line(name, tmp_path):
    DAMAGED[name](tmp_path / name)
    content = (tmp_path / name).read_bytes()
    place = st.one_of(st.integers(0, len(content) - 1), st.integers(-min(600, len(content)), -1))
    flips = st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=8)

    @settings(
        max_examples=150,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(flips, st.one_of(st.none(), st.integers(0, len(content))))
    def check(flips, end):
        spoilt = bytearray(content)
        for position, byte in flips:
            spoilt[position] = byte
        (tmp_path / name).write_bytes(spoilt[:end])
        try:
            rows = read(tmp_path / name)
        except PressboxError as error:
            assert "; " in str(error)
        else:
            assert len(rows) <= 2 * len(ROWS)

    check()


SPLITS = {
    "rows.csv": lambda path: path.write_text(as_csv(WITH_SPLIT, ("text", "label", "split"))),
    "rows.jsonl": lambda path: path.write_text("\n".join(map(json.dumps, split_objects()))),
    "rows.json": lambda path: path.write_text(json.dumps(split_objects())),
    "rows.parquet": lambda path: pandas.DataFrame(split_objects()).to_parquet(path),
}
WITH_SPLIT = [(*row, "test" if i % 5 == 0 else "train") for i, row in enumerate(PLAIN)]


def split_objects():
    return [dict(zip(("text", "label", "split"), row, strict=True)) for row in WITH_SPLIT]


@pytest.mark.parametrize("name", SPLITS)
def test_a_column_that_would_divide_a_table_is_mentioned_once(name, tmp_path, capsys):
    SPLITS[name](tmp_path / name)
    assert read(tmp_path / name) == PLAIN
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"the column 'split' of the tables in {tmp_path} is ignored; to divide by it" in said


def test_a_column_that_is_asked_for_is_not_mentioned(tmp_path, capsys):
    SPLITS["rows.csv"](tmp_path / "rows.csv")
    rows = read(tmp_path / "rows.csv", Layout(label_column="split"))
    assert {label for _, label in rows} == {"train", "test"}
    assert capsys.readouterr().err == ""


def test_an_array_that_is_not_utf_8_says_after_which_row(tmp_path):
    rows = json.dumps(split_objects()).encode() * 1
    padded = rows[:-1] + b" " * (1 << 21) + b', {"text": "\xff", "label": "a"}]'
    (tmp_path / "rows.json").write_bytes(padded)
    assert_refused(tmp_path / "rows.json", f"rows.json is not UTF-8, after row {len(PLAIN)}")
