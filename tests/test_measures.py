"""Every measure is a pure function of one run, and watching a run changes nothing about it."""

import csv
import functools
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import initial
from made_results import change, leave

import grokjax
from grokjax.config import registry
from grokjax.core import loop
from grokjax.core.measure import Measure, Measures, outputs, shown
from grokjax.core.prefixes import plain
from grokjax.reading.arms import read_all
from grokjax.reading.comparison import write
from grokjax.recording.summary import value_at
from tests.made_views import view

P = 11
OPTIONS = {}  # of measures that take long at their defaults


def toy(measures=(), lift="map", **schedule):
    """Addition mod 11 by a small transformer, three seeds."""
    given = {name: OPTIONS.get(name, {}) for name in measures}
    config = grokjax.base(
        task={"name": "modular", "op": "add", "p": P},
        model={"name": "transformer", "width": 12, "num_heads": 3, "ff_width": 20},
        measures=given,
    )
    config.update(batch_size=23, lift=lift)
    times = {"num_steps": 4, "eval_every": 2, "checkpoint_every": 4}
    config.schedule.update(times | schedule)
    config.runs = grokjax.grid(config.runs, seed=(0, 1, 2), learning_rate=0.01)
    return config


def values(history):
    """{name: [E, R] or [E, R, K]} of what measures gave."""
    return {name: x for name, x in history.arrays().items() if name.partition("/")[0] in MEASURES}


MEASURES = registry.names("measure")
DEAR = (
    "clock_pizza",
    "curvature",
    "lazy",
    "llc",
    "softmax",
    "subnetwork",
)  # which compile for long
PARAMS = [pytest.param(n, marks=pytest.mark.slow) if n in DEAR else n for n in MEASURES]


@functools.cache
def trained(name, lift):
    return grokjax.train(toy([name], lift))


@functools.cache
def undisturbed():
    return grokjax.train(toy())


@pytest.mark.parametrize("name", PARAMS)
def test_a_measure_gives_titled_numbers_for_every_run(name):
    found = values(trained(name, "map").history)

    assert found
    for of_name, value_ExRx in found.items():
        assert value_ExRx.shape[:2] == (2, 3), of_name
        assert value_ExRx.ndim in (2, 3)
        assert value_ExRx.dtype == np.float32
        assert np.isfinite(value_ExRx).any(), of_name
        assert of_name.partition("/")[2] in registry.find("measure", name).TITLES


@pytest.mark.parametrize("name", PARAMS)
def test_measuring_changes_no_bit_of_training(name):
    jax.tree.map(np.testing.assert_array_equal, trained(name, "map").state_R, undisturbed().state_R)


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASURES)
def test_runs_in_one_batch_are_measured_as_one_after_the_other(name):
    """Training itself differs in rounding, so the same weights are measured both ways."""
    experiment = trained(name, "map").experiment
    evaluate = functools.partial(experiment.trainer.evaluate, dataset=experiment.dataset)
    state_R = trained(name, "map").state_R

    one, other = (
        jax.jit(loop.over_runs(evaluate, lift))(state_R, experiment.runs_R)
        for lift in ("map", "vmap")
    )

    for of_name in (n for n in one if n.startswith(name + "/")):
        scale = np.nanmax(np.abs(one[of_name]), initial=1e-3)
        np.testing.assert_allclose(one[of_name], other[of_name], atol=1e-3 * scale, err_msg=of_name)


def test_measures_are_taken_as_often_as_is_asked_for():
    history = grokjax.train(
        toy(["norms"], num_steps=8, checkpoint_every=8, measure_every=4)
    ).history

    total_ExR = history["norms/total"]
    assert np.isfinite(total_ExR).all(axis=1).tolist() == [False, True, False, True]
    assert np.isfinite(history["val_loss"]).all()


@pytest.mark.parametrize("model", registry.names("model"))
def test_a_model_shows_its_last_layers(model):
    """What it shows leads to its logits, and comes in the order of the examples."""
    config = grokjax.base(task={"name": "modular", "op": "add", "p": P}, model=model)
    config.batch_size = 23
    experiment = grokjax.setup(config)
    network = experiment.recipe.network
    tree = plain(experiment.task.examples.inputs_NxL[:7])
    params = initial(network, tree)

    assert shown(network, params, tree) >= {"logits", "features", "neurons"}
    logits_BxC, found = jax.jit(outputs, static_argnums=(0, 3))(
        network, params, tree, ("features", "neurons")
    )
    plain_BxC = jax.jit(network.apply)({"params": params}, tree)
    np.testing.assert_allclose(logits_BxC, plain_BxC, rtol=1e-5, atol=1e-6)
    assert found["features"].shape[0] == found["neurons"].shape[0] == 7
    bias_C = params.get("readout", {}).get("bias", np.zeros(P))
    read_out_BxC = found["features"] @ network.last_layer(params) + bias_C[None]
    np.testing.assert_allclose(read_out_BxC, logits_BxC, rtol=1e-4, atol=1e-5)


