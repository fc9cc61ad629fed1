"""Logits made by hand: collapsed, saturated, plain, wrong."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from grokjax.core import losses, prefixes
from grokjax.measures import softmax
from grokjax.models import mlp
from grokjax.tasks import modular
from tests.made_views import Head, lifted, taken, view

LOGITS = np.array(
    [
        [20.0, 0.0, 0.0],  # exp(-20) = 2e-9 is lost beside 1
        [0.0, 200.0, 0.0],  # exp(-200) is 0 itself
        [1.0, 0.0, 0.5],
        [20.0, 0.0, 0.0],  # collapsed on the wrong class
        [50.0, 0.0, 0.0],  # of validation
    ],
    np.float32,
)
LABELS = [0, 1, 0, 1, 0]
TRAIN = [True, True, True, True, False]
FEATURES = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0], [90.0, 90.0]])
PARAMS = {"readout": {"kernel": jnp.array([[-1.0, -2.0, -9.0], [-4.0, -1.0, -10.0]])}}


def of(loss=None, logits=LOGITS, labels=LABELS, train=TRAIN):
    """What the measure says of these logits; the gradient is that of another, linear model."""
    measure = softmax.make(None, Head)
    features = jnp.asarray(FEATURES[: len(labels)], jnp.float32)
    seen = view(
        PARAMS,
        labels,
        train,
        loss=loss,
        logits=lambda params, rows_B: features[rows_B] @ params["readout"]["kernel"],
        features=features,
    )
    seen.outputs["logits"] = jnp.asarray(logits)
    return taken(measure, seen)


def test_softmax_collapses_where_the_other_exponentials_are_lost_beside_the_largest():
    found = of()

    assert found["collapsed"] == 3 / 4
    assert found["zero_loss"] == 2 / 4  # the third collapsed example is wrong: loss 20
    assert found["no_pull"] == 2 / 4
    assert found["zero_gradient"] == 1 / 4


def test_with_double_precision_the_loss_still_pulls_though_softmax_in_float32_is_collapsed():
    found = of(losses.in_precision(losses.cross_entropy, "float64"))

    assert found["collapsed"] == 3 / 4
    assert found["no_pull"] == 1 / 4  # float64 holds exp(-20), and not exp(-200), beside 1


def test_stablemax_never_stops():
    found = of(losses.stablemax_cross_entropy)

    assert found["no_pull"] == found["zero_gradient"] == found["zero_loss"] == 0


def test_margins_of_the_training_examples():
    """20, 200, .5 and -20; that of validation, 50, does not count."""
    found = of()

    np.testing.assert_allclose(found["smallest_margin"], -20)
    np.testing.assert_allclose(found["margin"], (20 + 0.5) / 2)


def test_collapse_breaks_the_sum_over_classes_of_the_gradient():
    """Without rounding it is 0; of a collapsed example the other classes' 2 exp(-20) are left."""
    collapsed = of(logits=LOGITS[:1], labels=[0], train=[True])
    plain = of(logits=LOGITS[2:3], labels=[0], train=[True])

    np.testing.assert_allclose(collapsed["gradient_sum"], 2 * np.exp(-20.0), rtol=1e-5)
    np.testing.assert_allclose(plain["gradient_sum"], 0, atol=1e-7)


def test_inflation_is_the_cosine_of_two_means():
    """W_G = (-4, -5) and h_G = (4, 5)."""
    found = of()

    np.testing.assert_allclose(found["classifier_mean"], 41**0.5, rtol=1e-6)
    np.testing.assert_allclose(found["feature_mean"], 41**0.5, rtol=1e-6)
    np.testing.assert_allclose(found["inflation"], -1, rtol=1e-6)


@pytest.mark.parametrize(("label", "cosine"), [(0, 1.0), (1, -1.0)])
def test_descent_only_scales_weights_that_point_along_a_feature(label, cosine):
    """W_0 = h and W_1 = -h, whose gradient is a multiple of (h, -h)."""
    h = jnp.array([3.0, 4.0])
    params = {"readout": {"kernel": jnp.stack([h, -h], axis=1) / 10}}

    def logits(params, rows_B):
        return jnp.broadcast_to(h @ params["readout"]["kernel"], (*rows_B.shape, 2))

    seen = view(params, [label], logits=logits, features=h[None])
    seen.outputs["logits"] = logits(params, jnp.zeros(1, jnp.int32))
    found = taken(softmax.make(None, Head, examples=1), seen)

    np.testing.assert_allclose(found["nlm"], cosine, rtol=1e-6)
    np.testing.assert_allclose(found["nlm_readout"], cosine, rtol=1e-6)


def network_and_view():
    """A ReLU MLP of three layers without biases, homogeneous of degree 3; a third is validation."""
    table = modular.make(op="add", p=5).examples
    network = mlp.Model(7, 5, 4, code="one_hot", hidden=(11, 13), use_bias=False)

    @jax.jit
    def logits(params, rows_B):
        tree = prefixes.plain(jnp.asarray(table.inputs_NxL)[rows_B])
        return network.apply({"params": params}, tree)

    first = prefixes.plain(table.inputs_NxL[:1])
    params = jax.jit(network.init)(jax.random.key(3), first)["params"]
    train = np.arange(25) % 3 > 0
    seen = view(params, table.labels_N, train, logits=logits, features=np.ones((25, 13)))
    seen.outputs["logits"] = logits(params, jnp.arange(25))
    return network, seen, train


def test_the_share_along_the_weights_of_a_homogeneous_network_follows_from_its_logits():
    """Euler: the weights times the gradient are 3 times the logits times theirs; 1 for a layer."""
    network, seen, train = network_and_view()
    logits = np.asarray(seen.outputs["logits"], np.float64)[train]
    labels = np.asarray(seen.labels_N)[train]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    along = -((probabilities - np.eye(5)[labels]) * logits).sum(axis=1).mean()
    rows = np.flatnonzero(train)
    slopes = jax.jit(jax.grad(seen.loss))(seen.params, rows)
    sizes = [optax.tree.norm(slopes), optax.tree.norm(seen.params)]

    found = taken(softmax.make(None, network, examples=53), seen)  # there are 16

    np.testing.assert_allclose(found["nlm"], 3 * along / np.prod(sizes), rtol=1e-4)
    slope = np.linalg.norm(slopes["readout"]["kernel"])
    size = np.linalg.norm(seen.params["readout"]["kernel"])
    np.testing.assert_allclose(found["nlm_readout"], along / (slope * size), rtol=1e-4)


def test_runs_side_by_side_measure_what_they_do_one_after_the_other():
    measure = softmax.make(None, Head, examples=7)

    def compute(scale):
        params = jax.tree.map(lambda w: scale * w, PARAMS)
        features = jnp.asarray(FEATURES, jnp.float32)
        read = lambda params, rows_B: features[rows_B] @ params["readout"]["kernel"]  # noqa: E731
        seen = view(params, LABELS, TRAIN, logits=read, features=features)
        seen.outputs["logits"] = scale * jnp.asarray(LOGITS)
        return measure.compute(seen)

    by_vmap, by_map = lifted(compute, jnp.array([0.125, 1.0, 4.0]))  # exact products, fused or not

    chex.assert_trees_all_close(by_vmap, by_map, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_map["collapsed"], [1 / 4, 3 / 4, 3 / 4])


def test_a_number_of_rows_that_there_is_not():
    with pytest.raises(ValueError, match=r"measure\.softmax\.examples = 0; choose 1 to 1,000,000"):
        softmax.make(None, Head, examples=0)
