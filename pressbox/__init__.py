"""Train, seal, verify and use the newsroom's sports classifier. See README.md."""

import sys

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    # `python -m pressbox` searches the current folder first, which may be anybody's.
    del sys.path[0]

from importlib import import_module
from pathlib import Path

__version__ = "0.1.0"
# The checkout, or the folder that the package is installed in.
ROOT = Path(__file__).resolve().parent.parent

# What users import, and where it lives; scikit-learn is only loaded by whoever needs it.
_HOME = {
    "SportClassifier": "classifier",
    "begin": "runs.publishing",
    "evaluate": "learning.evaluation",
    "fit": "learning.training",
    "load_corpus": "data.corpus",
    "open_model": "sealing.tarball",
    "seal": "sealing.tarball",
}
# From the table above; type checkers would want each name written again.
__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'pressbox' has no attribute {name!r}")
    return getattr(import_module(f"pressbox.{_HOME[name]}"), name)
