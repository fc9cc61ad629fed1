"""A ceiling above the norms of hidden matrices.

Ponyu, 2026, "Muon-accelerated grokking: causal norm-cap test",
https://github.com/PeterPonyu/muon-norm-cap-grokking
"""

import jax
import jax.numpy as jnp
import optax

from grokjax.core import selection
from grokjax.core.hparams import Hparam, Scalar, above

AFTER_STEP = True
LAST = True  # a step changed after it could pass the ceiling

HPARAMS = {
    "ceiling": Hparam(1.0, float, above(0), "largest norm of a hidden matrix, over its initial one")
}


def make(ceiling: Scalar) -> optax.GradientTransformation:
    """Scales a hidden matrix back after each step that takes its norm above the ceiling.

        W = W + U,    W = W min(1, ceiling ||W_0|| / ||W||)

    The norm is Frobenius's, of each matrix by itself. Nothing is ever scaled up, so weight decay
    acts as it does without. Embeddings, the readout, biases and norms are free, as under `muon`;
    the authors cap what their Muon trains.
    """

    def init(params):
        return jax.tree.map(jnp.linalg.norm, params)

    def update(updates, state, params=None, **_):
        def cap(u, norm_0, w):
            moved = w + u
            norm = jnp.linalg.norm(moved)
            highest = ceiling * norm_0
            return jnp.where(norm > highest, highest / norm * moved - w, u)

        return jax.tree.map(cap, updates, state, params), state

    capped = optax.GradientTransformationExtraArgs(init, update)
    return optax.masked(capped, selection.mask("norm_ceiling", "hidden"))
