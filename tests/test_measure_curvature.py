"""Curvature of the loss, held against closed forms and dense eigenvalues."""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import toy_mlp
from jax.flatten_util import ravel_pytree
from made_views import check_map_and_vmap

import grokjax
from grokjax import grid
from grokjax.config.experiment import setup
from grokjax.core import loop
from grokjax.core.split import is_train
from grokjax.measures import _linear, _sharpness, curvature

HIGHEST = "highest"


def symmetric(size, seed=0):
    """A matrix with eigenvalues of both signs."""
    half = np.random.default_rng(seed).normal(size=(size, size))
    return (half + half.T).astype(np.float32)


def product(matrix):
    return lambda v: jnp.matmul(matrix, v, precision=HIGHEST)


def start(size, seed=0):
    return jax.random.normal(jax.random.key(seed), (size,))


def test_lanczos_finds_both_extremes_of_a_dense_matrix():
    matrix = symmetric(97)
    expected = np.linalg.eigvalsh(matrix)

    lowest, highest = jax.jit(lambda v: _linear.lanczos(product(matrix), v, 53))(start(97))

    assert lowest.value == pytest.approx(expected[0], abs=1e-3)
    assert highest.value == pytest.approx(expected[-1], abs=1e-3)


def test_an_eigenvalue_lies_within_the_residual_of_what_few_iterations_find():
    matrix = symmetric(97, seed=1)
    expected = np.linalg.eigvalsh(matrix)

    for found in _linear.lanczos(product(matrix), start(97), 7):
        assert found.residual > 1e-2
        assert np.abs(expected - float(found.value)).min() <= found.residual


def test_lanczos_stops_where_its_vectors_span_all_that_there_is():
    """Three different eigenvalues leave room for three vectors, none of them 0."""
    matrix = np.diag(np.repeat([2.0, 5.0, 11.0], [7, 3, 1])).astype(np.float32)

    lowest, highest = _linear.lanczos(product(matrix), start(11), 9)

    assert lowest.value == pytest.approx(2.0, rel=1e-5)
    assert highest.value == pytest.approx(11.0, rel=1e-5)
    assert highest.residual == pytest.approx(0, abs=1e-4)


def test_hutchinsons_trace_is_exact_for_a_diagonal():
    matrix = np.diag(np.arange(1.0, 14.0)).astype(np.float32)

    trace, error = _linear.hutchinson(product(matrix), jax.random.key(0), 13, 5)

    assert (float(trace), float(error)) == (91.0, 0.0)


def test_hutchinsons_standard_error_is_that_of_the_theory():
    """The variance of v H v is twice the squares beside the diagonal (Hutchinson, 1990)."""
    matrix = symmetric(31)
    beside = matrix - np.diag(np.diag(matrix))
    probes = 2003

    trace, error = jax.jit(lambda key: _linear.hutchinson(product(matrix), key, 31, probes))(
        jax.random.key(0)
    )

    assert error == pytest.approx(np.sqrt(2 * (beside**2).sum() / probes), rel=0.05)
    assert abs(float(trace) - np.trace(matrix)) < 3 * error


@pytest.mark.parametrize("block", [1, 3])
def test_gradient_noise_of_a_linear_model_is_the_covariance_of_its_gradients(block):
    """Loss (x w - y)^2 / 2 has the gradients x (x w - y); blocks of one are all of them."""
    rng = np.random.default_rng(0)
    x_NxD, y_N, w = rng.normal(size=(603, 5)), rng.normal(size=603), rng.normal(size=5)
    grads_NxD = x_NxD * (x_NxD @ w - y_N)[:, None]
    blocks = grads_NxD.reshape(-1, block, 5).mean(1)
    trace = block * np.trace(np.cov(blocks.T))
    square = (grads_NxD.mean(0) ** 2).sum() - trace / 603

    def loss(w, number):
        x = jax.lax.dynamic_slice(jnp.float32(x_NxD), (number * block, 0), (block, 5))
        y = jax.lax.dynamic_slice(jnp.float32(y_N), (number * block,), (block,))
        return ((jnp.matmul(x, w, precision=HIGHEST) - y) ** 2).mean() / 2

    count = 603 // block
    noise = jax.jit(
        lambda w: curvature.gradient_noise(loss, w, count + 2, jnp.int32(count), block)
    )(jnp.float32(w))

    assert noise.trace == pytest.approx(trace, rel=1e-4)
    assert noise.square == pytest.approx(square, rel=1e-3)


