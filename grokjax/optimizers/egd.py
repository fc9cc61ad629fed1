"""Egalitarian gradient descent: the same speed along all singular directions of a gradient.

Saheb Pasand & Dohmatob, 2025, "Egalitarian Gradient Descent: A Simple Approach to Accelerated
Grokking", https://arxiv.org/abs/2510.04930
"""

import jax.numpy as jnp
import optax

from grokjax.core import lapack
from grokjax.optimizers._matrices import on_hidden

FLOOR = 1e-6  # what a singular value is divided by at least, as in the authors' code


def make() -> optax.GradientTransformation:
    """Puts the polar factor of its gradient in the place of each hidden matrix's gradient.

        G = U S V^T    ->    U V^T

    The authors replace that of the first of two layers; the readout, embeddings, biases and norms
    keep theirs here too. Their weight decay is an L2 term of the loss and so part of G, of which
    nothing else is left where the loss is small: `l2+egd+sgd`, with a weight decay of 0. They
    go on without it once 95 % of the test examples are right, which this does not.
    """
    return on_hidden(_polar_factor)


def _polar_factor(g):
    wide = g.astype(jnp.promote_types(g.dtype, jnp.float32))  # LAPACK has no half precision
    u, s, vt = lapack.svd(wide)
    s = s / jnp.maximum(s, FLOOR)
    return jnp.matmul(u * s[None], vt, precision="highest").astype(g.dtype)
