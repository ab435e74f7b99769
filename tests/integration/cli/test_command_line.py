"""python -m pressbox: verify, show, predict."""

import copy
import io
import itertools
import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from support import ROOT
from support.checkouts import shared_copy
from support.hostile import forged, resealed
from support.processes import assert_refused, python

from pressbox import payload
from pressbox.cli.main import main
from pressbox.cli.prediction import _decoded
from pressbox.provenance.statement import SignedBy
from pressbox.sealing import tarball
from pressbox.trust import signing_key
from pressbox.trust.signers import DEMO

LABELS = ["cricket", "golf", "tennis"]
SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


def pressbox(*arguments, **options):
    return python("-m", "pressbox", *arguments, **options)


def assert_is_shown(facts):
    assert facts["name"] == "small"
    for name in ("model_digest", "environment_digest", "data_digest"):
        assert SHA256.fullmatch(facts[name])
    assert facts["code"].keys() == {"commit", "dirty"}
    assert facts["signer"]["fingerprint"] == DEMO
    assert "demo key" in facts["signer"]["user_id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", facts["sealed_at"])
    assert facts["labels"] == LABELS
    assert facts["drift"] == []
    assert facts["metrics"].keys() == {"accuracy", "macro_f1", "rows"}


def test_show_tells_what_a_model_is(earlier):
    done = pressbox("show", earlier, "--json")
    assert done.returncode == 0
    assert_is_shown(json.loads(done.stdout))


def test_show_prints_the_statement_for_other_tools(earlier):
    done = pressbox("show", earlier, "--statement")
    assert json.loads(done.stdout) == tarball.verify(earlier).statement.content


def test_verify_tells_that_a_model_is_trusted_and_what_it_is(earlier):
    done = pressbox("verify", earlier, "--json")
    assert done.returncode == 0
    facts = json.loads(done.stdout)
    assert (facts["trusted"], facts["reason"]) == (True, "ok")
    assert_is_shown(facts)


def test_verify_tells_that_a_model_is_not_trusted_and_why(earlier):
    earlier.write_bytes(earlier.read_bytes()[:-100])
    done = pressbox("verify", earlier, "--json")
    assert_refused(done, 3, "not trusted")
    answer = json.loads(done.stdout)
    assert answer["trusted"] is False
    assert answer["verdict"].startswith("NOT TRUSTED: ")
    assert answer["reason"] in done.stderr


