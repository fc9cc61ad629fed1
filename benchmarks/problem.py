"""What a config trains, in the words of those who know nothing of grokjax."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

import grokjax
from benchmarks import harness
from grokjax.core import loop
from grokjax.core.checks import check_choice


class Covered(NamedTuple):
    """A model that has plain formulations."""

    config: str  # the file in configs/
    options: tuple[str, ...]  # that they take; all others are at their defaults
    toy: Mapping[str, Any]  # options at toy size


DECODER = Covered(
    config="moddiv",
    options=("num_blocks", "width", "num_heads", "ff_width", "activation", "tied_readout"),
    toy=dict(width=16, num_heads=2),
)
MODELS = {
    "transformer": DECODER,
    "mlp": Covered(
        "modadd_mlp", ("embedding_width", "hidden"), dict(embedding_width=16, hidden=(17,))
    ),
    "lstm": Covered("modadd_lstm", ("num_layers", "width"), dict(width=16)),
    "gpt2": DECODER._replace(config="modadd_gpt2"),
}
BATCHES = ("shuffled", "full")
PRECISIONS = ("default", "bfloat16")


class Problem(NamedTuple):
    """What every contender trains: one function, from the same weights, on the same examples."""

    architecture: Mapping[str, Any]  # the arguments of the model, here and in PyTorch
    params: Mapping  # grokjax's initial weights, as numpy arrays
    inputs_NxL: np.ndarray  # the training examples alone
    labels_N: np.ndarray
    batch_size: int | None  # None: a batch is all of them
    hparams: Mapping[str, float]
    model: str = "transformer"  # or gpt2, mlp, lstm
    precision: str = "default"  # of products, as the hardware likes it; or bfloat16


def make_problem(config: ConfigDict) -> Problem:
    """What grokjax's run of seed 0 trains, for those who know nothing of grokjax.

    Raises:
        ValueError: if it is something that the plain formulations do not cover.
    """
    _check_covered(config)
    experiment = harness.setup(config, 1)
    state_R = loop.init(experiment.trainer, experiment.runs_R, experiment.dataset, lift=config.lift)
    state, run = jax.device_get(jax.tree.map(lambda x: x[0], (state_R, experiment.runs_R)))
    examples = experiment.task.examples
    train_rows = state.split.order_N[: int(run.num_train_G[0])]
    return Problem(
        architecture=_architecture(experiment.task, config.model),
        params=state.params,
        inputs_NxL=examples.inputs_NxL[train_rows],
        labels_N=state.split.labels_N[train_rows],
        batch_size=None if config.batches == "full" else config.batch_size,
        hparams={name: float(value) for name, value in run.hparams.items()},
        model=config.model.name,
        precision=config.matmul_precision,
    )


def _architecture(task, model):
    sizes = {
        "num_tokens": task.num_tokens,
        "num_classes": task.num_classes,
        "length": task.examples.inputs_NxL.shape[1],
        **{name: model[name] for name in MODELS[model.name].options},
    }
    if "ff_width" in sizes:
        sizes["ff_width"] = model.ff_width or 4 * model.width
    return sizes


def _check_covered(config):
    """The plain formulations know some models, one optimizer, some ways to draw batches."""
    check_choice("model.name", config.model.name, MODELS)
    check_choice("batches", config.batches, BATCHES)
    check_choice("matmul_precision", config.matmul_precision, PRECISIONS)
    free = (*MODELS[config.model.name].options, "initializer")  # they get grokjax's initial weights
    usual = grokjax.base(model=config.model.name)
    covered = [
        (f"model.{name}", value, usual.model.get(name))
        for name, value in config.model.items()
        if name not in free
    ]
    covered += [
        ("optimizer", config.optimizer.to_dict(), usual.optimizer.to_dict()),
        ("loss.name", config.loss.name, "cross_entropy"),
        ("schedule.learning_rate", config.schedule.learning_rate, "linear_warmup"),
        ("runs.l1", config.runs.l1, (0.0,)),
    ]
    for path, given, known in covered:
        if given != known:
            raise ValueError(f"{path} = {given!r}; the plain formulations know only {known!r}")
