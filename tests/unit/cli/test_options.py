"""What train.py's command line asks for reaches those who do it."""

import inspect
from dataclasses import fields

import pytest
from support import ROOT, TRAIN

from pressbox.cli import options
from pressbox.cli.options import FLAGS, training_parser
from pressbox.console import Parser
from pressbox.data.tables import Layout
from pressbox.errors import UsageError
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


def test_a_signer_is_asked_for_as_gpg_prints_a_fingerprint():
    def asked(fingerprint):
        parser = Parser()
        options.policy_options(parser)
        return options.policy(parser.parse_args(["--signer", fingerprint]))

    fingerprint = "D402 1E7D 4529 EC2E 3058  A922 77DD EEAA 3A54 11D4"
    for spelling in (fingerprint, fingerprint.lower(), "0x" + fingerprint.replace(" ", "")):
        assert asked(spelling).signers == (spelling,)
    for wrong in (fingerprint[:-1], fingerprint + "1", "Sports desk"):
        with pytest.raises(UsageError, match="is not a fingerprint"):
            asked(wrong)


@pytest.mark.default("train.py")
def test_the_script_to_edit_fits_on_a_screen_and_is_what_the_tests_train_with():
    script = (ROOT / "train.py").read_text()
    assert len(script.splitlines()) <= 40
    assert TRAIN.read_text() == script
