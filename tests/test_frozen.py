"""Eight small trainings, whose histories and final weights stay what they were, bit for bit.

The bits are those of one machine and one version of jaxlib, so elsewhere this is skipped.
`python tests/test_frozen.py` records them again.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import jaxlib
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

TESTS = Path(__file__).parent
RECORD = TESTS / "frozen.json"
TRANSFORMER = ("model.width=12", "model.num_heads=2", "model.num_blocks=1", "model.ff_width=20")
GPT2 = ("model.width=12", "model.num_heads=2", "model.num_blocks=2")
MLP = ("model.embedding_width=5", "model.hidden=(11,7)")
MODULAR = ("task.p=7", "batch_size=11")
TWO_SEEDS = ("runs.seed=(3,4)",)
FOUR_RUNS = ("runs.seed=(0,1)", "runs.weight_decay=(0.1,1.0)")

RUNS = {  # name: (what stands behind the config's colon, entries of the config)
    "transformer": ("", (*MODULAR, *TRANSFORMER, *FOUR_RUNS, "lift=map")),
    "grokfast": (
        "optimizer=grokfast_ma+adamw",
        (*MODULAR, *TRANSFORMER, *FOUR_RUNS, "lift=vmap", "optimizer.grokfast_ma.window=4"),
    ),
    "gpt2_resv": (
        "model=gpt2_resv,optimizer=muon",
        (*MODULAR, *GPT2, *TWO_SEEDS, "runs.learning_rate=(0.02,)", "lift=map"),
    ),
    "mlp": (
        "model=mlp,optimizer=schedule_free",
        (*MODULAR, *MLP, *FOUR_RUNS, "lift=vmap", "schedule.stop_after_grok=2"),
    ),
    "lstm": ("model=lstm", (*MODULAR, "model.width=9", *TWO_SEEDS, "runs.l1=(0.01,)", "lift=map")),
    "mixture": (
        "",
        (*MODULAR, *TRANSFORMER, "runs.seed=(0,1)", "runs.mix=('50:50','90:10')", "lift=vmap"),
    ),
    "permutation": (
        "task=permutation,model=mlp,optimizer=grokfast_ma+adamw",
        ("task.k=4", "batch_size=13", *MLP, *TWO_SEEDS, "lift=map"),
    ),
    "resumed": ("", (*MODULAR, *TRANSFORMER, *FOUR_RUNS, "lift=map")),
}


def train(name, folder, *more):
    """Trains one of `RUNS` by the command that a user types."""
    choice, entries = RUNS[name]
    file = "mixture.py" if name == "mixture" else "moddiv.py"
    schedule = {"num_steps": 40, "eval_every": 5, "checkpoint_every": 20, "eval_block": 13}
    words = [f"--config=configs/{file}:{choice}" if choice else f"--config=configs/{file}"]
    words += [f"--config.schedule.{entry}={value}" for entry, value in schedule.items()]
    words += [f"--config.{entry}" for entry in entries]
    command = [sys.executable, "-m", "grokjax.train", *words, f"--workdir={folder}", *more]
    environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        command, cwd=TESTS.parent, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def digests(name):
    """A digest of the history and one of the final weights."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / name
        if name == "resumed":
            train(name, folder, "--config.schedule.num_steps=20")
            train(name, folder, "--resume=latest")
        else:
            train(name, folder)
        with np.load(folder / "history.npz") as file:
            history = {key: file[key] for key in sorted(file.files)}
        newest = max(int(path.name) for path in (folder / "checkpoints").glob("[0-9]*"))
        state = ocp.load_checkpointables((folder / f"checkpoints/{newest}").absolute())["state"]
    return {"history": _digest(history), "params": _digest(state["params"])}


def _digest(tree, path=""):
    if not hasattr(tree, "items"):
        array = np.asarray(tree)
        content = array.tobytes() if array.dtype.kind != "U" else str(array.tolist()).encode()
        return hashlib.sha256(content).hexdigest()[:16]
    parts = "".join(f"{key}:{_digest(tree[key])} " for key in sorted(tree))
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def machine():
    """Where bits are comparable."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(line for line in lines if line.startswith("model name"))
    return (
        f"{model.split(':')[1].strip()}, jaxlib {jaxlib.__version__}, {platform.python_version()}"
    )


@pytest.mark.slow
@pytest.mark.optimized
@pytest.mark.parametrize("name", RUNS)
def test_bits_stay_what_they_were(name):
    recorded = json.loads(RECORD.read_text())
    if machine() != recorded["machine"]:
        pytest.skip("recorded on another machine")

    assert digests(name) == recorded["runs"][name]


if __name__ == "__main__":
    found = {"machine": machine(), "runs": {name: digests(name) for name in RUNS}}
    RECORD.write_text(json.dumps(found, indent=2) + "\n")
