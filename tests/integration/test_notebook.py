"""The notebook trains what train.py trains, in the image's own kernel."""

import re

import nbformat
import pytest
from nbclient import NotebookClient
from support import KEYS, ROOT
from support.processes import python

from pressbox.sealing import tarball

NOTEBOOK = ROOT / "notebooks" / "train.ipynb"


def test_no_output_of_the_notebook_is_committed():
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_notebook_runs_and_seals_the_model_of_train_py(tmp_path, monkeypatch):
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    models = 'ROOT / "models"'
    [cell] = [cell for cell in notebook.cells if models in cell.source]
    # Nothing in the checkout can be written to.
    cell.source = cell.source.replace(models, f"type(ROOT)({str(tmp_path)!r})")
    # The keys of the tests, before anything has asked for those of the checkout.
    trusting = f"from pressbox.trust import gnupg\ngnupg.GNUPG = type(gnupg.GNUPG)({str(KEYS)!r})"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(trusting))
    where = {"metadata": {"path": str(NOTEBOOK.parent)}}
    NotebookClient(notebook, kernel_name="python3", timeout=120, resources=where).execute()
    assert (tmp_path / "notebook.html").exists()
    said = str(notebook.cells[-1].outputs)
    model = tarball.open_model(tmp_path / "notebook.tar.gz")
    assert model.predict(["The goalie made forty saves in overtime"])[0] in said
    # What both share is that of the checkout, not of the tests.
    done = python(ROOT / "train.py", tmp_path / "script.tar.gz", "--no-page")
    assert re.search(r"model digest (sha256:\w+)", done.stderr)[1] == model.digest
    assert model.digest in said
    statement = tarball.verify(tmp_path / "notebook.tar.gz").statement
    assert statement.annotations("code")["script"] == "a notebook"
