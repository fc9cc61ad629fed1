"""Grokfast-MA: amplify the mean of the last w gradients.

Lee, Kim, Kim & Lee, 2024, "Grokfast: Accelerated Grokking by Amplifying Slow
Gradients", https://arxiv.org/abs/2405.20233
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from grokjax.core.checks import check_at_least, check_choice
from grokjax.core.hparams import Scalar, at_least

BY_STEP = True  # the ring is filled by the number of the step
STEPS = ("window",)  # options that are lengths in steps
RANGES = {"window": at_least(1, "gradients"), "average": ("mean", "sum")}


class GrokfastMaState(NamedTuple):
    """The window's gradients as two blocks of a ring, and the sums of which theirs is made.

    The blocks, w // 2 rows and the rest, are filled in turn. A row of the older block gives way
    to a new gradient; the rows of the other one become sums of all rows from there to its end,
    one a step from the last row on, for when it is the older block.
    """

    count: jax.Array  # [] int32: gradients seen
    ring_W: optax.Updates  # [W, ...]: the last W gradients, or sums of them
    filling: optax.Updates  # sum of the new rows of the block that is being filled
    filled: optax.Updates  # sum of the other block
    rest: optax.Updates  # sum of the last rows of the other block, as far as it is summed


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
    The sum is made of additions alone, as that of a queue of two stacks is: what has left
    the window leaves no rounding behind, be it 1e30 or not a number. Chain it *before* an
    optimizer. With `optax.inject_hyperparams`, `window` is one of the `static_args`.

    Args:
        lamb: gain of the slow part; 0 changes nothing.
        window: how many gradients are averaged.
        average: `mean`, or `sum` for a gain `window` times as large.
        start: the first step that is filtered. The paper's two-stage variant uses 500; the
            authors' code ignores it when `warmup` is off, this does not.
        warmup: wait for a full window, or average over what is there so far.
    """
    check_at_least("grokfast_ma.window", window, 1)
    check_choice("grokfast_ma.average", average, RANGES["average"])
    if isinstance(start, int):  # a traced one is what `config.runs` allows
        check_at_least("grokfast_ma.start", start, 0)

    def init_fn(params):
        ring_W = jax.tree.map(lambda w: jnp.zeros((window, *w.shape), w.dtype), params)
        sums = (optax.tree.zeros_like(params) for _ in range(3))  # may be donated: no buffer twice
        return GrokfastMaState(jnp.zeros((), jnp.int32), ring_W, *sums)

    def update_fn(updates, state, params=None, *, t=None, **extra_args):
        del params, extra_args
        step = state.count if t is None else t  # grokjax shares one t among all runs
        state, total = _slide(state, updates, step % window, window)

        seen = jnp.minimum(step + 1, window)
        acts = (step >= start) & ((seen == window) | (not warmup))
        gain = jnp.where(acts, lamb, 0.0) / (seen if average == "mean" else 1)
        amplified = optax.tree.add_scale(updates, gain, total)
        updates = optax.tree.cast_like(amplified, updates)
        return updates, state

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _slide(state, updates, slot, window):
    """The next state, and the sum over the window."""
    half = window // 2
    in_first = slot < half
    begin = jnp.where(in_first, 0, half)
    end = jnp.where(in_first, half, window)
    is_new = slot == begin
    # back through the other block; row -1, one too many of an odd window, is written over
    row = jnp.where(in_first, window, half) - 1 - (slot - begin)

    def where(condition, then, otherwise):
        return jax.tree.map(lambda x, y: jnp.where(condition, x, y), then, otherwise)

    zeros = optax.tree.zeros_like(updates)
    filled = where(is_new, state.filling, state.filled) if half else zeros
    filling = optax.tree.add(where(is_new, zeros, state.filling), updates)
    rows = jax.tree.map(lambda ring: ring[row], state.ring_W)
    rest = optax.tree.add(where(is_new, zeros, state.rest), rows)
    ring_W = jax.tree.map(
        lambda ring, s, g: ring.at[row].set(s).at[slot].set(g), state.ring_W, rest, updates
    )
    older = jax.tree.map(lambda ring: ring[(slot + 1) % window], ring_W)
    older = where(slot + 1 == end, zeros, older)
    total = optax.tree.add(filling, filled, older)
    return GrokfastMaState(state.count + 1, ring_W, filling, filled, rest), total


def make(
    lamb: Scalar,
    filter_start: Scalar,
    *,
    window: int = 100,  # gradients that are averaged
    average: str = "mean",  # of gradients; sum: a gain `window` times as large
    warmup: bool = True,  # wait for a full window
) -> optax.GradientTransformation:
    """`grokfast_ma` from step `filter_start` on."""
    return grokfast_ma(lamb, window=window, average=average, start=filter_start, warmup=warmup)
