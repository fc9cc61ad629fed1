"""The notebooks run from their first cell to their last, and show what they are about."""

import json
import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "experiments"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PLAYGROUND = """
import json
print(json.dumps({
    "delay": trained.grokking.delay_R[0],
    "grokked": {a.values["weight_decay"]: int(a.grokking.has_grokked_R.sum()) for a in decays},
    "best": float(final_R.max()),
    "circle": float(share),
}))
"""
EXERCISES = """
import json

def column(trained, name, of):
    return {arm.values[name]: float(of(arm)) for arm in arms.of(trained)}

def grokked(arm):
    return arm.grokking.has_grokked_R.sum()

def step(arm):
    return arm.median.median

def first_half(name):
    return [int(np.argmax(x_E >= 0.5)) for x_E in taken_apart.history[name].T]

print(json.dumps({
    "memorised": float(memorised),
    "known": float(known),
    "delay": float(first.grokking.delay_R[0]),
    "decay": column(decay, "weight_decay", grokked),
    "decay val": column(decay, "weight_decay", lambda arm: arm.history["val_accuracy"][-1].max()),
    "data": column(data, "train_fraction", grokked),
    "data step": column(data, "train_fraction", step),
    "l1": column(l1, "l1", grokked),
    "l1 memorised": column(l1, "l1", lambda arm: np.median(arm.grokking.memorised_R)),
    "filtered": column(filtered, "lamb", lambda arm: arm.durations.duration_R.mean()),
    "circle": strongest_five,
    "restricted": first_half("fourier/restricted_val_accuracy"),
    "whole": first_half("val_accuracy"),
    "later": int((later_R > 0).sum()),
    "medians": [step(without), step(with_term)],
    "p": p,
    "trunk": int(grokjax.open(trunk).memorised_step.notnull().sum()),
    "branched": column(branched, "weight_decay", grokked),
    "branched step": column(branched, "weight_decay", step),
    "law": law.fits[0].exponent_K.tolist(),
}))
"""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path):
    cells = json.loads(path.read_text())["cells"]

    assert any(cell["cell_type"] == "code" for cell in cells)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def test_there_are_ten_exercises_and_each_has_two_folded_answers():
    cells = json.loads((FOLDER / "exercises.ipynb").read_text())["cells"]
    text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")

    exercises = text.split("## ")[1:]
    assert [exercise.partition(".")[0] for exercise in exercises] == [*map(str, range(1, 11))]
    for exercise in exercises:
        assert exercise.count("<details>") == exercise.count("</details>") == 2
        assert exercise.count("**And further:**") == 1


@pytest.mark.slow
def test_the_playground_runs_and_what_it_trains_groks(monkeypatch):
    found, pictures = run("playground", PLAYGROUND, monkeypatch)

    assert pictures == 4
    assert found["delay"] >= 200  # validation came long after training
    assert found["grokked"]["1.0"] == 4
    assert found["grokked"]["0.1"] == 0
    assert found["best"] > 0.9
    assert found["circle"] > 0.9


@pytest.mark.slow
def test_the_exercises_run_and_what_they_say_comes_out(monkeypatch):
    monkeypatch.delenv("JAX_DISABLE_MOST_OPTIMIZATIONS", raising=False)  # it trains for minutes
    found, pictures = run("exercises", EXERCISES, monkeypatch)

    assert pictures == 8
    assert found["memorised"] <= 120
    assert found["known"] < 1 / 41  # worse than guessing
    assert found["delay"] >= 100
    assert found["decay"]["0.0"] == found["decay"]["4.0"] == 0
    assert found["decay"]["1.0"] == 4
    assert found["decay val"]["0.0"] < 0.1
    assert found["data"]["0.3"] == found["data"]["0.4"] == 0
    assert found["data step"]["0.8"] < 0.75 * found["data step"]["0.6"]
    assert found["data step"]["0.5"] > 1.4 * found["data step"]["0.6"]
    assert found["l1"]["0.0"] == 4
    assert found["l1"]["0.005"] == 0
    assert found["l1 memorised"]["0.002"] > found["l1 memorised"]["0.0"]
    assert found["filtered"]["2.0"] > 1.3 * found["filtered"]["0.0"]  # it delays
    assert found["circle"]["before"] < 0.4
    assert found["circle"]["after"] > 0.75
    evaluations = zip(found["restricted"], found["whole"], strict=True)
    assert all(restricted + 2 <= whole for restricted, whole in evaluations)
    assert 1 <= found["later"] <= 10  # some seeds mislead
    assert found["medians"][1] < found["medians"][0]
    assert found["p"] < 0.05
    assert found["trunk"] == 6
    assert found["branched"] == {"0.0": 0, "1.0": 6}
    assert found["branched step"]["1.0"] < 450
    assert all(-1.2 < exponent < -0.5 for exponent in found["law"])


def run(name, questions, monkeypatch):
    """What a last cell prints as JSON, and how many pictures there are."""
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent))
    monkeypatch.setenv("JAX_PLATFORMS", os.environ.get("JAX_PLATFORMS", "cpu"))
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(questions))

    client.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()

    outputs = [o for cell in notebook.cells for o in cell.get("outputs", ()) if "data" in o]
    (answer,) = notebook.cells[-1].outputs
    print(answer.text)
    return json.loads(answer.text), sum("image/png" in output.data for output in outputs)
