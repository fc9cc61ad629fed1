"""Stochastic gradient descent with momentum.

Sutskever et al., 2013, "On the importance of initialization and momentum in deep learning",
https://proceedings.mlr.press/v28/sutskever13.html
"""

import optax

from grokjax.core import selection
from grokjax.core.hparams import Scalar

RANGES = {"decayed": selection.KINDS}


def make(
    learning_rate: Scalar,
    weight_decay: Scalar,
    momentum: Scalar,
    *,
    decayed: str = "matrices",  # which weights: all, matrices (no biases or norms), or hidden ones
) -> optax.GradientTransformation:
    """Moves against a decaying sum of gradients.

        v = momentum v + g + weight_decay w,    w = w - learning_rate v

    As in PyTorch the learning rate stands outside the sum, where the paper has it inside: the
    same while it is constant. Biases and norms, the parameters with one axis, do not decay unless
    `decayed` is `all`, as it is in PyTorch.
    """
    decay = optax.add_decayed_weights(weight_decay, selection.mask("sgd_momentum.decayed", decayed))
    return optax.chain(decay, optax.trace(decay=momentum), optax.scale(-learning_rate))
