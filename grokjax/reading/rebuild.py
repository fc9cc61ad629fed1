"""An experiment built again from its record, to evaluate the weights that it left."""

import contextlib
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from grokjax.config.config import base
from grokjax.config.experiment import Experiment, setup
from grokjax.core import loop, weight_stats
from grokjax.core.optimizer import chain
from grokjax.core.run import same_numbers
from grokjax.core.trainer import make_trainer
from grokjax.recording import checkpoints
from grokjax.recording.checkpoints import Damaged, Restored
from grokjax.recording.files import replacing
from grokjax.recording.history import finite_median
from grokjax.recording.results import Results
from grokjax.recording.summary import number_or_none

# what a record holds besides the config
NOT_CONFIG = ("table_checksum", "prng", "shard", "branched")


class Rebuilt(NamedTuple):
    """An experiment, and the run directory it was built from."""

    experiment: Experiment
    results: Results

    def restore(self, step: int) -> Restored:
        """A checkpoint with the state as training knows it; `Damaged` if it is not sound."""
        like_state_R = self.experiment.state_shapes()
        return checkpoints.restore(self.results.checkpoints, step, like_state_R)

    def weights(self, state_R: Any, run: int) -> Any:
        """The parameters of one run that are evaluated, of some optimizers an average."""
        one_run = jax.tree.map(lambda x_R: x_R[run], (state_R, self.experiment.runs_R))
        return self.experiment.trainer.eval_params(*one_run)

    def check_run(self, run: int) -> None:
        """Raises a ValueError unless there is such a run."""
        count = len(self.experiment.labels)
        if not 0 <= run < count:
            raise ValueError(f"run = {run}; there are {count}, choose 0 to {count - 1}")


def rebuild(results: Results) -> Rebuilt:
    """The experiment of a run directory, from its config.json.

    Raises:
        ValueError: if there is none, or its task makes another table than then.
    """
    if not results.config.is_file():
        raise ValueError(f"{str(results.folder)!r} has no config.json; choose a results folder")
    record = results.stored_config()
    config = config_of(record)
    experiment = setup(config)
    then = record.get("table_checksum")
    now = experiment.record["table_checksum"]
    if then != now:
        raise ValueError(
            f"the table of task {record['task']['name']} has checksum {now}, but {then} when "
            "these weights were trained; choose the version of grokjax, or the data, of then"
        )
    if "shard" in record:
        experiment = experiment.shard(*map(int, record["shard"].split("/")))
    return Rebuilt(experiment, results)


def newest_record(results: Results) -> dict:
    """What is trained in a folder, by its newest sound checkpoint or config.json; else empty."""
    for step in reversed(checkpoints.steps(results.checkpoints)):
        with contextlib.suppress(Damaged):
            return checkpoints.read_config(results.checkpoints, step)
    return results.stored_config()


def training_at(path: Path) -> tuple[Path, int | None]:
    """The run directory that a path means, and the step if it names one.

    A path is a run directory, its `checkpoints` folder or one of the step folders in that.
    """
    step = None
    if path.name.isdigit() and path.parent.name == "checkpoints":
        step = int(path.name)
        path = path.parent
    return (path.parent if path.name == "checkpoints" else path), step


def record_in(folder: Path) -> dict:
    """The record of the training in a folder, or in the folders of its shards.

    Raises:
        ValueError: if there is none.
    """
    if record := newest_record(Results(folder)):
        return record
    for of_shard in sorted(folder.glob("shard-*-of-*")):
        if record := newest_record(Results(of_shard)):
            return record | {"shard": None}  # all of them are gone on with
    raise ValueError(f"{str(folder)!r} holds no training; choose another folder, or a --config")


def config_of(record: Mapping) -> ConfigDict:
    """The config that `config.plain` made a record of; entries it lacks are at their defaults.

    Raises:
        ValueError: if it is not such a record.
    """
    try:
        return _config_of(record)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the config is not what training wrote ({error!r})") from error


def _config_of(record):
    given = {name: _typed(value) for name, value in record.items() if name not in NOT_CONFIG}
    optimizer = given.pop("optimizer")
    chosen = {name: optimizer.get(name, {}) for name in optimizer["chain"]}
    measures = {name: given.get("measure", {}).get(name, {}) for name in given.get("measures", ())}
    parts = {kind: given.pop(kind) for kind in ("task", "model")}
    config = base(**parts, optimizer=chosen, measures=measures)
    config.update(given)
    return config


def _typed(value):
    """Lists as the tuples they were; what was left open (null) is left out."""
    if isinstance(value, Mapping):
        return {name: _typed(entry) for name, entry in value.items() if entry is not None}
    return tuple(_typed(entry) for entry in value) if isinstance(value, list) else value


class Pruned(NamedTuple):
    """R runs with their weights below each of S thresholds set to zero."""

    threshold_S: np.ndarray
    sparsity_SxR: np.ndarray  # fraction of the weights that were set to zero
    train_accuracy_SxR: np.ndarray
    val_accuracy_SxR: np.ndarray


def pruned(rebuilt: Rebuilt, state_R: Any, thresholds: Sequence[float]) -> Pruned:
    """Accuracies at thresholds, on the examples that training evaluates.

    Pruned are the weights that are evaluated, which for some optimizers are an average.
    """
    experiment = rebuilt.experiment
    # without an optimizer, so that it takes the weights as they are
    trainer = make_trainer(experiment.recipe._replace(make_optimizer=lambda _: chain()))

    @jax.jit
    def evaluate(state_R, runs_R, dataset, threshold_S):
        def one_run(threshold, state, run):
            params = experiment.trainer.eval_params(state, run)
            kept = state.replace(params=weight_stats.prune(params, threshold), opt_state=())
            metrics = trainer.evaluate(kept, run, dataset)
            sparsity = weight_stats.sparsity(params, threshold)
            return sparsity, metrics["train_accuracy"], metrics["val_accuracy"]

        def all_runs(threshold):
            lift = experiment.config.lift
            return loop.over_runs(functools.partial(one_run, threshold), lift)(state_R, runs_R)

        return jax.lax.map(all_runs, threshold_S)

    threshold_S = jnp.asarray(thresholds, jnp.float32)
    with same_numbers():  # the split is drawn again
        columns = evaluate(state_R, experiment.runs_R, experiment.dataset, threshold_S)
    return Pruned(np.asarray(thresholds, float), *map(np.asarray, columns))


def write_pruned(rebuilt: Rebuilt, step: int, pruned: Pruned) -> Path:
    """Writes `pruned.json` next to the summary: for each threshold, each run and the median."""
    names = ("sparsity", "train_accuracy", "val_accuracy")
    rows = []
    for threshold, *values in zip(*pruned, strict=True):
        columns = dict(zip(names, values, strict=True))
        each = {name: list(map(number_or_none, value_R)) for name, value_R in columns.items()}
        median = {n: number_or_none(finite_median(value_R)) for n, value_R in columns.items()}
        rows.append({"threshold": float(threshold), **each, "median": median})
    facts = {"step": step, "labels": list(rebuilt.experiment.labels), "pruned": rows}
    with replacing(rebuilt.results.pruned) as path:
        path.write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    return rebuilt.results.pruned
