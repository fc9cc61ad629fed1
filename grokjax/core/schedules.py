"""Factors of the learning rate at step t, counted from 0; every argument may be traced.

A schedule's signature says what it reads: `num_steps`, and entries of `config.runs`.
"""

import inspect
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from grokjax.core.hparams import Hparam, steps

HPARAMS = {"warmup": Hparam(10.0, float, steps(followed_by=0), "steps in which the rate rises")}


def constant(t: jax.Array) -> jax.Array:
    """1 at every step."""
    return jnp.ones_like(t, jnp.float32)


def linear_warmup(t: jax.Array, warmup: jax.Array) -> jax.Array:
    """1/w, 2/w, ..., 1, 1: the first step is not lost on a learning rate of zero."""
    return jnp.minimum((t + 1) / jnp.maximum(warmup, 1), 1.0)


def warmup_cosine(t: jax.Array, warmup: jax.Array, num_steps: int) -> jax.Array:
    """Linear warm-up, then half a cosine down to zero at `num_steps`."""
    progress = jnp.clip((t - warmup) / jnp.maximum(num_steps - warmup, 1), 0.0, 1.0)
    return linear_warmup(t, warmup) * (1 + jnp.cos(jnp.pi * progress)) / 2


SCHEDULES = {f.__name__: f for f in (constant, linear_warmup, warmup_cosine)}


def reads(name: str) -> set[str]:
    """The arguments of a schedule besides the step."""
    return set(inspect.signature(SCHEDULES[name]).parameters) - {"t"}


def factor(name: str, num_steps: int, t: jax.Array, hparams: Mapping[str, jax.Array]) -> jax.Array:
    """The factor at step t of a schedule by name, which takes what it reads."""
    known = {**hparams, "num_steps": num_steps}
    return SCHEDULES[name](t, **{read: known[read] for read in reads(name)})
