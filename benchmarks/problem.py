"""What a benchmark trains: its config, its experiment, and the same for other frameworks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.stages import Traced
from ml_collections import ConfigDict

import grokjax
from grokjax.core import loop
from grokjax.core.checks import check_choice
from grokjax.core.trainer import TrainState

ROOT = Path(__file__).resolve().parent.parent


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
        config="modadd_mlp",
        options=("embedding_width", "hidden"),
        toy=dict(embedding_width=16, hidden=(17,)),
    ),
    "lstm": Covered(config="modadd_lstm", options=("num_layers", "width"), toy=dict(width=16)),
    "gpt2": DECODER._replace(config="modadd_gpt2"),
}
BATCHES = ("shuffled", "full")
PRECISIONS = ("default", "bfloat16", "highest")


class Problem(NamedTuple):
    """What all implementations train: one function, from the same weights, on the same examples."""

    architecture: Mapping[str, Any]  # the arguments of the model, here and in PyTorch
    params: Mapping  # grokjax's initial weights, as numpy arrays
    inputs_NxL: np.ndarray  # the training examples alone
    labels_N: np.ndarray
    batch_size: int | None  # None: a batch is all of them
    hparams: Mapping[str, float]
    model: str = "transformer"  # or gpt2, mlp, lstm
    precision: str = "default"  # of matmuls, as the hardware likes it; or bfloat16, highest


def choose(
    quick: bool, model: str = "transformer", batches: str = "shuffled", precision: str = "float32"
) -> ConfigDict:
    """The config of a model, or a toy in its shape.

    The toy still has more examples in a batch than distinct first tokens.
    """
    covered = MODELS[model]
    config = grokjax.load(str(ROOT / "configs" / f"{covered.config}.py"))
    config.batches = batches
    if precision != "float32":
        config.matmul_precision = precision
    if quick:
        config.task.p = 7
        config.batch_size = 13
        config.model.update(covered.toy)
    return config


def setup(config: ConfigDict, num_runs: int) -> grokjax.Experiment:
    """The experiment of a config with the seeds 0..R-1."""
    config = ConfigDict(config.to_dict())
    config.runs = grokjax.grid(config.runs, seed=range(num_runs))
    experiment = grokjax.setup(config)
    if len(experiment.labels) != num_runs:
        raise ValueError(
            f"config.runs spans {len(experiment.labels) // num_runs} runs besides the seeds; "
            "give each of its entries one value"
        )
    return experiment


def without_evaluations(experiment: grokjax.Experiment) -> grokjax.Experiment:
    """The experiment, in which only the training steps are left."""
    never = experiment.trainer._replace(eval_every=2**31 - 1)
    return experiment._replace(trainer=never)


def state_shapes(experiment: grokjax.Experiment) -> TrainState:
    """The state of one run, without its numbers."""
    return jax.eval_shape(experiment.trainer.init, _first_run(experiment), experiment.dataset)


def trace_step(experiment: grokjax.Experiment) -> Traced:
    """The training step of one run, without the loop around it: its jaxpr, and its program."""
    step = jax.jit(experiment.trainer.step, donate_argnums=0)
    state = state_shapes(experiment)
    return step.trace(state, jnp.int32(0), _first_run(experiment), experiment.dataset)


def _first_run(experiment):
    return jax.tree.map(lambda x_R: x_R[0], experiment.runs_R)


def make_problem(config: ConfigDict) -> Problem:
    """What grokjax's run of seed 0 trains, for implementations that know nothing of grokjax.

    Raises:
        ValueError: if it is something that the plain formulations do not cover.
    """
    _check_covered(config)
    experiment = setup(config, 1)
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
