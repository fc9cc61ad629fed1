"""Training on a sphere: weights of a constant norm.

Liu, Michaud & Tegmark, 2022, "Omnigrok: Grokking Beyond Algorithmic Data",
https://arxiv.org/abs/2210.01117
"""

import jax
import optax

from grokjax.core.hparams import Hparam, Scalar, above
from grokjax.core.optimizer import Optimizer

AFTER_STEP = True
LAST = True  # a step changed after it would leave the sphere

HPARAMS = {"norm_factor": Hparam(0.8, float, above(0), "norm of the weights, over the initial one")}


def make(norm_factor: Scalar) -> Optimizer:
    """Rescales the weights after each step to `norm_factor` times their initial norm.

        w = norm_factor ||w_0|| (w + u) / ||w + u||

    The norm is over all parameters, biases and norms too. The authors rescale before the
    first step as well; here the first gradient is taken at w_0. Chain it last, and without
    weight decay, which it would undo. Behind splus it holds the weights that are trained;
    their mean, which is evaluated, lies inside the sphere.
    """

    def update(updates, initial_norm, params, **_):
        moved = optax.tree.add(params, updates)
        scale = norm_factor * initial_norm / optax.tree.norm(moved)
        return jax.tree.map(lambda new, w: scale * new - w, moved, params), initial_norm

    return Optimizer(optax.tree.norm, update)
