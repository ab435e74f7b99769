"""Train, seal, verify and use the newsroom's sports classifier. See README.md."""

from importlib import import_module

__version__ = "0.1.0"

# What users import, and where it lives; scikit-learn is only loaded by whoever needs it.
_HOME = {
    "SportClassifier": "classifier",
    "evaluate": "training",
    "fit": "training",
    "load_corpus": "corpus",
    "open_model": "tarball",
    "seal": "tarball",
}
__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'pressbox' has no attribute {name!r}")
    return getattr(import_module(f"pressbox.{_HOME[name]}"), name)
