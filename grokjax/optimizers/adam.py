"""Adam with L2 regularisation, whose decay goes through the gradient.

Kingma & Ba, 2015, "Adam: A Method for Stochastic Optimization", https://arxiv.org/abs/1412.6980
"""

import optax

from grokjax.core import selection
from grokjax.core.hparams import Scalar

RANGES = {"decayed": selection.KINDS}


def make(
    learning_rate: Scalar,
    weight_decay: Scalar,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    *,
    decayed: str = "all",  # which weights: all, matrices (no biases or norms), or hidden ones
) -> optax.GradientTransformation:
    """Moves against the debiased mean of g + weight_decay w over its root mean square.

    The decay is *coupled*, as in PyTorch's Adam: it is divided by the root mean square like
    the gradient, so it acts on all weights alike whatever its size; see `adamw` for the other.
    """
    return optax.chain(
        optax.add_decayed_weights(weight_decay, selection.mask("adam.decayed", decayed)),
        optax.scale_by_adam(b1=b1, b2=b2, eps=eps),
        optax.scale(-learning_rate),
    )
