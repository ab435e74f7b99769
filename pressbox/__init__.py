"""Train, seal, verify and use the newsroom's sports classifier.

docs/python.md shows what each name below is for; README.md, the commands.
"""

import sys

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    # `python -m pressbox` searches the current folder first, which may be anybody's.
    del sys.path[0]

from importlib import import_module
from pathlib import Path

__version__ = "0.1.0"
# The checkout, or the folder that the package is installed in.
ROOT = Path(__file__).resolve().parent.parent

# What users import, and where it lives; scikit-learn is only loaded by whoever needs it. Editors
# and type checkers read the same in __init__.pyi.
_HOME = {
    "Classifier": "classifier",
    "Corpus": "data.corpus",
    "Layout": "data.tables",
    "NotTrusted": "errors",
    "Policy": "sealing.policy",
    "PressboxError": "errors",
    "Reason": "errors",
    "SportClassifier": "classifier",
    "UsageError": "errors",
    "Verified": "sealing.tarball",
    "begin": "runs.publishing",
    "evaluate": "learning.evaluation",
    "fit": "learning.training",
    "load_corpus": "data.corpus",
    "open_model": "sealing.tarball",
    "seal": "sealing.tarball",
    "verify": "sealing.tarball",
}
__all__ = list(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'pressbox' has no attribute {name!r}")
    return getattr(import_module(f"pressbox.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return ["ROOT", "__version__", *_HOME]
