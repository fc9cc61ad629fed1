"""Optimizers: hand-worked numbers, recurrences in numpy, and the shape every one has."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from grokjax import base, grid, grokfast_ema, grokfast_ma
from grokjax.config import registry
from grokjax.config.experiment import check
from grokjax.core.optimizer import as_optimizer, chain
from grokjax.core.schedules import SCHEDULES


def make(part, /, *args, **options):
    """An optimizer by its name."""
    return as_optimizer(registry.find("optimizer", part).make(*args, **options))


def outputs(transform, grads, shared_t=True):
    """What a transform makes of a series of scalar gradients."""
    params = jnp.zeros(())
    state, out = transform.init(params), []
    for t, grad in enumerate(grads):
        extra = dict(t=t) if shared_t else {}
        update, state = transform.update(jnp.float32(grad), state, params, **extra)
        out.append(float(update))
    return out


@pytest.mark.parametrize("shared_t", [True, False], ids=["in grokjax", "outside"])
def test_grokfast_ema_starts_from_the_first_gradient(shared_t):
    """h is 4, then (4 + 0) / 2, then (2 + 8) / 2."""
    out = outputs(grokfast_ema(alpha=0.5, lamb=2.0), [4.0, 0.0, 8.0], shared_t)

    assert out == [4 + 2 * 4, 0 + 2 * 2, 8 + 2 * 5]


@pytest.mark.parametrize("shared_t", [True, False], ids=["in grokjax", "outside"])
def test_grokfast_ma_acts_from_the_wth_gradient_on(shared_t):
    out = outputs(grokfast_ma(lamb=10.0, window=3), [1, 2, 3, 4, 5], shared_t)

    assert out == [1, 2, 3 + 10 * 2, 4 + 10 * 3, 5 + 10 * 4]


def test_grokfast_ma_can_sum_start_late_or_use_what_is_there():
    grads = [1, 2, 3, 4]

    assert outputs(grokfast_ma(1.0, window=2, average="sum"), grads) == [1, 2 + 3, 3 + 5, 4 + 7]
    assert outputs(grokfast_ma(2.0, window=2, start=3), grads) == [1, 2, 3, 4 + 7]
    assert outputs(grokfast_ma(2.0, window=2, warmup=False), grads) == [1 + 2, 2 + 3, 3 + 5, 4 + 7]
    assert outputs(grokfast_ma(2.0, window=1), grads) == [3, 6, 9, 12]


def test_grokfast_ema_can_start_late():
    """Two gradients pass; then h is 4, then (4 + 0) / 2."""
    out = outputs(grokfast_ema(alpha=0.5, lamb=2.0, start=2), [9.0, 7.0, 4.0, 0.0])

    assert out == [9, 7, 4 + 2 * 4, 0 + 2 * 2]


@pytest.mark.parametrize(
    ("name", "options"), [("grokfast_ema", {}), ("grokfast_ma", dict(window=2))]
)
def test_filters_that_start_apart_run_side_by_side(name, options):
    grads_T = jnp.array([1.0, 3.0, -2.0, 5.0, 4.0])

    def filtered(start):
        optimizer = make(name, **{**hparams_of(name), "filter_start": start}, **options)

        def step(state, slot):
            update, state = optimizer.update(slot[1], state, None, t=slot[0], key=None)
            return state, update

        return jax.lax.scan(step, optimizer.init(jnp.zeros(())), (jnp.arange(5), grads_T))[1]

    out_RxT = jax.jit(jax.vmap(filtered))(jnp.array([0.0, 3.0]))

    np.testing.assert_array_equal(out_RxT, [jax.jit(filtered)(start) for start in (0.0, 3.0)])
    np.testing.assert_array_equal(out_RxT[1, :3], grads_T[:3])
    assert (out_RxT[0, 1:3] != grads_T[1:3]).all()
    assert (out_RxT[1, 3:] != grads_T[3:]).all()


def test_a_gain_of_zero_changes_nothing():
    for transform in (grokfast_ema(0.9, 0.0), grokfast_ma(0.0, window=2)):
        assert outputs(transform, [1.5, -2.25, 3.0]) == [1.5, -2.25, 3.0]


@pytest.mark.parametrize("window", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("spike", [1e6, 1e30, np.nan])
def test_a_moving_average_is_that_of_its_window_whatever_came_before(window, spike):
    """In float64, summed anew at every step; 317 gradients, the 107th of which is a spike."""
    grads_T = np.random.default_rng(0).normal(size=317).astype(np.float32)
    grads_T[106] = spike
    transform = grokfast_ma(lamb=1.0, window=window, average="sum")

    def step(state, grad):
        update, state = transform.update(grad, state)
        return state, update

    _, out_T = jax.lax.scan(step, transform.init(jnp.zeros(())), jnp.array(grads_T))
    windows = np.lib.stride_tricks.sliding_window_view(grads_T.astype(float), window)
    expected = grads_T[window - 1 :] + windows.sum(axis=1)

    np.testing.assert_allclose(out_T[window - 1 :], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("grokfast_ma", dict(window=0), "window = 0; choose 1 or more"),
        ("adamw", dict(decay="init"), "unknown adamw.decay 'init'.*did you mean 'initial'"),
        ("splus", dict(inverse_every=0), "splus.inverse_every = 0; choose 1 or more"),
        ("splus", dict(max_dim=0), "splus.max_dim = 0; choose 1 or more"),
        ("from_optax", dict(name="adamm"), "unknown from_optax.name 'adamm'; choose from acprop"),
        ("from_optax", dict(name="lbfgs"), "cannot run 'lbfgs': it asks for the loss"),
        ("from_optax", dict(name="sam"), "cannot run 'sam': it wraps.*choose from acprop"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused_in_one_line(name, options, words):
    with pytest.raises(ValueError, match=words) as caught:
        make(name, **hparams_of(name), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("transform", [grokfast_ema, grokfast_ma])
def test_a_filter_cannot_start_before_the_first_step(transform):
    with pytest.raises(ValueError, match=f"{transform.__name__}.start = -1; choose 0 or more"):
        transform(lamb=2.0, start=-1, **(dict(alpha=0.5) if transform is grokfast_ema else {}))


def hparams_of(name, options=None):
    """A plug-in's hyperparameters at their defaults."""
    known = registry.hparams(name)
    return {h: known[h].default for h in registry.reads(name, options or {})}


