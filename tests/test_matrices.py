"""What acts on hidden matrices alone: polar factors, column norms, ceilings; masks of decay."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.linalg
from test_optimizers import hparams_of, make, one_step, random_like

from grokjax.config import registry
from grokjax.core.optimizer import chain
from grokjax.core.prefixes import plain
from grokjax.core.selection import mask
from grokjax.models.mlp import Model

SHAPES = dict(
    token=(7, 3), block_0=dict(up=dict(kernel=(3, 5), bias=(5,))), readout=dict(kernel=(5, 2))
)
DECAYS = [n for n in registry.names("optimizer") if "decayed" in registry.options("optimizer", n)]
BY_KIND = {
    "all": {"bias", "kernel", "readout", "token"},
    "matrices": {"kernel", "readout", "token"},
    "hidden": {"kernel"},
}


def moved(updates):
    """Names of the parameters of SHAPES that change."""
    up = updates["block_0"]["up"]
    named = dict(token=updates["token"], readout=updates["readout"]["kernel"], **up)
    return {name for name, u in named.items() if np.max(np.abs(u)) > 1e-6}


@pytest.mark.parametrize("kind", BY_KIND)
def test_a_mask_is_true_for_a_kind_of_parameters(kind):
    tensors = random_like(SHAPES)
    chosen = mask("decayed", kind)

    assert (chosen is None) == (kind == "all")
    if chosen:
        assert moved(chosen(tensors)) == BY_KIND[kind]


def test_embeddings_of_several_operands_are_no_hidden_matrices():
    """Whatever number their names end with, in a model and in its norms."""
    model = Model(num_tokens=7, num_classes=7, length=2, code="own_embedding", hidden=(5,))
    params = jax.eval_shape(model.init, jax.random.key(0), plain(jnp.zeros((1, 2), jnp.int32)))
    chosen = mask("decayed", "hidden")(params["params"])

    assert {name for name, is_hidden in chosen.items() if is_hidden is True} == {"kernel_0"}


@pytest.mark.parametrize("kind", BY_KIND)
@pytest.mark.parametrize("name", DECAYS)
def test_without_a_gradient_only_what_decays_moves(name, kind):
    """Muon's hidden matrices decay in any case."""
    params = random_like(SHAPES)
    updates = one_step(name, params, optax.tree.zeros_like(params), decayed=kind)

    assert moved(updates) == BY_KIND[kind]


@pytest.mark.parametrize("decay", ["initial", "jiggle"])
def test_a_decay_towards_other_places_keeps_to_its_mask(decay):
    start, zeros = random_like(SHAPES), optax.tree.zeros_like(random_like(SHAPES))
    adamw = make("adamw", **hparams_of("adamw"), decay=decay, decayed="matrices")
    state = adamw.init(start)
    updates, _ = adamw.update(
        zeros, state, jax.tree.map(lambda w: w + 1, start), t=0, key=jax.random.key(0)
    )

    assert moved(updates) == BY_KIND["matrices"]


def test_runs_side_by_side_decay_by_their_own_rates_within_one_mask():
    """By closed form: w (1 - .1 d) where it decays; each run's bits are the same under map."""
    w, zeros = random_like(SHAPES), optax.tree.zeros_like(random_like(SHAPES))
    decay_R = jnp.array([0.0, 0.25, 3.0])

    def step(weight_decay):
        hparams = dict(learning_rate=0.1, weight_decay=weight_decay)
        return one_step("adamw", w, zeros, hparams=hparams, decayed="matrices")

    updates_R = jax.jit(jax.vmap(step))(decay_R)
    one_by_one_R = jax.jit(lambda decay_R: jax.lax.map(step, decay_R))(decay_R)

    for r, decay in enumerate([0.0, 0.25, 3.0]):
        u = jax.tree.map(lambda u_R: u_R[r], updates_R)  # noqa: B023
        np.testing.assert_allclose(u["token"], -0.1 * decay * w["token"], rtol=1e-6)
        assert not u["block_0"]["up"]["bias"].any()
    chex.assert_trees_all_close(updates_R, one_by_one_R, rtol=1e-6)


@pytest.mark.parametrize("name", DECAYS)
def test_a_kind_of_weights_that_there_is_not_is_refused_in_one_line(name):
    words = f"unknown {name}.decayed 'matrix'; choose from all, matrices, hidden; did you mean"
    with pytest.raises(ValueError, match=words):
        make(name, **hparams_of(name), decayed="matrix")


