"""The promises of the run axis: neighbours never meet, and chunks may end anywhere."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import toy, toy_mlp

import grokjax
from grokjax import grid
from grokjax.core import loop, pace
from grokjax.core.prefixes import plain


def trained(config, lift, runs_R=None, steps=20, active=None):
    """Final state and the metrics [E, R] of some runs of a config."""
    experiment = grokjax.setup(config)
    chunks = loop.chunks(
        *(experiment.trainer, experiment.runs_R if runs_R is None else runs_R, experiment.dataset),
        num_steps=steps,
        lift=lift,
        active=active,
    )
    history = grokjax.History()
    for t, last_state_R, metrics_R in chunks:
        state_R = last_state_R
        if metrics_R is not None:
            history.append(t, metrics_R)
    return jax.tree.map(np.asarray, state_R), history.arrays()


SOME = [0, 3, 6]  # of eight runs: each seed, decay and fraction once at least


@pytest.fixture(scope="module")
def eight():
    """Two seeds, two decays and two fractions with Grokfast-MA, and three of the runs alone."""
    config = toy(optimizer=dict(grokfast_ma=dict(window=3), adamw={}), num_blocks=2)
    config.runs = grid(
        config.runs, seed=(0, 1), weight_decay=(0.0, 1.0), train_fraction=(0.4, 0.6), l1=0.01
    )
    runs_R = grokjax.setup(config).runs_R
    alone = [
        trained(config, "map", jax.tree.map(lambda x, r=r: x[r : r + 1], runs_R)) for r in SOME
    ]
    return config, jax.tree.map(lambda *rows: np.concatenate(rows), *(s for s, _ in alone))


@pytest.mark.optimized
def test_a_grid_equals_each_run_alone_bit_for_bit_with_map(eight):
    config, alone_R = eight
    together_R, _ = trained(config, "map")

    chex.assert_trees_all_equal(jax.tree.map(lambda x_R: x_R[SOME], together_R), alone_R)
    assert len(np.unique(together_R.params["readout"]["kernel"][:, 0, 0])) == 8


@pytest.mark.parametrize("lift", ["vmap", pytest.param("3", marks=pytest.mark.slow)])
def test_a_grid_equals_each_run_alone_within_rounding_when_batched(eight, lift):
    config, alone_R = eight
    together_R, _ = trained(config, lift)

    some_R = jax.tree.map(lambda x_R: x_R[SOME], together_R.params)
    chex.assert_trees_all_close(some_R, alone_R.params, atol=1e-5)


@pytest.mark.optimized
@pytest.mark.parametrize("lift", ["map", pytest.param("vmap", marks=pytest.mark.slow)])
def test_a_run_that_rests_keeps_its_state_and_its_metrics_while_others_train_on(lift):
    """Of four runs the second and the last rest from step 10 on."""
    config = toy_mlp()
    config.runs = grid(config.runs, seed=range(4))
    whole_R, whole = trained(config, lift, active=lambda t: np.ones(4, bool))
    halves = np.array([True, False, True, False])
    rested_R, rested = trained(config, lift, active=lambda t: halves | (t < 10))
    half_R, half = trained(config, lift, steps=10, active=lambda t: np.ones(4, bool))

    chex.assert_trees_all_equal(
        rested_R, jax.tree.map(lambda a, b: np.where(a_mask(a), a, b), whole_R, half_R)
    )
    assert rested["val_loss"][:2].tolist() == half["val_loss"].tolist()
    assert rested["val_loss"][3, [1, 3]].tolist() == half["val_loss"][1, [1, 3]].tolist()
    assert rested["val_loss"][:, [0, 2]].tolist() == whole["val_loss"][:, [0, 2]].tolist()


def a_mask(x_R):
    """True for the first and third of four runs, shaped to select from leaves [R, ...]."""
    return np.array([True, False, True, False]).reshape((4,) + (1,) * (x_R.ndim - 1))


@pytest.mark.optimized
@pytest.mark.parametrize("lift", ["map", pytest.param("vmap", marks=pytest.mark.slow)])
def test_where_chunks_end_changes_no_bit(monkeypatch, lift):
    config = toy_mlp()
    config.runs = grid(config.runs, seed=(0, 1))
    monkeypatch.setattr(pace, "TRIAL_STEPS", 5)
    whole = trained(config, lift)
    monkeypatch.setattr(pace, "MOST_SECONDS", 0.0)
    monkeypatch.setattr(pace, "TRIAL_STEPS", 2)
    in_steps = trained(config, lift)

    chex.assert_trees_all_equal(whole, in_steps)


def test_chunks_end_at_every_evaluation_and_only_there_have_metrics(monkeypatch, toy_config):
    monkeypatch.setattr(pace, "MOST_SECONDS", 0.0)
    experiment = grokjax.setup(toy_config)
    seen = [
        (t, metrics_R is not None)
        for t, _, metrics_R in loop.chunks(
            *(experiment.trainer, experiment.runs_R, experiment.dataset), num_steps=10
        )
    ]

    assert seen == [(2, False), (3, False), (4, False), (5, True)] + [
        (t, t == 10) for t in (6, 7, 8, 9, 10)
    ]


@pytest.mark.parametrize(("lift", "programs"), [("map", 1), ("vmap", 3)])
def test_a_chunk_is_traced_once_for_each_size_of_the_compacted_batch(monkeypatch, lift, programs):
    """Many chunks, whatever their lengths; under vmap four runs become two, then one."""
    monkeypatch.setattr(pace, "MOST_SECONDS", 0.0)
    config = toy_mlp()
    config.runs.seed = (0, 1, 2, 3)
    experiment = grokjax.setup(config)
    traces = []
    chex.clear_trace_counter()  # it knows functions by their names

    @chex.assert_max_traces(n=programs)
    def step(state, t, run, dataset):
        traces.append(t)
        return experiment.trainer.step(state, t, run, dataset)

    def active(t):
        return np.arange(4) < (4 if t < 8 else 2 if t < 14 else 1)

    trainer = experiment.trainer._replace(step=step)
    given = (trainer, experiment.runs_R, experiment.dataset)
    steps = [t for t, *_ in loop.chunks(*given, num_steps=20, lift=lift, active=active)]

    assert len(steps) == 18
    assert len(traces) == programs


@pytest.mark.parametrize("lift", ["map", "vmap"])
def test_a_run_that_diverges_leaves_its_neighbours_alone(lift):
    config = toy_mlp()
    config.runs = grid(config.runs, learning_rate=(1e-3, 1e30))
    together_R, history = trained(config, lift)
    config.runs = grid(config.runs, learning_rate=1e-3)
    alone_R, _ = trained(config, lift)

    assert not np.isfinite(history["train_loss"][-1, 1])
    first_R = jax.tree.map(lambda x: x[:1], together_R)
    chex.assert_trees_all_close(first_R.params, alone_R.params, atol=0 if lift == "map" else 1e-6)


def test_evaluation_stays_a_branch_under_vmap(toy_config):
    """A batched condition would become a `select` that computes both sides at every chunk."""
    toy_config.runs = grid(toy_config.runs, seed=(0, 1, 2))
    experiment = grokjax.setup(toy_config)
    given = (experiment.runs_R, experiment.dataset)
    state_R = jax.eval_shape(lambda: loop.init(experiment.trainer, *given, lift="vmap"))
    metrics_R = loop.no_metrics(experiment.trainer, state_R, *given, lift="vmap")
    program = loop.make_advance(experiment.trainer, "vmap").lower(state_R, metrics_R, 0, 4, *given)
    evaluate = functools.partial(experiment.trainer.evaluate, dataset=experiment.dataset)
    alone = jax.jit(loop.over_runs(evaluate, "vmap")).lower(state_R, experiment.runs_R)

    of_devices = alone.as_text().count("stablehlo.case")  # which XLA decides for decompositions
    assert program.as_text().count("stablehlo.case") == of_devices + 1


def test_training_learns_and_metrics_mean_what_they_say():
    config = toy()
    config.schedule.update(num_steps=300, eval_every=50, checkpoint_every=50)
    config.runs = grid(config.runs, learning_rate=1e-2, weight_decay=0.0, seed=(0, 1))
    state_R, history = trained(config, "map", steps=300)

    assert (history["train_accuracy"][-1] == 1).all()
    assert (history["misclassified"][-1] == 0).all()
    assert (history["train_loss"][-1] < 0.1).all()
    assert (history["max_train_loss"][0] > history["train_loss"][0]).all()
    assert history["learning_rate"][-1] == pytest.approx([1e-2] * 2)
    kernel = state_R.params["readout"]["kernel"][1]
    largest = np.linalg.svd(kernel, compute_uv=False)[0]
    assert history["last_layer_norm"][-1, 1] == pytest.approx(largest, rel=1e-5)
    squares = sum((w[1] ** 2).sum() for w in jax.tree.leaves(state_R.params))
    assert history["weight_norm"][-1, 1] == pytest.approx(np.sqrt(squares), rel=1e-5)


def test_a_batch_of_everything_and_sampled_batches_train_too():
    for batches in ("full", "sampled"):
        config = toy_mlp()
        config.batches = batches
        config.runs = grid(config.runs, train_fraction=(0.3, 0.6))
        _, history = trained(config, "map")

        assert (history["train_loss"][-1] < history["train_loss"][0]).all()


def one_run(config):
    """The trainer, state, run and table of the first run of a config."""
    experiment = grokjax.setup(config)
    run = jax.tree.map(lambda x: jnp.asarray(x[0]), experiment.runs_R)
    state = jax.jit(experiment.trainer.init)(run, experiment.dataset)
    return experiment, state, run


def test_dropout_draws_another_mask_at_every_step_and_seed():
    """The same weights and the same batch of everything, so that only the mask can differ."""
    config = toy(dropout=0.2)
    config.batches = "full"
    experiment, state, run = one_run(config)

    @jax.jit
    def loss(t, seed):
        after = experiment.trainer.step(state, t, run.replace(seed=seed), experiment.dataset)
        return after.interval.max_loss

    assert loss(1, 0) == loss(1, 0)
    assert len({float(loss(t, seed)) for t in (1, 2) for seed in (0, 1)}) == 4


@pytest.mark.parametrize("subset", [0, 17], ids=["all examples", "a subset of 17"])
def test_evaluation_is_what_the_model_says_of_each_example_once(subset):
    """42 examples in blocks of 13, the last one filled up; an L1 term that must stay out."""
    config = toy()
    config.schedule.eval_examples = subset
    config.runs = grid(config.runs, l1=0.5)
    experiment, state, run = one_run(config)
    metrics = jax.jit(experiment.trainer.evaluate)(state, run, experiment.dataset)

    recipe = experiment.trainer.evaluate.args[0]
    rows_N = np.unique(recipe.evaluation.rows)
    assert len(rows_N) == (subset or 42)
    table = experiment.task.examples
    tree = plain(jnp.asarray(table.inputs_NxL))
    logits_NxC = jax.jit(recipe.network.apply)({"params": state.params}, tree)
    loss_N = optax.softmax_cross_entropy_with_integer_labels(logits_NxC, table.labels_N)
    right_N = np.argmax(logits_NxC, axis=1) == table.labels_N
    trained = set(state.split.order_N[: int(run.num_train_G[0])].tolist())
    val = np.array([row for row in rows_N.tolist() if row not in trained])

    assert float(metrics["val_loss"]) == pytest.approx(float(loss_N[val].mean()), rel=1e-5)
    assert float(metrics["val_accuracy"]) == pytest.approx(right_N[val].mean())
    size = sum(float(jnp.abs(w).sum()) for w in jax.tree.leaves(state.params))
    norm = float(optax.tree.norm(state.params))
    assert float(metrics["l1"]) == pytest.approx(0.5 * size / norm, rel=1e-5)


def test_means_over_an_interval_are_those_of_its_steps():
    """Update sizes of single steps, against what evaluation reports of the last five."""
    experiment, state, run = one_run(toy())
    step = jax.jit(experiment.trainer.step)
    sizes = []
    for t in range(10):
        before = state.params
        state = step(state, t, run, experiment.dataset)
        change = optax.tree.sub(state.params, before)
        sizes.append(float(optax.tree.norm(change) / optax.tree.norm(before)))
    metrics = jax.jit(experiment.trainer.evaluate)(state, run, experiment.dataset)

    assert float(metrics["update_size"]) == pytest.approx(np.mean(sizes[5:]), rel=1e-3)
    assert float(metrics["learning_rate"]) == pytest.approx(1e-3)


@pytest.mark.slow
def test_random_numbers_do_not_depend_on_the_environment():
    """Not on JAX_DEFAULT_PRNG_IMPL, JAX_ENABLE_X64 and whether threefry is partitionable."""
    usual = grokjax.train(toy(dropout=0.5))
    settings = (
        jax.default_prng_impl("rbg"),
        jax.threefry_partitionable(False),
        jax.enable_x64(True),
    )
    for setting in settings:
        with setting:
            other = grokjax.train(toy(dropout=0.5))
        given, wanted = ((x.state_R, x.history.arrays()) for x in (other, usual))
        chex.assert_trees_all_equal(given, wanted)
        chex.assert_trees_all_equal_dtypes(given, wanted)


@pytest.mark.slow
def test_jaxs_search_for_nans_passes_by_tasks_without_a_share():
    config = grokjax.base(task="mixture", model=dict(name="mlp", embedding_width=5, hidden=(11,)))
    config.batch_size = 8
    config.schedule.update(num_steps=4, eval_every=2, checkpoint_every=2)
    config.runs.mix = ("100:0",)
    config.task.p = 7
    with jax.debug_nans(True):
        trained = grokjax.train(config)
        assert np.isfinite(trained.history["val_loss"]).all()
        config.runs.learning_rate = (1e38,)
        with pytest.raises(FloatingPointError, match="NaN in .*params"):
            grokjax.train(config)
