"""Norms of weights that a reader can check by hand."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokjax
from grokjax.config import registry
from grokjax.core import prefixes
from grokjax.measures import norms
from tests.made_views import Head, lifted, taken, view

PERMUTED = np.eye(5)[[2, 0, 3, 4, 1]]
TREE = {
    "token": 3.0 * PERMUTED,  # orthogonal: all singular values are 3
    "block": {
        "up": {
            "kernel": np.outer([1.0, 2.0, 2.0], [3.0, 4.0, 0.0, 0.0]),  # rank one: 3 times 5
            "bias": np.array([0.0, 6.0, 8.0]),
        }
    },
    "readout": {"kernel": np.diag([4.0, 2.0])[:, ::-1], "bias": np.array([1.0, 2.0])},
}
PARAMS = jax.tree.map(lambda w: jnp.asarray(w, jnp.float32), TREE)
LOGITS = np.array([[3.0, 1.0, -4.0], [105.0, 100.0, 95.0], [7.0, 7.0, 7.0]], np.float32)


def of(params=PARAMS, initial=PARAMS, **options):
    """The norms, with logits of three training examples."""
    measure = norms.make(None, Head, **options)
    logits = jnp.asarray(LOGITS)
    seen = view(params, [0, 1, 2], initial=initial, logits=lambda params, rows_B: logits[rows_B])
    return taken(measure, seen)


def test_orthogonal_matrices_have_full_stable_rank_and_a_matrix_of_rank_one_has_one():
    found = of()

    assert norms.matrix_names(PARAMS) == ["block/up", "readout", "token"]
    np.testing.assert_allclose(found["spectral"], [15, 4, 3], rtol=1e-6)
    np.testing.assert_allclose(found["stable_rank"], [1, 20 / 16, 5], rtol=1e-6)
    np.testing.assert_allclose(found["largest_spectral"], 15, rtol=1e-6)
    np.testing.assert_allclose(found["mean_stable_rank"], (1 + 1.25 + 5) / 3, rtol=1e-6)


@pytest.mark.parametrize("shape", [(3, 11), (11, 3), (7, 7), (1, 5)])
def test_spectral_norms_are_those_of_a_singular_value_decomposition(shape):
    w = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    params = PARAMS | {"token": jnp.asarray(w)}
    singular = np.linalg.svd(w.astype(np.float64), compute_uv=False)

    found = of(params, params)

    np.testing.assert_allclose(found["spectral"][2], singular[0], rtol=1e-5)
    np.testing.assert_allclose(
        found["stable_rank"][2], (singular**2).sum() / singular[0] ** 2, rtol=1e-5
    )


def test_norms_of_all_weights_and_of_their_groups():
    found = of()
    embedding, hidden, readout = 9 * 5, 15**2 + 100, 20 + 5

    np.testing.assert_allclose(found["embedding"] ** 2, embedding, rtol=1e-6)
    np.testing.assert_allclose(found["hidden"] ** 2, hidden, rtol=1e-6)
    np.testing.assert_allclose(found["readout"] ** 2, readout, rtol=1e-6)
    np.testing.assert_allclose(found["total"] ** 2, embedding + hidden + readout, rtol=1e-6)
    np.testing.assert_allclose(found["matrices"] ** 2, 45 + 225 + 20, rtol=1e-6)
    np.testing.assert_allclose(found["rms"] ** 2, 395 / (25 + 12 + 3 + 4 + 2), rtol=1e-6)


def test_scaled_weights_point_where_they_did():
    found = of(params=jax.tree.map(lambda w: 2.5 * w, PARAMS))

    np.testing.assert_allclose(found["cosine"], 1, rtol=1e-6)
    np.testing.assert_allclose(found["distance"], 1.5 * 395**0.5, rtol=1e-6)


def test_weights_that_turn_at_a_right_angle_have_cosine_0():
    turned = jax.tree.map(jnp.zeros_like, PARAMS) | {"token": jnp.zeros((5, 5)).at[0, 0].set(2.0)}

    found = of(turned, PARAMS)  # 3 PERMUTED is 0 there

    assert found["cosine"] == 0
    np.testing.assert_allclose(found["distance"] ** 2, 395 + 4, rtol=1e-6)


def test_the_logit_scale_takes_no_notice_of_what_is_added_to_all_logits_of_an_example():
    np.testing.assert_allclose(of(examples=5)["logit_scale"] ** 2, (26 + 50 + 0) / 9, rtol=1e-6)


READOUT = {"readout/kernel", "readout/bias"}


@pytest.mark.parametrize(
    ("model", "options", "embedding", "readout"),
    [
        ("transformer", {}, {"token", "position"}, {"readout/kernel"}),
        ("transformer", dict(tied_readout=True), {"token", "position"}, set()),
        ("gpt2", {}, {"token", "position"}, set()),
        ("gpt2_meta", dict(frames=2), {"token", "position", "frames"}, set()),
        ("tokenformer", {}, {"token", "position"}, {"readout/kernel"}),
        ("lstm", {}, {"token"}, READOUT),
        ("mlp", {}, {"token"}, READOUT),
        ("mlp", dict(code="one_hot", use_bias=False), set(), {"readout/kernel"}),
    ],
)
def test_the_groups_of_every_model(model, options, embedding, readout):
    sizes = {} if model == "mlp" else dict(width=8)
    network = registry.find("model", model).Model(9, 7, 4, **sizes, **options)
    tree = prefixes.plain(np.zeros((1, 4), np.int32))
    params = jax.eval_shape(network.init, jax.random.key(0), tree)["params"]
    paths = [
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, _ in jax.tree_util.tree_leaves_with_path(params)
    ]

    found = norms.groups(network, params)

    assert {p for p, group in zip(paths, found, strict=True) if group == "embedding"} == embedding
    assert {p for p, group in zip(paths, found, strict=True) if group == "readout"} == readout


def test_the_readout_is_found_whatever_its_name():
    class Other:
        @staticmethod
        def last_layer(params):
            return params["head"]["w"].T

    params = {"head": {"w": jnp.ones((2, 3)), "offset": jnp.ones(2)}, "body": {"w": jnp.ones(5)}}

    assert norms.groups(Other, params) == ["hidden", "readout", "readout"]


def test_the_table_of_a_module_is_an_embedding():
    params = {"token": {"embedding": jnp.ones((5, 2))}, "readout": {"kernel": jnp.ones((2, 3))}}

    assert norms.groups(Head, params) == ["readout", "embedding"]


def test_runs_side_by_side_have_the_norms_that_they_have_one_after_the_other():
    measure = norms.make(None, Head)
    scale_R = jnp.array([0.5, 1.0, 3.0])

    def compute(scale):
        params = jax.tree.map(lambda w: scale * w, PARAMS)
        logits = lambda params, rows_B: params["token"][rows_B]  # noqa: E731
        return measure.compute(view(params, [0, 1, 2], initial=PARAMS, logits=logits))

    by_vmap, by_map = lifted(compute, scale_R)

    chex.assert_trees_all_close(by_vmap, by_map, rtol=1e-5)
    np.testing.assert_allclose(by_map["spectral"], np.outer(scale_R, [15, 4, 3]), rtol=1e-5)
    assert by_map["spectral"].shape == (3, 3)


def test_a_number_of_rows_that_there_is_not():
    with pytest.raises(ValueError, match=r"measure\.norms\.examples = 0; choose 1 to 1,000,000"):
        norms.make(None, Head, examples=0)


@pytest.mark.slow
def test_norms_are_taken_while_training():
    config = grokjax.base(task="modular", model="mlp", measures="norms")
    config.task.update(op="div", p=5)
    config.model.update(embedding_width=3, hidden=(7,))
    config.batch_size = 4
    config.schedule.update(num_steps=6, eval_every=2, checkpoint_every=6, measure_every=4)
    config.runs = grokjax.grid(config.runs, seed=(0, 1, 2))

    arrays = grokjax.train(config).history.arrays()

    np.testing.assert_allclose(arrays["norms/total"][1], arrays["weight_norm"][1], rtol=1e-6)
    assert arrays["norms/spectral"].shape == (3, 3, 3)
    assert (arrays["norms/distance"][1] > 0).all()
