"""Lion: the sign of a mean of gradients.

Chen et al., 2023, "Symbolic Discovery of Optimization Algorithms",
https://arxiv.org/abs/2302.06675
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
    *,
    decayed: str = "all",  # which weights: all, matrices (no biases or norms), or hidden ones
) -> optax.GradientTransformation:
    """Moves every weight by the learning rate, against the sign of a mean gradient.

        w = w - learning_rate (sign(b1 m + (1 - b1) g) + weight_decay w)
        m = b2 m + (1 - b2) g

    The paper takes a learning rate 3 to 10 times smaller than for AdamW.
    """
    mask = selection.mask("lion.decayed", decayed)
    return optax.lion(learning_rate, b1=b1, b2=b2, weight_decay=weight_decay, mask=mask)
