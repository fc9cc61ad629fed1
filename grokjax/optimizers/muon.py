"""Muon: the nearest orthogonal matrix to the momentum, and AdamW where there is no matrix.

Jordan et al., 2024, "Muon: An optimizer for hidden layers in neural networks",
https://kellerjordan.github.io/posts/muon/
Wang, 2026, "The Active Ingredient in Muon's Grokking", https://arxiv.org/abs/2607.20512: each of
its two parts without the other.
"""

import math

import optax
from jax.tree_util import tree_map_with_path
from optax.contrib import MuonDimensionNumbers

from grokjax.core import selection
from grokjax.core.checks import check_between
from grokjax.core.hparams import Hparam, Scalar, above, whole
from grokjax.optimizers._matrices import num_inputs

NS_STEPS = (0, 20)
RANGES = {"ns_steps": whole(*NS_STEPS), "decayed": selection.KINDS}
HPARAMS = {"adam_ratio": Hparam(0.05, float, above(0), "learning rate of AdamW over that of Muon")}


def make(
    learning_rate: Scalar,
    adam_ratio: Scalar,
    weight_decay: Scalar,
    momentum: Scalar,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    *,
    ns_steps: int = 5,  # of Newton-Schulz; 0: the momentum itself is the step
    scaled: bool = True,  # hidden matrices' steps, by their shapes
    decayed: str = "all",  # which weights: all, matrices (no biases or norms), or hidden ones
) -> optax.GradientTransformation:
    """Moves hidden matrices by the orthogonalised momentum, everything else by AdamW.

        m = momentum m + (1 - momentum) g
        W = W - learning_rate (sqrt(max(1, O / I)) NewtonSchulz(m~) + weight_decay W)

    for a matrix from I inputs to O outputs; m~ is m debiased and looked ahead by one step
    (Nesterov). NewtonSchulz is five steps of a polynomial that brings all singular values of
    m~ / ||m~|| near one. Embeddings, the readout, biases and norms follow AdamW with `b1` and
    `b2`, at `adam_ratio` times the learning rate: Muon's users give both parts a rate of
    their own, say .02 and .001, and both follow one schedule, which a ratio keeps true here.
    Both parts decay, each at its own rate, unless `decayed` leaves some of AdamW's out.

    Without `scaled` the factor sqrt(max(1, O / I)) is left out, so that orthogonalisation is
    alone. With `ns_steps` 0 there is none, and m~ is the sum g + momentum v, v = momentum v + g,
    in the place of a mean, as in `sgd_momentum`; fewer than five steps leave singular values apart.

    Orthogonal matrices have small entries, so Muon wants larger rates than AdamW: .02 is
    usual, with `momentum` .95. The transform is optax's, which debiases the momentum as the
    author's code does not: a difference of the first steps alone. Its own Adam looks
    ahead as well, so here a plain AdamW takes its place.
    """
    check_between("muon.ns_steps", ns_steps, *NS_STEPS)
    if ns_steps and scaled:
        muon = optax.contrib.muon(
            learning_rate,
            ns_steps=ns_steps,
            beta=momentum,
            eps=eps,
            weight_decay=weight_decay,
            muon_weight_dimension_numbers=_dimension_numbers,
        )
    else:
        direction = optax.trace(momentum, nesterov=True)
        if ns_steps:
            direction = optax.contrib.scale_by_muon(
                ns_steps=ns_steps,
                beta=momentum,
                eps=eps,
                weight_dimension_numbers=_dimension_numbers,
            )
        muon = optax.chain(
            direction,
            optax.stateless(_scale_by_shape) if scaled else optax.identity(),
            optax.add_decayed_weights(weight_decay),
            optax.scale(-learning_rate),
        )
    rate = adam_ratio * learning_rate
    mask = selection.mask("muon.decayed", decayed)
    adamw = optax.adamw(rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay, mask=mask)
    return optax.partition({"muon": muon, "adamw": adamw}, _parts)


def _parts(params):
    def part(keys, w):
        return "muon" if selection.is_hidden(keys, w) else "adamw"

    return tree_map_with_path(part, params)


def _dimension_numbers(params):
    """Which axes of each hidden matrix are its inputs and outputs."""

    def numbers(keys, w):
        axes = tuple(range(w.ndim))
        split = num_inputs(keys, w)
        return MuonDimensionNumbers(axes[:split], axes[split:])

    return tree_map_with_path(numbers, params)


def _scale_by_shape(updates, _params):
    def scale(keys, u):
        split = num_inputs(keys, u)
        outputs_per_input = math.prod(u.shape[split:]) / math.prod(u.shape[:split])
        return math.sqrt(max(1, outputs_per_input)) * u

    return tree_map_with_path(scale, updates)
