"""What is left of a network when its small weights are set to zero."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from grokjax.core import loop, weight_stats
from grokjax.core.optimizer import chain
from grokjax.core.trainer import make_trainer
from grokjax.reading.rebuild import Rebuilt
from grokjax.recording.files import replacing
from grokjax.recording.history import finite_median


class Pruned(NamedTuple):
    """R runs with their weights below each of S thresholds set to zero."""

    threshold_S: np.ndarray
    sparsity_SxR: np.ndarray  # share of weights that went
    train_accuracy_SxR: np.ndarray
    val_accuracy_SxR: np.ndarray


def pruned(rebuilt: Rebuilt, state_R, thresholds: Sequence[float]) -> Pruned:
    """Accuracies at thresholds, on the examples that training evaluates.

    Pruned are the weights that are evaluated, which for some optimizers are an average. A trainer
    without any optimizer takes them as they are.
    """
    config, experiment = rebuilt.config, rebuilt.experiment
    as_they_are = experiment.recipe._replace(make_optimizer=lambda _: chain())
    plain = make_trainer(as_they_are)

    @jax.jit
    def judge(state_R, runs_R, table, threshold_S):
        def of_run(threshold, state, run):
            params = experiment.trainer.eval_params(state, run)
            left = state.replace(params=weight_stats.prune(params, threshold), opt_state=())
            metrics = plain.evaluate(left, run, table)
            share = weight_stats.sparsity(params, threshold)
            return share, metrics["train_accuracy"], metrics["val_accuracy"]

        def of_runs(threshold):
            lifted = loop.over_runs(lambda state, run: of_run(threshold, state, run), config.lift)
            return lifted(state_R, runs_R)

        return jax.lax.map(of_runs, threshold_S)

    threshold_S = np.asarray(thresholds, np.float32)
    found = judge(state_R, experiment.runs_R, experiment.dataset, jnp.asarray(threshold_S))
    return Pruned(np.asarray(thresholds, float), *(np.asarray(x) for x in found))


def write(rebuilt: Rebuilt, step: int, found: Pruned) -> Path:
    """Writes `pruned.json` beside the summary: for each threshold, each run and the median."""
    names = ("sparsity", "train_accuracy", "val_accuracy")
    rows = []
    for threshold, *values in zip(*found, strict=True):
        by_name = dict(zip(names, values, strict=True))
        runs = {name: [_number(value) for value in value_R] for name, value_R in by_name.items()}
        median = {name: _number(finite_median(value_R)) for name, value_R in by_name.items()}
        rows.append({"threshold": float(threshold), **runs, "median": median})
    facts = {"step": step, "labels": list(rebuilt.experiment.labels), "pruned": rows}
    path = rebuilt.results.pruned
    with replacing(path) as scratch:
        scratch.write_text(json.dumps(facts, indent=2) + "\n")
    return path


def _number(value):
    """A float, or None for what JSON cannot say."""
    return float(value) if np.isfinite(value) else None
