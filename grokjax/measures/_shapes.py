"""A model's weights, for measures that read some of them by name."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from grokjax.core.data import Task
from grokjax.core.prefixes import plain


def weights(task: Task, network: nn.Module) -> Any:
    """The parameter tree of a model by shapes; nothing is computed."""
    any_input = plain(np.asarray(task.examples.inputs_NxL[:1]))
    return jax.eval_shape(network.init, jax.random.key(0), any_input)["params"]


def embedding(network: nn.Module, params: Mapping[str, Any]) -> jax.Array:
    """[V, D]: the token embeddings, or the weights of one-hot codes at the first position.

    NaN [V, 1] for a model that has neither. Of embeddings for each position they are the first's.
    """
    if "token_0" in params:
        return params["token_0"]
    if "token" in params:
        return jax.tree.leaves(params["token"])[0]  # an array, or the only one of an nn.Embed
    if getattr(network, "code", "") == "one_hot" and network.slots[:1] in ((), (0,)):
        return params["kernel_0"][: network.num_tokens]
    return jnp.full((network.num_tokens, 1), jnp.nan)