def steps_of(name, hparams, equation, shape=(2, 2), rtol=1e-5, **options):
    """Three steps of an optimizer and of its equation in numpy, on random gradients.

    Returns what is evaluated in the end, and what the equation has remembered.
    """
    optimizer = make(name, **hparams, **options)
    theirs = np.array([[1.0, -2.0, 0.2], [3.0, 0.5, -0.7]])[: shape[0], : shape[1]]
    ours, memory = jnp.float32(theirs), {"start": theirs}
    state = optimizer.init(ours)
    for t, grad in enumerate(np.random.default_rng(0).normal(size=(3, *shape))):
        theirs = equation(t, theirs, grad, memory)
        updates, state = optimizer.update(jnp.float32(grad), state, ours, t=t, key=None)
        ours = optax.apply_updates(ours, updates)
        np.testing.assert_allclose(ours, theirs, rtol=rtol)
    return optimizer.eval_params(ours, state), memory


def one_step(name, params, grads, /, t=0, key=0, hparams=None, **options):
    """The first step of an optimizer, at the defaults of `config.runs`."""
    hparams = {**hparams_of(name, options), **(hparams or {})}
    optimizer = make(name, **hparams, **options)
    state = optimizer.init(params)
    return optimizer.update(grads, state, params, t=t, key=jax.random.key(key))[0]


BETAS = dict(b1=0.9, b2=0.98, eps=1e-8)


@pytest.mark.parametrize("name", ["sgd", "sgd_momentum"])
def test_sgd_does_not_decay_biases_and_norms(name):
    params = dict(kernel=jnp.ones((2, 3)), bias=jnp.ones(3))
    hparams = dict(learning_rate=0.1, weight_decay=0.5)
    updates = one_step(name, params, optax.tree.zeros_like(params), hparams=hparams)

    assert jnp.allclose(updates["kernel"], -0.05)
    assert not updates["bias"].any()


def test_orthograd_turns_and_does_not_scale():
    """g = (3, 4) along w = (0, 2) loses the 4, and the 3 is stretched to the norm of g."""
    optimizer = make("orthograd")
    params, grad = jnp.array([0.0, 2.0]), jnp.array([3.0, 4.0])
    update, _ = optimizer.update(grad, optimizer.init(params), params, t=0, key=None)

    assert update.tolist() == pytest.approx([5.0, 0.0], abs=1e-6)


