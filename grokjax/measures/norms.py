"""How large the weights and the logits are, and how far the weights have gone.

Generalising solutions are small ones: after memorising, weight decay takes the norm down, and
validation accuracy rises while it falls (Liu, Michaud & Tegmark, 2022, "Omnigrok: Grokking Beyond
Algorithmic Data", https://arxiv.org/abs/2210.01117). Without decay norms and logits grow on.

    total      ||w||_2 of all weights;  matrices  of those with two axes or more
    rms        ||w||_2 / sqrt(number of weights)
    embedding, readout, hidden       ||w||_2 of the three groups
    distance   ||w - w_0||_2,   cosine  w . w_0 / (||w|| ||w_0||),   w_0 before the first step
    spectral [K]      ||W||_2, the largest singular value of each matrix
    stable_rank [K]   ||W||_F^2 / ||W||_2^2, from 1 for a matrix of rank one to its smaller side
    logit_scale       root mean square of the logits of `examples` training examples, or of all if
                      there are no more, after each example's mean is taken off

Stable rank: Rudelson & Vershynin, 2007, "Sampling from Large Matrices: An Approach through
Geometric Functional Analysis", https://arxiv.org/abs/math/0503442. That logits, not the norm by
itself, set the time to grok: Truong, 2026, "What Does the Weight Norm Control in Grokking?",
https://arxiv.org/abs/2606.18465; the mean is taken off because softmax does not see it.

Groups are found by paths. Tables named `token`, `position` or `frames` are the embedding; the
module that `network.last_layer` reads is the readout, its bias included; the rest is hidden. Of a
tied readout there is no weight besides the embedding: `readout` is 0.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from grokjax.core import lapack, weight_stats
from grokjax.core.checks import MAX_ROWS
from grokjax.core.data import Task
from grokjax.core.hparams import check_ranges, whole
from grokjax.core.measure import Measure, View
from grokjax.core.selection import kinds_of
from grokjax.measures._linear import dot

GROUPS = ("embedding", "hidden", "readout")
EMBEDDING = {"token", "position", "frames"}
RANGES = {"examples": whole(1, MAX_ROWS)}
TITLES = {
    "total": "Norm of all weights",
    "matrices": "Norm of the matrices",
    "rms": "Root mean square of the weights",
    "embedding": "Norm of the embeddings",
    "hidden": "Norm of the hidden layers",
    "readout": "Norm of the readout",
    "distance": "Distance from the initial weights",
    "cosine": "Cosine to the initial weights",
    "spectral": "Largest singular value of each matrix",
    "largest_spectral": "Largest singular value of any matrix",
    "stable_rank": "Stable rank of each matrix",
    "mean_stable_rank": "Stable rank, mean of the matrices",
    "logit_scale": "Root mean square of the centred logits",
}
LOGARITHMIC = ("spectral", "largest_spectral", "logit_scale")


def make(
    task: Task,
    network: nn.Module,
    *,
    examples: int = 512,  # training examples whose logits are looked at
) -> Measure:
    """The norms of weights and logits.

    `spectral` and `stable_rank` have one number for each matrix, in the order of `matrix_names`;
    `largest_spectral` is the largest of them, `mean_stable_rank` the mean.
    """
    del task
    check_ranges("measure.norms.", locals(), RANGES)

    def compute(view: View) -> dict[str, jax.Array]:
        params = view.params
        initial = view.initial_params()
        leaves = jax.tree.leaves(params)
        total = weight_stats.norm(params)
        by_group = list(zip(groups(network, params), leaves, strict=True))
        in_group = {name: [w for group, w in by_group if group == name] for name in GROUPS}
        matrices = [w for w in leaves if w.ndim == 2]
        spectral_K = jnp.stack([_spectral_norm(w) for w in matrices])
        stable_rank_K = jnp.stack([jnp.square(w).sum() for w in matrices]) / spectral_K**2
        product = sum(
            (now * then).sum() for now, then in zip(leaves, jax.tree.leaves(initial), strict=True)
        )
        rows_B, once_B = view.train_rows(examples)
        logits_BxC = view.logits(params, rows_B)
        centred_BxC = logits_BxC - logits_BxC.mean(axis=1, keepdims=True)
        square_B = jnp.square(centred_BxC).mean(axis=1)
        return {
            "total": total,
            "matrices": weight_stats.norm([w for w in leaves if w.ndim > 1]),
            "rms": total / weight_stats.count(params) ** 0.5,
            **{name: weight_stats.norm([jnp.zeros(1), *in_group[name]]) for name in GROUPS},
            "distance": weight_stats.norm(optax.tree.sub(params, initial)),
            "cosine": product / (total * weight_stats.norm(initial)),
            "spectral": spectral_K,
            "largest_spectral": spectral_K.max(),
            "stable_rank": stable_rank_K,
            "mean_stable_rank": stable_rank_K.mean(),
            "logit_scale": jnp.sqrt(dot(square_B, once_B) / once_B.sum()),
        }

    return Measure(compute)


def matrix_names(params: optax.Params) -> list[str]:
    """The K matrices in the order of `spectral` and `stable_rank`: `block_0/mlp/up`, `token`."""
    paths = [path for path, w in _leaves(params) if w.ndim == 2]
    return ["/".join(path).removesuffix("/kernel") for path in paths]


def groups(network: nn.Module, params: optax.Params) -> list[str]:
    """The group of each leaf of the tree: embedding, hidden or readout."""
    with jax.ensure_compile_time_eval():  # which leaves does the last layer depend on?
        zeros = jax.tree.map(lambda w: jnp.zeros(w.shape, w.dtype), params)
        layer, pull_back = jax.vjp(network.last_layer, zeros)
        (slopes,) = pull_back(jnp.ones_like(layer))
        read = [path for path, slope in _leaves(slopes) if slope.any()]
    modules = [path[:-1] for path in read if len(path) > 1]

    def group(path):
        if EMBEDDING & kinds_of(path):  # `token` itself, or the table of an nn.Embed
            return "embedding"
        return "readout" if path in read or path[:-1] in modules else "hidden"

    return [group(path) for path, _ in _leaves(params)]


def _leaves(params):
    """(path of names, weights) of each leaf, in the tree's order."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return [(tuple(key.key for key in path), w) for path, w in leaves]


def _spectral_norm(w_IxO):
    """The largest singular value, from the smaller of W W' and W' W."""
    if w_IxO.shape[0] > w_IxO.shape[1]:
        w_IxO = w_IxO.T
    gram_IxI = jnp.matmul(w_IxO, w_IxO.T, precision="highest")
    return jnp.sqrt(lapack.eigvalsh(gram_IxI)[-1])
