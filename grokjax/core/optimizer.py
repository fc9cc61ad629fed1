"""An optimizer: optax's pair of functions and two maps of parameters."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import optax

from grokjax.core.checks import check_alike


class Optimizer(NamedTuple):
    """What a module of `optimizers/` makes, or an optax transform. All four see one run.

    Hyperparameters may be traced: the optimizer is rebuilt inside the step from a run's own
    values, and the structure of its state must not depend on them.
    """

    init: Callable  # (params) -> state
    update: Callable  # (updates, state, params, *, t, key) -> (updates, state)
    forward_params: Callable = lambda params, *_: params  # (params, state, key): for the gradient
    eval_params: Callable = lambda params, _: params  # (params, state): that are evaluated


def as_optimizer(made: Optimizer | optax.GradientTransformation, name: str = "") -> Optimizer:
    """An optax transform gets `t` and `key` if it takes extra arguments.

    Updates and state keep their dtypes: a float32 hyperparameter would make those of bfloat16
    parameters float32. One that changes their structure or shapes is a ValueError with its name.
    """
    if not isinstance(made, Optimizer):
        made = Optimizer(*optax.with_extra_args_support(made))

    def update(updates, state, params=None, **extra):
        new_updates, new_state = made.update(updates, state, params, **extra)
        check_alike(f"optimizer {name} returns another state than its init", new_state, state)
        check_alike(f"optimizer {name} returns other updates than it gets", new_updates, updates)
        new_state = optax.tree.cast_like(new_state, state)
        return optax.tree.cast_like(new_updates, updates), new_state

    return made._replace(update=update)


def chain(*made: Optimizer | optax.GradientTransformation) -> Optimizer:
    """Applies optimizers left to right; each transforms the updates of the one before."""
    optimizers = [as_optimizer(one) for one in made]

    def places(states, key):
        """Each optimizer with its state and a key of its own."""
        keys = [None if key is None else jax.random.fold_in(key, i) for i in range(len(made))]
        return zip(optimizers, states, keys, strict=True)

    def init(params):
        return tuple(optimizer.init(params) for optimizer in optimizers)

    def update(updates, states, params, *, t, key):
        new_states = []
        for optimizer, state, own_key in places(states, key):
            updates, state = optimizer.update(updates, state, params, t=t, key=own_key)
            new_states.append(state)
        return updates, tuple(new_states)

    def forward_params(params, states, key=None):
        for optimizer, state, own_key in places(states, key):
            params = optimizer.forward_params(params, state, own_key)
        return params

    def eval_params(params, states):
        for optimizer, state in zip(optimizers, states, strict=True):
            params = optimizer.eval_params(params, state)
        return params

    return Optimizer(init, update, forward_params, eval_params)
