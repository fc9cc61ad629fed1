"""Muon: the nearest orthogonal matrix to the momentum, and AdamW where there is no matrix.

Jordan et al., 2024, "Muon: An optimizer for hidden layers in neural networks",
https://kellerjordan.github.io/posts/muon/
"""

import jax
import optax
from optax.contrib import MuonDimensionNumbers

from grokjax.core.hparams import Hparam, Scalar, above

BY_ADAMW = {"token", "position", "frames", "readout"}  # rows are looked up, or are answers

HPARAMS = {"adam_ratio": Hparam(0.05, float, above(0), "learning rate of AdamW over that of Muon")}


def make(
    learning_rate: Scalar,
    adam_ratio: Scalar,
    weight_decay: Scalar,
    momentum: Scalar,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
) -> optax.GradientTransformation:
    """Moves hidden matrices by the orthogonalised momentum, everything else by AdamW.

        m = momentum m + (1 - momentum) g
        W = W - learning_rate (sqrt(max(1, O / I)) NewtonSchulz(m~) + weight_decay W)

    for a matrix from I inputs to O outputs; m~ is m debiased and looked ahead by one step
    (Nesterov). NewtonSchulz is five steps of a polynomial that brings all singular values of
    m~ / ||m~|| near one. Embeddings, the readout, biases and norms follow AdamW with `b1` and
    `b2`, at `adam_ratio` times the learning rate: Muon's users give both parts a rate of
    their own, say .02 and .001, and both follow one schedule, which a ratio keeps true here.
    Both parts decay, each at its own rate.

    Orthogonal matrices have small entries, so Muon wants larger rates than AdamW: .02 is
    usual, with `momentum` .95. The transform is optax's, which debiases the momentum as the
    author's code does not: a difference of the first steps alone. Its own Adam looks
    ahead as well, so here a plain AdamW takes its place.
    """
    muon = optax.contrib.muon(
        learning_rate,
        beta=momentum,
        eps=eps,
        weight_decay=weight_decay,
        muon_weight_dimension_numbers=lambda params: _map(_dimension_numbers, params),
    )
    rate = adam_ratio * learning_rate
    adamw = optax.adamw(rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay)
    return optax.partition({"muon": muon, "adamw": adamw}, lambda params: _map(_part, params))


def _map(function, params):
    """function(names on the way to a tensor, tensor) for every tensor."""

    def named(path, w):
        return function(set(jax.tree_util.keystr(path, simple=True, separator="/").split("/")), w)

    return jax.tree_util.tree_map_with_path(named, params)


def _part(names, w):
    return "adamw" if w.ndim < 2 or names & BY_ADAMW else "muon"


def _dimension_numbers(names, w):
    """Which axes of a hidden matrix are its inputs and outputs."""
    axes = tuple(range(w.ndim))
    if "out" in names:  # [H, K, D]: from the heads
        return MuonDimensionNumbers(axes[:-1], axes[-1:])
    return MuonDimensionNumbers(axes[:1], axes[1:])  # [D, H, K]: to the heads
