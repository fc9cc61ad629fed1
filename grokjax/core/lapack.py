"""Decompositions of matrices by LAPACK, which do not wait for each other under `vmap`.

On a CPU jaxlib spreads a batch of matrices over XLA's threads, and one of these waits for it: two
batches at once, on two cores, wait for ever (seen with jaxlib 0.10.2 and 0.12.0.1). So a batch is
taken there one matrix after the other; other devices take it whole. None of these can be
differentiated backwards.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp


def _one_by_one(function: Callable) -> Callable:
    """A function of a matrix, whose batches are loops on a CPU."""
    looped = jax.custom_batching.sequential_vmap(function)

    @functools.wraps(function)
    def chosen(*arrays):
        return jax.lax.platform_dependent(*arrays, cpu=looped, default=function)

    return chosen


@_one_by_one
def eigh(a_DxD: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The eigenvalues of a symmetric matrix, smallest first, and in columns its eigenvectors."""
    values_D, vectors_DxD = jnp.linalg.eigh(a_DxD)
    return values_D, vectors_DxD


@_one_by_one
def eigvalsh(a_DxD: jax.Array) -> jax.Array:
    """The eigenvalues [D] alone."""
    return jnp.linalg.eigvalsh(a_DxD)


@_one_by_one
def svd(a_NxD: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """U [N, K], the singular values [K], largest first, and V' [K, D], K = min(N, D)."""
    u_NxK, s_K, vt_KxD = jnp.linalg.svd(a_NxD, full_matrices=False)
    return u_NxK, s_K, vt_KxD


@_one_by_one
def spectral_norm(a_NxD: jax.Array) -> jax.Array:
    """The largest singular value []."""
    return jnp.linalg.norm(a_NxD, ord=2)


@_one_by_one
def solve(a_DxD: jax.Array, b_DxN: jax.Array) -> jax.Array:
    """[D, N]: x of a x = b."""
    return jnp.linalg.solve(a_DxD, b_DxN)
