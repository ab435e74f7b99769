"""Folders: of texts, of the parts of a table, divided; and what in them is neither."""

import gzip
import os
import stat

import pyarrow
import pytest
from pyarrow import parquet
from support.models import write_jsonl

from pressbox.data import corpus
from pressbox.data.sources import read
from pressbox.data.tables import Layout
from pressbox.errors import PressboxError

ROWS = tuple((f"a text on {label}, no {i}", label) for label in ("chess", "judo") for i in range(5))


def rows_of(folder, layout=None):
    """What a source gives to train on and to evaluate on, sorted; None for no part of its own."""
    found = read(str(folder), layout or Layout())
    return tuple(part and tuple(sorted(corpus._cleaned(part, "it"))) for part in found)


def assert_refused(folder, saying, layout=None):
    with pytest.raises(PressboxError) as caught:
        rows_of(folder, layout)
    what, _, remedy = str(caught.value).partition("; ")
    assert saying in what
    assert remedy
    return remedy


def texts(folder, rows=ROWS):
    for number, (text, label) in enumerate(rows):
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / f"{number}.txt").write_bytes(text.encode())
    return folder


@pytest.fixture
def folder(tmp_path):
    return texts(tmp_path / "source")


MARKED = ["utf-8-sig", "utf-16", "utf-32"]


@pytest.mark.parametrize("encoding", MARKED)
def test_a_byte_order_mark_says_how_a_text_is_decoded(encoding, folder, capsys):
    (folder / "judo" / "marked.txt").write_bytes("žluťoučký 東京".encode(encoding))
    assert ("žluťoučký 東京", "judo") in rows_of(folder)[0]
    assert capsys.readouterr().err == ""


def test_the_encoding_of_texts_can_be_given(folder):
    (folder / "judo" / "old.txt").write_bytes("žluťoučký".encode("cp1250"))
    assert ("žluťoučký", "judo") in rows_of(folder, Layout(encoding="cp1250"))[0]
    assert "--encoding" in assert_refused(folder, "is not ASCII", Layout(encoding="ascii"))


def test_a_text_with_a_few_characters_of_control_is_latin_1(folder):
    text = "He was d\x08e\x08f\x08i\x08n\x08i\x08t\x08e\x08l\x08y out, caf\xe9 \x80"
    (folder / "judo" / "old").write_bytes(text.encode("latin-1"))
    assert (text, "judo") in rows_of(folder)[0]


PICTURES = {
    "a.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "a.jpg": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "a.txt": b"%PDF-1.7\n%\xb5\xed\xae\xfb\n",
    "a.docx": b"PK\x03\x04\x14\0\x06\0",
    "a.txt.gz": gzip.compress(b"a text"),
    "a.part": b"PAR1\x15\x04\x15",
}


@pytest.mark.parametrize("name", PICTURES)
def test_what_is_evidently_no_text_is_left_out_and_named(name, folder, capsys):
    (folder / "judo" / name).write_bytes(PICTURES[name])
    assert rows_of(folder)[0] == ROWS
    assert f"as not text: judo/{name} (" in capsys.readouterr().err


POINTERS = {
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    "git-annex": b"/annex/objects/SHA256E-s6--4d7a.txt\n",
    "DVC": b"outs:\n- md5: 4d7a.dir\n  size: 6\n  path: judo\n",
}


@pytest.mark.parametrize("name", POINTERS)
def test_a_pointer_to_a_text_is_no_text(name, folder):
    (folder / "judo" / "3.txt").write_bytes(POINTERS[name])
    assert "fetch it: " in assert_refused(folder, f"judo/3.txt is a {name} pointer")


BYTES = {
    "NUL bytes": b"a text\0",
    "UTF-16 without its mark": "a text on judo".encode("utf-16-le"),
    "a program": bytes(range(1, 256)),
    "Shift JIS": ("テキスト" * 9).encode("shift-jis"),
}


@pytest.mark.parametrize("name", BYTES)
def test_what_does_not_look_like_a_text_is_refused(name, folder):
    (folder / "judo" / "odd").write_bytes(BYTES[name])
    assert "--encoding" in assert_refused(folder, "judo/odd does not look like text")


def link_to_a_file(folder):
    (folder / "judo" / "zz.txt").symlink_to("/proc/self/environ")
    return "judo/zz.txt is a link to /proc/self/environ"


