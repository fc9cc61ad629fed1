"""The gradient of each neuron's incoming weights at unit length.

Saheb Pasand & Dohmatob, 2025, "Egalitarian Gradient Descent: A Simple Approach to Accelerated
Grokking", https://arxiv.org/abs/2510.04930: what they compare `egd` with.
"""

import jax.numpy as jnp
import optax

from grokjax.optimizers._matrices import on_hidden

FLOOR = 0.01  # what a column is divided by at least, as in the authors' code


def make() -> optax.GradientTransformation:
    """Divides each column, the weights into one neuron, of hidden matrices' gradients by its norm.

        G_io    ->    G_io / max(||G_o||, .01)

    As in `egd`, which also says what comes before it, all other gradients stay as they are.
    """
    return on_hidden(lambda g: g / jnp.maximum(jnp.linalg.norm(g, axis=0, keepdims=True), FLOOR))