def test_egd_makes_all_singular_values_one():
    """Scipy's polar factor; of one that is zero nothing comes, and 1e-7 is divided by 1e-6."""
    g = random_like((3, 5))
    flat = jnp.array([[0.0, 2.0], [0.0, 0.0]])
    small = jnp.array([[0.0, 2.0], [1e-7, 0.0]])

    np.testing.assert_allclose(one_step("egd", g, g), scipy.linalg.polar(g)[0], atol=1e-6)
    np.testing.assert_allclose(one_step("egd", flat, flat), [[0, 1], [0, 0]], atol=1e-6)
    np.testing.assert_allclose(one_step("egd", small, small), [[0, 1], [0.1, 0]], atol=1e-6)


def test_column_norm_divides_the_weights_into_each_neuron():
    """(3, 4) has norm 5; (.003, .004) less than .01, by which it is divided."""
    g = jnp.array([[3.0, 0.003, 0.0], [4.0, 0.004, 0.0]])

    np.testing.assert_allclose(
        one_step("column_norm", g, g), [[0.6, 0.3, 0], [0.8, 0.4, 0]], rtol=1e-6
    )


@pytest.mark.parametrize("name", ["egd", "column_norm"])
def test_other_gradients_than_those_of_hidden_matrices_pass(name):
    g = random_like(SHAPES)
    updates = one_step(name, g, g)

    assert (updates["block_0"]["up"]["kernel"] != g["block_0"]["up"]["kernel"]).all()
    for tree in updates, g:
        del tree["block_0"]["up"]["kernel"]
    chex.assert_trees_all_equal(updates, g)


@pytest.mark.parametrize("name", ["egd", "column_norm"])
def test_a_kernel_of_heads_is_one_matrix(name):
    """[D, H, K] is [D, H K] and, on the way out, [H, K, D] is [H K, D]."""
    g = random_like((5, 2, 3))
    query = one_step(name, dict(query=g), dict(query=g))["query"]
    out = one_step(name, dict(out=g), dict(out=g))["out"]

    flat, flat_out = g.reshape(5, 6), g.reshape(10, 3)
    np.testing.assert_allclose(query.reshape(5, 6), one_step(name, flat, flat), atol=1e-6)
    np.testing.assert_allclose(out.reshape(10, 3), one_step(name, flat_out, flat_out), atol=1e-6)


@pytest.mark.parametrize("name", ["egd", "column_norm"])
def test_gradients_of_runs_are_normalised_each_by_itself(name):
    g_R = random_like((3, 7, 5))

    def step(g):
        return one_step(name, g, g)

    together_R = jax.jit(jax.vmap(step))(g_R)
    mapped_R = jax.jit(lambda g_R: jax.lax.map(step, g_R))(g_R)

    np.testing.assert_allclose(together_R, [step(g) for g in g_R], atol=1e-6)
    np.testing.assert_allclose(mapped_R, together_R, atol=1e-6)


def test_egd_behind_an_l2_term_takes_the_step_of_its_authors():
    """Whose loss has .25 (||W_1||^2 + ||W_2||^2) / 2, and whose W_1 alone is preconditioned."""
    w, g = random_like(SHAPES), jax.tree.map(lambda x: x[::-1] - 0.5, random_like(SHAPES))
    both = chain(make("l2", 0.25, decayed="matrices"), make("egd"), make("sgd", 0.1, 0.0))
    updates, _ = both.update(g, both.init(w), w, t=0, key=None)

    up_w, up_g = w["block_0"]["up"], g["block_0"]["up"]
    polar, _ = scipy.linalg.polar(np.float64(up_g["kernel"]) + 0.25 * np.float64(up_w["kernel"]))
    np.testing.assert_allclose(updates["block_0"]["up"]["kernel"], -0.1 * polar, atol=1e-6)
    np.testing.assert_allclose(updates["block_0"]["up"]["bias"], -0.1 * up_g["bias"], rtol=1e-6)
    readout = -0.1 * (g["readout"]["kernel"] + 0.25 * w["readout"]["kernel"])
    np.testing.assert_allclose(updates["readout"]["kernel"], readout, rtol=1e-5)


