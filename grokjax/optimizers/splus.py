"""SPlus: the sign of the momentum, taken in the eigenbasis of past gradients.

Frans, Levine & Abbeel, 2025, "A Stable Whitening Optimizer for Efficient Neural Network
Training", https://arxiv.org/abs/2506.07254
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from grokjax.core import lapack
from grokjax.core.checks import check_at_least
from grokjax.core.hparams import Hparam, Scalar, at_least, between
from grokjax.core.optimizer import Optimizer

VECTOR_SCALE = 1e-3  # the authors' for what is not whitened on both sides

HPARAMS = {"ema_rate": Hparam(0.999, float, between(0, 1), "decay of the mean that is evaluated")}
RANGES = {"inverse_every": at_least(1, "steps"), "max_dim": at_least(1)}


class SplusState(NamedTuple):
    """Everything is shaped like the parameters, with a pair of matrices for each matrix."""

    momentum: optax.Updates
    moments: optax.Updates  # of each matrix [I, O] its second moments [I, I] and [O, O]
    bases: optax.Updates  # their eigenvectors, as of the last decomposition
    mean: optax.Params  # running average of the parameters
    weight: jax.Array  # [] float32: what the average has seen, tends to one


def make(
    learning_rate: Scalar,
    weight_decay: Scalar,
    b1: Scalar,
    b2: Scalar,
    ema_rate: Scalar,
    *,
    inverse_every: int = 100,  # steps between decompositions
    max_dim: int = 10000,  # longest side of a matrix that is turned
) -> Optimizer:
    """Moves matrices by a sign in the eigenbases P, Q of their gradients, vectors by a sign.

        m = b1 m + (1 - b1) g
        L = b2 L + (1 - b2) g g^T,    R = b2 R + (1 - b2) g^T g
        W = W - learning_rate s (P sign(P^T m Q) Q^T + weight_decay W),    s = 2 / (I + O)

    P and Q, at first the identity, become the eigenvectors of L and R after the first step
    and after every `inverse_every`-th; in between only products are computed. A side longer
    than `max_dim` is not turned. Matrices with such a side, and all that is not a matrix,
    have s = .001. Evaluated is the running average, at `ema_rate` and debiased, of the weights
    that gradients were taken at, and so of what the rest of a chain has made of its steps.

    s multiplies learning rate and decay, so both must be larger than for AdamW: the authors
    take a learning rate of .1 to .2, and b2 = .999. Their optax code gives embeddings
    s = .001 by name; like their PyTorch code this treats them as any matrix, because ours
    have few rows.
    """
    check_at_least("splus.inverse_every", inverse_every, 1)
    check_at_least("splus.max_dim", max_dim, 1)

    def init(params):
        bases = jax.tree.map(lambda w: _identities(w, max_dim), params)
        return SplusState(
            momentum=optax.tree.zeros_like(params),
            moments=optax.tree.zeros_like(bases),
            bases=bases,
            mean=jax.tree.map(jnp.copy, params),
            weight=jnp.zeros((), jnp.float32),
        )

    def update(updates, state, params, *, t, **_):
        momentum = optax.tree.update_moment(updates, state.momentum, b1, order=1)
        moments = jax.tree.map(lambda g, old: _moments(g, old, b2), updates, state.moments)
        moments = optax.tree.cast_like(moments, state.moments)  # both branches below have one dtype

        def step(m, bases, w):
            scale = _scale(w.shape, max_dim)
            return -learning_rate * scale * (_sign(m, *bases) + weight_decay * w)

        steps = jax.tree.map(step, momentum, state.bases, params)
        due = (t == 0) | ((t + 1) % inverse_every == 0)  # t is shared: under vmap still a branch
        bases = jax.lax.cond(due, lambda: _eigenvectors(moments), lambda: state.bases)
        weight = ema_rate * state.weight + (1 - ema_rate)
        share = (1 - ema_rate) / weight
        mean = jax.tree.map(lambda e, w: e + share * (w - e), state.mean, params)
        return steps, SplusState(momentum, moments, bases, mean, weight)

    return Optimizer(init, update, eval_params=lambda _, state: state.mean)


def _identities(w, max_dim):
    """One for each side of a matrix, None where the side is not whitened."""
    sizes = w.shape if w.ndim == 2 else (max_dim + 1, max_dim + 1)
    return tuple(jnp.eye(size, dtype=w.dtype) if size <= max_dim else None for size in sizes)


def _moments(g, old, b2):
    left, right = old
    return (
        None if left is None else b2 * left + (1 - b2) * (g @ g.T),
        None if right is None else b2 * right + (1 - b2) * (g.T @ g),
    )


def _sign(m, left, right):
    """The sign of m in the bases of its sides, turned back."""
    m = m if left is None else left.T @ m
    u = jnp.sign(m if right is None else m @ right)
    u = u if left is None else left @ u
    return u if right is None else u @ right.T


def _scale(shape, max_dim):
    whitened = len(shape) == 2 and max(shape) <= max_dim
    return 2 / sum(shape) if whitened else VECTOR_SCALE


def _eigenvectors(moments):
    def eigenvectors(x):  # of which LAPACK has none in half precision
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        return lapack.eigh(wide)[1].astype(x.dtype)

    return jax.tree.map(eigenvectors, moments)
