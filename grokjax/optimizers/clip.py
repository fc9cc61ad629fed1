"""Gradient clipping.

Pascanu et al., 2013, "On the difficulty of training recurrent neural networks",
https://arxiv.org/abs/1211.5063
"""

import optax

from grokjax.core.hparams import Hparam, Scalar, above

HPARAMS = {"max_norm": Hparam(1.0, float, above(0))}


def make(max_norm: Scalar) -> optax.GradientTransformation:
    """Scales the gradient down to `max_norm` where the norm over all parameters is larger."""
    return optax.clip_by_global_norm(max_norm)
