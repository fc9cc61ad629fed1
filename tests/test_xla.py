"""Sums that XLA compiles, against numpy's."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import toy_mlp

import grokjax
from grokjax.core import losses, weight_stats
from grokjax.core.evaluation import Evaluation
from grokjax.core.split import Split, is_train
from grokjax.running import xla

ROWS = 32_771  # prime, above 32,768: there jaxlib 0.10.2 reads other rows than it should


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_the_flag_is_set_where_jaxlib_needs_it_and_what_the_user_said_stays(monkeypatch):
    monkeypatch.setattr(xla, "has_started", lambda: False)
    monkeypatch.setattr(xla, "jaxlib_version", "0.10.2")
    flags = []
    for given in ("", "--xla_dump_to=x", f"{xla.FLAG}=+reduce"):
        monkeypatch.setenv("XLA_FLAGS", given)
        xla.use_safe_flags()
        flags.append(xla.os.environ["XLA_FLAGS"])
    monkeypatch.setattr(xla, "jaxlib_version", "0.11.0")
    monkeypatch.setenv("XLA_FLAGS", "")
    xla.use_safe_flags()

    assert flags == [f"{xla.FLAG}=", f"--xla_dump_to=x {xla.FLAG}=", f"{xla.FLAG}=+reduce"]
    assert xla.os.environ["XLA_FLAGS"] == ""


def test_lapack_keeps_to_one_thread_unless_the_user_said_otherwise(monkeypatch):
    found = []
    for given in (None, "4"):
        monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
        if given:
            monkeypatch.setenv("OPENBLAS_NUM_THREADS", given)
        xla.use_one_thread_for_lapack()
        found.append(xla.os.environ["OPENBLAS_NUM_THREADS"])

    assert found == ["1", "4"]


def test_where_jax_has_started_one_line_says_so(monkeypatch):
    monkeypatch.setattr(xla, "jaxlib_version", "0.10.2")
    monkeypatch.setenv("XLA_FLAGS", "")
    jax.devices()

    with pytest.warns(RuntimeWarning, match="JAX has started: import grokjax before"):
        xla.use_safe_flags()


def test_a_product_summed_over_its_features_is_right_for_long_rows():
    """The example of https://github.com/jax-ml/jax/issues/39103, with row i being (i, 0, 0)."""
    x_Nx3 = jnp.zeros((ROWS, 3)).at[:, 0].set(jnp.arange(ROWS, dtype=jnp.float32))
    matrix = jnp.eye(3)

    sums_N = jax.jit(jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2)))(x_Nx3)

    np.testing.assert_allclose(sums_N, np.arange(ROWS, dtype=float) ** 2, rtol=1e-6)


@pytest.mark.optimized
@pytest.mark.parametrize(
    ("name", "precision", "num_rows"),
    [(name, "float32", ROWS) for name in losses.LOSSES]
    + [(name, "float64", 16_411) for name in losses.LOSSES],
)
def test_losses_of_long_tables_are_numpys(name, precision, num_rows):
    logits_NxC = normal(num_rows, 11)
    labels_N = np.arange(num_rows, dtype=np.int32) % 11
    x_NxC = logits_NxC.astype(np.float64)
    s_NxC = {
        "cross_entropy": np.exp(x_NxC),
        "stablemax": np.where(x_NxC >= 0, x_NxC + 1, 1 / (1 - np.minimum(x_NxC, 0))),
    }.get(name, np.exp(x_NxC))
    expected_N = np.log(s_NxC.sum(axis=1)) - np.log(s_NxC[np.arange(num_rows), labels_N])
    if name == "squared_error":
        expected_N = ((x_NxC - np.eye(11)[labels_N]) ** 2).mean(axis=1)
    if name == "hinge":
        label_N = x_NxC[np.arange(num_rows), labels_N]
        expected_N = (x_NxC + 1 - np.eye(11)[labels_N]).max(axis=1) - label_N

    loss_N = jax.jit(losses.in_precision(losses.LOSSES[name], precision))(logits_NxC, labels_N)

    np.testing.assert_allclose(loss_N, expected_N, rtol=1e-6, atol=1e-6)


