"""The learning rate's factor at step t, counted from 0; every argument may be traced."""

import jax.numpy as jnp


def constant(t, warmup, num_steps):
    """1 at every step."""
    del warmup, num_steps
    return jnp.ones_like(t, jnp.float32)


def linear_warmup(t, warmup, num_steps):
    """1/w, 2/w, ..., 1, 1: the first step is not lost on a learning rate of zero."""
    del num_steps
    return jnp.minimum((t + 1) / jnp.maximum(warmup, 1), 1.0)


def warmup_cosine(t, warmup, num_steps):
    """Linear warm-up, then half a cosine down to zero at `num_steps`."""
    done = jnp.clip((t - warmup) / jnp.maximum(num_steps - warmup, 1), 0.0, 1.0)
    return linear_warmup(t, warmup, num_steps) * (1 + jnp.cos(jnp.pi * done)) / 2


SCHEDULES = {f.__name__: f for f in (constant, linear_warmup, warmup_cosine)}
READS_TOTAL = {"warmup_cosine"}  # a run under these cannot be prolonged
