"""Schedule-Free AdamW: an average of the weights in place of a falling learning rate.

Defazio et al., 2024, "The Road Less Scheduled", https://arxiv.org/abs/2405.15682
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from grokjax.core import selection
from grokjax.core.hparams import Scalar
from grokjax.core.optimizer import Optimizer

LAST = True  # z and x would not follow a step changed after it

RANGES = {"decayed": selection.KINDS}


class ScheduleFreeState(NamedTuple):
    """The two sequences whose mixture is trained."""

    z: optax.Params  # where plain steps have led
    x: optax.Params  # their average, which is evaluated
    total: jax.Array  # [] float32: sum of the average's weights
    max_rate: jax.Array  # [] float32: largest learning rate so far
    inner: optax.OptState  # AdamW's without its first moment


def make(
    learning_rate: Scalar,
    weight_decay: Scalar,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    *,
    decayed: str = "all",  # which weights: all, matrices (no biases or norms), or hidden ones
) -> Optimizer:
    """Takes gradients at y, between plain steps z and their average x, which is evaluated.

        z = z - learning_rate (g / (sqrt(v') + eps) + weight_decay y)
        x = (1 - c) x + c z,    y = b1 x + (1 - b1) z

    v' is the debiased mean of g^2 with `b2`. c weighs every step by the square of the largest
    learning rate so far, so that warm-up counts little. `b1` takes the place of momentum; 0
    trains z itself. Meant for a constant learning rate after a warm-up.

    Equals optax.contrib.schedule_free_adamw, which recomputes x from y and so needs b1 > 0;
    keeping x costs one more copy of the weights. Chain it last.
    """
    inner = optax.chain(
        optax.scale_by_rms(decay=b2, eps=eps, eps_in_sqrt=False, bias_correction=True),
        optax.add_decayed_weights(weight_decay, selection.mask("schedule_free.decayed", decayed)),
        optax.scale(-learning_rate),
    )

    def init(params):
        total = jnp.zeros((), jnp.float32)
        max_rate = jnp.zeros((), jnp.float32)  # may be donated: no buffer twice
        z = jax.tree.map(jnp.copy, params)
        x = jax.tree.map(jnp.copy, params)
        return ScheduleFreeState(z, x, total, max_rate, inner.init(params))

    def update(updates, state, params, **_):
        steps, inner_state = inner.update(updates, state.inner, params)
        max_rate = jnp.maximum(state.max_rate, learning_rate)
        total = state.total + max_rate**2
        z = optax.tree.add(state.z, steps)
        share = max_rate**2 / total
        x = jax.tree.map(lambda x, z: x + share * (z - x), state.x, z)
        updates = jax.tree.map(lambda x, z, y: b1 * x + (1 - b1) * z - y, x, z, params)
        return updates, ScheduleFreeState(z, x, total, max_rate, inner_state)

    return Optimizer(init, update, eval_params=lambda _, state: state.x)
