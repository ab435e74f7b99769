"""What tests use that is no fixture."""

import sys
from pathlib import Path

import pytest

from pressbox.trust import gnupg

ROOT = Path(__file__).resolve().parents[2]
# What the tests train with: the train.py of Pressbox, whatever a newsroom has made of its own.
TRAIN = ROOT / "tests" / "support" / "train.py"
# gnupg/ as it was published, with the demo key, which a newsroom takes out.
KEYS = ROOT / "tests" / "gnupg"
# It is the default of many functions, so it has to be set before they are defined.
assert "pressbox.trust.signers" not in sys.modules
gnupg.GNUPG = KEYS
# Else pytest does not show what an assertion in these has compared.
pytest.register_assert_rewrite("support.hostile", "support.processes")
