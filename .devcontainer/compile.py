"""Compiles what is imported again and again, to bytecode that depends on nothing but its source.

    compile.py FOLDER

The modules below FOLDER that the ones named here import. All others are compiled whenever they are
imported, and take no room. The Dockerfile runs this file; it is in no image.
"""

import importlib
import pkgutil
import sys
from py_compile import PycInvalidationMode, compile

# ``NAME.*``: the public modules of that package too.
IMPORTED = {
    "/opt/venv": (
        "IPython",
        "h5py",
        "ipykernel.kernelapp",
        "jinja2",
        "jupyter_client",
        "matplotlib.backends.backend_agg",
        "matplotlib.backends.backend_svg",
        "matplotlib.pyplot",
        "matplotlib_inline.backend_inline",
        "nbclient",
        "numpy",
        "pandas.io.api",
        "pip._internal.cli.main",
        "pyarrow.csv",
        "pyarrow.dataset",
        "pyarrow.feather",
        "pyarrow.json",
        "pyarrow.parquet",
        "pytest",
        "scipy.signal",
        "scipy.stats",
        "sklearn.*",
        "special_k",
        "xdist",
    ),
    "/opt/tools": ("poetry.console.application", "poetry.factory", "poetry.installation.installer"),
}

folder = sys.argv[1]
for name in IMPORTED[folder]:
    package = importlib.import_module(name.removesuffix(".*"))
    if name.endswith(".*"):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if not module.name.rpartition(".")[2].startswith("_"):
                importlib.import_module(module.name)
sources = {getattr(module, "__file__", None) or "" for module in sys.modules.values()}
for source in sorted(sources):
    if source.startswith(f"{folder}/") and source.endswith(".py"):
        compile(source, doraise=True, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
