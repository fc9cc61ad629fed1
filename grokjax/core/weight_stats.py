"""Sparsity and spectral norms of a parameter tree.

All functions take the parameter tree of one run, embeddings, biases and norms included; `jax.vmap`
gives them the run axis.
"""

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from grokjax.core import lapack

SMALL = 0.01  # weights below it are often counted as zero


def norm(tree: optax.Params) -> jax.Array:
    """||w||_2 over all of a tree."""
    # a CPU takes less for these than for the products of optax.tree.norm
    squares = [jnp.vdot(w, w, precision="highest") for w in jax.tree.leaves(tree)]
    return jnp.sqrt(jnp.sum(jnp.stack(squares)))


def sparsity(params: optax.Params, threshold: ArrayLike = SMALL) -> jax.Array:
    """The fraction of weights with |w| < threshold."""
    small = [(jnp.abs(w) < threshold).sum(dtype=jnp.int32) for w in jax.tree.leaves(params)]
    return jnp.asarray(sum(small)) / count(params)


def count(params: optax.Params) -> int:
    """The number of weights."""
    return sum(w.size for w in jax.tree.leaves(params))


def prune(params: optax.Params, threshold: ArrayLike) -> optax.Params:
    """The weights with |w| < threshold set to zero, those of embeddings, biases and norms too.

    Magnitude pruning: Han, Pool, Tran & Dally, 2015, "Learning both Weights and Connections for
    Efficient Neural Networks", https://arxiv.org/abs/1506.02626; without their retraining, since
    the question is what the trained network can do without.
    """
    return jax.tree.map(lambda w: jnp.where(jnp.abs(w) < threshold, 0.0, w), params)


def spectral_norms(params: optax.Params) -> dict[str, jax.Array]:
    """The largest singular value of every matrix, by the name of its layer or table.

    A layer of embeddings or of a linear map multiplies no vector by more than this. A kernel goes
    by its layer, such as `block_0/mlp/up`.
    """
    norms = {}
    for path, w in jax.tree_util.tree_leaves_with_path(params):
        if w.ndim == 2:
            name = jax.tree_util.keystr(path, simple=True, separator="/").removesuffix("/kernel")
            norms[name] = lapack.spectral_norm(w)
    return norms
