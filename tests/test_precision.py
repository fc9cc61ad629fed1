"""Precision: of the softmax, whose digits stay within the loss, and of matrix products."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import toy

import grokjax
from grokjax.core.losses import LOSSES, in_precision


def trained(precision, lift):
    config = toy(optimizer="grokfast_ema+adamw", dropout=0.5)
    config.loss.precision = precision
    config.lift = lift
    config.schedule.num_steps = 10
    config.runs = grokjax.grid(config.runs, seed=(0, 1), label_noise=3)
    return grokjax.train(config)


def of(precision, name="cross_entropy"):
    """Loss and its gradient for a margin of 20."""
    loss = in_precision(LOSSES[name], precision)
    logits_BxC = jnp.array([[20.0, 0.0]])
    value, grad = jax.value_and_grad(lambda x: loss(x, jnp.array([0]))[0])(logits_BxC)
    return float(value), float(grad[0, 1])


def test_half_precision_sees_no_error_where_single_precision_still_learns():
    """exp(-20) is 2.06e-9: nothing beside 1 in both, but float16 cannot even write it down."""
    assert of("float16") == (0.0, 0.0)
    assert of("float32") == (0.0, pytest.approx(2.06e-9, rel=1e-2))


def test_the_loss_of_half_precision_is_single_again():
    loss = in_precision(LOSSES["squared_error"], "float16")

    assert loss(jnp.zeros((3, 2)), jnp.zeros(3, jnp.int32)).dtype == jnp.float32


def test_double_precision_sees_the_loss_itself():
    assert of("float64") == (pytest.approx(2.06e-9, rel=1e-2), pytest.approx(2.06e-9, rel=1e-2))


@pytest.mark.slow
@pytest.mark.parametrize("lift", ["map", "vmap"])
def test_double_precision_of_the_loss_leaves_all_else_in_single(lift):
    """Dropout's masks too, here and in what is trained after it."""
    single = trained("float32", lift)
    double = trained("float64", lift)
    after = trained("float32", lift)

    assert not jax.config.jax_enable_x64
    assert {x.dtype.name for x in jax.tree.leaves(double.state_R)} == {"float32", "int32"}
    np.testing.assert_array_equal(single.state_R.split.labels_N, double.state_R.split.labels_N)
    before, between, behind = (x.history.arrays() for x in (single, double, after))
    chex.assert_trees_all_equal(before, behind)
    chex.assert_trees_all_close(before, between, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "precision"), [("highest", "HIGHEST"), ("bfloat16", "BF16_BF16_F32")]
)
def test_a_matmul_precision_is_that_of_every_product_of_the_network(monkeypatch, name, precision):
    """Forward and in both gradients; the loss and the optimizer have their own."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")  # a CPU refuses bfloat16
    texts = []
    for chosen in ("default", name):
        config = toy()
        config.matmul_precision = chosen
        experiment = grokjax.setup(config)
        run = jax.tree.map(lambda x_R: x_R[0], experiment.runs_R)
        state = jax.eval_shape(experiment.trainer.init, run, experiment.dataset)
        step = jax.make_jaxpr(experiment.trainer.step)(state, 0, run, experiment.dataset)
        texts.append(str(step))

    default, precise = (text.split("dot_general[")[1:] for text in texts)
    plain = [i for i, product in enumerate(default) if "precision" not in product[:150]]
    assert len(plain) > 10
    assert len(precise) == len(default)
    assert sum(precision not in precise[i][:150] for i in plain) <= 2  # of the mean loss
