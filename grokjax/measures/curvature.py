"""Curvature of the training loss around the weights, and the noise of its gradient.

All of it is about the mean loss L(w), without penalties, of the first `examples` training rows in
the split's random order, with the weights w as one vector of P numbers:

- `largest` and `smallest` eigenvalue of the Hessian H, by Lanczos' method with full
  reorthogonalisation. Their `_residual` ||H v - lambda v|| bounds the error: an eigenvalue lies
  within that distance. The largest settles in few iterations, the smallest often does not.
- `trace` of H, the mean of v H v over random vectors v of signs (Hutchinson, 1990, "A Stochastic
  Estimator of the Trace of the Influence Matrix"), with its standard error `trace_error`.
- `noise_scale` tr(S) / |G|^2 of McCandlish et al., 2018, "An Empirical Model of Large-Batch
  Training", https://arxiv.org/abs/1812.06162: G is the gradient, S the covariance of gradients of
  single examples. About the batch size above which larger batches stop paying. By their
  estimator from two batch sizes (appendix A.1): blocks of `noise_block` rows, and all of them
  together. Both terms have no bias, their ratio has; where the noise hides the gradient it may
  be of any size and sign. `gradient_noise` is tr(S) alone.
- `sharpness`, in percent: how far the loss may rise in a small box around the weights, see
  `_sharpness.py`.

Random vectors are those of the run's seed, the same at every evaluation. Products with H are
forward over reverse: the linearised gradient.

With the default options one evaluation of `configs/moddiv.py` takes 2.5 seconds of one core, as
long as 100 steps of training, and half a minute more to compile: choose
`schedule.measure_every = 500` or so. Lanczos keeps `iterations` vectors of P weights, 34 MB there,
for each run that is computed at once.
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from grokjax.core.checks import MAX_ROWS
from grokjax.core.data import Task
from grokjax.core.hparams import above, check_ranges, whole
from grokjax.core.measure import Measure, View
from grokjax.measures._linear import dot, hutchinson, lanczos
from grokjax.measures._sharpness import sharpness, unit_rows

RANGES = {
    "examples": whole(2, MAX_ROWS),
    "iterations": whole(1, 1000),
    "probes": whole(2, 1000),
    "noise_block": whole(1, 500_000),
    "directions": whole(1, 1000),
    "ascent_steps": whole(1, 1000),
    "epsilon": above(0),
}
TITLES = {
    "largest": "Largest eigenvalue of the loss's Hessian",
    "largest_residual": "Largest eigenvalue: bound of its error",
    "smallest": "Smallest eigenvalue of the loss's Hessian",
    "smallest_residual": "Smallest eigenvalue: bound of its error",
    "trace": "Trace of the loss's Hessian",
    "trace_error": "Trace: standard error",
    "noise_scale": "Gradient noise scale (examples)",
    "gradient_noise": "Variance of an example's gradient",
    "sharpness": "Sharpness: rise of the loss nearby (%)",
}
LOGARITHMIC = ("noise_scale", "gradient_noise", "sharpness")


def make(
    task: Task,
    network: nn.Module,
    *,
    examples: int = 512,  # training rows whose mean loss it is
    iterations: int = 20,  # of Lanczos' method
    probes: int = 8,  # random vectors for the trace
    noise_block: int = 16,  # rows of the smaller batch for the noise scale
    directions: int = 10,  # of the subspace for sharpness
    ascent_steps: int = 10,  # of the search for the highest loss
    epsilon: float = 1e-3,  # half the width of the box for sharpness
) -> Measure:
    """Eigenvalues and trace of the Hessian, gradient noise scale, sharpness."""
    del task, network
    check_ranges("measure.curvature.", locals(), RANGES)
    if examples < 2 * noise_block:
        raise ValueError(
            f"measure.curvature.noise_block = {noise_block} leaves fewer than two blocks of "
            f"{examples} examples; choose at most {examples // 2}"
        )

    def compute(view: View) -> dict[str, jax.Array]:
        w_P, unravel = ravel_pytree(view.params)
        rows_B, once_B = view.train_rows(examples)
        count = once_B.sum()

        def loss(w_P):
            logits_BxC = view.logits(unravel(w_P), rows_B)
            loss_B = view.per_example(logits_BxC, view.labels_N[rows_B])
            return jnp.where(once_B, loss_B, 0.0).sum() / count

        def loss_of_block(w_P, block):
            return view.loss(
                unravel(w_P), jax.lax.dynamic_slice(rows_B, (block * noise_block,), (noise_block,))
            )

        keys = jax.random.split(view.key("curvature"), 3)
        product = jax.linearize(jax.grad(loss), w_P)[1]
        lowest, highest = lanczos(product, jax.random.normal(keys[0], w_P.shape), iterations)
        trace, trace_error = hutchinson(product, keys[1], w_P.size, probes)
        num_blocks = examples // noise_block
        whole_blocks = count // noise_block
        noise = gradient_noise(loss_of_block, w_P, num_blocks, whole_blocks, noise_block)
        up_QxP = unit_rows(keys[2], min(directions, w_P.size), w_P.size)
        return {
            "largest": highest.value,
            "largest_residual": highest.residual,
            "smallest": lowest.value,
            "smallest_residual": lowest.residual,
            "trace": trace,
            "trace_error": trace_error,
            "noise_scale": noise.trace / noise.square,
            "gradient_noise": noise.trace,
            "sharpness": sharpness(loss, w_P, up_QxP, epsilon, ascent_steps),
        }

    return Measure(compute)


class Noise(NamedTuple):
    """Without bias: of the gradients of single examples, and of their mean."""

    trace: jax.Array  # of the covariance
    square: jax.Array  # of the length


def gradient_noise(
    loss_of_block: Callable, w_P: jax.Array, num_blocks: int, count: jax.Array, block: int
) -> Noise:
    """Noise and size of a gradient, from batches of two sizes.

        E |g_b|^2 = |G|^2 + tr(S) / b

    for a batch of b examples; the smaller is a block, the larger the first `count` blocks. NaN of
    fewer than two blocks.

    Args:
        loss_of_block: (w_P, number) -> mean loss of a block.
        w_P: the weights.
        num_blocks: how many are computed.
        count: how many of them count.
        block: examples in a block.
    """

    def add(carry, number):
        sum_P, squares = carry
        counts = number < count
        grad_P = jax.grad(loss_of_block)(w_P, number)
        sum_P = sum_P + jnp.where(counts, grad_P, 0.0)
        return (sum_P, squares + jnp.where(counts, dot(grad_P, grad_P), 0.0)), None

    zero = (jnp.zeros_like(w_P), jnp.zeros((), w_P.dtype))
    (sum_P, squares), _ = jax.lax.scan(add, zero, jnp.arange(num_blocks))
    small = squares / count
    large = dot(sum_P, sum_P) / count**2
    trace = block * count * (small - large) / (count - 1)
    square = (count * large - small) / (count - 1)
    known = count > 1
    return Noise(jnp.where(known, trace, jnp.nan), jnp.where(known, square, jnp.nan))
