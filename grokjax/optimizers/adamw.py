"""AdamW: Adam with decay of the weights themselves.

Loshchilov & Hutter, 2019, "Decoupled Weight Decay Regularization",
https://arxiv.org/abs/1711.05101
"""

import optax

from grokjax.optimizer import Optimizer, from_transform


def make(learning_rate, weight_decay, b1, b2, eps) -> Optimizer:
    """Moves against the debiased mean gradient over its root mean square; decays the weights.

        m = b1 m + (1 - b1) g,    v = b2 v + (1 - b2) g^2
        w = w - learning_rate (m' / (sqrt(v') + eps) + weight_decay w)

    where m' = m / (1 - b1^t) and v' = v / (1 - b2^t). As in PyTorch and the papers, all
    parameters decay, biases and norms too, and the decay is scaled by the learning rate.
    """
    return from_transform(
        optax.adamw(learning_rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay)
    )
