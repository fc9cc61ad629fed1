"""Stochastic gradient descent, with or without momentum.

Sutskever et al., 2013, "On the importance of initialization and momentum in deep learning",
https://proceedings.mlr.press/v28/sutskever13.html
"""

import jax
import jax.numpy as jnp
import optax

from grokjax.optimizer import Optimizer, from_transform


def make(learning_rate, weight_decay, momentum) -> Optimizer:
    """Moves against a decaying sum of gradients.

        v = momentum v + g + weight_decay w,    w = w - learning_rate v

    Biases and norms, the parameters with one axis, do not decay. Momentum 0 is plain SGD.
    """
    return from_transform(
        optax.chain(
            optax.add_decayed_weights(weight_decay, mask=_matrices),
            optax.trace(decay=momentum),
            optax.scale(-learning_rate),
        )
    )


def _matrices(params):
    return jax.tree.map(lambda w: jnp.ndim(w) > 1, params)