def test_outputs_of_the_whole_table_are_in_its_order():
    """Evaluated in blocks, the last of them padded."""
    config = toy(eval_block=50)
    experiment = grokjax.setup(config)
    shows = Measure(lambda view: {"logits": view.outputs["logits"].ravel()}, reads=("logits",))
    recipe = experiment.recipe._replace(measures=Measures(2, {"shows": shows}))
    trainer = grokjax.make_trainer(recipe)
    state_R = loop.init(trainer, experiment.runs_R, experiment.dataset)
    state, run = jax.tree.map(lambda x_R: x_R[1], (state_R, experiment.runs_R))

    metrics = jax.jit(trainer.evaluate)(state, run, experiment.dataset)
    found = metrics["shows/logits"].reshape(-1, P)
    inputs_NxL = experiment.task.examples.inputs_NxL
    wanted = recipe.network.apply({"params": state.params}, plain(inputs_NxL))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


class Sows(nn.Module):
    """Two classes by token; what it sows as features is given by hand."""

    features: tuple

    @nn.compact
    def __call__(self, tree):
        self.sow("intermediates", "features", jnp.zeros(self.features))
        return nn.Embed(5, 2)(tree.tokens[0])


@pytest.mark.parametrize("shape", [(), (3,), (1, 7)])
def test_an_output_without_a_row_for_each_example_is_one_line(shape):
    tree = plain(np.zeros((7, 1), np.int32))
    params = initial(Sows((7, 3)), tree)

    assert outputs(Sows((7, 3)), params, tree, ["features"])[1]["features"].shape == (7, 3)
    outputs(Sows(shape), params, tree, ["logits"])  # nobody reads the others
    line = f"the model sows features {shape}; make them [B, ...] with a row for each of the B = 7 "
    with pytest.raises(ValueError, match=re.escape(line)):
        outputs(Sows(shape), params, tree, ["features"])


def test_training_rows_come_again_where_there_are_too_few_and_it_is_said_which():
    seen = view(labels=np.arange(7), train=np.isin(np.arange(7), [1, 4, 6]))

    rows_B, once_B = seen.train_rows(5)
    assert rows_B.tolist() == [1, 4, 6, 1, 4]
    assert once_B.tolist() == [True, True, True, False, False]
    rows_B, once_B = seen.train_rows(2)
    assert rows_B.tolist() == [1, 4]
    assert once_B.all()


def test_the_value_at_a_step_is_the_last_one_taken_before_it():
    step_E = np.array([10, 20, 30])
    values_ExR = np.array([[1.0, np.nan, np.nan], [np.nan, 5.0, np.nan], [3.0, 6.0, np.nan]])

    assert value_at(step_E, values_ExR, np.array([20, 25, 30])).tolist()[:2] == [1.0, 5.0]
    assert np.isnan(value_at(step_E, values_ExR, np.array([9, np.nan, 30]))).all()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"measures": ("nroms",)}, "unknown measure 'nroms'.*did you mean 'norms'"),
        ({"measures": ("norms", "norms")}, "measures names 'norms' twice; choose it once"),
        ({"measure": {"norms": {"examples": 9}}}, r"measure\.norms\.examples is of .* add 'norms'"),
        (
            {"measures": ("norms",), "measure": {"norms": {"exampels": 9}}},
            "unknown config entry 'measure.norms.exampels'; did you mean 'measure.norms.examples'",
        ),
        ({"schedule": {"measure_every": 3}}, "measure_every = 3 is not a multiple of .*= 2"),
    ],
)
def test_what_cannot_be_measured_is_one_line(change, line):
    config = toy()
    config.update(change)

    with pytest.raises(ValueError, match=line):
        grokjax.setup(config)


def test_a_model_that_does_not_show_what_is_read_is_one_line(monkeypatch):
    make = lambda task, network: Measure(lambda view: {}, reads=("attention",))  # noqa: E731
    monkeypatch.setattr(registry.find("measure", "norms"), "make", make)

    with pytest.raises(ValueError, match="measure norms reads the attention of a model"):
        grokjax.setup(toy(["norms"]))


def test_a_part_of_the_table_is_not_measured():
    config = toy(["softmax"], eval_examples=50)

    with pytest.raises(ValueError, match="measure softmax reads the whole table; choose .* = 0"):
        grokjax.setup(config)


def test_measures_are_in_the_table_and_have_a_picture(tmp_path):
    folder = leave(tmp_path / "A", [400, 600, None], last=700)
    total_ExR = np.arange(21.0).reshape(7, 3)  # 3 more at every evaluation
    spectrum = {"norms/spectral": lambda _: np.ones((7, 3, 5))}
    change(folder, **{"norms/total": lambda _: total_ExR}, **spectrum)

    write(read_all([folder]), tmp_path / "out")
    with (tmp_path / "out/summary.csv").open() as file:
        (row,) = csv.DictReader(file)
    moments = [row[f"norms/total {moment}"] for moment in ("memorised", "grokked", "end")]
    assert moments == ["4", "12.5", "19"]  # of 3, 4, 5; of 9 and 16; of 18, 19, 20
    assert "norms/spectral end" not in row
    assert (tmp_path / "out/measure_norms.png").stat().st_size > 10_000
