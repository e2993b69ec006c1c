"""Every notebook runs from top to bottom, was committed with its outputs, and names no path of a machine."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_there_are_notebooks():
    names = ["01_values", "02_networks", "03_stepping", "04_backpropagation_lecture", "05_checking", "06_compiling"]
    assert [path.stem for path in NOTEBOOKS] == names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_was_committed_executed(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert any(cell.outputs for cell in code)
    text = path.read_text(encoding="utf-8")
    assert f"{Path.home()}/" not in text and f"{FOLDER.parent}/" not in text


def test_every_claim_of_the_lecture_holds():
    notebook = nbformat.read(FOLDER / "04_backpropagation_lecture.ipynb", as_version=4)
    texts = [text for cell in notebook.cells for text in _texts(cell)]
    assert sum("True" in text for text in texts) > 20
    assert not [text for text in texts if "False" in text]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of the notebook machinery
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path):
    notebook = nbformat.read(path, as_version=4)
    before = [_texts(cell) for cell in notebook.cells]
    NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    ).execute()
    assert [_texts(cell) for cell in notebook.cells] == before


def _texts(cell):
    """The results of a cell as plain text; pictures and anything printed on the way are not compared."""
    return [
        output["data"]["text/plain"]
        for output in cell.get("outputs", [])
        if output["output_type"] == "execute_result" and "image/svg+xml" not in output["data"]
    ]
