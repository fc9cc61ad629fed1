"""The recursive feature machine: its gradients, and that it groks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import rfm


@pytest.mark.parametrize("kernel", rfm.KERNELS)
def test_gradients_are_those_of_the_prediction(kernel, monkeypatch):
    """By automatic differentiation, at the training examples of 5 x 4 equations."""
    monkeypatch.setattr(rfm, "P", 5)
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        a_N, b_N = np.divmod(np.arange(20), 4)
        x_NxD = jnp.asarray(np.concatenate([np.eye(5)[a_N], np.eye(4)[b_N]], axis=1))
        factor_DxD = rng.normal(size=(9, 9))
        metric_DxD = jnp.asarray(factor_DxD @ factor_DxD.T / 9)
        train_n = jnp.asarray(rng.permutation(20)[:11])
        alpha_NxC = jnp.zeros((20, 5)).at[train_n].set(rng.normal(size=(11, 5)))

        def predict(z_D):
            return (rfm.KERNELS[kernel](x_NxD, z_D[None], metric_DxD)[0].T @ alpha_NxC)[0]

        expected_nxCxD = jax.vmap(jax.jacobian(predict))(x_NxD[train_n])
        _, slope_nxN = rfm.KERNELS[kernel](x_NxD[train_n], x_NxD, metric_DxD)
        gradient_nxCxD = rfm.gradients(
            alpha_NxC, slope_nxN, x_NxD[train_n], of_differences=kernel == "gaussian"
        )
        found_nxCxD = np.asarray(gradient_nxCxD @ metric_DxD)

    assert found_nxCxD.shape == (11, 5, 9)
    np.testing.assert_allclose(found_nxCxD, expected_nxCxD, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("op", ["add", "div"])
def test_it_is_right_on_what_it_was_trained_on_at_once_and_on_the_rest_later(op, monkeypatch):
    monkeypatch.setattr(rfm, "P", 43)
    found_Ix2 = rfm.accuracies(op, "quadratic", seed=0)

    assert (found_Ix2[:, 0] == 1).all()
    assert (found_Ix2[:3, 1] < 0.1).all()
    assert found_Ix2[-1, 1] > 0.9


def test_a_line_of_the_table():
    val_SxI = np.array([[0, 0, 0, 0, 0, 0.2, 1], [0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0.1, 0.5]])
    facts = rfm.row("add", "gaussian", np.stack([np.ones_like(val_SxI), val_SxI], axis=2))

    assert facts["training_accuracy"] == "100.00%"
    assert facts["validation_accuracy_at_5"] == "20.00%"
    assert [facts[f"{which}_at_99_%"] for which in ("first", "median", "last")] == [3, 6, np.inf]


def test_the_command_leaves_a_table_and_a_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rfm, "P", 5)
    monkeypatch.setattr(rfm, "ITERATIONS", 7)
    rfm.work(seeds=(0, 1))

    lines = (tmp_path / "results/rfm/summary.csv").read_text().splitlines()
    assert lines[0].startswith("op,kernel,seeds,training_accuracy,")
    assert [line.split(",")[:3] for line in lines[1:]] == [
        [op, kernel, "2"] for op in ("add", "sub", "mul", "div") for kernel in rfm.KERNELS
    ]
    assert (tmp_path / "results/rfm/accuracy.png").stat().st_size > 10_000
    assert capsys.readouterr().out.count("op div, kernel quadratic") == 1
