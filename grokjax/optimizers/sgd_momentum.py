"""Stochastic gradient descent with momentum.

Sutskever et al., 2013, "On the importance of initialization and momentum in deep learning",
https://proceedings.mlr.press/v28/sutskever13.html
"""

import optax

from grokjax.core.hparams import Scalar
from grokjax.core.optimizer import decay_matrices


def make(
    learning_rate: Scalar, weight_decay: Scalar, momentum: Scalar
) -> optax.GradientTransformation:
    """Moves against a decaying sum of gradients.

        v = momentum v + g + weight_decay w,    w = w - learning_rate v

    As in PyTorch the learning rate stands outside the sum, where the paper has it inside: the
    same while it is constant. Biases and norms, the parameters with one axis, do not decay.
    """
    return optax.chain(
        decay_matrices(weight_decay), optax.trace(decay=momentum), optax.scale(-learning_rate)
    )