def test_gradient_noise_of_a_single_block_is_unknown():
    noise = curvature.gradient_noise(lambda w, i: (w**2).sum(), jnp.ones(3), 2, jnp.int32(1), 5)

    assert np.isnan([noise.trace, noise.square]).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_sharpness_is_the_highest_corner_of_the_box(sign):
    """A convex loss is highest at a corner: all 2**3 of them are tried, in NumPy."""
    rng = np.random.default_rng(3)
    hessian = symmetric(7, seed=2)
    hessian = hessian @ hessian / 7
    slope, weights, epsilon = sign * rng.normal(size=7), rng.normal(size=7), 0.02
    up = rng.normal(size=(3, 7))
    up /= np.linalg.norm(up, axis=1, keepdims=True)

    def loss(w, np=np):
        return 0.3 + slope @ w + w @ hessian @ w / 2

    half = epsilon * (np.abs(up @ weights) + 1)
    corners = np.array(list(itertools.product([-1, 1], repeat=3))) * half
    highest = max(loss(weights + np.linalg.pinv(up) @ y) for y in corners)
    expected = 100 * (highest - loss(weights)) / (1 + loss(weights))

    def traced(w):
        w_H = jnp.matmul(w, jnp.float32(hessian), precision=HIGHEST)
        return 0.3 + jnp.float32(slope) @ w + w_H @ w / 2

    found = jax.jit(lambda w, up: _sharpness.sharpness(traced, w, up, epsilon, 10))(
        jnp.float32(weights), jnp.float32(up)
    )
    assert found == pytest.approx(expected, rel=1e-4)


def test_sharpness_finds_a_maximum_within_the_box():
    """-(w - 1.01)^2 from w = 1, in a box of .05 (1 + 1): up to the maximum, a rise of 1e-4."""

    def loss(w):
        return -((w - 1.01) ** 2).sum()

    found = _sharpness.sharpness(loss, jnp.ones(1), jnp.ones((1, 1)), 0.05, 100)

    assert found == pytest.approx(100 * 1e-4 / (1 - 1e-4), rel=0.05)


def test_at_a_minimum_of_almost_no_curvature_the_rise_is_not_lost_in_rounding():
    """1 + 1e-3 w^2 rises by 4e-9 in a box of 2e-3, less than what float32 knows of 1."""

    def loss(w):
        return 1 + 1e-3 * ((w - 1) ** 2).sum()

    weights = jnp.full(1, 1 + 1e-5)  # a slope, however small
    found = _sharpness.sharpness(loss, weights, jnp.ones((1, 1)), 1e-3, 10)

    assert found == pytest.approx(100 * 4e-9 / 2, rel=0.02)


def squares(**options):
    """Squared error of a small network, 15 of the 25 sums mod 5."""
    config = grokjax.base(
        task=dict(name="modular", op="add", p=5),
        model=dict(name="mlp", code="one_hot", hidden=(3,), slots=(0, 2)),
        measures={"curvature": options},
    )
    config.loss.name = "squared_error"
    config.batch_size = 7
    config.schedule.update(num_steps=10, eval_every=5, checkpoint_every=10)
    return config


def test_of_a_model_it_is_the_dense_hessian_of_its_training_loss():
    """`jax.hessian` of all training rows, in one of three runs that are measured in one batch."""
    config = squares(iterations=97, examples=32, probes=701, noise_block=1)
    config.runs = grid(config.runs, seed=(5, 2, 3), train_fraction=0.6)
    experiment = setup(config)
    state_R = loop.init(experiment.trainer, experiment.runs_R, experiment.dataset)
    evaluate = functools.partial(experiment.trainer.evaluate, dataset=experiment.dataset)
    found_R = jax.jit(jax.vmap(evaluate))(state_R, experiment.runs_R)
    state, found = jax.tree.map(lambda x_R: x_R[1], (state_R, found_R))

    w_P, unravel = ravel_pytree(state.params)
    (rows,) = np.nonzero(is_train(state.split))
    tree = experiment.dataset.tree(experiment.recipe.network, rows, False)
    target = jnp.eye(5)[state.split.labels_N[rows]]

    def losses(w_P):
        logits = experiment.recipe.network.apply({"params": unravel(w_P)}, tree)
        return ((logits - target) ** 2).mean(1)

    hessian = jax.jit(jax.hessian(lambda w_P: losses(w_P).mean()))(w_P)
    values = np.linalg.eigvalsh(hessian)
    grads = jax.jit(jax.jacobian(losses))(w_P)
    noise = np.trace(np.cov(np.asarray(grads).T))

    assert len(rows) == 15
    assert found["curvature/largest"] == pytest.approx(values[-1], rel=1e-4)
    assert found["curvature/smallest"] == pytest.approx(values[0], abs=1e-4)
    error = float(found["curvature/trace_error"])
    assert abs(found["curvature/trace"] - np.trace(hessian)) < 3 * error < 0.1 * values.sum()
    assert found["curvature/gradient_noise"] == pytest.approx(noise, rel=1e-4)


@pytest.mark.slow
def test_runs_together_equal_runs_one_by_one():
    check_map_and_vmap(curvature, examples=17, noise_block=5, probes=3, iterations=7)


@pytest.mark.slow
@pytest.mark.optimized
def test_measuring_changes_no_bit_of_training():
    plain, config = toy_mlp(), toy_mlp()
    config.measures = ("curvature",)

    chex.assert_trees_all_equal(grokjax.train(plain).state_R, grokjax.train(config).state_R)


def test_blocks_that_leave_nothing_to_compare_are_an_error():
    config = grokjax.base(measures={"curvature": dict(examples=20, noise_block=11)})

    with pytest.raises(ValueError, match="noise_block = 11 .* choose at most 10"):
        grokjax.train(config)


def test_an_option_out_of_range_is_an_error():
    config = grokjax.base(measures={"curvature": dict(probes=1)})

    with pytest.raises(ValueError, match=r"measure.curvature.probes = 1; choose 2 to"):
        grokjax.train(config)
