"""What tests use that is no fixture."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What the tests train with: the train.py of Pressbox, whatever a newsroom has made of its own.
TRAIN = ROOT / "tests" / "support" / "train.py"
# Else pytest does not show what an assertion in these has compared.
pytest.register_assert_rewrite("support.hostile", "support.processes")
