"""Stochastic gradient descent.

Robbins & Monro, 1951, "A Stochastic Approximation Method",
https://doi.org/10.1214/aoms/1177729586
"""

import optax

from grokjax.core.hparams import Scalar
from grokjax.core.optimizer import decay_matrices


def make(learning_rate: Scalar, weight_decay: Scalar) -> optax.GradientTransformation:
    """Moves against the gradient.

        w = w - learning_rate (g + weight_decay w)

    Biases and norms, the parameters with one axis, do not decay.
    """
    return optax.chain(decay_matrices(weight_decay), optax.scale(-learning_rate))
