"""Training on a sphere: weights of a constant norm.

Liu, Michaud & Tegmark, 2022, "Omnigrok: Grokking Beyond Algorithmic Data",
https://arxiv.org/abs/2210.01117
Truong et al., 2026, "The Weight Norm Sets the Grokking Timescale: A Causal Delay Law",
https://arxiv.org/abs/2606.13753: matrices alone, a given norm, from a given step on.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from grokjax.core import selection
from grokjax.core.checks import check_at_least
from grokjax.core.hparams import Hparam, Scalar, above, at_least, check_ranges

AFTER_STEP = True
LAST = True  # a step changed after it would leave the sphere
STEPS = ("start",)  # options that are lengths in steps
RANGES = {
    "reference": above(0),
    "weights": selection.KINDS,
    "start": at_least(0, "steps"),
}

HPARAMS = {"norm_factor": Hparam(0.8, float, above(0), "norm of the weights, over the initial one")}


def make(
    norm_factor: Scalar,
    *,
    reference: float | None = None,  # the norm that norm_factor multiplies; none: the initial one
    weights: str = "all",  # whose norm: all, matrices (no biases or norms), or hidden ones
    start: int = 0,  # number of the first step after which the norm is held
) -> optax.GradientTransformation:
    """Rescales the weights after each step to `norm_factor` times their initial norm.

        w = norm_factor ||w_0|| (w + u) / ||w + u||

    The norm is over all parameters, biases and norms too. The authors rescale before the
    first step as well; here the first gradient is taken at w_0. Chain it last, and without
    weight decay, which it would undo. Behind splus it holds the weights that are trained;
    their mean, which is evaluated, lies inside the sphere.

    Truong et al. hold the matrices of a network, together, at `norm_factor` times the norm at
    which it groks when left alone, 54.49 say (`reference`), after their 500th step (`start` 499).

    Raises:
        ValueError: for an option out of its range.
    """
    check_at_least("hold_norm.start", start, 0)
    check_ranges("hold_norm.", {"reference": reference}, {"reference": RANGES["reference"]})
    mask = selection.mask("hold_norm.weights", weights)

    def init(params):
        return optax.tree.norm(params)

    def update(updates, state, params=None, *, t: Any = 0, **_):
        moved = optax.tree.add(params, updates)
        wanted = norm_factor * (state if reference is None else reference)
        scale = wanted / optax.tree.norm(moved)
        held = jax.tree.map(lambda new, w: scale * new - w, moved, params)
        if start:
            held = jax.tree.map(lambda h, u: jnp.where(t < start, u, h), held, updates)
        return held, state

    hold = optax.GradientTransformationExtraArgs(init, update)
    return hold if mask is None else optax.masked(hold, mask)