def test_a_chain_filters_before_it_steps():
    filtered = make("grokfast_ema", 0.0, 2.0, 0)
    sgd = make("grokfast_ema", 0.0, 1.0, 0)  # doubles what it gets
    both = chain(filtered, sgd)
    params = jnp.zeros(())
    update, _ = both.update(jnp.float32(1.0), both.init(params), params, t=0, key=None)

    assert float(update) == (1 + 2) * 2


def test_adamw_can_jiggle_each_tensor_by_a_normal_factor():
    """Without a gradient, log(w'/w) is learning_rate weight_decay z, one z for a tensor."""
    params = dict(kernel=jnp.array([[1.0, -2.0, 3.0]]), bias=jnp.array([0.5]))
    zeros, hparams = optax.tree.zeros_like(params), dict(learning_rate=0.1, weight_decay=0.5)

    def z(key):
        step = one_step("adamw", params, zeros, key=key, hparams=hparams, decay="jiggle")
        return jax.tree.map(lambda u, w: jnp.log1p(u / w) / 0.05, step, params)

    z = jax.vmap(z)(jnp.arange(4001))
    np.testing.assert_allclose(z["kernel"] - z["kernel"][..., :1], 0, atol=1e-4)
    for draws in z["kernel"][:, 0, 0], z["bias"][:, 0]:
        assert abs(draws.mean()) < 0.06
        assert draws.std() == pytest.approx(1, abs=0.05)
    assert abs(np.corrcoef(z["kernel"][:, 0, 0], z["bias"][:, 0])[0, 1]) < 0.06


def test_adamw_decays_towards_zero_exactly_as_optax():
    params, grads = jnp.array([1.0, -2.0]), jnp.array([0.3, 0.7])
    theirs = optax.adamw(0.1, b1=0.9, b2=0.98, weight_decay=0.5)
    expected, _ = theirs.update(grads, theirs.init(params), params)
    ours = one_step("adamw", params, grads, hparams=dict(learning_rate=0.1, weight_decay=0.5))

    assert ours.tolist() == expected.tolist()


def test_muon_leaves_embeddings_readout_and_vectors_to_adamw():
    """Adam's first step has the size of its rate for every weight; Muon's is orthogonal."""
    hidden = dict(kernel=(3, 5), bias=(5,))
    shapes = dict(
        token=(7, 3), position=(5, 3), frames=(2, 3), block_0=dict(up=hidden), readout=(3, 7)
    )
    grads = random_like(shapes)
    hparams = dict(learning_rate=0.1, adam_ratio=0.5, weight_decay=0.0)
    step = one_step("muon", grads, grads, hparams=hparams)

    singular = np.linalg.svd(step["block_0"]["up"]["kernel"], compute_uv=False)
    assert (np.abs(singular / 0.1 / np.sqrt(5 / 3) - 1) < 0.4).all()
    for tree in step, grads:
        del tree["block_0"]["up"]["kernel"]
    expected = jax.tree.map(lambda g: -0.05 * jnp.sign(g), grads)
    chex.assert_trees_all_close(step, expected, rtol=1e-4)


def random_like(shapes):
    """Random arrays in place of shapes."""
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda shape: jnp.float32(rng.normal(size=shape)),
        shapes,
        is_leaf=lambda x: isinstance(x, tuple),
    )


def test_muon_sees_a_kernel_of_heads_as_one_matrix():
    """[D, H, K] is [D, H K] and, on the way out, [H, K, D] is [H K, D]."""
    g = random_like((5, 2, 3))
    query = one_step("muon", dict(query=g), dict(query=g))["query"]
    flat = one_step("muon", g.reshape(5, 6), g.reshape(5, 6))
    out = one_step("muon", dict(out=g), dict(out=g))["out"]
    flat_out = one_step("muon", g.reshape(10, 3), g.reshape(10, 3))

    np.testing.assert_allclose(query.reshape(5, 6), flat, rtol=1e-5)
    np.testing.assert_allclose(out.reshape(10, 3), flat_out, rtol=1e-5)


