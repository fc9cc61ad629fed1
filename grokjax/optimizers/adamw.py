"""AdamW: Adam with decay of the weights themselves.

Loshchilov & Hutter, 2019, "Decoupled Weight Decay Regularization",
https://arxiv.org/abs/1711.05101
Power et al., 2022, "Grokking: Generalization Beyond Overfitting on Small Algorithmic Datasets",
https://arxiv.org/abs/2201.02177: the decay towards other places than zero.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from grokjax.core import selection
from grokjax.core.checks import check_choice
from grokjax.core.hparams import Scalar

RANGES = {"decay": ("zero", "initial", "jiggle"), "decayed": selection.KINDS}


def make(
    learning_rate: Scalar,
    weight_decay: Scalar,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    *,
    decay: str = "zero",  # towards zero, the initial weights, or (jiggle) nowhere
    decayed: str = "all",  # which weights: all, matrices (no biases or norms), or hidden ones
) -> optax.GradientTransformation:
    """Moves against the debiased mean gradient over its root mean square; decays the weights.

        m = b1 m + (1 - b1) g,    v = b2 v + (1 - b2) g^2
        w = w - learning_rate m' / (sqrt(v') + eps) + d

    where m' = m / (1 - b1^t) and v' = v / (1 - b2^t). With r = learning_rate weight_decay the
    decay d is -r w towards `zero`, r (w_0 - w) towards the `initial` weights, and for `jiggle`
    (exp(r z) - 1) w, which has no direction: z is drawn from N(0, 1) once a step and tensor.
    As in PyTorch and most papers all parameters decay, biases and norms too, unless `decayed`
    says otherwise.

    Raises:
        ValueError: for an unknown decay, or unknown weights.
    """
    check_choice("adamw.decay", decay, RANGES["decay"])
    mask = selection.mask("adamw.decayed", decayed)
    if decay == "zero":
        return optax.adamw(
            learning_rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay, mask=mask
        )
    adam = optax.adam(learning_rate, b1=b1, b2=b2, eps=eps)
    pull = _to_initial if decay == "initial" else _jiggle
    pulled = pull(learning_rate * weight_decay)
    return optax.chain(adam, pulled if mask is None else optax.masked(pulled, mask))


def _to_initial(rate):
    """Adds a step back to the weights that the state has kept from the start."""

    def update(updates, state, params=None):
        return jax.tree.map(lambda u, w0, w: u + rate * (w0 - w), updates, state, params), state

    return optax.GradientTransformation(lambda params: jax.tree.map(jnp.copy, params), update)


def _jiggle(rate):
    """Adds what multiplies every tensor by a number of its own near one."""

    def update(updates, state, params=None, *, key: Any = None, **_):
        z = optax.tree.random_like(key, jax.tree.map(lambda w: jnp.zeros((), w.dtype), params))
        return jax.tree.map(lambda u, w, z: u + jnp.expm1(rate * z) * w, updates, params, z), state

    return optax.GradientTransformationExtraArgs(optax.init_empty_state, update)