def link_within(folder):
    (folder / "judo" / "zz.txt").symlink_to("1.txt")
    return "judo/zz.txt is a link"


def broken_link(folder):
    (folder / "judo" / "zz.txt").symlink_to(".git/annex/objects/4d7a")
    return "judo/zz.txt is a link"


def link_to_a_folder(folder):
    (folder / "judo" / "zz").symlink_to("/root/.ssh")
    return "judo/zz is a link"


def label_that_is_a_link(folder):
    (folder / "rowing").symlink_to(folder / "judo")
    return "rowing is a link"


def part_that_is_a_link(folder):
    texts(folder / "train")
    (folder / "test").symlink_to("/etc")
    return "test is a link"


def a_socket(folder):
    os.mknod(folder / "judo" / "zz", stat.S_IFSOCK)
    return "judo/zz is neither a file nor a folder"


def a_pipe(folder):
    os.mkfifo(folder / "judo" / "zz")
    return "judo/zz is neither a file nor a folder"


SPECIAL = (
    link_to_a_file,
    link_within,
    broken_link,
    link_to_a_folder,
    label_that_is_a_link,
    part_that_is_a_link,
    a_socket,
    a_pipe,
)


@pytest.mark.parametrize("make", SPECIAL, ids=lambda make: make.__name__)
def test_only_regular_files_are_texts_and_the_first_other_is_named(make, folder):
    assert_refused(folder, make(folder))


def test_ten_of_sixty_texts_that_are_links_are_not_lost(tmp_path):
    rows = tuple((f"text {i} on {label}", label) for label in "abc" for i in range(20))
    folder, cache = texts(tmp_path / "source", rows), tmp_path / "cache"
    cache.mkdir()
    for file in sorted((folder / "b").iterdir())[:10]:
        (folder / "b" / file.name).rename(cache / file.name)
        file.symlink_to(cache / file.name)
    remedy = assert_refused(folder, "b/20.txt is a link to ")
    assert "dvc" in remedy
    assert "git annex unlock" in remedy


@pytest.mark.parametrize("train", ["train", "Train", "TRAINING"])
@pytest.mark.parametrize("test", ["test", "Test"])
def test_a_train_and_a_test_folder_are_the_two_parts(train, test, tmp_path):
    texts(tmp_path / "source" / train)
    texts(tmp_path / "source" / test, ROWS[:2])
    assert rows_of(tmp_path / "source") == (ROWS, ROWS[:2])


@pytest.mark.parametrize(
    "names",
    [
        ["train", "val", "test"],
        ["train", "validation"],
        ["Train", "train"],
        ["train", "golf"],
        ["test", "golf"],
        ["dev", "test"],
    ],
)
def test_another_division_is_refused_and_not_learned(names, tmp_path):
    for name in names:
        texts(tmp_path / "source" / name)
    remedy = assert_refused(tmp_path / "source", ", ".join(sorted(names)))
    assert "--test" in remedy


def test_a_file_beside_the_labels_is_said_to_be_left_out(folder, capsys):
    (folder / "README.md").write_text("about these texts")
    assert rows_of(folder)[0] == ROWS
    assert f"left out, as not part of {folder}: README.md" in capsys.readouterr().err


def test_what_is_no_part_is_said_wherever_it_lies(tmp_path, capsys):
    texts(tmp_path / "texts" / "train")
    texts(tmp_path / "texts" / "test", ROWS[:2])
    write_parquet(tmp_path / "parts" / "label=judo" / "0.parquet", ROWS, ["text"])
    for place in ("texts/train", "texts", "parts/label=judo", "parts"):
        (tmp_path / place / "README.md").write_text("about this folder")
    rows_of(tmp_path / "texts"), rows_of(tmp_path / "parts")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 4
    for place in ("texts/train", "texts", "parts/label=judo", "parts"):
        assert f"left out, as not part of {tmp_path / place}: README.md" in said


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl.gz", "part-0.snappy.parquet"])
def test_a_table_among_the_texts_is_refused(name, folder):
    (folder / "judo" / name).write_bytes(b"text,label\n")
    assert "rename" in assert_refused(folder, f"judo/{name} is a table, in a folder of texts")


