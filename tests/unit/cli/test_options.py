"""What train.py's command line asks for reaches those who do it."""

import inspect
from dataclasses import fields

import pytest
from support import ROOT, TRAIN

from pressbox.cli.options import FLAGS, training_parser
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
