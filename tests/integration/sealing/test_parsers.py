"""Whatever the bytes are, the parsers say NotTrusted or what stands there, and nothing else.

A longer run, with coverage to lead it, is tests/fuzz/fuzz_opening.py.
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.hostile import FUZZED, fuzz
from support.strategies import mutated, replaced

FAST = settings(
    database=None,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    max_examples=2500,
)


@pytest.mark.parametrize("target", FUZZED)
def test_changed_bytes_are_refused_or_read(target):
    parse, original = FUZZED[target]

    @FAST
    @given(mutated(original()))
    def run(content):
        fuzz(parse, content)

    fuzz(parse, original())
    run()


@pytest.mark.parametrize("target", FUZZED)
def test_random_bytes_are_refused_or_read(target):
    parse, _ = FUZZED[target]

    @settings(FAST, max_examples=500)
    @given(st.binary(max_size=2000))
    def run(content):
        fuzz(parse, content)

    run()


@pytest.mark.parametrize("target", ["metadata", "statement"])
def test_json_of_another_shape_is_refused_or_read(target):
    parse, original = FUZZED[target]

    @FAST
    @given(replaced(original()))
    def run(content):
        fuzz(parse, content)

    run()