@pytest.mark.parametrize("max_dim", [3, 2])
def test_splus_moves_by_a_sign_in_the_eigenbasis_of_past_gradients(max_dim):
    """P, Q are taken after steps 0 and 1; a side of 3 stays as it is when `max_dim` is 2."""
    scale = 2 / (2 + 3) if max_dim == 3 else 1e-3

    def equation(t, w, g, memory):
        memory["m"] = m = 0.9 * memory.get("m", 0) + 0.1 * g
        p, q = memory.get("p", np.eye(2)), memory.get("q", np.eye(3))
        step = p @ np.sign(p.T @ m @ q) @ q.T + 0.5 * w
        memory["left"] = 0.98 * memory.get("left", 0) + 0.02 * g @ g.T
        memory["right"] = 0.98 * memory.get("right", 0) + 0.02 * g.T @ g
        if t in (0, 1):
            memory["p"] = np.linalg.eigh(memory["left"])[1]
            memory["q"] = np.linalg.eigh(memory["right"])[1] if max_dim == 3 else q
        memory.setdefault("past", []).append(w)
        return w - 2.0 * scale * step

    hparams = dict(learning_rate=2.0, weight_decay=0.5, b1=0.9, b2=0.98, ema_rate=0.75)
    options = dict(inverse_every=2, max_dim=max_dim)
    evaluated, memory = steps_of("splus", hparams, equation, (2, 3), 1e-4, **options)

    mean = np.average(memory["past"], axis=0, weights=[0.75**2, 0.75, 1])
    np.testing.assert_allclose(evaluated, mean, rtol=1e-4)


def test_splus_takes_the_steps_of_its_authors_code():
    """What optax/splus.py of https://github.com/kvfrans/splus computes of these gradients."""
    params = {"w": jnp.array([[1.0, -2.0, 0.5], [0.25, 1.5, -1.0]]), "b": jnp.array([0.5, -1.0])}
    gradients = {
        "w": [
            [[0.5, -0.25, 1.0], [0.75, 0.125, -0.5]],
            [[-0.375, 0.5, 0.25], [1.0, -0.75, 0.625]],
            [[0.25, 0.875, -0.125], [-0.5, 0.375, 1.0]],
        ],
        "b": [[0.1, -0.3], [-0.4, 0.2], [0.6, 0.1]],
    }
    expected = {
        "w": [
            [[0.88, -1.84, 0.4], [0.16, 1.36, -0.88]],
            [[0.8746700, -1.7924507, 0.2650061], [0.0444772, 1.4092243, -0.8496832]],
            [[0.7890611, -1.8030469, 0.1866675], [0.0431948, 1.4234573, -0.9553084]],
        ],
        "b": [[0.49975, -0.9997], [0.4999000, -0.9994], [0.4996500, -0.9995001]],
    }
    averaged = {
        "w": [[0.9068843, -1.8583572, 0.3659486], [0.1319361, 1.4153403, -0.8960792]],
        "b": [0.4998757, -0.9996433],
    }
    hparams = dict(learning_rate=0.2, weight_decay=0.5, b1=0.9, b2=0.98, ema_rate=0.75)
    optimizer = registry.find("optimizer", "splus").make(**hparams, inverse_every=2)
    state = optimizer.init(params)
    for t in range(3):
        grads = {name: jnp.array(steps[t]) for name, steps in gradients.items()}
        updates, state = optimizer.update(grads, state, params, t=t)
        params = optax.apply_updates(params, updates)
        chex.assert_trees_all_close(
            params, {k: jnp.array(v[t]) for k, v in expected.items()}, atol=1e-6
        )

    averaged = jax.tree.map(jnp.array, averaged, is_leaf=lambda x: isinstance(x, list))
    chex.assert_trees_all_close(optimizer.eval_params(params, state), averaged, atol=1e-6)


def test_splus_moves_vectors_by_a_sign():
    step = one_step(
        "splus",
        jnp.array([1.0, 2.0]),
        jnp.array([-0.1, 5.0]),
        hparams=dict(learning_rate=0.2, weight_decay=0.5),
    )

    assert step.tolist() == pytest.approx([-2e-4 * (-1 + 0.5), -2e-4 * (1 + 1.0)])


def splus_kernel(rates_R, num_steps, inverse_every, t_axis=None):
    """Lowered text of a step and the kernels [R, 3, 5] after some steps of R runs."""
    hparams = {**hparams_of("splus"), "learning_rate": None}
    start, grads_T = random_like((3, 5)), random_like((num_steps, 3, 5))

    def step(w, state, rate, g, t):
        splus = make("splus", **{**hparams, "learning_rate": rate}, inverse_every=inverse_every)
        state = splus.init(w) if state is None else state
        updates, state = splus.update(g, state, w, t=t)
        return w + updates, state

    w_R = jnp.broadcast_to(start, (len(rates_R), 3, 5))
    first = jax.jit(jax.vmap(step, (0, None, 0, None, t_axis)), static_argnums=1)
    t = jnp.int32(0) if t_axis is None else jnp.zeros(len(rates_R), jnp.int32)
    text = first.lower(w_R, None, rates_R, grads_T[0], t).as_text()
    later = jax.jit(jax.vmap(step, (0, 0, 0, None, None)))
    w_R, state_R = first(w_R, None, rates_R, grads_T[0], t)
    for t in range(1, num_steps):
        w_R, state_R = later(w_R, state_R, rates_R, grads_T[t], jnp.int32(t))
    return text, w_R


