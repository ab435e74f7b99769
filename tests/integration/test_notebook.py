"""The notebook trains what train.py trains, in the image's own kernel."""

import re
import shutil

import nbformat
import pytest
from conftest import ROOT, python
from nbclient import NotebookClient

NOTEBOOK = ROOT / "notebooks" / "train.ipynb"


def test_no_output_of_the_notebook_is_committed():
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_notebook_runs_and_seals_the_model_of_train_py(checkout, tmp_path, monkeypatch):
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    (checkout / "models").mkdir()
    folder = shutil.copytree(NOTEBOOK.parent, checkout / "notebooks")
    notebook = nbformat.read(folder / NOTEBOOK.name, as_version=4)
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, kernel_name="python3", timeout=120, resources=where).execute()
    assert (checkout / "models" / "notebook.html").exists()
    assert "ice hockey" in str(notebook.cells[-1].outputs)
    said = str(notebook.cells[-1].outputs)
    done = python("train.py", tmp_path / "script.tar.gz", "--no-page", cwd=checkout)
    assert re.search(r"model digest (sha256:\w+)", done.stderr)[1] in said
