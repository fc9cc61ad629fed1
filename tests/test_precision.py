"""Precision: of the softmax, whose digits stay within the loss, and of matrix products."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from conftest import toy

import grokjax
from grokjax.core.losses import LOSSES, in_precision

PROGRAM = """
import sys
sys.path.insert(0, "tests")
import jax, numpy as np
from conftest import toy
import grokjax

def trained(precision):
    config = toy(optimizer="grokfast_ema+adamw")
    config.loss.precision = precision
    config.runs = grokjax.grid(config.runs, seed=(0, 1), label_noise=3)
    experiment = grokjax.setup(config)
    given = (experiment.trainer, experiment.runs_R, experiment.dataset)
    *_, (_, state_R, metrics_R) = grokjax.chunks(*given, num_steps=20, lift=sys.argv[1])
    return state_R, metrics_R

single, single_metrics = trained("float32")
double, double_metrics = trained("float64")
assert jax.config.jax_enable_x64
assert {x.dtype.name for x in jax.tree.leaves(double.params)} == {"float32"}
assert {x.dtype.name for x in jax.tree.leaves(double.opt_state)} <= {"float32", "int32"}
assert (single.split.order_N == double.split.order_N).all()
assert (single.split.labels_N == double.split.labels_N).all()
for name, value_R in single_metrics.items():
    np.testing.assert_allclose(value_R, double_metrics[name], rtol=1e-4)
"""


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
    with jax.enable_x64(True):
        assert of("float64")[0] == pytest.approx(2.06e-9, rel=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("lift", ["map", "vmap"])
def test_double_precision_of_the_loss_leaves_all_else_in_single(lift):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, lift], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


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
