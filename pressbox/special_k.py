"""special_k, imported without pip.

special_k imports pip to list the installed packages in its metadata, which takes a third of a
second of every training. The names of the folders that pip made say the same.
"""

import logging
import sys
import types
from collections.abc import Iterator

from pressbox.environment import passport
from pressbox.trust.gnupg import gpgme

PIP = "pip._internal.operations"
# It logs each error that it raises; without a handler, Python would print the traceback.
logging.getLogger("special_k").addHandler(logging.NullHandler())


def _freeze() -> Iterator[str]:
    for name, (version, _) in sorted(passport.python_packages().items()):
        yield f"{name}=={version}"


def _imported():
    gpgme()
    before = sys.modules.get(PIP)
    stand_in = types.ModuleType(PIP)
    vars(stand_in)["freeze"] = types.SimpleNamespace(freeze=_freeze)
    sys.modules[PIP] = stand_in
    try:
        import special_k
    finally:
        if before:
            sys.modules[PIP] = before
        else:
            del sys.modules[PIP]
    return special_k


special_k = _imported()
