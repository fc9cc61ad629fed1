"""Numbers about weights that a reader can check by hand."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from grokjax.core import weight_stats

PARAMS = {
    "mlp": {
        "up": {"kernel": jnp.array([[3.0, 0.0], [0.0, -0.5]]), "bias": jnp.array([0.005, -0.0])},
    },
    "token": jnp.array([[0.0, 2.0], [0.0, 0.0], [0.0, 0.01]]),
    "norm": {"scale": jnp.array([jnp.nan, 0.001, -0.02])},
}


def test_sparsity_is_the_fraction_of_weights_below_the_threshold():
    """Below 0.01 are two zeros of the kernel, both biases, four of the table, one of the norm."""
    assert weight_stats.count(PARAMS) == 15
    np.testing.assert_allclose(weight_stats.sparsity(PARAMS), 9 / 15)


def test_pruning_with_threshold_0_changes_no_bit():
    chex.assert_trees_all_equal(weight_stats.prune(PARAMS, 0.0), PARAMS)
    assert np.signbit(weight_stats.prune(PARAMS, 0.0)["mlp"]["up"]["bias"][1])


def test_pruning_sets_what_is_below_the_threshold_to_zero_and_keeps_the_rest():
    pruned = weight_stats.prune(PARAMS, 0.6)

    chex.assert_trees_all_equal(
        pruned,
        {
            "mlp": {"up": {"kernel": jnp.array([[3.0, 0.0], [0.0, 0.0]]), "bias": jnp.zeros(2)}},
            "token": jnp.array([[0.0, 2.0], [0.0, 0.0], [0.0, 0.0]]),
            "norm": {"scale": jnp.array([jnp.nan, 0.0, 0.0])},
        },
    )


def test_as_many_weights_are_left_as_are_not_below_the_threshold():
    left = sum((w != 0).sum() for w in jax.tree.leaves(weight_stats.prune(PARAMS, 0.01)))

    assert left == 15 - 9


def test_spectral_norms_are_the_largest_singular_values_by_the_layers_names():
    norms = weight_stats.spectral_norms(PARAMS)

    assert set(norms) == {"mlp/up", "token"}
    np.testing.assert_allclose(norms["mlp/up"], 3.0, rtol=1e-6)
    np.testing.assert_allclose(norms["token"], np.hypot(2.0, 0.01), rtol=1e-6)


def test_vmap_gives_the_run_axis():
    params_R = jax.tree.map(lambda w: jnp.stack([w, 0.1 * w, 2 * w]), PARAMS)
    together = (
        jax.vmap(weight_stats.sparsity)(params_R),
        jax.vmap(weight_stats.spectral_norms)(params_R),
    )

    for r in range(3):
        alone = jax.tree.map(lambda w, r=r: w[r], params_R)
        expected = (weight_stats.sparsity(alone), weight_stats.spectral_norms(alone))
        of_run = jax.tree.map(lambda x_R, r=r: x_R[r], together)
        chex.assert_trees_all_close(of_run, expected, rtol=1e-6)


def test_the_norm_is_that_of_optax():
    """Of trees of any size, also of nothing but a scalar."""
    matrix = jnp.arange(5000.0).reshape(50, 100)
    for tree in ({"w": jnp.float32(-3.0)}, {"w": matrix, "b": jnp.ones(7)}):
        assert float(weight_stats.norm(tree)) == pytest.approx(float(optax.tree.norm(tree)), 1e-6)
