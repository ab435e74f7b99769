"""python -m pressbox: verify, show, predict."""

import json
import re

import pytest
from conftest import DEMO, assert_refused, python

from pressbox.__main__ import main

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
    assert facts["metrics"].keys() == {"accuracy", "macro_f1", "rows"}


def test_show_tells_what_a_model_is(earlier):
    done = pressbox("show", earlier, "--json")
    assert done.returncode == 0
    assert_is_shown(json.loads(done.stdout))


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
    assert answer["reason"] in done.stderr


def test_people_read_a_line_for_each_fact(earlier, capsys):
    main(["verify", str(earlier)])
    lines = capsys.readouterr().out.splitlines()
    assert "trusted             True" in lines
    assert "labels              cricket, golf, tennis" in lines
    assert any(line.startswith("model digest        sha256:") for line in lines)


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


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (["verify", "nowhere.tar.gz"], "nowhere.tar.gz cannot be read"),
        (["show"], "model"),
        (["nonsense"], "nonsense"),
        (["show", "model.tar.gz", "--nonsense"], "--nonsense"),
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
