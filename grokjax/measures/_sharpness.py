"""Sharpness: how far a loss may rise in a small box around the weights.

    100 (max L(w + A y) - L(w)) / (1 + L(w)),   |y_i| <= epsilon (|(A+ w)_i| + 1)

in percent, where A is the pseudo-inverse of A+, a few random directions of length 1. Keskar et al.,
2016, "On Large-Batch Training for Deep Learning", https://arxiv.org/abs/1609.04836. Power et al.,
2022, https://arxiv.org/abs/2201.02177, correlate it with generalisation; the directions, the box
and the number of iterations are those of https://github.com/openai/grok (`grok/measure.py`).

Their code minimises the loss where it means to maximise, and its two losses, both negated, leave
1 - L in the denominator. They climb by L-BFGS-B, on gradients that add up over batches. Here it is
an ascent of as many fixed steps, projected onto the box: 2 / (k + 2) times the signs of the
gradient, in units of the box. The rise is the integral of the slope along the way, since the
difference of two losses would drown in rounding.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from grokjax.core import lapack
from grokjax.measures._linear import dot

GAUSS = np.polynomial.legendre.leggauss(3)  # exact for slopes of degree 5


def unit_rows(key: jax.Array, count: int, size: int) -> jax.Array:
    """[Q, P]: random directions of length 1, uniform in a cube before that, as in openai/grok."""
    up_QxP = jax.random.uniform(key, (count, size), minval=-1.0, maxval=1.0)
    return up_QxP / jnp.linalg.norm(up_QxP, axis=1, keepdims=True)


def sharpness(
    loss: Callable[[jax.Array], jax.Array],
    w_P: jax.Array,
    up_QxP: jax.Array,
    epsilon: float,
    steps: int,
) -> jax.Array:
    """The relative rise of a loss in a box around the weights, in percent.

    The box has the sides epsilon (|(A+ w)_i| + 1) to both directions, where A+ is `up_QxP`; y in it
    moves the weights by A y, A the pseudo-inverse. What is found is a local maximum.
    """
    half_Q = epsilon * (jnp.abs(dot(up_QxP, w_P)) + 1)
    gram_QxQ = jnp.matmul(up_QxP, up_QxP.T, precision="highest")
    down_QxP = lapack.solve(gram_QxQ, up_QxP)

    def move(z_Q):
        """From the unit cube to a change of the weights."""
        return dot(half_Q * z_Q, down_QxP)

    def step(z_Q, planned):
        """Climb at z itself; after that, at three places between 0 and z, add up the slope."""
        place, weight, length = planned
        value, slope_Q = jax.value_and_grad(lambda z_Q: loss(w_P + move(z_Q)))(place * z_Q)
        climbed_Q = jnp.clip(z_Q + length * jnp.sign(slope_Q), -1, 1)
        return climbed_Q, (value, weight * dot(slope_Q, z_Q))

    places, weights = GAUSS
    plan_K = (
        np.append(np.ones(steps), (places + 1) / 2),
        np.append(np.zeros(steps), weights / 2),
        np.append(2 / (np.arange(steps) + 2), np.zeros(len(places))),
    )
    plan_K = jax.tree.map(lambda x_K: jnp.asarray(x_K, w_P.dtype), plan_K)
    _, (values_K, parts_K) = jax.lax.scan(step, jnp.zeros_like(half_Q), plan_K)
    return 100 * jnp.maximum(parts_K.sum(), 0.0) / (1 + values_K[0])
