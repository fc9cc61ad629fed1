"""The arithmetic of a step is counted right, and its ceilings are measured."""

import json
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import toy

import grokjax
from benchmarks import flops, plain_models, roofline
from benchmarks.problem import setup, trace_step
from grokjax.models import _attention

ROWS = [7, 7, 11, 11]  # of the toy: 7 first tokens, of which each has one second, then the batch
PAIRS = [7, 1, 6, 1]  # and its tokens at each position: nothing is divided by zero


def counted_in(function, *args):
    return flops.count_matmuls(jax.make_jaxpr(function)(*args).jaxpr)


def counted_in_step(config):
    return flops.count_matmuls(trace_step(setup(config, 1)).jaxpr.jaxpr)


def decoder_of(config):
    return setup(config, 1).recipe.network


def by_hand(config):
    return flops.count_by_hand(decoder_of(config), ROWS, PAIRS)


@pytest.mark.parametrize(
    ("left", "right", "summed", "name"),
    [
        ((5, 3), (3, 7), (1, 0), "5x[3] [3]x7"),
        ((3, 5), (3, 7), (0, 0), "[3]x5 [3]x7"),
        ((5, 3), (7, 3), (1, 1), "5x[3] 7x[3]"),
    ],
)
def test_a_matmul_has_the_flops_that_xla_counts(left, right, summed, name):
    matmul = flops.matmul(left, right, summed)
    compiled = jax.jit(matmul.make).lower(matmul.left, matmul.right).compile()

    assert str(matmul) == name
    assert matmul.flops == 2 * 5 * 3 * 7 == compiled.cost_analysis()["flops"]


def test_matmuls_are_found_in_programs_inside_programs():
    x_5x3, w_3x3 = np.ones((5, 3), np.float32), np.ones((3, 3), np.float32)

    def function(x, w):
        x = jax.lax.scan(lambda x, _: (jax.jit(jnp.matmul)(x, w), None), x, length=4)[0]
        x = jax.lax.while_loop(lambda x: x.sum() < 9, lambda x: x @ w, x)
        return jax.lax.cond(x.sum() > 0, lambda: x @ w @ w, lambda: x)

    counted = counted_in(function, x_5x3, w_3x3)

    assert {str(matmul): times for matmul, times in counted.items()} == {"5x[3] [3]x3": 4 + 1 + 2}
    assert flops.dot_flops(counted) == 7 * 2 * 5 * 3 * 3


def test_a_batch_of_matmuls_counts_each():
    counted = counted_in(
        lambda x, w: jnp.einsum("bij,bjk->bik", x, w), np.ones((2, 5, 3)), np.ones((2, 3, 7))
    )

    assert flops.dot_flops(counted) == 2 * (2 * 5 * 3 * 7)


def test_a_weighted_sum_and_a_scaling_are_no_matmuls():
    x_5, x_5x3 = np.ones(5, np.float32), np.ones((5, 3), np.float32)

    assert counted_in(lambda x, w: x @ w, x_5, x_5x3) == Counter()
    assert counted_in(lambda x: jnp.tensordot(x, 2.0, 0), x_5x3) == Counter()


@pytest.mark.parametrize(
    "options",
    [{}, dict(block_repeats=2), dict(head_width=5), dict(tied_readout=True), dict(num_blocks=2)],
)
def test_the_count_by_hand_is_that_of_the_steps_matmuls(options):
    """Attention to few keys multiplies and sums, and so is not among the matmuls."""
    config = toy(**options)

    assert by_hand(config)["linear"] == flops.dot_flops(counted_in_step(config))


def test_the_count_by_hand_is_that_of_attention_too_once_it_makes_matmuls(monkeypatch):
    config = toy(num_blocks=2)
    linear = flops.dot_flops(counted_in_step(config))
    monkeypatch.setattr(_attention, "FEW_KEYS", 0)
    found = flops.dot_flops(counted_in_step(config)) - linear

    masked = (
        11  # of block 0: the matmul has the third of four queries attend to the fourth key, too
    )
    assert found == by_hand(config)["attention"] + 3 * 2 * (2 * 12 * masked)


