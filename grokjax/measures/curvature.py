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
- `sharpness`, in percent: how far the loss may rise in a small box around the weights,

      100 (max L(w + A y) - L(w)) / (1 + L(w)),   |y_i| <= epsilon (|(A+ w)_i| + 1),

  where A is the pseudo-inverse of A+, a few random directions of length 1. Keskar et al., 2016,
  "On Large-Batch Training for Deep Learning", https://arxiv.org/abs/1609.04836. Power et al.,
  2022, https://arxiv.org/abs/2201.02177, correlate it with generalisation; size of the box,
  number of directions and of iterations are those of openai/grok. Their code minimises the loss
  where it means to maximise, and its two losses, both negated, leave 1 - L in the denominator.
  They climb by L-BFGS-B over batches whose gradients add up; here it is an ascent of as many
  fixed steps, 2 / (k + 2) times the signs of the gradient in units of the box, projected onto it,
  and the rise is the integral of the slope along the way, for a difference of two losses would
  drown in rounding.

Random vectors are those of the run's seed, the same at every evaluation. Products with H are
forward over reverse: the linearised gradient.

On one core one evaluation of `configs/moddiv.py` takes COST
of training: choose `schedule.measure_every`. Lanczos keeps `iterations` vectors of P weights.
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from grokjax.core.data import Task
from grokjax.core.hparams import above, check_ranges, whole
from grokjax.core.measure import Measure, View

Loss = Callable[[jax.Array], jax.Array]  # w_P -> []

