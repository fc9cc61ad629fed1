"""The shapes of a model's weights, for measures that read some of them by name."""

from typing import Any

import flax.linen as nn
import jax
import numpy as np

from grokjax.core.data import Task
from grokjax.core.prefixes import plain


def weights(task: Task, network: nn.Module) -> Any:
    """The parameter tree of a model by shapes; nothing is computed."""
    any_input = plain(np.asarray(task.examples.inputs_NxL[:1]))
    return jax.eval_shape(network.init, jax.random.key(0), any_input)["params"]