def test_splus_decomposes_in_a_branch_and_only_every_few_steps():
    """Runs share t, so under vmap one branch is left; were t a run's own there would be none."""
    rates_R = jnp.array([0.1, 0.2])
    text, rare_R = splus_kernel(rates_R, 4, inverse_every=3)
    batched, _ = splus_kernel(rates_R, 1, inverse_every=3, t_axis=0)
    _, often_R = splus_kernel(rates_R, 4, inverse_every=1)
    _, same_R = splus_kernel(rates_R, 2, inverse_every=3)
    _, as_often_R = splus_kernel(rates_R, 2, inverse_every=1)

    of_devices = batched.count("stablehlo.case")  # which XLA decides for each decomposition
    assert text.count("stablehlo.case") == of_devices + 1
    np.testing.assert_array_equal(same_R, as_often_R)  # both decompose after step 0
    assert jnp.abs(rare_R - often_R).max() > 1e-3


@pytest.mark.parametrize("b1", [0.9, 0.0])
def test_schedule_free_trains_between_its_steps_and_their_average(b1):
    def equation(t, y, g, memory):
        memory["v"] = v = 0.98 * memory.get("v", 0) + 0.02 * g**2
        z, x = memory.get("z", y), memory.get("x", y)
        root = np.sqrt(v / (1 - 0.98 ** (t + 1)))
        memory["z"] = z = z - 0.1 * (g / (root + 1e-8) + 0.5 * y)
        memory["x"] = x = x + (z - x) / (t + 1)
        return b1 * x + (1 - b1) * z

    hparams = dict(learning_rate=0.1, weight_decay=0.5, b1=b1, b2=0.98, eps=1e-8)
    evaluated, memory = steps_of("schedule_free", hparams, equation)

    np.testing.assert_allclose(evaluated, memory["x"], rtol=1e-5)


def test_splus_averages_the_weights_that_what_follows_has_made_of_its_steps():
    """Here hold_norm, which halves the norm after the first step."""
    splus = {**hparams_of("splus"), "learning_rate": 20.0, "ema_rate": 0.5}
    hold = make("hold_norm", 0.5)
    both = chain(make("splus", **splus), hold)
    w = random_like((2, 3))
    past, state = [w], both.init(w)
    for t, g in enumerate(random_like((3, 2, 3))):
        updates, state = both.update(g, state, w, t=t, key=None)
        w = w + updates
        past.append(w)

    norms = [jnp.linalg.norm(w) for w in past]
    np.testing.assert_allclose(norms[1:], 0.5 * norms[0], rtol=1e-5)
    mean = np.average(past[:-1], axis=0, weights=[0.25, 0.5, 1])
    np.testing.assert_allclose(both.eval_params(w, state), mean, rtol=1e-5)


def test_schedule_free_is_optax_also_while_the_rate_rises():
    hparams = dict(weight_decay=0.5, **BETAS)
    ours_at = functools.partial(make, "schedule_free", **hparams)
    theirs = optax.contrib
    ours_w = theirs_w = random_like((2, 3))
    ours, other = ours_at(0.1).init(ours_w), theirs.schedule_free_adamw(0.1).init(ours_w)
    for t, rate in enumerate([0.1, 0.3, 0.2]):
        g = ours_w**2
        step, ours = ours_at(rate).update(g, ours, ours_w, t=t, key=None)
        their_step, other = theirs.schedule_free_adamw(rate, **hparams).update(g, other, theirs_w)
        ours_w, theirs_w = ours_w + step, theirs_w + their_step

    np.testing.assert_allclose(ours_w, theirs_w, rtol=1e-4)
    expected = theirs.schedule_free_eval_params(other, theirs_w)
    np.testing.assert_allclose(ours_at(0.1).eval_params(ours_w, ours), expected, rtol=1e-4)


FROM_OPTAX = registry.find("optimizer", "from_optax")


