"""Grokking needs neither a network nor gradient descent: a kernel that learns features groks too.

A recursive feature machine (Mallinar et al., 2024, https://arxiv.org/abs/2407.20199) solves kernel
regression on one-hot operands exactly, so it is right on all training examples at once. Then the
metric M of its kernel becomes the root of the mean outer product of the prediction's gradients:

    gaussian: k(x, z) = exp(-(x - z)' M (x - z) / (2 L^2))    quadratic: k(x, z) = 3 (x' M z)^2

As in the authors' code, https://github.com/nmallinar/rfm-grokking: modulo 61, half of the
equations, L = 2.5, no ridge, gradients centred, float64. Splits are those of our networks.

    python -m experiments.rfm --seeds 5

Shape letters: n training examples, N all, A x B by operand, D = A + B, C classes, I iterations.
"""

import functools
import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import grokjax
from grokjax import base, grid
from grokjax.core.split import draw_split
from grokjax.reading.pictures import style
from grokjax.reading.rows import write_csv
from grokjax.running import command_line

P = 61
BANDWIDTH = 2.5
ITERATIONS = 30


def gaussian(x_nxD, z_NxD, metric_DxD):
    """The kernel [n, N], and the weights of x - z in its gradient by z, but for the metric."""
    square_n, square_N = (((x @ metric_DxD) * x).sum(axis=1) for x in (x_nxD, z_NxD))
    product_nxN = x_nxD @ metric_DxD @ z_NxD.T
    distance_nxN = square_n[:, None] + square_N[None] - 2 * product_nxN
    kernel_nxN = jnp.exp(-distance_nxN / (2 * BANDWIDTH**2))
    return kernel_nxN, kernel_nxN / BANDWIDTH**2


def quadratic(x_nxD, z_NxD, metric_DxD):
    """The kernel [n, N], and the weights of x in its gradient by z, but for the metric."""
    product_nxN = x_nxD @ metric_DxD @ z_NxD.T
    return 3 * product_nxN**2, 6 * product_nxN


KERNELS = {"gaussian": gaussian, "quadratic": quadratic}


def gradients(alpha_NxC, slope_nxN, x_nxD, of_differences):
    """[n, C, D]: of the prediction at the training examples, but for the metric.

    Of one-hot inputs the sum over examples is a sum over b for each a, beside one over a.
    """
    alpha_AxBxC = alpha_NxC.reshape(P, -1, P)
    slope_nxAxB = slope_nxN.reshape(len(x_nxD), P, -1)
    sides = [jnp.einsum(f"abc,nab->nc{side}", alpha_AxBxC, slope_nxAxB) for side in "ab"]
    gradient_nxCxD = jnp.concatenate(sides, axis=2)
    if of_differences:
        gradient_nxCxD -= sides[0].sum(axis=2)[..., None] * x_nxD[:, None]
    return gradient_nxCxD


@functools.partial(jax.jit, static_argnames=("kernel", "num_train"))
def iterate(metric_DxD, order_N, labels_N, *, kernel, num_train):
    """Accuracy by a metric [2] of the first examples, which train, and the others; the next one."""
    num_b = labels_N.size // P
    a_N, b_N = jnp.divmod(jnp.arange(labels_N.size), num_b)
    x_NxD = jnp.concatenate([jax.nn.one_hot(a_N, P), jax.nn.one_hot(b_N, num_b)], axis=1)
    target_NxC = jax.nn.one_hot(labels_N, P)
    train_n = order_N[:num_train]
    kernel_nxN, slope_nxN = kernel(x_NxD[train_n], x_NxD, metric_DxD)
    alpha_nxC = jnp.linalg.solve(kernel_nxN[:, train_n], target_NxC[train_n])
    alpha_NxC = jnp.zeros_like(target_NxC).at[train_n].set(alpha_nxC)
    gradient_nxCxD = gradients(alpha_NxC, slope_nxN, x_NxD[train_n], kernel is gaussian)
    gradient_nxCxD -= gradient_nxCxD.mean(axis=0, keepdims=True)
    outer_DxD = jnp.einsum("ncd,nce->de", gradient_nxCxD, gradient_nxCxD) / num_train
    values_D, vectors_DxD = jnp.linalg.eigh(metric_DxD @ outer_DxD @ metric_DxD)
    root_DxD = (vectors_DxD * jnp.sqrt(jnp.maximum(values_D, 0))[None]) @ vectors_DxD.T
    is_right_N = (kernel_nxN.T @ alpha_nxC).argmax(axis=1) == labels_N
    return jnp.stack([is_right_N[n].mean() for n in (train_n, order_N[num_train:])]), root_DxD


def accuracies(op, kernel, seed):
    """[I, 2]: accuracy in training and validation with the first metric, the second ..."""
    config = base(task=dict(name="modular", op=op, p=P))
    config.runs = grid(config.runs, seed=seed)
    config.batches = "full"  # of any size
    experiment = grokjax.setup(config)
    run = jax.tree.map(lambda x_R: jnp.asarray(x_R[0]), experiment.runs_R)
    split = draw_split(run, experiment.dataset.examples, experiment.dataset.strata)
    static = dict(kernel=KERNELS[kernel], num_train=int(split.num_train_G[0]))
    order_N, labels_N = np.asarray(split.order_N), np.asarray(split.labels_N)
    found = []
    with jax.enable_x64(True):
        metric_DxD = jnp.eye(P + labels_N.size // P)
        for _ in range(ITERATIONS):
            both, metric_DxD = iterate(metric_DxD, order_N, labels_N, **static)
            found.append(np.asarray(both))
    return np.stack(found)


def row(op, kernel, found_SxIx2):
    """A line of the table: when validation accuracy is at 99 %, and what it was before."""
    val_SxI = found_SxIx2[..., 1]
    facts = {"op": op, "kernel": kernel, "seeds": len(val_SxI)}
    facts["training_accuracy"] = f"{found_SxIx2[..., 0].min():.2%}"
    facts["validation_accuracy_at_5"] = f"{np.median(val_SxI[:, 5]):.2%}"
    first_S = np.where(val_SxI.max(axis=1) >= 0.99, (val_SxI >= 0.99).argmax(axis=1), np.inf)
    names = ("first_at_99_%", "median_at_99_%", "last_at_99_%")
    facts |= dict(zip(names, np.quantile(first_S, (0, 0.5, 1), method="nearest"), strict=True))
    return facts | {"validation_accuracy_at_end": f"{np.median(val_SxI[:, -1]):.2%}"}


def draw(found):
    """Validation accuracy over the iterations, median and range of the seeds."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="iteration")
    style.dress(axes, "Validation accuracy of kernels that learn features")
    style.percent_axis(axes)
    for (name, found_SxIx2), line in style.styled(found.items()):
        line |= dict(label=name, gid=name)
        val_IxS = found_SxIx2[..., 1].T
        style.draw_runs(axes, np.arange(ITERATIONS), val_IxS, {"range": 0.15}, **line)
    style.legend(figure)
    return figure


def work(seeds):
    found = {}
    rows = []
    for op, kernel in itertools.product(("add", "sub", "mul", "div"), KERNELS):
        found_SxIx2 = np.stack([accuracies(op, kernel, seed) for seed in seeds])
        found[f"{op}, {kernel}"] = found_SxIx2
        rows.append(row(op, kernel, found_SxIx2))
        print(", ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    folder = Path("results/rfm")
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(rows, folder / "summary.csv", columns=())
    style.save(draw(found), folder / "accuracy.png")


if __name__ == "__main__":
    command_line.run(lambda _: functools.partial(work, command_line.seeds() or (0,)), ("seeds",))
