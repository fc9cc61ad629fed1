"""Grokfast-EMA: amplify the slow part of the gradient.

Lee, Kim, Kim & Lee, 2024, "Grokfast: Accelerated Grokking by Amplifying Slow
Gradients", https://arxiv.org/abs/2405.20233
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from grokjax.core.checks import check_at_least
from grokjax.core.hparams import Scalar

BY_STEP = True  # its mean begins at a step: where steps are counted anew, it is none of before


class GrokfastEmaState(NamedTuple):
    """What the filter remembers of past gradients."""

    count: jax.Array  # [] int32: gradients seen
    slow: optax.Updates  # shaped like params: the running mean h


def grokfast_ema(
    alpha: Scalar, lamb: Scalar, *, start: Scalar = 0
) -> optax.GradientTransformationExtraArgs:
    """Adds `lamb` times the running mean of the gradient to the gradient.

        h_t = alpha h_{t-1} + (1 - alpha) g_t,    h_0 = g_0
        out = g_t + lamb h_t

    The mean starts at the first gradient, as in the authors' code, and so needs
    no debiasing. Chain it *before* an optimizer.

    Args:
        alpha: decay of the mean.
        lamb: gain of the slow part; 0 leaves the gradient as it is.
        start: the first step that is filtered; its gradient takes the place of g_0.
    """
    if isinstance(start, int):  # a traced one is what `config.runs` allows
        check_at_least("grokfast_ema.start", start, 0)

    def init_fn(params):
        return GrokfastEmaState(jnp.zeros((), jnp.int32), optax.tree.zeros_like(params))

    def update_fn(updates, state, params=None, *, t=None, **extra_args):
        del params, extra_args
        step = state.count if t is None else t  # grokjax shares one t among all runs
        decay = jnp.where(step <= start, 0.0, alpha)  # h_start = g_start
        slow = optax.tree.update_moment(updates, state.slow, decay, order=1)
        gain = jnp.where(step >= start, lamb, 0.0)
        amplified = optax.tree.add_scale(updates, gain, slow)
        slow = optax.tree.cast_like(slow, state.slow)
        return optax.tree.cast_like(amplified, updates), GrokfastEmaState(state.count + 1, slow)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def make(alpha: Scalar, lamb: Scalar, filter_start: Scalar) -> optax.GradientTransformation:
    """`grokfast_ema` from step `filter_start` on."""
    return grokfast_ema(alpha, lamb, start=filter_start)