def test_people_read_a_line_for_each_fact(earlier, capsys):
    main(["verify", str(earlier)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("NOT PROTECTED: signed with the published demo key, ")
    assert "trusted             True" in lines
    assert "labels              cricket, golf, tennis" in lines
    assert any(line.startswith("model digest        sha256:") for line in lines)


EVIL = "x\n\x1b[1Asigner  good\u202e\u2066\ud800\x7f"


def sealed_saying(evil, model, path):
    """A model that says something evil wherever it has the word."""
    other = copy.copy(model)
    other.parameters = {**model.parameters, "labels": [evil, *model.labels[1:]]}
    other.statement = copy.deepcopy(model.statement)
    definition = other.statement["predicate"]["buildDefinition"]
    used = {entry["name"]: entry for entry in definition["resolvedDependencies"]}
    definition["externalParameters"]["source"] = evil
    used["environment"]["annotations"]["drift"] = [evil]
    used["code"]["annotations"]["files"] = {evil: f"sha256:{'0' * 64}"}
    other.statement["predicate"]["runDetails"]["byproducts"][0]["annotations"][evil] = 1
    other.statement["subject"][0]["digest"]["sha256"] = other.digest[7:]
    tarball.seal(other, path, signing_key.demo_key())


@pytest.mark.parametrize(
    "command",
    [["verify"], ["show"], ["predict"], ["compare"], ["replay"], ["verify", "--json"],
     ["show", "--json"], ["show", "--statement"], ["show", "--sbom"], ["predict", "--json"],
     ["compare", "--json"]],
)  # fmt: skip
def test_what_a_model_says_moves_and_hides_nothing_on_a_terminal(command, model, earlier):
    other = earlier.with_name("other.tar.gz")
    sealed_saying(EVIL, model, other)
    name, *options = command
    more = {"predict": ["wicket innings"], "compare": [earlier], "replay": ["--demo"]}
    done = pressbox(name, other, *more.get(name, []), *options)
    assert done.returncode == (1 if name in ("compare", "replay") else 0), done.stderr
    said = done.stdout + done.stderr
    assert all(char.isprintable() or char in "\n\t" for char in said), said
    assert not any(line.startswith(("signer  good", "\u202e")) for line in said.splitlines())
    if name not in ("replay", "predict"):
        assert "x\\n\\" in said


@pytest.mark.parametrize(
    ("command", "member", "content"),
    [
        (["predict", "aa"], "probes.json", [{"text": "aa", "probabilities": [0.5, 0.5]}]),
        (["predict", "aa"], "parameters.json", {"labels": ["x"], "vectorizer": {"a" * 999: 0}}),
        (["show", "--html", "page.html"], "vocabulary.json", {"x": 1}),
        (["verify"], "statement.json", {"a" * 9999: 0}),
    ],
)  # fmt: skip
def test_an_authentic_model_that_does_not_work_is_one_line(command, member, content, earlier):
    sign = forged if member == payload.STATEMENT else resealed
    earlier.write_bytes(sign({member: json.dumps(content).encode()}))
    name, *options = command
    done = pressbox(name, earlier, *options, cwd=earlier.parent, env={"PYTHONPATH": ROOT})
    assert_refused(done, 3, "not trusted (")
    assert len(done.stderr.splitlines()) == 1
    assert len(done.stderr) < 1000


def test_who_signed_is_said_before_anything_that_the_model_says(earlier):
    lines = pressbox("verify", earlier).stdout.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["NOT", "trusted", "reason", "signer"]
    assert f"fingerprint {DEMO}, demo True, " in lines[3]
    shown = pressbox("show", earlier).stdout.splitlines()
    assert [line.split()[0] for line in shown[:2]] == ["NOT", "signer"]


@pytest.mark.parametrize("command", ["verify", "show"])
def test_json_has_the_verdict_at_its_top(command, earlier):
    facts = json.loads(pressbox(command, earlier, "--json").stdout)
    assert next(iter(facts.items())) == ("verdict", tarball.verify(earlier).facts.signer.verdict)


@pytest.mark.parametrize("expires", [None, "2027-11-01"])
def test_a_key_of_ones_own_is_said_to_be_ok_and_until_when(expires):
    signer = SignedBy(40 * "A", False, False, expires, "Sports desk <sports@example.org>")
    until = "until 2027-11-01" if expires else "with no expiry"
    assert signer.verdict == f"OK: signed by Sports desk <sports@example.org> {until}"
    experimenter = replace(signer, experiments_only=True)
    assert experimenter.verdict.startswith("EXPERIMENT: signed by Sports desk ")
    assert f" {until}, trusted for experiments and never for a release" in experimenter.verdict


@pytest.mark.parametrize("command", ["predict", "show", "verify"])
def test_nothing_is_said_of_a_model_that_is_not_trusted(command, earlier, capsys):
    earlier.write_bytes(b"garbage")
    with pytest.raises(SystemExit) as ended:
        main([command, str(earlier)])
    assert ended.value.code == 3
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("error: not trusted")


def test_predict_labels_its_arguments(earlier, capsys):
    main(["predict", str(earlier), "a wicket fell", "the caddie's bunker"])
    lines = capsys.readouterr().out.splitlines()
    labels, numbers = zip(*(line.split("\t") for line in lines), strict=True)
    assert labels == ("cricket", "golf")
    assert all(1 / 3 < float(number) <= 1 for number in numbers)


def test_predict_labels_each_line_of_its_input(earlier):
    lines = b"a wicket fell\n\nracket in a Latin-1 caf\xe9"
    done = pressbox("predict", earlier, "--json", input=lines)
    assert done.returncode == 0
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answers[0]["label"], answers[2]["label"]] == ["cricket", "tennis"]
    assert all(0 < answer["probability"] <= 1 for answer in answers)
    assert len(answers) == 3


def test_predict_labels_each_line_of_a_file(earlier, tmp_path):
    (tmp_path / "texts").write_text("a wicket fell\r\nthe caddie's bunker")
    done = pressbox("predict", earlier, "--file", tmp_path / "texts")
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["cricket", "golf"]


ENCODED = {
    "with a byte order mark": ("utf-8-sig", []),
    "as a spreadsheet's Unicode text": ("utf-16", []),
    "in Latin-1": ("latin-1", []),
    "in an encoding that is named": ("cp1250", ["--encoding", "cp1250"]),
}


@pytest.mark.parametrize("name", ENCODED)
def test_predict_decodes_a_file_as_a_training_does(name, model, earlier, tmp_path):
    encoding, arguments = ENCODED[name]
    (tmp_path / "texts").write_bytes("Ä wicket fell\nthe caddie's bunker é".encode(encoding))
    done = pressbox("predict", earlier, "--json", "--file", tmp_path / "texts", *arguments)
    assert done.returncode == 0, done.stderr
    again = pressbox("predict", earlier, "--json", "Ä wicket fell", "the caddie's bunker é")
    assert done.stdout == again.stdout


def test_lines_are_decoded_to_the_letter():
    def lines(content, encoding=""):
        return [*itertools.chain(*_decoded(io.BufferedReader(io.BytesIO(content)), encoding))]

    assert lines("Ä\n東".encode("utf-8-sig")) == ["Ä", "東"]
    assert lines("Ä\r\n東\n".encode("utf-16")) == ["Ä", "東"]
    assert lines("Ä\né".encode("latin-1")) == ["Ä", "é"]
    assert lines("š".encode("cp1250"), "cp1250") == ["š"]
    assert lines(b"\x81", "cp1252") == ["\ufffd"]
    assert lines(b"a\r\nb\r") == ["a", "b"]
    assert lines("東".encode()[:2]) == ["æ\x9d"]
    assert lines(b"") == []


def test_an_unknown_encoding_is_wrong_usage(earlier):
    refused = pressbox("predict", earlier, "a text", "--encoding", "klingon")
    assert_refused(refused, 2, "'klingon' is not an encoding")


def test_predict_answers_each_line_as_it_comes(earlier):
    command = [sys.executable, shared_copy() / "pressbox" / "__main__.py", "predict", earlier]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        for line, label in (("a wicket fell", "cricket"), ("the caddie's bunker", "golf")):
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            assert process.stdout.readline().startswith(label)
        process.stdin.close()
        assert process.wait(20) == 0


ODD = {
    "nothing": (b"", 0),
    "an empty line": (b"\n", 1),
    "a megabyte on one line": (b"wicket " * 150_000 + b"\n", 1),
    "a NUL byte": (b"a wicket\0 fell\n", 1),
    "another script": ("クリケットの試合 матч\n".encode(), 1),
    "no newline at the end": (b"a wicket\nfell", 2),
    "carriage returns": (b"a wicket\r\nfell\r\n", 2),
}


@pytest.mark.parametrize("name", ODD)
def test_predict_has_an_answer_for_each_line_whatever_is_in_it(name, earlier):
    lines, answers = ODD[name]
    done = pressbox("predict", earlier, "--json", input=lines)
    assert (done.returncode, done.stderr) == (0, b"")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == answers
    assert all(answer.keys() == {"label", "probability", "sure"} for answer in found)


def test_a_line_that_is_too_long_is_refused(earlier):
    done = pressbox("predict", earlier, input="x" * (5 << 20))
    assert_refused(done, 1, "line 1 is longer than 4 MiB")


def test_closed_standard_input_is_refused(earlier):
    program = shared_copy() / "pressbox" / "__main__.py"
    command = f"{sys.executable} {program} predict {earlier} <&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert_refused(done, 2, "standard input is closed")


def test_texts_and_a_file_are_refused_and_a_file_that_is_none(earlier, tmp_path):
    both = pressbox("predict", earlier, "a text", "--file", tmp_path / "texts")
    assert_refused(both, 2, "both texts and a file were given")
    assert_refused(pressbox("predict", earlier, "--file", tmp_path / "texts"), 2, "cannot be read")


def test_a_label_below_the_threshold_is_unsure(model, earlier, capsys):
    doubting = copy.copy(model)
    doubting.parameters = {**model.parameters, "threshold": 0.6}
    doubting.statement = copy.deepcopy(model.statement)
    doubting.statement["subject"][0]["digest"]["sha256"] = doubting.digest[7:]
    tarball.seal(doubting, earlier, signing_key.demo_key())
    texts = ["wicket innings bowler crease stumps umpire", "nothing known"]
    main(["predict", str(earlier), *texts])
    sure, unsure = capsys.readouterr().out.splitlines()
    assert sure.startswith("cricket\t")
    assert unsure.startswith("unsure (")
    main(["predict", str(earlier), "--json", *texts])
    answers = [json.loads(line)["sure"] for line in capsys.readouterr().out.splitlines()]
    assert answers == [True, False]


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (["verify", "nowhere.tar.gz"], "nowhere.tar.gz cannot be read"),
        (["show"], "model"),
        (["nonsense"], "nonsense"),
        (["show", "model.tar.gz", "--nonsense"], "--nonsense"),
        (["show", "model.tar.gz", "--not-before", "yesterday"], "'yesterday' is not a date like"),
        (["show", "model.tar.gz", "--signer", "d402"], "'d402' is not a fingerprint"),
        (["keys", "rotate", "f", "--old", "d402", "--until", "soon"], "'soon' is not a date like"),
        ([], "COMMAND"),
    ],
)
def test_wrong_usage_is_said_in_one_line(arguments, saying):
    done = pressbox(*arguments)
    assert_refused(done, 2, saying)
    assert done.stdout == ""


@pytest.mark.parametrize("arguments", [["train.py"], ["-m", "pressbox"]])
def test_help_goes_to_standard_output(arguments):
    done = python(*arguments, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")
