"""An optimizer: optax's pair of functions and two maps of parameters."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import optax


def _same(params, state, key=None):
    del state, key
    return params


class Optimizer(NamedTuple):
    """What a module of `optimizers/` makes. All four are pure and see one run.

    Hyperparameters may be traced: the optimizer is rebuilt inside the step from a run's own
    values, and the structure of its state must not depend on them.
    """

    init: Callable  # (params) -> state
    update: Callable  # (updates, state, params, *, t, key) -> (updates, state)
    forward_params: Callable = _same  # (params, state, key) -> params the gradient is taken at
    eval_params: Callable = _same  # (params, state) -> params that are evaluated


def from_transform(transform: optax.GradientTransformation) -> Optimizer:
    """An optax transform as it is; it gets `t` and `key` if it takes extra arguments."""
    transform = optax.with_extra_args_support(transform)
    return Optimizer(transform.init, transform.update)


def from_factory(factory: Callable[..., optax.GradientTransformation]) -> Callable[..., Optimizer]:
    """A maker of optimizers, with the signature and docstring of a maker of optax transforms."""

    @functools.wraps(factory)
    def make(*args, **kwargs):
        return from_transform(factory(*args, **kwargs))

    return make


def decay_matrices(weight_decay) -> optax.GradientTransformation:
    """Adds weight_decay w to the gradients of all but biases and norms, which have one axis."""

    def matrices(params):
        return jax.tree.map(lambda w: w.ndim > 1, params)

    return optax.add_decayed_weights(weight_decay, mask=matrices)


def chain(*optimizers: Optimizer) -> Optimizer:
    """Applies optimizers left to right; each transforms the updates of the one before."""

    def init(params):
        return tuple(optimizer.init(params) for optimizer in optimizers)

    def update(updates, states, params, *, t, key):
        new_states = []
        for place, (optimizer, state) in enumerate(zip(optimizers, states, strict=True)):
            own_key = None if key is None else jax.random.fold_in(key, place)
            updates, state = optimizer.update(updates, state, params, t=t, key=own_key)
            new_states.append(state)
        return updates, tuple(new_states)

    def forward_params(params, states, key=None):
        for place, (optimizer, state) in enumerate(zip(optimizers, states, strict=True)):
            own_key = None if key is None else jax.random.fold_in(key, place)
            params = optimizer.forward_params(params, state, own_key)
        return params

    def eval_params(params, states):
        for optimizer, state in zip(optimizers, states, strict=True):
            params = optimizer.eval_params(params, state)
        return params

    return Optimizer(init, update, forward_params, eval_params)
