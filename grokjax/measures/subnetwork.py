"""The sparse subnetwork: how many neurons are enough for what the network has learnt.

The neurons of the last hidden layer are sorted by the norm of their incoming weights, and the
smallest number k is searched with which the network still has its training accuracy, all other
neurons being silent. Merrill, Tsilivis & Shukla, 2023, "A Tale of Two Circuits: Grokking as
Competition of Sparse and Dense Subnetworks", https://arxiv.org/abs/2303.11873, find that a network
memorises with most of its neurons and generalises with a few whose norms have grown.

A neuron is silent when its outgoing weights are zero: those of an MLP's readout, of a
transformer's last block. Like the authors' code (github.com/Tsili42/parity-nn) the search takes
for granted that more neurons are no worse: it tries about the root of F numbers, then those below
the first that is enough, which is exact. The authors want their whole training set classified
equally well; here it is a fixed part of it, and equally well or better. Before a network has learnt
anything its accuracy is that of chance, which few neurons reach.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from grokjax.core.checks import MAX_ROWS
from grokjax.core.data import Task
from grokjax.core.hparams import FRACTION, check_ranges, whole
from grokjax.core.measure import Measure, View, by_number
from grokjax.measures import _shapes

RANGES = {"examples": whole(1, MAX_ROWS), "keep": FRACTION}
TITLES = {
    "neurons_needed": "Neurons needed for the training accuracy",
    "kept": "Training accuracy of parts",
}
ENTRIES = {"kept": "parts of the neurons, largest first"}
LAYERS = (("up", "kernel"), ("down", "kernel")), (("keys",), ("values",))  # into neurons, and out


def make(
    task: Task,
    network: nn.Module,
    *,
    examples: int = 512,  # training examples whose accuracy is to be kept
    keep: float = 1.0,  # share of the accuracy that is enough
) -> Measure:
    """`neurons_needed` [], and `kept` [K]: the accuracy with S, 2 S, ..., F neurons.

    S is the root of F, the number of neurons, rounded up.

    Raises:
        ValueError: for a model whose neurons cannot be left out by their weights alone.
    """
    check_ranges("measure.subnetwork.", locals(), RANGES)
    into, out = find_layers(_shapes.weights(task, network))
    if getattr(network, "linear", "dense") != "dense":
        raise ValueError(
            f"measure subnetwork sets weights to zero, and model.linear = {network.linear!r} "
            "rounds them by their mean size; choose dense"
        )

    def compute(view: View) -> dict[str, jax.Array]:
        weights: dict[Any, Any] = flatten_dict(view.params)
        rows_B, once_B = view.train_rows(examples)
        norm_F = jnp.linalg.norm(weights[into], axis=0)
        rank_F = jnp.argsort(jnp.argsort(-norm_F))

        def accuracy(count):
            kernel_FxO = jnp.where(rank_F[:, None] < count, weights[out], 0.0)
            logits_BxC = view.logits(unflatten_dict({**weights, out: kernel_FxO}), rows_B)
            return view.correct(logits_BxC, view.labels_N[rows_B]).mean(where=once_B)

        needed, kept_K = search(accuracy, norm_F.size, keep)
        return {"neurons_needed": needed, "kept": kept_K}

    return Measure(compute)


def find_layers(params: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The paths of the weights [I, F] into the neurons of the last hidden layer, and out [F, O].

    Raises:
        ValueError: if the model is none whose layers are known.
    """
    paths = list(flatten_dict(params))
    hidden = sorted(((name,) for name in params if name.startswith("hidden_")), key=by_number)
    if "kernel_0" in params and "norm" not in params:
        return (*hidden[-1], "kernel") if hidden else ("kernel_0",), ("readout", "kernel")
    blocks = sorted(((name,) for name in params if name.startswith("block_")), key=by_number)
    for into, out in LAYERS:
        mlp = (*blocks[-1], "mlp") if blocks else ()
        if {mlp + into, mlp + out} <= set(paths):
            return mlp + into, mlp + out
    raise ValueError(
        "measure subnetwork leaves out neurons of an MLP without a norm behind it, and finds none "
        "in this model; choose model=mlp, or a transformer, whose weights are block_0/mlp/up and "
        "block_0/mlp/down"
    )


def search(accuracy: Callable, size: int, keep: float) -> tuple[jax.Array, jax.Array]:
    """The smallest number [] of `size` neurons that keeps the accuracy, and those that were tried.

    Args:
        accuracy: (number of neurons []) -> [], no smaller for a larger number.
        size: of all neurons.
        keep: share of the accuracy with all of them that is enough.

    Returns:
        That number, and the accuracy [K] of every S-th number up to all, S the root of the size.
    """
    step = math.ceil(math.sqrt(size))
    count_K = np.minimum(np.arange(step, size + step, step), size)
    kept_K = jax.vmap(accuracy)(count_K)
    enough = keep * kept_K[-1]
    first = jnp.argmax(kept_K >= enough)
    count_S = jnp.minimum(first * step + 1 + jnp.arange(step), size)
    kept_S = jax.vmap(accuracy)(count_S)
    return count_S[jnp.argmax(kept_S >= enough)], kept_K