def test_the_plain_count_is_that_of_the_plain_formulation():
    config = toy()
    decoder = decoder_of(config)
    model = plain_models.Transformer(
        *(decoder.num_tokens, decoder.num_classes, decoder.length, decoder.num_blocks),
        *(decoder.width, decoder.num_heads, decoder.width_of_mlp, decoder.activation),
    )
    inputs_BxL = np.zeros((11, 4), np.int32)
    variables = jax.eval_shape(model.init, jax.random.key(0), inputs_BxL)

    def objective(variables):
        return jnp.square(model.apply(variables, inputs_BxL)).sum()

    counted = counted_in(jax.grad(objective), variables)

    assert flops.dot_flops(counted) == sum(flops.count_plainly(decoder, 11).values())


def test_sharing_leaves_less_than_the_plain_count():
    shared, plainly = by_hand(toy()), flops.count_plainly(decoder_of(toy()), 11)

    assert shared["linear"] < plainly["linear"]
    assert shared["attention"] < plainly["attention"]


def test_a_round_goes_through_the_array_as_often_as_it_says():
    rounds = roofline.read_and_write(1, times=3)

    for wanted in (3, 6):
        x = next(rounds)
        assert x.nbytes == 10**6
        assert (x == wanted).all()


def test_each_matmul_of_a_round_depends_on_the_one_before():
    rounds = roofline.multiply(flops.matmul((5, 3), (7, 3), (1, 1)), times=1)

    before = float(next(rounds)[1][0, 0])
    x, y = next(rounds)

    assert y.shape == (5, 7)
    np.testing.assert_allclose(x[0, 0], 1e-3 * before, rtol=1e-6)


@pytest.mark.parametrize("library", ["mm", "onednn"])
@pytest.mark.parametrize(
    ("left", "right", "summed"),
    [((5, 3), (3, 7), (1, 0)), ((3, 5), (3, 7), (0, 0)), ((5, 3), (7, 3), (1, 1))],
)
def test_another_library_computes_the_same_matmul(left, right, summed, library):
    torch = pytest.importorskip("torch")
    from benchmarks import torch_matmul

    matmul = flops.matmul(left, right, summed)
    torch.manual_seed(0)
    y = next(getattr(torch_matmul, library)(matmul, times=2))

    torch.manual_seed(0)
    sides = [torch.randn(side).numpy() for side in (left, right)]
    np.testing.assert_allclose(y, matmul.make(*sides), rtol=1e-5, atol=1e-6)


def test_other_libraries_are_summed_if_all_matmuls_were_timed():
    def row(times, best, **elsewhere):
        return {"times": times, "best": best, "elsewhere": elsewhere}

    failed = {"note": "failed"}
    matmuls = {
        "a": row(6, 0.5, **{"torch.mm": {"best": 0.25}, "oneDNN": {"best": 0.125}}),
        "b": row(1, 2.0, **{"torch.mm": {"best": 1.5}, "oneDNN": failed}),
    }
    arithmetic = {"matmuls": 10**9, "xla_bytes": None}
    found = roofline.summary({"best": 8.0}, {}, {"gflop_per_s": 250.0}, matmuls, arithmetic)

    assert found["matmul_ms"] == 6 * 0.5 + 2.0
    assert found["elsewhere_ms"] == {"torch.mm": 6 * 0.25 + 1.5}
    assert found["fraction_of_square"] == 125 / 250


@pytest.mark.slow
def test_measure_explains_a_step_of_the_transformer():
    rows = roofline.measure(toy(), steps=2, rounds=2, square=17, megabytes=1)

    arithmetic, summary = rows["arithmetic"], rows["summary"]
    assert arithmetic["matmuls"] == arithmetic["by_hand"]["linear"] == by_hand(toy())["linear"]
    assert arithmetic["xla_flops"] > arithmetic["matmuls"]
    assert summary["matmul_ms"] + summary["unexplained_ms"] == pytest.approx(rows["step"]["best"])
    forward = rows["matmuls"]["11x[12] [12]x20"]  # of 11 rows, to the MLP's width
    assert forward["gflop_per_s"] * forward["best"] * 1e6 == pytest.approx(2 * 11 * 12 * 20)
    assert json.loads(json.dumps(rows)) == rows
    assert all(name in roofline.table(rows) for name in rows["matmuls"])


@pytest.mark.slow
def test_measure_counts_another_models_matmuls_alone():
    config = toy()
    config.model = grokjax.base(model=dict(name="mlp", embedding_width=5, hidden=(6,))).model

    rows = roofline.measure(config, steps=2, rounds=1, square=17, megabytes=1)

    assert rows["arithmetic"]["by_hand"] is rows["arithmetic"]["plainly"] is None
    assert "11x[6] [6]x7" in rows["matmuls"]  # the readout
    assert "by hand" not in roofline.table(rows)
