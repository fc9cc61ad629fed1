"""Optimizers: hand-worked numbers, recurrences in numpy, and the shape every one has."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from grokjax import grokfast_ema, grokfast_ma, lookup
from grokjax.config import RUNS
from grokjax.optimizer import chain
from grokjax.schedules import SCHEDULES


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


def test_a_gain_of_zero_changes_nothing():
    for transform in (grokfast_ema(0.9, 0.0), grokfast_ma(0.0, window=2)):
        assert outputs(transform, [1.5, -2.25, 3.0]) == [1.5, -2.25, 3.0]


def test_the_running_sum_does_not_drift():
    """After 10,000 large gradients a window of small ones is summed as if nothing had been."""
    transform, window = grokfast_ma(lamb=1.0, window=7), 7
    key_large, key_small = jax.random.split(jax.random.key(0))
    large = 1e6 * jax.random.normal(key_large, (10_000,))
    small = jax.random.normal(key_small, (3 * window,))

    def step(state, grad):
        update, state = transform.update(grad, state)
        return state, update

    state = transform.init(jnp.zeros(()))
    _, out = jax.lax.scan(step, state, jnp.concatenate([large, small]))

    expected = small[-1] + small[-window:].mean()
    assert float(out[-1]) == pytest.approx(float(expected), rel=1e-5)


def test_a_window_below_one_is_refused():
    with pytest.raises(ValueError, match="window = 0; choose 1 or more"):
        grokfast_ma(2.0, window=0)


def steps_of(name, hparams, equation):
    """Three steps of an optimizer and of its equation in numpy, on random gradients."""
    optimizer = lookup.find("optimizer", name).make(**hparams)
    theirs = np.array([[1.0, -2.0], [3.0, 0.5]])
    ours, memory = jnp.float32(theirs), {}
    state = optimizer.init(ours)
    for t, grad in enumerate(np.random.default_rng(0).normal(size=(3, 2, 2))):
        theirs = equation(t, theirs, grad, memory)
        updates, state = optimizer.update(jnp.float32(grad), state, ours, t=t, key=None)
        ours = optax.apply_updates(ours, updates)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_adam_puts_its_decay_through_the_gradient():
    def equation(t, w, g, memory):
        g = g + 0.5 * w
        memory["m"] = m = 0.9 * memory.get("m", 0) + 0.1 * g
        memory["v"] = v = 0.98 * memory.get("v", 0) + 0.02 * g**2
        m_hat, v_hat = m / (1 - 0.9 ** (t + 1)), v / (1 - 0.98 ** (t + 1))
        return w - 0.1 * m_hat / (np.sqrt(v_hat) + 1e-8)

    hparams = dict(learning_rate=0.1, weight_decay=0.5, b1=0.9, b2=0.98, eps=1e-8)
    steps_of("adam", hparams, equation)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_moves_against_a_decaying_sum(momentum):
    def equation(t, w, g, memory):
        memory["v"] = v = momentum * memory.get("v", 0) + g + 0.5 * w
        return w - 0.1 * v

    steps_of("sgd", dict(learning_rate=0.1, weight_decay=0.5, momentum=momentum), equation)


def test_sgd_does_not_decay_biases_and_norms():
    sgd = lookup.find("optimizer", "sgd").make(0.1, 0.5, 0.0)
    params = dict(kernel=jnp.ones((2, 3)), bias=jnp.ones(3))
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = sgd.update(zeros, sgd.init(params), params, t=0, key=None)

    assert jnp.allclose(updates["kernel"], -0.05)
    assert not updates["bias"].any()


def test_lion_moves_by_the_sign_of_a_mean():
    def equation(t, w, g, memory):
        m = memory.get("m", 0)
        memory["m"] = 0.98 * m + 0.02 * g
        return w - 0.1 * (np.sign(0.9 * m + 0.1 * g) + 0.5 * w)

    steps_of("lion", dict(learning_rate=0.1, weight_decay=0.5, b1=0.9, b2=0.98), equation)


def test_orthograd_turns_and_does_not_scale():
    """g = (3, 4) along w = (0, 2) loses the 4, and the 3 is stretched to the norm of g."""
    optimizer = lookup.find("optimizer", "orthograd").make()
    params, grad = jnp.array([0.0, 2.0]), jnp.array([3.0, 4.0])
    update, _ = optimizer.update(grad, optimizer.init(params), params, t=0, key=None)

    assert update.tolist() == pytest.approx([5.0, 0.0], abs=1e-6)


def test_clipping_shortens_long_gradients_only():
    optimizer = lookup.find("optimizer", "clip").make(1.0)
    for grad, expected in ([3.0, 4.0], [0.6, 0.8]), ([0.3, 0.4], [0.3, 0.4]):
        update, _ = optimizer.update(jnp.array(grad), optimizer.init(0), None, t=0, key=None)
        assert update.tolist() == pytest.approx(expected)


def test_adamw_is_its_equation_for_three_steps():
    rate, decay, b1, b2, eps = 0.1, 0.5, 0.9, 0.98, 1e-8
    optimizer = lookup.find("optimizer", "adamw").make(rate, decay, b1, b2, eps)
    params = np.array([1.0, -2.0, 3.0])
    ours, state = jnp.float32(params), optimizer.init(jnp.float32(params))
    m = v = np.zeros(3)
    for t, grad in enumerate(np.random.default_rng(0).normal(size=(3, 3))):
        m, v = b1 * m + (1 - b1) * grad, b2 * v + (1 - b2) * grad**2
        m_hat, v_hat = m / (1 - b1 ** (t + 1)), v / (1 - b2 ** (t + 1))
        params = params - rate * (m_hat / (np.sqrt(v_hat) + eps) + decay * params)
        updates, state = optimizer.update(jnp.float32(grad), state, ours, t=t, key=None)
        ours = optax.apply_updates(ours, updates)

        np.testing.assert_allclose(ours, params, rtol=1e-5)


def test_a_chain_filters_before_it_steps():
    filtered = lookup.find("optimizer", "grokfast_ema").make(0.0, 2.0)
    sgd = lookup.find("optimizer", "grokfast_ema").make(0.0, 1.0)  # doubles what it gets
    both = chain(filtered, sgd)
    params = jnp.zeros(())
    update, _ = both.update(jnp.float32(1.0), both.init(params), params, t=0, key=None)

    assert float(update) == (1 + 2) * 2


def test_warmup_does_not_lose_its_first_step():
    warm = [float(SCHEDULES["linear_warmup"](t, 4.0)) for t in range(6)]

    assert warm == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert float(SCHEDULES["linear_warmup"](0, 0.0)) == 1.0


def test_the_cosine_falls_from_the_end_of_warmup_to_zero():
    factors = [float(SCHEDULES["warmup_cosine"](t, 10.0, 110)) for t in (9, 10, 60, 110)]

    assert factors == pytest.approx([1.0, 1.0, 0.5, 0.0], abs=1e-6)


@pytest.mark.parametrize("name", lookup.names("optimizer"))
def test_every_optimizer_keeps_shapes_and_a_structure_that_no_value_changes(name):
    make = lookup.find("optimizer", name).make
    params = dict(kernel=jnp.ones((3, 5)), bias=jnp.ones(5))
    hparams = {h: RUNS[h].default[0] for h in lookup.hparams("optimizer", name)}

    @jax.jit
    def step(hparams, state, t):
        optimizer = make(**hparams)
        updates, state = optimizer.update(params, state, params, t=t, key=jax.random.key(0))
        return optimizer.forward_params(updates, state, jax.random.key(1)), state

    state = make(**hparams).init(params)
    updates, new_state = step(hparams, state, 0)
    chex.assert_trees_all_equal_shapes_and_dtypes(updates, params)
    chex.assert_trees_all_equal_shapes_and_dtypes(new_state, state)
    chex.assert_tree_all_finite(step(dict.fromkeys(hparams, 0.5), new_state, 1)[0])
    assert step._cache_size() == 1