def write_parquet(path, rows, columns=("text", "label")):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table(dict(zip(("text", "label"), zip(*rows, strict=True), strict=True)))
    parquet.write_table(table.select(columns), path)


def test_the_parts_of_a_table_are_one_table(tmp_path, capsys):
    for number in range(5):
        write_jsonl(tmp_path / f"part-{number}.json", ROWS[number::5])
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".part-0.json.crc").write_bytes(b"crc\0")
    assert rows_of(tmp_path) == (ROWS, None)
    assert capsys.readouterr().err == ""


def test_compressed_parts_are_one_table(tmp_path):
    for number in range(5):
        path = write_jsonl(tmp_path / f"{number}.jsonl", ROWS[number::5])
        (tmp_path / f"{number}.jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert rows_of(tmp_path) == (ROWS, None)


def test_the_folders_of_a_partitioned_table_are_a_column(tmp_path, capsys):
    rows = (*ROWS, ("a text", "ice hockey/NHL"), ("another", "ice hockey/NHL"))
    for label, name in (
        ("chess", "chess"),
        ("judo", "judo"),
        ("ice hockey/NHL", "ice%20hockey%2FNHL"),
    ):
        chosen = [row for row in rows if row[1] == label]
        write_parquet(tmp_path / f"label={name}" / "year=2026" / "0.parquet", chosen[1:], ["text"])
        # DuckDB and Polars can write the column into the files as well.
        write_parquet(tmp_path / f"label={name}" / "year=2025" / "0.parquet", chosen[:1])
    (tmp_path / "_SUCCESS").touch()
    assert rows_of(tmp_path) == (tuple(sorted(rows)), None)
    assert capsys.readouterr().err == ""


def test_partitions_that_would_divide_a_table_are_mentioned(tmp_path, capsys):
    for part in ("train", "test"):
        write_parquet(tmp_path / f"split={part}" / "0.parquet", ROWS)
    assert rows_of(tmp_path)[1] is None
    assert capsys.readouterr().err.startswith(
        f"the column 'split' of the tables in {tmp_path} is ignored; "
    )


def test_a_partition_without_a_label_is_refused(tmp_path):
    write_parquet(tmp_path / "label=judo" / "0.parquet", ROWS, ["text"])
    write_parquet(tmp_path / "label=__HIVE_DEFAULT_PARTITION__" / "0.parquet", ROWS, ["text"])
    assert_refused(tmp_path, "row 1 of")


@pytest.mark.parametrize("suffix", ["-00000-of-00001.parquet", ".parquet"])
def test_parts_that_are_called_train_and_test_are_the_two_parts(suffix, tmp_path):
    write_parquet(tmp_path / f"train{suffix}", ROWS)
    write_parquet(tmp_path / f"test{suffix}", ROWS[:2])
    (tmp_path / "README.md").write_text("about this table")
    assert rows_of(tmp_path) == (ROWS, ROWS[:2])


def test_a_train_and_a_test_folder_may_hold_parts(tmp_path):
    for number in range(2):
        write_parquet(tmp_path / "train" / f"{number}.parquet", ROWS[number::2])
    write_parquet(tmp_path / "test" / "0.parquet", ROWS[:2])
    assert rows_of(tmp_path) == (ROWS, ROWS[:2])


AMBIGUOUS = {
    "a validation part": (["train.csv", "validation.csv"], "is divided in a way"),
    "a part that is neither": (["train.csv", "more.csv"], "is divided in a way"),
    "two formats": (["rows.csv", "rows.jsonl"], "has tables of several kinds: .csv, .jsonl"),
    "one twice": (["rows.csv", "rows.csv.gz"], "rows.csv is there twice, once compressed"),
    "a table with versions": (["part-0.parquet", "_delta_log/0.json"], "is a versioned table"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_parts_that_may_not_be_one_table_are_refused(name, tmp_path):
    names, saying = AMBIGUOUS[name]
    for part in names:
        (tmp_path / part).parent.mkdir(exist_ok=True)
        (tmp_path / part).write_text("text,label\na,b\n")
    assert_refused(tmp_path, saying)


def test_a_label_that_holds_an_equals_sign_is_a_label(tmp_path):
    rows = tuple((text, f"{label}=1") for text, label in ROWS)
    assert rows_of(texts(tmp_path / "source", rows))[0] == rows