def test_a_norm_above_the_ceiling_is_scaled_back_and_no_other_is_touched():
    """||W_0|| = 5 and twice that is 10: (6, 8) may be, (9, 12) becomes (6, 8), (.6, .8) may be."""
    w = dict(token=jnp.array([[3.0, 4.0]]), up=jnp.array([[3.0, 4.0]]), bias=jnp.array([1.0]))
    cap = make("norm_ceiling", 2.0)
    state = cap.init(w)
    for step, expected in (
        ([[3.0, 4.0]], [[6, 8]]),
        ([[3.0, 4.0]], [[6, 8]]),
        ([[-5.4, -7.2]], [[0.6, 0.8]]),
    ):
        u = dict(token=jnp.array(step), up=jnp.array(step), bias=jnp.array([7.0]))
        capped, state = cap.update(u, state, w, t=0, key=None)
        chex.assert_trees_all_equal(capped["token"], u["token"])
        chex.assert_trees_all_equal(capped["bias"], u["bias"])
        w = optax.apply_updates(w, capped)
        np.testing.assert_allclose(w["up"], expected, rtol=1e-6)


def test_below_the_ceiling_of_a_run_no_bit_changes():
    """Runs side by side with ceilings of 1 and 1,000: the second moves as if there were none."""
    w, u = random_like((3, 5)), random_like((4, 3, 5))[3]

    def capped(ceiling):
        cap = make("norm_ceiling", ceiling)
        return cap.update(u, cap.init(w), w, t=0, key=None)[0]

    updates_R = jax.jit(jax.vmap(capped))(jnp.array([1.0, 1000.0]))

    norm = np.linalg.norm(w)
    assert np.linalg.norm(w + updates_R[0]) == pytest.approx(min(norm, np.linalg.norm(w + u)))
    np.testing.assert_array_equal(updates_R[1], u)


def test_hold_norm_holds_matrices_at_a_norm_that_is_given_from_a_step_on():
    """Half of 10 for (3, 4) and (6, 8) together, whose norm is sqrt(125), after step 1."""
    hold = make("hold_norm", 0.5, reference=10.0, weights="matrices", start=1)
    w = dict(token=jnp.array([[3.0, 4.0]]), up=jnp.array([[5.0, 7.0]]), bias=jnp.array([1.0]))
    u = dict(token=jnp.zeros((1, 2)), up=jnp.ones((1, 2)), bias=jnp.array([7.0]))
    state = hold.init(w)

    before, state = jax.jit(hold.update)(u, state, w, t=jnp.int32(0), key=None)
    chex.assert_trees_all_equal(before, u)
    held, state = jax.jit(hold.update)(u, state, w, t=jnp.int32(1), key=None)
    w = optax.apply_updates(w, held)
    np.testing.assert_allclose(w["token"], np.array([[3, 4]]) * 5 / 125**0.5, rtol=1e-6)
    np.testing.assert_allclose(w["up"], np.array([[6, 8]]) * 5 / 125**0.5, rtol=1e-6)
    assert float(w["bias"][0]) == 8


def test_norms_of_runs_are_held_each_at_its_own():
    w, u = random_like((3, 5)), random_like((4, 3, 5))[3]

    def held(factor):
        hold = make("hold_norm", factor, reference=54.49, weights="matrices", start=3)
        return w + hold.update(u, hold.init(w), w, t=3, key=None)[0]

    w_R = jax.jit(jax.vmap(held))(jnp.array([0.85, 1.0, 1.15]))

    norms_R = np.linalg.norm(w_R.reshape(3, -1), axis=1)
    np.testing.assert_allclose(norms_R, [46.3165, 54.49, 62.6635], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("hold_norm", dict(weights="matrix"), "hold_norm.weights 'matrix'.*did you mean 'matric"),
        ("hold_norm", dict(reference=0.0), "hold_norm.reference = 0.0; choose above 0"),
        ("hold_norm", dict(start=-1), "hold_norm.start = -1; choose 0 or more"),
        ("muon", dict(ns_steps=-1), "muon.ns_steps = -1; choose 0 or more"),
        ("muon", dict(ns_steps=21), "muon.ns_steps = 21; choose at most 20"),
        ("muon", dict(decayed="none"), "unknown muon.decayed 'none'; choose from all, matrices"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused_in_one_line(name, options, words):
    with pytest.raises(ValueError, match=words) as caught:
        make(name, **hparams_of(name), **options)
    assert "\n" not in str(caught.value)
