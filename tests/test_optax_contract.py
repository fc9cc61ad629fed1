"""What optax asks of a transform, asked of every module in `optimizers/`."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from grokjax import grokfast_ema, grokfast_ma
from grokjax.config import registry
from grokjax.core.optimizer import as_optimizer

NAMES = registry.names("optimizer")
HIDES_HPARAMS = {"from_optax"}  # behind `**hparams`; one injects into those of optax themselves
NEEDS_A_LAYER = {"raise_layer"}  # named, so there is nothing to raise in a bare scalar


def factory(name):
    """The `make` of a module as optax has them: hyperparameters -> a pair of functions."""
    make = registry.find("optimizer", name).make

    @functools.wraps(make)
    def made(**hparams):
        optimizer = as_optimizer(make(**hparams))
        return optax.GradientTransformationExtraArgs(optimizer.init, optimizer.update)

    return made


def hparams_of(name):
    """Hyperparameters at their defaults as float32, and the options that are numbers but static."""
    known = registry.hparams(name)
    hparams = {h: jnp.float32(known[h].default) for h in registry.reads(name, {})}
    options = registry.options("optimizer", name).values()
    return hparams, [option.name for option in options if type(option.default) is int]


def transform_of(name):
    return factory(name)(**hparams_of(name)[0])


def tree(dtype="float32"):
    """Parameters, of which each has a shape of its own."""
    shapes = dict(kernel=(3, 5), bias=(5,), readout=(3,))
    rng = np.random.default_rng(0)
    return {name: jnp.asarray(rng.normal(size=shape), dtype) for name, shape in shapes.items()}


def train(transform, params, steps=5):
    """Parameters and state after some steps in which both are donated; and the last updates."""

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params, state, t):
        grads = jax.tree.map(lambda w: w + 1, params)
        extra = dict(t=t, key=jax.random.key(t))
        updates, state = transform.update(grads, state, params, **extra)
        return optax.apply_updates(params, updates), state, updates

    params = jax.tree.map(jnp.copy, params)
    state, updates = transform.init(params), None
    for t in range(steps):
        params, state, updates = step(params, state, jnp.int32(t))
    return params, state, updates


@pytest.mark.parametrize("name", NAMES)
def test_state_and_parameters_can_be_donated_and_stay_in_half_precision(name):
    """Though hyperparameters are float32."""
    transform, params = transform_of(name), tree("bfloat16")
    new_params, state, updates = train(transform, params)

    chex.assert_trees_all_equal_shapes_and_dtypes(new_params, params)
    chex.assert_trees_all_equal_shapes_and_dtypes(updates, params)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, transform.init(params))
    chex.assert_tree_all_finite(new_params)


@pytest.mark.parametrize(
    "transform",
    [grokfast_ema(jnp.float32(0.9), jnp.float32(2)), grokfast_ma(jnp.float32(2), window=3)],
    ids=["ema", "ma"],
)
def test_the_public_filters_are_transforms_of_optax_as_they_are(transform):
    chained, params = optax.chain(transform, optax.sgd(0.1)), tree("bfloat16")
    new_params, state, _ = train(chained, params)

    chex.assert_trees_all_equal_shapes_and_dtypes(new_params, params)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, chained.init(params))


@pytest.mark.parametrize("name", NAMES)
def test_one_of_several_steps_is_that_of_the_mean_gradient(name):
    """The mean of two gradients that are the same; in between nothing moves."""
    plain = transform_of(name)
    several = optax.MultiSteps(plain, every_k_schedule=2)
    params, extra = tree(), dict(t=jnp.int32(0), key=jax.random.key(0))
    expected, _ = jax.jit(plain.update)(params, plain.init(params), params, **extra)
    state, update = several.init(params), jax.jit(several.update)
    first, state = update(params, state, params, **extra)
    second, state = update(params, state, params, **extra)

    chex.assert_trees_all_equal(first, optax.tree.zeros_like(params))
    chex.assert_trees_all_close(second, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_masked_passes_and_the_rest_is_as_alone(name):
    transform = transform_of(name)
    mask = dict(kernel=True, bias=False, readout=True)
    masked = optax.masked(transform, mask)
    params, extra = tree(), dict(t=jnp.int32(0), key=jax.random.key(0))
    updates, _ = jax.jit(masked.update)(params, masked.init(params), params, **extra)
    part = {k: params[k] for k in params if mask[k]}
    expected, _ = jax.jit(transform.update)(part, transform.init(part), part, **extra)

    for k in params:
        chex.assert_trees_all_close(updates[k], expected.get(k, params[k]), rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in HIDES_HPARAMS])
def test_hyperparameters_can_be_injected(name):
    """Only options that are whole numbers must be static: they decide what is computed."""
    hparams, static = hparams_of(name)
    injected = optax.inject_hyperparams(factory(name), static_args=static)(**hparams)
    new_params, state, _ = train(injected, tree())

    assert set(state.hyperparams) == set(hparams)
    chex.assert_trees_all_equal_shapes_and_dtypes(new_params, tree())
    chex.assert_tree_all_finite(new_params)


@pytest.mark.parametrize("name", [name for name in NAMES if hparams_of(name)[1]])
def test_a_static_option_that_is_injected_is_named_in_one_line(name):
    hparams, _ = hparams_of(name)
    with pytest.raises(ValueError, match="choose a plain number, with .*static_args='") as caught:
        optax.inject_hyperparams(factory(name))(**hparams).init(tree())

    assert "\n" not in str(caught.value)


def test_of_the_public_moving_average_only_the_window_is_static():
    average = optax.inject_hyperparams(grokfast_ma, static_args="window")(lamb=2.0, window=3)
    _, state, _ = train(average, tree())

    assert set(state.hyperparams) == {"lamb", "start"}
    with pytest.raises(ValueError, match="grokfast_ma.window is an array.*static_args='window'"):
        optax.inject_hyperparams(grokfast_ma)(lamb=2.0).init(tree())


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_that_is_not_finite_can_be_left_out(name):
    transform = transform_of(name)
    safe = optax.apply_if_finite(transform, max_consecutive_errors=3)
    params, extra = tree(), dict(t=jnp.int32(0), key=jax.random.key(0))
    state, update = safe.init(params), jax.jit(safe.update)
    broken = params | {"bias": params["bias"].at[1].set(jnp.nan)}
    skipped, state = update(broken, state, params, **extra)
    updates, state = update(params, state, params, **extra)
    expected, _ = jax.jit(transform.update)(params, transform.init(params), params, **extra)

    chex.assert_trees_all_equal(skipped, optax.tree.zeros_like(params))
    chex.assert_trees_all_close(updates, expected, rtol=1e-6)


@pytest.mark.parametrize("params", [jnp.float32(0.75), {}], ids=["a scalar", "nothing"])
@pytest.mark.parametrize("name", NAMES)
def test_parameters_may_be_a_bare_scalar_or_nothing(name, params):
    if name in NEEDS_A_LAYER:
        with pytest.raises(ValueError, match="no layer 'readout'"):
            transform_of(name).init(params)
        return
    new_params, _, _ = train(transform_of(name), params)

    chex.assert_trees_all_equal_shapes_and_dtypes(new_params, params)
    chex.assert_tree_all_finite(new_params)
