"""One layer made larger in the middle of training.

Thilak et al., 2022, "The Slingshot Mechanism", https://arxiv.org/abs/2206.04817, see generalising
come with cycles of the last layer's norm; this lets one start such a cycle.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax

from grokjax.core.hparams import Hparam, Scalar, above, steps
from grokjax.core.optimizer import Optimizer

AFTER_STEP = True
LAST = True  # what came after it would not be raised

HPARAMS = {
    "raise_step": Hparam(1000, int, steps(followed_by=1), "step after which a layer is raised"),
    "raise_factor": Hparam(1.0, float, above(0), "factor of its weights"),
}


def make(
    raise_step: Scalar,
    raise_factor: Scalar,
    *,
    layer: str = "readout",  # that is raised: the first part of a parameter's path
) -> Optimizer:
    """Multiplies the weights of a layer by `raise_factor` after step number `raise_step`.

    The layer's bias is raised with its kernel. A model whose readout is tied to its embedding has
    none of its own: choose `token` there.
    """

    def init(params):
        layers = list(params) if isinstance(params, Mapping) else []
        if layer not in layers:
            choices = ", ".join(layers) or "none, for these parameters have no names"
            raise ValueError(f"raise_layer: no layer {layer!r}; choose from {choices}")
        return optax.EmptyState()

    def update(updates, state, params, *, t, **_):
        factor = jnp.where(t == raise_step, raise_factor, 1.0).astype(jnp.float32)
        raised = jax.tree.map(lambda u, w: factor * (w + u) - w, updates[layer], params[layer])
        return {**updates, layer: raised}, state

    return Optimizer(init, update)