RANGES = {
    "examples": whole(2, 1_000_000),
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
GAUSS = np.polynomial.legendre.leggauss(3)  # exact for slopes of degree 5


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
        rows_B = view.train_rows(examples)
        count = jnp.minimum(view.split.num_train_G.sum(), examples)
        counted_B = jnp.arange(examples) < count  # the rows of a smaller set come again

        def loss(w_P):
            logits_BxC = view.logits(unravel(w_P), rows_B)
            loss_B = view.per_example(logits_BxC, view.labels_N[rows_B])
            return jnp.where(counted_B, loss_B, 0.0).sum() / count

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


class Eigenvalue(NamedTuple):
    """An approximate eigenvalue lambda, and ||H v - lambda v|| of its unit vector v."""

    value: jax.Array
    residual: jax.Array


def lanczos(
    product: Callable, start_P: jax.Array, iterations: int
) -> tuple[Eigenvalue, Eigenvalue]:
    """The smallest and the largest eigenvalue of a symmetric matrix.

    H is seen only by `product(v_P) -> H v`. In the basis Q of K vectors that are built from
    `start_P` it is tridiagonal; the extremes of that small matrix come close to those of H. Each
    new vector is made orthogonal to all others twice. Where H and `start_P` allow no further vector
    the rest of the diagonal repeats its first entry, which is no extreme. Lanczos, 1950, "An
    Iteration Method for the Solution of the Eigenvalue Problem".
    """
    size = min(iterations, start_P.size)

    def step(carry, k):
        basis_KxP, q_P, alive, first = carry
        basis_KxP = basis_KxP.at[k].set(q_P)
        h_P = product(q_P)
        diagonal = jnp.where(alive, _dot(q_P, h_P), first)
        length = _norm(h_P)
        for _ in range(2):
            h_P = h_P - _dot(_dot(basis_KxP, h_P), basis_KxP)
        beside = _norm(h_P)
        first = jnp.where(k == 0, diagonal, first)
        alive = alive & (beside > 1e-6 * length)  # else it is rounding
        beside = jnp.where(alive, beside, 0.0)
        q_P = jnp.where(alive, h_P / jnp.where(alive, beside, 1.0), 0.0)
        return (basis_KxP, q_P, alive, first), (diagonal, beside)

    q_P = start_P / _norm(start_P)
    basis_KxP = jnp.zeros((size, q_P.size), q_P.dtype)
    carry = (basis_KxP, q_P, jnp.asarray(True), jnp.zeros((), q_P.dtype))
    _, (diagonal_K, beside_K) = jax.lax.scan(step, carry, jnp.arange(size))
    small_KxK = jnp.diag(diagonal_K) + jnp.diag(beside_K[:-1], 1) + jnp.diag(beside_K[:-1], -1)
    values_K, vectors_KxK = jnp.linalg.eigh(small_KxK)
    residual_K = beside_K[-1] * jnp.abs(vectors_KxK[-1])
    return Eigenvalue(values_K[0], residual_K[0]), Eigenvalue(values_K[-1], residual_K[-1])


def hutchinson(
    product: Callable, key: jax.Array, size: int, probes: int
) -> tuple[jax.Array, jax.Array]:
    """The trace of a matrix of which only products are known, and its standard error.

    The mean of v H v over vectors v of random signs. A diagonal H has no error.
    """

    def one(key):
        signs_P = jax.random.rademacher(key, (size,), jnp.float32)
        return _dot(signs_P, product(signs_P))

    traces_K = jax.lax.map(one, jax.random.split(key, probes))
    return traces_K.mean(), traces_K.std(ddof=1) / np.sqrt(probes)


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
        return (sum_P, squares + jnp.where(counts, _dot(grad_P, grad_P), 0.0)), None

    zero = (jnp.zeros_like(w_P), jnp.zeros((), w_P.dtype))
    (sum_P, squares), _ = jax.lax.scan(add, zero, jnp.arange(num_blocks))
    small = squares / count
    large = _dot(sum_P, sum_P) / count**2
    trace = block * count * (small - large) / (count - 1)
    square = (count * large - small) / (count - 1)
    known = count > 1
    return Noise(jnp.where(known, trace, jnp.nan), jnp.where(known, square, jnp.nan))


def unit_rows(key: jax.Array, count: int, size: int) -> jax.Array:
    """[Q, P]: random directions of length 1, uniform in a cube before that, as in openai/grok."""
    up_QxP = jax.random.uniform(key, (count, size), minval=-1.0, maxval=1.0)
    return up_QxP / jnp.linalg.norm(up_QxP, axis=1, keepdims=True)


def sharpness(
    loss: Loss, w_P: jax.Array, up_QxP: jax.Array, epsilon: float, steps: int
) -> jax.Array:
    """The relative rise of a loss in a box around the weights, in percent.

    The box has the sides epsilon (|(A+ w)_i| + 1) to both directions, where A+ is `up_QxP`; y in it
    moves the weights by A y, A the pseudo-inverse. What is found is a local maximum.
    """
    half_Q = epsilon * (jnp.abs(_dot(up_QxP, w_P)) + 1)
    gram_QxQ = jnp.matmul(up_QxP, up_QxP.T, precision="highest")

    def move(z_Q):
        """From the unit cube to a change of the weights."""
        return _dot(jnp.linalg.solve(gram_QxQ, half_Q * z_Q), up_QxP)

    def step(z_Q, planned):
        """Climb at z itself; after that, at three places between 0 and z, add up the slope."""
        place, weight, length = planned
        value, slope_Q = jax.value_and_grad(lambda z_Q: loss(w_P + move(z_Q)))(place * z_Q)
        climbed_Q = jnp.clip(z_Q + length * jnp.sign(slope_Q), -1, 1)
        return climbed_Q, (value, weight * _dot(slope_Q, z_Q))

    places, weights = GAUSS
    plan_K = (
        np.append(np.ones(steps), (places + 1) / 2),
        np.append(np.zeros(steps), weights / 2),
        np.append(2 / (np.arange(steps) + 2), np.zeros(len(places))),
    )
    plan_K = jax.tree.map(lambda x_K: jnp.asarray(x_K, w_P.dtype), plan_K)
    _, (values_K, parts_K) = jax.lax.scan(step, jnp.zeros_like(half_Q), plan_K)
    return 100 * jnp.maximum(parts_K.sum(), 0.0) / (1 + values_K[0])


def _dot(x, y):
    """In full float32, on accelerators too."""
    return jnp.dot(x, y, precision="highest")


def _norm(x_P):
    return jnp.sqrt(_dot(x_P, x_P))
