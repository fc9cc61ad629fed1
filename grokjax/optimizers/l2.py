"""An L2 term in the loss, where elements of the chain behind it see its gradient.

Loshchilov & Hutter, 2019, "Decoupled Weight Decay Regularization",
https://arxiv.org/abs/1711.05101: what this does that weight decay does not.
"""

import optax

from grokjax.core import selection
from grokjax.core.hparams import Hparam, Scalar, at_least

RANGES = {"decayed": selection.KINDS}
HPARAMS = {"l2": Hparam(1e-4, float, at_least(0), "weight of the L2 term, half of the squares")}


def make(
    l2: Scalar,
    *,
    decayed: str = "all",  # which weights: all, matrices (no biases or norms), or hidden ones
) -> optax.GradientTransformation:
    """Adds l2 w to the gradient, as a term l2 ||w||^2 / 2 in the loss does.

    The `weight_decay` of `adam` and `sgd` does this too, but behind what stands before them.
    """
    return optax.add_decayed_weights(l2, selection.mask("l2.decayed", decayed))
