"""Gradient clipping.

Pascanu et al., 2013, "On the difficulty of training recurrent neural networks",
https://arxiv.org/abs/1211.5063
"""

import jax
import jax.numpy as jnp
import optax

from grokjax.core.hparams import Hparam, Scalar, above

HPARAMS = {"max_norm": Hparam(1.0, float, above(0), "largest norm of a gradient, over all weights")}


def make(max_norm: Scalar) -> optax.GradientTransformation:
    """Scales the gradient down to `max_norm` where the norm over all parameters is larger."""

    def shorten(updates, _params):  # optax.clip_by_global_norm wants max_norm in their dtype
        norm = optax.tree.norm(updates)

        def of_max_norm(g):
            return jnp.where(norm < max_norm, g, g / norm.astype(g.dtype) * max_norm)

        return jax.tree.map(of_max_norm, updates)

    return optax.stateless(shorten)
