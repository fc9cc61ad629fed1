"""The notebook runs from its first cell to its last, and its networks grok."""

import json
import os
from pathlib import Path

import pytest

PATH = Path(__file__).parent.parent / "experiments" / "playground.ipynb"
QUESTIONS = """
import json
print(json.dumps({
    "delay": trained.grokking.delay_R[0],
    "grokked": {a.values["weight_decay"]: int(a.grokking.has_grokked_R.sum()) for a in arms},
    "best": float(final_R.max()),
    "circle": float(share),
}))
"""


def test_the_notebook_is_kept_without_outputs():
    cells = json.loads(PATH.read_text())["cells"]

    assert any(cell["cell_type"] == "code" for cell in cells)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.slow
def test_the_notebook_runs_and_what_it_trains_groks(monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(PATH.parent.parent))
    monkeypatch.setenv("JAX_PLATFORMS", os.environ.get("JAX_PLATFORMS", "cpu"))
    notebook = nbformat.read(PATH, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(QUESTIONS))

    client.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()

    pictures = [o for cell in notebook.cells for o in cell.get("outputs", ()) if "data" in o]
    (answer,) = notebook.cells[-1].outputs
    found = json.loads(answer.text)
    assert sum("image/png" in picture.data for picture in pictures) == 4
    assert found["delay"] >= 200  # validation came long after training
    assert found["grokked"]["1.0"] == 4
    assert found["grokked"]["0.1"] == 0
    assert found["best"] > 0.9
    assert found["circle"] > 0.9
