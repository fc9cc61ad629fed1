"""Settings and examples that the tests share."""

import functools
import gc
import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import signal

import jax
import pytest

import grokjax

jax.config.update("jax_compilation_cache_dir", os.path.expanduser("~/.cache/grokjax/tests"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_disable_most_optimizations", False)  # workers inherit what is set below
gc.freeze()  # as in grokjax.command_line
gc.set_threshold(50_000)
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # in the processes that tests start


def pytest_collection_modifyitems(items):
    """Where bits are compared, nothing may have been compiled with few optimizations before."""
    items.sort(key=lambda item: item.get_closest_marker("optimized") is None)


@pytest.fixture(autouse=True)
def optimizations(request):
    """A toy takes longer to compile than to run; where bits are compared, it is as for users."""
    off = request.node.get_closest_marker("optimized") is None
    jax.config.update("jax_disable_most_optimizations", off)
    yield
    jax.config.update("jax_numpy_rank_promotion", "raise")


jax.config.update("jax_disable_most_optimizations", False)  # for what modules share


def toy(optimizer="adamw", **model):
    """A config that trains in a second: division mod 7, sizes all different."""
    sizes = dict(num_blocks=1, width=12, num_heads=2, ff_width=20)
    return _toy(optimizer, dict(name="transformer") | sizes | model)


def toy_mlp(optimizer="adamw"):
    """One that compiles in half the time, where it does not matter which model is trained."""
    return _toy(optimizer, dict(name="mlp", embedding_width=5, hidden=(11,)))


def _toy(optimizer, model):
    task = dict(name="modular", op="div", p=7)
    config = grokjax.base(task=task, model=model, optimizer=optimizer)
    config.batch_size = 11
    config.schedule.update(num_steps=20, eval_every=5, checkpoint_every=10, eval_block=13)
    if "raise_step" in config.runs:
        config.runs.raise_step = (7,)
    if isinstance(optimizer, str) and "grokfast_ma" in config.optimizer:
        config.optimizer.grokfast_ma.window = 7
    return config


@functools.partial(jax.jit, static_argnums=0)
def initial(network, tree):
    """The parameters of a model, drawn with key 0."""
    return network.init(jax.random.key(0), tree)["params"]


@pytest.fixture
def toy_config():
    return toy()


@pytest.fixture
def hangups():
    """A closed terminal is a signal here, and in the processes started, under nohup too."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
