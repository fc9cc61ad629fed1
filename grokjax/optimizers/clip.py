"""Gradient clipping.

Pascanu et al., 2013, "On the difficulty of training recurrent neural networks",
https://arxiv.org/abs/1211.5063
"""

import optax

from grokjax.core.hparams import Hparam, above
from grokjax.core.optimizer import Optimizer, from_transform

HPARAMS = {"max_norm": Hparam(1.0, float, above(0))}


def make(max_norm) -> Optimizer:
    """Scales the gradient down to `max_norm` where the norm over all parameters is larger."""
    return from_transform(optax.clip_by_global_norm(max_norm))