@pytest.mark.parametrize("name", FROM_OPTAX.names())
@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
def test_every_optimizer_of_optax_runs_side_by_side_at_two_rates(name):
    """Traced values under vmap give what one run alone gives, and the learning rate counts.

    The third update is looked at: some hold the first back, or learn their scale from it.
    """
    params, grads_T = random_like((3, 5)), random_like((3, 3, 5)) * 0.5
    hparams = hparams_of("from_optax", dict(name=name))

    def third(rate):
        def step(state, g):
            updates, state = optimizer.update(g, state, params, t=None, key=None)
            return state, updates

        optimizer = make("from_optax", name=name, **{**hparams, "learning_rate": rate})
        return jax.lax.scan(step, optimizer.init(params), grads_T)[1][-1]

    rates_R = jnp.array([0.5, 1.0])
    step_R = jax.jit(jax.vmap(third))(rates_R)
    np.testing.assert_allclose(step_R, [third(rate) for rate in rates_R], rtol=1e-4, atol=1e-7)
    assert (jnp.abs(step_R).max(axis=(1, 2)) > 0).all()
    blind = name == "cocob"  # to the scale of gradients, which is where its learning rate goes
    assert (step_R[0] != step_R[1]).any() != blind


@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
def test_the_state_of_every_optimizer_of_optax_fits_into_a_checkpoint():
    """Which can hold no array without elements, such as a projection for a vector."""
    params = dict(kernel=jnp.ones((3, 5)), bias=jnp.ones(5))
    for name in FROM_OPTAX.names():
        optimizer = make("from_optax", name=name, **hparams_of("from_optax", dict(name=name)))
        sizes = [leaf.size for leaf in jax.tree.leaves(jax.eval_shape(optimizer.init, params))]
        assert min(sizes, default=1) > 0, name


def third_step(optimizer, decay=0.0, **extra):
    """What an optimizer makes of the last of three gradients, to which `decay` adds weights."""
    w, *grads = 2.0 + random_like((4, 2, 3))
    state = optimizer.init(w)
    for g in grads:
        updates, state = optimizer.update(g + decay * w, state, w, **extra)
    return updates


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("lamb", optax.lamb(1e-3, b1=0.9, b2=0.98, eps=1e-8, weight_decay=1.0)),
        ("ademamix", optax.contrib.ademamix(1e-3, b2=0.98, weight_decay=1.0)),
        ("sgd", optax.sgd(1e-3, momentum=0.9)),
        ("signum", optax.signum(1e-3)),
        ("adafactor", optax.adafactor(1e-3, momentum=0.9)),
        ("adan", optax.adan(1e-3, weight_decay=1.0)),
        ("yogi", optax.yogi(1e-3)),
        ("novograd", optax.novograd(1e-3, weight_decay=1.0)),
        ("dowg", optax.contrib.dowg(1e-3, weight_decay=1.0)),
    ],
)
def test_from_optax_gives_what_optax_gives_at_those_of_our_values_that_mean_the_same(name, theirs):
    ours = make("from_optax", name=name, **hparams_of("from_optax", dict(name=name)))

    np.testing.assert_array_equal(third_step(ours, t=None, key=None), third_step(theirs))


def test_which_entries_from_optax_reads_depends_on_the_name():
    decayed = ["learning_rate", "weight_decay"]
    for name, entries in (
        ("nadamw", [*decayed, "b1", "b2", "eps"]),
        ("adam", ["learning_rate", "b1", "b2", "eps"]),
        ("sgd", ["learning_rate", "momentum"]),
        ("lars", [*decayed, "momentum"]),
        *((name, decayed) for name in ("acprop", "adan", "novograd", "dowg", "adadelta")),
        *((name, ["learning_rate"]) for name in ("adabelief", "yogi", "adagrad")),
    ):
        assert registry.reads("from_optax", dict(name=name)) == entries, name


def test_the_kin_of_adam_have_its_entries():
    kin = [name for name in FROM_OPTAX.names() if {"b1", "b2", "eps"} & set(FROM_OPTAX.reads(name))]

    assert ", ".join(kin) == (
        "adam, adamax, adamaxw, adamw, ademamix, amsgrad, lamb, nadam, nadamw, optimistic_adam, "
        "optimistic_adam_v2, radam"
    )


