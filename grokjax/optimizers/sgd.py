"""Stochastic gradient descent.

Robbins & Monro, 1951, "A Stochastic Approximation Method",
https://doi.org/10.1214/aoms/1177729586
"""

import optax

from grokjax.core import selection
from grokjax.core.hparams import Scalar

RANGES = {"decayed": selection.KINDS}


def make(
    learning_rate: Scalar,
    weight_decay: Scalar,
    *,
    decayed: str = "matrices",  # which weights: all, matrices (no biases or norms), or hidden ones
) -> optax.GradientTransformation:
    """Moves against the gradient.

        w = w - learning_rate (g + weight_decay w)

    Biases and norms, the parameters with one axis, do not decay unless `decayed` is `all`, as
    it is in PyTorch.
    """
    mask = selection.mask("sgd.decayed", decayed)
    decay = optax.add_decayed_weights(weight_decay, mask)
    return optax.chain(decay, optax.scale(-learning_rate))
