"""What train.py's command line asks for reaches those who do it."""

import argparse
import inspect
from dataclasses import fields
from pathlib import Path

import pytest
from support import ROOT, TRAIN

from pressbox import __version__
from pressbox.cli import data, doctor, keys, models, options, prediction
from pressbox.cli.options import FLAGS, training_parser
from pressbox.console import Parser
from pressbox.data.tables import Layout
from pressbox.runs import publishing


def test_each_flag_is_a_keyword_of_begin_with_the_same_default():
    parameters = inspect.signature(publishing.begin).parameters.values()
    defaults = {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}
    arguments = training_parser("").parse_args(["a.tar.gz"])
    assert {name: getattr(arguments, name) for name in FLAGS} == defaults


@pytest.mark.parametrize("name", FLAGS)
def test_each_flag_turns_its_keyword_round(name):
    without = training_parser("").parse_args(["a.tar.gz"])
    given = training_parser("").parse_args(["a.tar.gz", FLAGS[name][0]])
    changed = {key for key, value in vars(given).items() if value != getattr(without, key)}
    assert changed == {name}


def test_each_field_of_a_layout_is_an_option_with_the_same_default():
    arguments = training_parser("").parse_args(["a.tar.gz"])
    for field in fields(Layout):
        assert getattr(arguments, field.name) == field.default


@pytest.mark.default("train.py")
def test_the_script_to_edit_fits_on_a_screen_and_is_what_the_tests_train_with():
    script = (ROOT / "train.py").read_text()
    assert len(script.splitlines()) <= 40
    assert TRAIN.read_text() == script


def every_parser():
    """train.py's, that of all commands, and that of each."""
    whole = Parser(prog="pressbox")
    commands = whole.add_subparsers(required=True)
    for module in (models, prediction, doctor, keys, data):
        module.add_commands(commands)
    found = [whole]
    for parser in found:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                found += action.choices.values()
    return {parser.prog: parser for parser in [training_parser(""), *found]}


PARSERS = every_parser()


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize(("option", "saying"), [("--version", __version__), ("-h", "usage: ")])
def test_every_command_says_its_version_and_its_help(name, option, saying, capsys):
    with pytest.raises(SystemExit) as ended:
        PARSERS[name].parse_args([option])
    assert ended.value.code == 0
    assert saying in capsys.readouterr().out


@pytest.mark.parametrize("name", PARSERS)
def test_every_option_with_a_value_says_its_default(name):
    groups = {group.title for group in PARSERS[name]._action_groups if "default" in group.title}
    signing = {
        action
        for group in PARSERS[name]._action_groups
        if group.title in groups
        for action in group._group_actions
    }
    silent = [
        action.option_strings[0]
        for action in PARSERS[name]._actions
        if action.option_strings and action.nargs != 0 and not action.required
        if "default" not in action.help and action not in signing
    ]
    assert silent in ([], ["--shown-as"])


WRONG = ["yesterday", "2026-13-01", "-1", "0", "1.5", "", "d402"]


@pytest.mark.parametrize("name", PARSERS)
def test_a_value_of_the_wrong_kind_is_told_what_is_right(name):
    kinds = {action.type for action in PARSERS[name]._actions if action.type not in (None, Path)}
    for kind in kinds:
        for wrong in WRONG:
            try:
                kind(wrong)
            except argparse.ArgumentTypeError as error:
                assert "is not a " in str(error)


def test_numbers_are_not_parsed_by_what_cannot_say_what_is_right():
    kinds = {action.type for parser in PARSERS.values() for action in parser._actions}
    assert not kinds & {int, float}


def test_a_fingerprint_is_taken_as_gpg_prints_it():
    printed = "D402 1E7D 4529 EC2E 3058  A922 77DD EEAA 3A54 11D4"
    plain = printed.replace(" ", "")
    for spelling in (printed, printed.lower(), f"0x{plain}"):
        given = PARSERS["pressbox verify"].parse_args(["m.tar.gz", f"--signer={spelling}"])
        assert given.signer == [plain]
    for wrong in (printed[:-1], f"{printed}1", "Sports desk"):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a fingerprint"):
            options.fingerprint(wrong)
