"""Noise on the steps of an optimizer.

Power et al., 2022, "Grokking: Generalization Beyond Overfitting on Small Algorithmic Datasets",
https://arxiv.org/abs/2201.02177, figure 2.
"""

import jax
import optax

from grokjax.core.hparams import Hparam, Scalar, at_least
from grokjax.core.optimizer import Optimizer

AFTER_STEP = True

HPARAMS = {"update_noise": Hparam(1.0, float, at_least(0), "deviation of noise, in learning rates")}


def make(learning_rate: Scalar, update_noise: Scalar) -> Optimizer:
    """Adds learning_rate update_noise z to each step, z drawn from N(0, 1) for every weight.

    The paper has `update_noise` 1. The authors' code divides the noise by Adam's 1 - b1^t like
    the step it is added to, so its first steps are noisier; that belongs to Adam alone, and
    this may follow any optimizer. Chain it *after* one.
    """

    def update(updates, state, _params, *, key, **_):
        noise = optax.tree.random_like(key, updates, jax.random.normal)
        return optax.tree.add_scale(updates, learning_rate * update_noise, noise), state

    return Optimizer(optax.init_empty_state, update)
