"""Noise on the weights that a gradient is taken at.

Power et al., 2022, "Grokking: Generalization Beyond Overfitting on Small Algorithmic Datasets",
https://arxiv.org/abs/2201.02177, figure 2.
"""

import jax
import optax

from grokjax.core.hparams import Hparam, Scalar, at_least
from grokjax.core.optimizer import Optimizer, as_optimizer

HPARAMS = {"weight_noise": Hparam(0.01, float, at_least(0), "deviation of the noise on weights")}


def make(weight_noise: Scalar) -> Optimizer:
    """Takes the gradient at w + weight_noise z, z drawn from N(0, 1) for every weight and step.

    The step itself is made from the weights without noise, which are also those evaluated.
    The paper has `weight_noise` .01. Chain it before the optimizer.
    """

    def forward_params(params, _state, key):
        noise = optax.tree.random_like(key, params, jax.random.normal)
        return optax.tree.add_scale(params, weight_noise, noise)

    return as_optimizer(optax.identity())._replace(forward_params=forward_params)
