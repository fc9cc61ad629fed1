"""The learning rate at which Grokfast is compared with plain training.

Lee, Kim, Kim & Lee, 2024, "Grokfast: Accelerated Grokking by Amplifying Slow
Gradients", https://arxiv.org/abs/2405.20233
"""

import optax

from grokjax.core.hparams import Scalar

AFTER_STEP = True


def make(lamb: Scalar) -> optax.GradientTransformation:
    """Divides each step by 1 + lamb, the gain of a gradient that does not change.

    Grokfast multiplies such a gradient by 1 + lamb, so part of its speed may be no more than
    a larger learning rate; this after the optimizer takes that part out. Adam is blind to the
    gradient's size, so behind it the comparison is harder on Grokfast than it is behind SGD.
    Weight decay shrinks too, being scaled by the learning rate.
    """
    return optax.scale(1 / (1 + lamb))
