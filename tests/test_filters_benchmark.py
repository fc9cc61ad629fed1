"""The filters of both frameworks do the same, and what they cost is counted."""

import jax
import numpy as np
import pytest
from conftest import toy, toy_mlp
from test_benchmarks import hide_torch

from benchmarks import filters
from benchmarks.problem import make_problem, setup, state_shapes
from grokjax import grokfast_ema, grokfast_ma

HPARAMS = {"alpha": 0.75, "lamb": 3.0}
SHAPES = {"weight": (3, 2), "bias": (3,)}
STEPS = 5  # more than the largest window


@pytest.fixture(scope="module")
def rows():
    """Measured at toy size, without PyTorch and with memory for windows of two only."""
    with pytest.MonkeyPatch.context() as patch:
        hide_torch(patch)
        patch.setattr(filters, "available", lambda _: 10**6)
        return filters.measure(toy_mlp(), steps=2, rounds=3, windows=(2, 1000))


def made_gradients():
    """STEPS trees of random numbers."""
    rng = np.random.default_rng(0)
    return [
        {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
        for _ in range(STEPS)
    ]


def num_weights():
    """Of the toy."""
    return sum(x.size for x in jax.tree.leaves(state_shapes(setup(toy(), 1)).params))


@pytest.mark.parametrize(
    ("transform", "name", "options"),
    [
        (grokfast_ema(0.75, 3.0), "grokfast_ema", {}),
        (grokfast_ma(3.0, window=1), "grokfast_ma", {"window": 1}),
        (grokfast_ma(3.0, window=3), "grokfast_ma", {"window": 3}),
    ],
)
def test_pytorch_filters_gradients_as_grokjax_does(transform, name, options):
    torch = pytest.importorskip("torch")
    from benchmarks import torch_filters

    model, filter_ = torch.nn.Linear(2, 3), torch_filters.FILTERS[name](HPARAMS, **options)
    state, changed = transform.init(made_gradients()[0]), False
    for grads in made_gradients():
        for leaf, parameter in model.named_parameters():
            parameter.grad = torch.tensor(grads[leaf])
        filter_(model)
        wanted, state = transform.update(grads, state)
        for leaf, parameter in model.named_parameters():
            np.testing.assert_allclose(parameter.grad, wanted[leaf], rtol=1e-5, atol=1e-6)
        changed |= bool(np.abs(wanted["bias"] - grads["bias"]).max() > 0.1)
    assert changed


def test_a_filled_window_in_pytorch_acts_at_once_as_if_gradients_had_been_zero():
    torch = pytest.importorskip("torch")
    from benchmarks import torch_filters

    model, filter_ = torch.nn.Linear(2, 3), torch_filters.Ma(HPARAMS, window=3)
    filter_.fill(model)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    filter_(model)

    assert all((x.grad == 1 + 3.0 * 1 / 3).all() for x in model.parameters())


@pytest.mark.slow
def test_pytorchs_averages_keep_a_window_of_gradients():
    pytest.importorskip("torch")
    from benchmarks import torch_filters

    problem = make_problem(toy())
    one = torch_filters.nbytes(problem, {"grokfast_ema": {}})

    key_biases = 12  # of the one block; grokjax has none
    assert one == 4 * (num_weights() + key_biases)
    assert torch_filters.nbytes(problem, {"grokfast_ma": {"window": 5}}) == 5 * one
    assert torch_filters.nbytes(problem, {}) == 0


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [{}, {"grokfast_ema": {}}, {"grokfast_ma": {"window": 2}}])
def test_pytorch_trains_behind_a_filter(chosen):
    pytest.importorskip("torch")
    from benchmarks import torch_filters

    training = torch_filters.train(make_problem(toy()), chosen, steps=2)
    first = next(training)["token.weight"].clone()

    assert (next(training)["token.weight"] - first).abs().max() > 1e-4


def test_grokjaxs_average_keeps_three_sums_and_the_window():
    def kept(chosen):
        return filters.Grokjax(toy(), chosen).filter_bytes()

    count, leaf = 4, 4  # bytes of the number of gradients seen, and of a number
    assert kept({}) == 0
    assert kept({"grokfast_ema": {}}) == count + leaf * num_weights()
    assert kept({"grokfast_ma": {"window": 5}}) == count + leaf * (5 + 3) * num_weights()


@pytest.mark.slow
def test_measure_compares_each_filter_with_adamw_alone(rows):
    adamw, ema, ma = (rows[f"grokjax, {name}"] for name in ("AdamW", "EMA", "MA of 2"))

    assert adamw["over_adamw"] == 1
    assert adamw["filter_bytes"] == 0 < ema["filter_bytes"] < ma["filter_bytes"]
    for row in (ema, ma):
        assert len(row["ms"]) == 3
        assert row["over_adamw"] == row["best"] / adamw["best"]
        assert row["peak_bytes"] > adamw["peak_bytes"] > 0
    assert f"{ma['filter_bytes'] / 1e6:.2f}" in filters.table(rows)


@pytest.mark.slow
def test_a_window_that_memory_is_too_small_for_is_a_note(rows):
    note = rows["grokjax, MA of 1000"]["note"]

    assert note.startswith("failed: takes")
    assert note in filters.table(rows)
