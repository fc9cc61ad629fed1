"""Hidden layers' weights as matrices from inputs to outputs, whatever their axes."""

import math
from collections.abc import Callable

import jax
import optax

from grokjax.core.selection import is_hidden, path_of


def num_inputs(keys: tuple, w: jax.Array) -> int:
    """How many axes are inputs: the first one, of a kernel `out` [H, K, D] all but the last."""
    return w.ndim - 1 if "out" in path_of(keys).split("/") else 1


def on_hidden(function: Callable[[jax.Array], jax.Array]) -> optax.GradientTransformation:
    """Puts function(gradient [I, O]) in the place of the gradient of each hidden matrix."""

    def replace(keys, g):
        if not is_hidden(keys, g):
            return g
        size = math.prod(g.shape[: num_inputs(keys, g)])
        return function(g.reshape(size, -1)).reshape(g.shape)

    return optax.stateless(lambda updates, _: jax.tree_util.tree_map_with_path(replace, updates))