def test_from_optax_says_whose_decay_goes_through_the_gradient():
    """A decay of .5 is then the gradient g + .5 w and no decay at all."""

    def step(name, weight_decay, added):
        hparams = {**hparams_of("from_optax", dict(name=name)), "weight_decay": weight_decay}
        return third_step(make("from_optax", name=name, **hparams), added, t=None, key=None)

    coupled = [
        name
        for name in FROM_OPTAX.names()
        if "weight_decay" in FROM_OPTAX.reads(name)
        and jnp.allclose(step(name, 0.5, 0.0), step(name, 0.0, 0.5), rtol=1e-4, atol=0)
    ]

    assert coupled == ["adadelta", "cocob", "dog", "dowg", "lars", "madgrad"]
    assert ", ".join(coupled[:-1]) + " and madgrad" in FROM_OPTAX.make.__doc__


def test_update_noise_is_normal_and_scaled_by_the_learning_rate():
    updates = dict(kernel=jnp.ones((101, 97)), bias=jnp.ones(89))
    hparams = dict(learning_rate=0.1, update_noise=3.0)
    noise = jax.tree.map(
        lambda u: (u - 1) / 0.3, one_step("update_noise", updates, updates, hparams=hparams)
    )

    assert float(noise["kernel"].mean()) == pytest.approx(0, abs=0.05)
    assert float(noise["kernel"].std()) == pytest.approx(1, abs=0.03)
    assert not jnp.isclose(noise["kernel"].ravel()[:89], noise["bias"]).any()


def test_weight_noise_is_seen_by_the_gradient_alone():
    params = dict(kernel=jnp.ones((101, 97)), bias=jnp.ones(89))
    optimizer = make("weight_noise", 0.5)
    state = optimizer.init(params)
    noisy = optimizer.forward_params(params, state, jax.random.key(0))
    updates, _ = optimizer.update(params, state, params, t=0, key=jax.random.key(0))

    assert float(noisy["kernel"].mean()) == pytest.approx(1, abs=0.03)
    assert float(noisy["kernel"].std()) == pytest.approx(0.5, abs=0.02)
    assert not jnp.isclose(noisy["kernel"].ravel()[:89], noisy["bias"]).any()
    chex.assert_trees_all_equal(updates, params)
    chex.assert_trees_all_equal(optimizer.eval_params(params, state), params)


def test_hold_norm_keeps_all_weights_on_one_sphere():
    """||w_0|| is 5, so the weights go to norm 2 along (3, 4), (0, 4), ..."""
    hold = make("hold_norm", 0.4)
    params = dict(kernel=jnp.array([[3.0]]), bias=jnp.array([4.0]))
    state = hold.init(params)
    for step, expected in ((0.0, (1.2, 1.6)), (-1.2, (0.0, 2.0)), (2.0, (2**0.5, 2**0.5))):
        updates = dict(kernel=jnp.array([[step]]), bias=jnp.zeros(1))
        updates, state = hold.update(updates, state, params, t=0, key=None)
        params = optax.apply_updates(params, updates)
        got = (float(params["kernel"][0, 0]), float(params["bias"][0]))
        assert got == pytest.approx(expected, abs=1e-6)


def test_raise_layer_multiplies_one_layer_once():
    """Steps of 1 from 5: 6, then after step 1 three times 7, then 22; the other layer goes on."""
    raise_ = make("raise_layer", 1, 3.0)
    params = {"readout": {"kernel": jnp.array([[5.0]])}, "token": jnp.array([[5.0]])}
    state, seen = raise_.init(params), []
    for t in range(3):
        updates = jax.tree.map(jnp.ones_like, params)
        updates, state = raise_.update(updates, state, params, t=t, key=None)
        params = optax.apply_updates(params, updates)
        seen.append((float(params["readout"]["kernel"][0, 0]), float(params["token"][0, 0])))

    assert seen == [(6, 6), (21, 7), (22, 8)]


def test_raise_layer_names_the_layers_that_there_are():
    raise_ = make("raise_layer", 1, 3.0)

    with pytest.raises(ValueError, match="no layer 'readout'; choose from block, token"):
        raise_.init({"block": jnp.ones(3), "token": jnp.ones(5)})


def test_grokfast_rate_takes_the_gain_of_a_constant_gradient_out():
    """SGD on (1 + 2) g, decay included, comes out as SGD on g with a third of the decay."""
    filtered = make("grokfast_ema", 0.5, 2.0, 0)
    both = chain(filtered, make("sgd", 0.1, 0.75), make("grokfast_rate", 2.0))
    params, g = jnp.array([[4.0]]), jnp.array([[7.0]])
    update, _ = both.update(g, both.init(params), params, t=0, key=None)

    assert float(update[0, 0]) == pytest.approx(-0.1 * (7.0 + 0.25 * 4.0))


