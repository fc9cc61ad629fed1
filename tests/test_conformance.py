"""Promises of every plug-in, new ones included: they are found by their files."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import initial, toy
from ml_collections import ConfigDict
from test_config import CHAINS
from test_images import fetch_digits

import grokjax
from grokjax import base, grid
from grokjax.config import registry
from grokjax.config.experiment import make_network
from grokjax.core import loop
from grokjax.core.prefixes import plain
from grokjax.tasks import modular

SMALL = dict(width=8, num_heads=2, num_blocks=1, num_layers=1, ff_width=12, hidden=(8,))
SMALL |= dict(embedding_width=5)
QUICK = "optimizer=adamw"  # the others compile for minutes


def small(name):
    """The section of a model, a few numbers wide."""
    known = registry.options("model", name)
    blocks = dict(num_blocks=2) if name == "gpt2_resv" else {}  # its first is gpt2's
    return base(
        model={"name": name} | {o: x for o, x in SMALL.items() if o in known} | blocks
    ).model


@pytest.fixture(params=registry.names("task"))
def make_task(request, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    if request.param == "images":  # the default is 2,000 of the digits in ~/tensorflow_datasets
        fetch_digits(tmp_path / "server", tmp_path / "tensorflow_datasets", 2003, 17)
    return registry.find("task", request.param).make


def test_every_task_is_the_same_again_and_has_distinct_examples_and_labels_in_range(make_task):
    task, again = make_task(), make_task()
    table = task.examples

    chex.assert_trees_all_equal(table, again.examples)
    assert table.inputs_NxL.dtype == table.labels_N.dtype == np.int32
    assert len(np.unique(table.inputs_NxL, axis=0)) == len(table.labels_N)
    assert 0 <= table.inputs_NxL.min() <= table.inputs_NxL.max() < task.num_tokens
    assert set(table.labels_N) == set(range(task.num_classes))


@pytest.mark.parametrize("name", registry.names("model"))
def test_every_model_computes_each_sequence_of_a_batch_on_its_own(name):
    task = modular.make(p=7)
    network = make_network(task, small(name))
    inputs_BxL = jnp.asarray(task.examples.inputs_NxL[:5])
    params = initial(network, plain(inputs_BxL))
    apply = jax.jit(lambda inputs_BxL: network.apply({"params": params}, plain(inputs_BxL)))
    logits_BxC = apply(inputs_BxL)

    assert logits_BxC.shape == (5, 7)
    assert np.isfinite(logits_BxC).all()  # a table with too few tokens gives NaN
    assert isinstance(network.causal, bool)
    assert network.last_layer(params).shape[1] == 7
    np.testing.assert_allclose(apply(inputs_BxL[::-1]), logits_BxC[::-1], atol=1e-5)


@pytest.mark.parametrize("name", registry.names("model"))
def test_every_model_begins_alike_with_equal_keys_and_only_then(name):
    task = modular.make(p=7)
    network, tree = make_network(task, small(name)), plain(task.examples.inputs_NxL[:1])

    @jax.jit
    def begin(seed):
        return network.init(jax.random.key(seed), tree)["params"]

    chex.assert_trees_all_equal(begin(0), begin(0))
    assert (network.last_layer(begin(0)) != network.last_layer(begin(1))).any()


@pytest.mark.parametrize("name", registry.names("model"))
def test_every_model_stays_in_single_precision_where_the_loss_is_in_double(name):
    network = make_network(modular.make(p=7), dict(name=name))
    tree = plain(jnp.zeros((5, 4), jnp.int32))
    with jax.enable_x64(True):
        params = jax.eval_shape(network.init, jax.random.key(0), tree)["params"]
        logits_BxC = jax.eval_shape(network.apply, {"params": params}, tree)

    assert {x.dtype for x in jax.tree.leaves((params, logits_BxC))} == {jnp.dtype("float32")}


def experiment_of(choice):
    """A tiny experiment with one model or chain of optimizers, and two runs unlike each other."""
    kind, _, name = choice.partition("=")
    config = toy(optimizer=name if kind == "optimizer" else "adamw")
    config.model = small(name if kind == "model" else "mlp")
    if "grokfast_ma" in config.optimizer:
        config.optimizer.grokfast_ma.window = 2
    if "raise_step" in config.runs:
        config.runs.raise_step = (1,)
    config.schedule.update(num_steps=3, eval_every=3, checkpoint_every=3)
    config.runs = grid(config.runs, seed=(0, 1), learning_rate=(1e-3, 1e-2))
    experiment = grokjax.setup(config)
    return experiment._replace(runs_R=jax.tree.map(lambda x: x[[0, 3]], experiment.runs_R))


def three_steps(experiment, advance, start_R, rows=slice(None)):
    """Final state and metrics of some of the runs."""
    state_R, runs_R = jax.tree.map(lambda x: jnp.array(x[rows]), (start_R, experiment.runs_R))
    given = (runs_R, experiment.dataset)
    metrics_R = loop.no_metrics(experiment.trainer, state_R, *given)
    metrics_R = jax.tree.map(jnp.array, metrics_R)
    for t in range(3):
        times = jnp.int32(t), jnp.int32(t + 1)
        state_R, metrics_R = advance(state_R, metrics_R, *times, *given)
    return jax.tree.map(np.asarray, (state_R, metrics_R))


@pytest.mark.parametrize(
    "choice",
    [
        pytest.param(choice, marks=pytest.mark.optimized if choice == QUICK else pytest.mark.slow)
        for choice in [f"model={name}" for name in registry.names("model")]
        + [f"optimizer={chain}" for chain in CHAINS.values()]
    ],
)
def test_every_plug_in_trains_runs_side_by_side_as_alone_and_compiles_once(choice):
    """Bit for bit with map, within rounding with vmap; one of them as users compile it."""
    experiment = experiment_of(choice)
    start_R = loop.init(experiment.trainer, experiment.runs_R, experiment.dataset, lift="map")
    side_by_side, alone, batched = (
        loop.make_advance(experiment.trainer, lift) for lift in ("map", "map", "vmap")
    )
    mapped_R = three_steps(experiment, side_by_side, start_R)
    rows = [three_steps(experiment, alone, start_R, slice(r, r + 1)) for r in range(2)]
    alone_R = jax.tree.map(lambda *rows: np.concatenate(rows), *rows)
    batched_R, metrics_R = three_steps(experiment, batched, start_R)

    chex.assert_trees_all_equal(mapped_R, alone_R)
    chex.assert_trees_all_close(batched_R.params, alone_R[0].params, atol=1e-5)
    chex.assert_trees_all_close(metrics_R, alone_R[1], rtol=1e-4, atol=1e-6)
    assert [program._cache_size() for program in (side_by_side, alone, batched)] == [1, 1, 1]


def test_no_option_has_a_name_that_its_section_of_a_config_uses_itself():
    """`--config.model.values=...` would meet the method `values`."""
    taken = set(dir(ConfigDict))
    for kind in registry.KINDS:
        for name in registry.names(kind):
            assert not taken & set(registry.options(kind, name)), name
