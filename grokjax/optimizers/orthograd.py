"""OrthoGrad: the part of the gradient that turns the weights instead of scaling them.

Prieto et al., 2025, "Grokking at the Edge of Numerical Stability",
https://arxiv.org/abs/2501.04697
"""

import jax
import jax.numpy as jnp
import optax

EPS = 1e-30  # as in the authors' code


def make() -> optax.GradientTransformation:
    """Takes from each tensor's gradient its component along the weights, and keeps its norm.

        o = g - (w . g / w . w) w,    out = o ||g|| / ||o||

    Chain it before an optimizer.
    """

    def turn(g, w):
        o = g - (jnp.vdot(w, g) / (jnp.vdot(w, w) + EPS)) * w
        return o * (jnp.linalg.norm(g.ravel()) / (jnp.linalg.norm(o.ravel()) + EPS))

    return optax.stateless(lambda updates, params: jax.tree.map(turn, updates, params))
