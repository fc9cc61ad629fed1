"""Results folders made by hand, so that tests of what is read from them need no training."""

import itertools
import json

import numpy as np


def leave(
    folder,
    grok_steps,
    *,
    runs=None,
    labels=None,
    last=1000,
    every=100,
    status="finished",
    **entries,
):
    """Writes what training leaves of R runs, of which each groks at a step, or never (None).

    All memorise at step 200. Validation accuracy is 0.1 before it groks, 1 from then on.

    Args:
        runs: entries of config.runs that are not the default; else a seed for each run.
        labels: one for each run; else `seed=0`, `seed=1` and so on.
        last, every: evaluations.
        entries: more of the config, such as `shard="1/2"`.
    """
    seeds = list(range(len(grok_steps)))
    config = {"grok": {"threshold": 0.99, "count": 2, "rule": "sustained"}, **entries}
    config["runs"] = runs or {"seed": seeds}
    step_E = np.arange(every, last + 1, every)
    grok_R = np.array([np.inf if step is None else step for step in grok_steps])
    val_ExR = np.where(step_E[:, None] >= grok_R, 1.0, 0.1).astype(np.float32)
    train_ExR = np.where(step_E[:, None] >= 200, np.ones_like(grok_R), 0.5).astype(np.float32)
    arrays = {
        "train_accuracy": train_ExR,
        "val_accuracy": val_ExR,
        "train_loss": 1 - train_ExR + 0.01,
        "val_loss": 1 - val_ExR + 0.02,
    }
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    save(folder, label=labels or [f"seed={seed}" for seed in seeds], step=step_E, **arrays)
    machine = {"device": "2 x TPU v9 (tpu)", "processor": "EPYC", "versions": {"jax": "1.0"}}
    sessions = [{"seconds": 2.0, "machine": machine}, {"seconds": 3.5, "machine": machine}]
    facts = {"status": status, "sessions": sessions}
    (folder / "experiment_metadata.json").write_text(json.dumps(facts))
    return folder


def save(folder, **arrays):
    """Writes a history."""
    np.savez(folder / "history.npz", **{name: np.asarray(array) for name, array in arrays.items()})


def change(folder, **changes):
    """Replaces some arrays of a history, by what a function makes of all; None removes one."""
    with np.load(folder / "history.npz") as file:
        arrays = dict(file)
    arrays |= {name: value(arrays) for name, value in changes.items() if value}
    save(folder, **{n: a for n, a in arrays.items() if changes.get(n, True)})


def diverge(folder, run, step):
    """From a step on the losses of a run are not finite, and it is right by chance only."""

    def lost(name, value):
        def changed(arrays):
            array = arrays[name].copy()
            array[arrays["step"] >= step, run] = value
            return array

        return changed

    losses = {name: lost(name, np.nan) for name in ("train_loss", "val_loss")}
    change(
        folder, **losses, **{f"{s}_accuracy": lost(f"{s}_accuracy", 0.2) for s in ("train", "val")}
    )


def grid_labels(**values):
    """The labels of a grid in its order, the last entry fastest."""
    points = itertools.product(*values.values())
    return [" ".join(f"{n}={v:g}" for n, v in zip(values, p, strict=True)) for p in points]