@pytest.mark.parametrize(
    ("chain_", "words"),
    [
        ("update_noise", "no step of its own; choose adamw\\+update_noise, say"),
        ("clip+hold_norm", "no step of its own; choose clip\\+adamw\\+hold_norm, say"),
        ("hold_norm+sgd", "out of order; choose sgd\\+hold_norm$"),
        ("grokfast_ema+grokfast_rate+lion", "choose grokfast_ema\\+lion\\+grokfast_rate$"),
        ("adamw+lion", "steps twice; choose one of adamw, lion"),
        ("adamw+hold_norm+update_noise", "order; choose adamw\\+update_noise\\+hold_norm$"),
        ("adamw+hold_norm+grokfast_rate", "order; choose adamw\\+grokfast_rate\\+hold_norm$"),
        ("hold_norm+update_noise+sgd", "order; choose sgd\\+update_noise\\+hold_norm$"),
        ("schedule_free+clip", "out of order; choose clip\\+schedule_free$"),
        (
            "grokfast_ema+schedule_free+grokfast_rate",
            "nothing may change the steps of schedule_free; "
            "choose grokfast_ema\\+adamw\\+grokfast_rate, say",
        ),
        ("schedule_free+update_noise", "nothing may .* choose adamw\\+update_noise, say"),
        ("hold_norm+schedule_free", "nothing may .* choose adamw\\+hold_norm, say"),
    ],
)
def test_a_chain_that_cannot_be_meant_is_refused(chain_, words):
    config = base(task=dict(name="modular", p=7), optimizer=chain_)
    with pytest.raises(ValueError, match=words):
        check(config)


@pytest.mark.parametrize(
    "chain_",
    [
        "weight_noise+adamw",
        "weight_noise+adamw+update_noise",
        "grokfast_ema+adamw+update_noise+grokfast_rate+hold_norm",
        "splus+hold_norm",
        "weight_noise+clip+schedule_free",
    ],
)
def test_a_chain_in_order_is_taken(chain_):
    config = base(task=dict(name="modular", p=7), optimizer=chain_)
    config.batch_size = 11
    check(config)


def test_an_entry_that_the_chosen_optimizer_of_optax_does_not_read_is_refused():
    config = base(task=dict(name="modular", p=7), optimizer=dict(from_optax=dict(name="nadamw")))
    config.batch_size, config.runs = 11, grid(config.runs, b2=0.9)
    check(config)

    config.optimizer.from_optax.name = "sgd"
    with pytest.raises(ValueError, match="b2 = .* read by nothing .* belongs to adam, adamw, lion"):
        check(config)


def test_warmup_does_not_lose_its_first_step():
    warm = [float(SCHEDULES["linear_warmup"](t, 4.0)) for t in range(6)]

    assert warm == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert float(SCHEDULES["linear_warmup"](0, 0.0)) == 1.0


def test_the_cosine_falls_from_the_end_of_warmup_to_zero():
    factors = [float(SCHEDULES["warmup_cosine"](t, 10.0, 110)) for t in (9, 10, 60, 110)]

    assert factors == pytest.approx([1.0, 1.0, 0.5, 0.0], abs=1e-6)


@pytest.mark.parametrize("x64", [False, True], ids=["float32", "beside float64"])
@pytest.mark.parametrize("name", registry.names("optimizer"))
def test_every_optimizer_keeps_shapes_and_a_structure_that_no_value_changes(name, x64):
    @jax.jit
    def step(hparams, params, state, t):
        optimizer = make(name, **hparams)
        updates, state = optimizer.update(params, state, params, t=t, key=jax.random.key(0))
        return optimizer.forward_params(updates, state, jax.random.key(1)), state

    with jax.enable_x64(x64):
        params = dict(kernel=jnp.ones((3, 5), jnp.float32), readout=jnp.ones(5, jnp.float32))
        hparams = {h: jnp.float32(value) for h, value in hparams_of(name).items()}
        optimizer = make(name, **hparams)
        state, t = optimizer.init(params), jnp.int32(0)
        updates, new_state = step(hparams, params, state, t)
        chex.assert_trees_all_equal_shapes_and_dtypes(updates, params)
        chex.assert_trees_all_equal_shapes_and_dtypes(new_state, state)
        chex.assert_trees_all_equal_shapes_and_dtypes(
            optimizer.eval_params(params, new_state), params
        )
        halves = {h: jnp.float32(0.5) for h in hparams}
        chex.assert_tree_all_finite(step(halves, params, new_state, t + 1)[0])
        assert step._cache_size() == 1
