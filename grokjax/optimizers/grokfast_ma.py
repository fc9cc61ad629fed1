"""Grokfast-MA: amplify the mean of the last w gradients.

Lee, Kim, Kim & Lee, 2024, "Grokfast: Accelerated Grokking by Amplifying Slow
Gradients", https://arxiv.org/abs/2405.20233
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from grokjax.core.checks import check_at_least, check_choice
from grokjax.core.hparams import Scalar

STEPS = ("window",)  # options that are lengths in steps


class GrokfastMaState(NamedTuple):
    """The window's gradients and their sum, kept without drift and without a branch."""

    count: jax.Array  # [] int32: gradients seen
    ring_W: optax.Updates  # [W, ...]: the last W gradients
    leaving: optax.Updates  # the oldest of them, next to be overwritten
    running: optax.Updates  # their sum, kept by adding what comes and taking what goes
    fresh: optax.Updates  # the sum since slot 0 was last written, free of rounding drift


def grokfast_ma(
    lamb: Scalar,
    *,
    window: int = 100,
    average: str = "mean",
    start: Scalar = 0,
    warmup: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """Adds `lamb` times the mean of the last `window` gradients to the gradient.

        out = g_t + lamb (g_t + g_{t-1} + ... + g_{t-w+1}) / w    from the w-th gradient on

    A step costs the same for any window; memory is `window` copies of the parameters.
    The sum is replaced by a newly made one each time the ring is full, so that rounding
    does not pile up. Chain it *before* an optimizer.

    Args:
        lamb: gain of the slow part; 0 changes nothing.
        window: how many gradients are averaged.
        average: `mean`, or `sum` for a gain `window` times as large.
        start: the first step that is filtered. The paper's two-stage variant uses 500; the
            authors' code ignores it when `warmup` is off, this does not.
        warmup: wait for a full window, or average over what is there so far.
    """
    check_at_least("grokfast_ma.window", window, 1)
    check_choice("grokfast_ma.average", average, ("mean", "sum"))
    if isinstance(start, int):  # a traced one is what `config.runs` allows
        check_at_least("grokfast_ma.start", start, 0)

    def init_fn(params):
        zeros = optax.tree.zeros_like(params)
        ring_W = jax.tree.map(lambda w: jnp.zeros((window, *w.shape), w.dtype), params)
        return GrokfastMaState(jnp.zeros((), jnp.int32), ring_W, zeros, zeros, zeros)

    def update_fn(updates, state, params=None, *, t=None, **extra_args):
        del params, extra_args
        step = state.count if t is None else t  # grokjax shares one t among all runs
        slot = step % window
        full = slot == window - 1

        # Write first, then read what leaves next: reading before writing copies the ring.
        ring_W = jax.tree.map(lambda ring, g: ring.at[slot].set(g), state.ring_W, updates)
        leaving = jax.tree.map(lambda ring: ring[(slot + 1) % window], ring_W)
        running = jax.tree.map(
            lambda s, g, old: s + (g - old), state.running, updates, state.leaving
        )
        fresh = optax.tree.add(state.fresh, updates)
        running = jax.tree.map(lambda s, f: jnp.where(full, f, s), running, fresh)
        fresh = jax.tree.map(lambda f: jnp.where(full, 0.0, f), fresh)

        seen = jnp.minimum(step + 1, window)
        acts = (step >= start) & ((seen == window) | (not warmup))
        gain = jnp.where(acts, lamb, 0.0) / (seen if average == "mean" else 1)
        updates = optax.tree.add_scale(updates, gain, running)
        return updates, GrokfastMaState(state.count + 1, ring_W, leaving, running, fresh)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def make(
    lamb: Scalar,
    filter_start: Scalar,
    *,
    window: int = 100,
    average: str = "mean",
    warmup: bool = True,
) -> optax.GradientTransformation:
    """`grokfast_ma` from step `filter_start` on."""
    return grokfast_ma(lamb, window=window, average=average, start=filter_start, warmup=warmup)