@pytest.mark.optimized
@pytest.mark.parametrize("num_rows", [ROWS, 720 * 720], ids=["32,771 rows", "the table of S_6"])
def test_means_over_a_table_are_numpys(num_rows):
    loss_N = np.abs(normal(num_rows))
    block = 2048
    blocks = np.resize(np.arange(num_rows, dtype=np.int32), (-(-num_rows // block), block))
    evaluation = Evaluation(blocks, num_rows, ())
    order_N = np.random.default_rng(1).permutation(num_rows).astype(np.int32)
    num_train = num_rows // 3
    first_G = jnp.zeros(1, jnp.int32)
    split = Split(jnp.array(order_N), jnp.zeros(num_rows, int), first_G, jnp.array([num_train]))

    def scores(loss_N, split):
        group_N = jnp.zeros(num_rows, jnp.int32)
        score = lambda rows_B: ((loss_N[rows_B], loss_N[rows_B] < 1), {})  # noqa: E731
        return evaluation.scores(score, split, group_N, jnp.ones(1, jnp.int32))[0]

    found = jax.jit(scores)(loss_N, split)

    for side, rows in (("train", order_N[:num_train]), ("val", order_N[num_train:])):
        assert found[f"{side}_loss"] == pytest.approx(loss_N[rows].astype(float).mean(), rel=1e-6)
        assert found[f"{side}_accuracy"] == pytest.approx((loss_N[rows] < 1).mean(), rel=1e-6)
    assert int(is_train(split).sum()) == num_train


@pytest.mark.optimized
def test_norms_and_penalties_of_weights_are_numpys():
    weights = {"table": normal(ROWS, 3), "kernel": normal(128, 512, seed=1), "bias": normal(ROWS)}
    flat = np.concatenate([w.astype(np.float64).ravel() for w in weights.values()])
    size = np.abs(flat).sum()
    norm = np.sqrt((flat**2).sum())

    assert jax.jit(optax.tree.norm)(weights) == pytest.approx(norm, rel=1e-6)
    assert jax.jit(losses.l1_plain)(weights) == pytest.approx(size, rel=1e-6)
    assert jax.jit(losses.l1_normalized)(weights) == pytest.approx(size / norm, rel=1e-6)
    sparsity = (np.abs(flat) < weight_stats.SMALL).mean()
    assert jax.jit(weight_stats.sparsity)(weights) == pytest.approx(sparsity, rel=1e-6)
    spectral = jax.jit(weight_stats.spectral_norms)({"w": weights["kernel"]})["w"]
    expected = np.linalg.norm(weights["kernel"].astype(float), ord=2)
    assert spectral == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_starts_where_sums_are_right(dtype):
    with jax.enable_x64(dtype == "float64"):
        xla.check_sums(ROWS, 13, 7, dtype)


def test_training_does_not_start_where_sums_are_wrong(monkeypatch):
    """Of two rows the second is read twice."""
    jit = jax.jit
    wrong = lambda f: lambda x, y, m: jit(f)(x, y.at[-1].set(y[-2]), m)  # noqa: E731
    monkeypatch.setattr(jax, "jit", lambda f: lambda x, y, m: wrong(f)(x, jnp.array(y), m))

    with pytest.raises(xla.WrongSums, match="wrong sums over features of float32"):
        grokjax.train(toy_mlp())


@pytest.mark.slow
def test_a_command_says_in_one_line_that_sums_are_wrong_and_exits_with_1(tmp_path):
    """On a jaxlib that is right the command only trains; there is nothing to see."""
    if xla.jaxlib_version not in xla.MISCOMPILING:
        pytest.skip("this jaxlib computes them right")
    entries = ["task.p=193", "model.hidden=(3,)", "schedule.num_steps=500"]
    words = [f"--config.{entry}" for entry in entries]
    command = [sys.executable, "-m", "grokjax.train", "--config=configs/modadd_mlp.py", *words]
    command += [f"--workdir={tmp_path}"]
    environment = xla.os.environ | {"XLA_FLAGS": f"{xla.FLAG}=+reduce"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    assert done.returncode == 1
    assert "computes wrong sums over features" in done.stderr
    assert "Traceback" not in done.stderr
