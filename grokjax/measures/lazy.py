"""Lazy or rich: does the network still learn with the features that it began with?

A lazy network moves its weights so little that it stays linear in them, a kernel machine whose
kernel is the neural tangent kernel at the start. A rich one changes the kernel: it learns features.
Kumar, Bordelon, Gershman & Pehlevan, 2024, "Grokking as the Transition from Lazy to Rich Training
Dynamics", https://arxiv.org/abs/2310.06110, and Lyu, Jin, Li, Du, Lee & Hu, 2024, "Dichotomy of
Early and Late Phase Implicit Biases Can Provably Induce Grokking",
https://arxiv.org/abs/2311.18817, see grokking where a lazy phase, whose kernel does not fit the
task, is followed by a rich one.

    K[x, y]     sum over weights w of df(x)/dw df(y)/dw,    f = sum over classes of s_c logit_c
    alignment   <H K H, H Y H> / (|H K H| |H Y H|),    Y[x, y] = 1 if their labels are equal
    drift       1 - <K, K_0> / (|K| |K_0|),    K_0 with the initial weights

Norms are those of Frobenius and H takes the mean out of rows and columns: Cortes, Mohri &
Rostamizadeh, 2012, "Algorithms for Learning Kernels Based on Centered Alignment",
https://arxiv.org/abs/1203.0550. The drift is the kernel distance of Fort et al., 2020, "Deep
Learning versus Kernel Learning", https://arxiv.org/abs/2010.15110: 0 if the kernel has at most
grown, 1 if nothing of it is left. Kumar et al. centre columns alone.

The signs s_c = +-1 / sqrt(C) are drawn once for all runs. On average over them K is the mean of the
single logits' kernels, which would cost C times as much; both numbers of an MLP trained on addition
mod 23 were within .006 of that mean's for each of five draws. Mohamadi, Bae & Sutherland, 2023, "A
Fast, Well-Founded Approximation to the Empirical Neural Tangent Kernel",
https://arxiv.org/abs/2206.12543, have a plain sum, of which a softmax learns nothing. The examples
are the same in all runs, some of each of a few classes, from training and validation set alike, and
have the task's labels without noise. At the default size all this takes as long as a dozen training
steps.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from grokjax.core.data import Task
from grokjax.core.hparams import check_ranges, whole
from grokjax.core.measure import Measure, View
from grokjax.core.prefixes import plain

RANGES = {"examples": whole(2, 4096), "classes": whole(2, 4096)}
TITLES = {
    "alignment": "Alignment of tangent kernel and labels",
    "drift": "Drift of the tangent kernel (0: lazy)",
}


def make(
    task: Task,
    network: nn.Module,
    *,
    examples: int = 64,  # of the kernel, rows of the table
    classes: int = 8,  # that they have, in equal parts
) -> Measure:
    """`alignment` [] and `drift` [].

    Raises:
        ValueError: for fewer examples than classes.
    """
    check_ranges("measure.lazy.", locals(), RANGES)
    if examples < 2 * classes:
        raise ValueError(
            f"measure.lazy.examples = {examples} has no two examples of each of "
            f"measure.lazy.classes = {classes}; choose {2 * classes} or more"
        )
    labels_N = np.asarray(task.examples.labels_N)
    rows_B = choose_rows(labels_N, examples, classes)
    inputs_BxL = np.asarray(task.examples.inputs_NxL)[rows_B]
    same_BxB = np.equal.outer(labels_N[rows_B], labels_N[rows_B]).astype(np.float32)
    signs_C = np.random.default_rng(0).choice([-1.0, 1.0], task.num_classes).astype(np.float32)

    def output(params, inputs_L):
        logits_1xC = network.apply({"params": params}, plain(inputs_L[None]))
        return logits_1xC[0] @ signs_C / np.sqrt(task.num_classes)

    def compute(view: View) -> dict[str, jax.Array]:
        both = jax.tree.map(lambda *x: jnp.stack(x), view.params, view.initial_params())
        with jax.default_matmul_precision("highest"):  # of the network's products too
            kernel_BxB, initial_BxB = jax.lax.map(  # one program for both
                lambda params: tangent_kernel(output, params, inputs_BxL), both
            )
            return {
                "alignment": cosine(centred(kernel_BxB), centred(same_BxB)),
                "drift": 1 - cosine(kernel_BxB, initial_BxB),
            }

    return Measure(compute)


def tangent_kernel(output: Callable, params: Any, inputs_BxL: np.ndarray) -> jax.Array:
    """[B, B]: products of the gradients of `output(params, inputs_L)` to all weights."""
    grads = jax.vmap(jax.grad(output), (None, 0))(params, jnp.asarray(inputs_BxL))
    flat = [grad.reshape(len(inputs_BxL), -1) for grad in jax.tree.leaves(grads)]
    products = [jnp.matmul(x_BxP, x_BxP.T, precision="highest") for x_BxP in flat]
    return functools.reduce(jnp.add, products)


def choose_rows(labels_N: np.ndarray, examples: int, classes: int) -> np.ndarray:
    """[B]: rows of a few classes, drawn at random but always the same, as many of each.

    There are fewer than `examples` if the table has not as many of these classes.
    """
    rng = np.random.default_rng(0)
    chosen = rng.permutation(np.unique(labels_N))[:classes]
    each = examples // len(chosen)
    rows = [rng.permutation(np.flatnonzero(labels_N == label))[:each] for label in chosen]
    return np.concatenate(rows)


def centred(kernel_BxB: jax.Array | np.ndarray) -> jax.Array:
    """[B, B]: without the means of its rows and of its columns."""
    rows_BxB = kernel_BxB - kernel_BxB.mean(axis=1, keepdims=True)
    return jnp.asarray(rows_BxB - rows_BxB.mean(axis=0, keepdims=True))


def cosine(a_BxB: jax.Array, b_BxB: jax.Array) -> jax.Array:
    """[]: of the angle between two matrices, taken as vectors."""
    return jnp.vdot(a_BxB, b_BxB) / (jnp.linalg.norm(a_BxB) * jnp.linalg.norm(b_BxB))
