"""Stochastic gradient descent.

Robbins & Monro, 1951, "A Stochastic Approximation Method",
https://doi.org/10.1214/aoms/1177729586
"""

import optax

from grokjax.core.optimizer import Optimizer, decay_matrices, from_transform


def make(learning_rate, weight_decay) -> Optimizer:
    """Moves against the gradient.

        w = w - learning_rate (g + weight_decay w)

    Biases and norms, the parameters with one axis, do not decay.
    """
    return from_transform(optax.chain(decay_matrices(weight_decay), optax.scale(-learning_rate)))
