"""Settings and examples that the tests share."""

import functools
import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest

import grokjax

jax.config.update("jax_compilation_cache_dir", os.path.expanduser("~/.cache/grokjax/tests"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def toy(optimizer="adamw", **model):
    """A config that trains in a second: division mod 7, sizes all different."""
    config = grokjax.base(
        task=dict(name="modular", op="div", p=7),
        model=dict(name="transformer", width=12, num_heads=2, ff_width=20, **model),
        optimizer=optimizer,
    )
    config.batch_size = 11
    config.schedule.update(num_steps=20, eval_every=5, checkpoint_every=10, eval_block=13)
    return config


@functools.partial(jax.jit, static_argnums=0)
def initial(network, tree):
    """The parameters of a model, drawn with key 0."""
    return network.init(jax.random.key(0), tree)["params"]


@pytest.fixture
def toy_config():
    return toy()
