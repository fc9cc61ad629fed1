"""Linear algebra of symmetric matrices that are seen through products alone."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from grokjax.core import lapack


class Eigenvalue(NamedTuple):
    """An approximate eigenvalue lambda, and ||H v - lambda v|| of its unit vector v."""

    value: jax.Array
    residual: jax.Array


def lanczos(
    product: Callable, start_P: jax.Array, iterations: int
) -> tuple[Eigenvalue, Eigenvalue]:
    """The smallest and the largest eigenvalue of a symmetric matrix.

    H is seen only by `product(v_P) -> H v`. In the basis Q of K vectors that are built from
    `start_P` it is tridiagonal; the extremes of that small matrix come close to those of H. Each
    new vector is made orthogonal to all others twice. Where H and `start_P` allow no further vector
    the rest of the diagonal repeats its first entry, which is no extreme. Lanczos, 1950, "An
    Iteration Method for the Solution of the Eigenvalue Problem".
    """
    size = min(iterations, start_P.size)

    def step(carry, k):
        basis_KxP, q_P, alive, first = carry
        basis_KxP = basis_KxP.at[k].set(q_P)
        h_P = product(q_P)
        diagonal = jnp.where(alive, dot(q_P, h_P), first)
        length = norm(h_P)
        for _ in range(2):
            h_P = h_P - dot(dot(basis_KxP, h_P), basis_KxP)
        beside = norm(h_P)
        first = jnp.where(k == 0, diagonal, first)
        alive = alive & (beside > 1e-6 * length)  # else it is rounding
        beside = jnp.where(alive, beside, 0.0)
        q_P = jnp.where(alive, h_P / jnp.where(alive, beside, 1.0), 0.0)
        return (basis_KxP, q_P, alive, first), (diagonal, beside)

    q_P = start_P / norm(start_P)
    basis_KxP = jnp.zeros((size, q_P.size), q_P.dtype)
    carry = (basis_KxP, q_P, jnp.asarray(True), jnp.zeros((), q_P.dtype))
    _, (diagonal_K, beside_K) = jax.lax.scan(step, carry, jnp.arange(size))
    small_KxK = jnp.diag(diagonal_K) + jnp.diag(beside_K[:-1], 1) + jnp.diag(beside_K[:-1], -1)
    values_K, vectors_KxK = lapack.eigh(small_KxK)
    residual_K = beside_K[-1] * jnp.abs(vectors_KxK[-1])
    return Eigenvalue(values_K[0], residual_K[0]), Eigenvalue(values_K[-1], residual_K[-1])


def hutchinson(
    product: Callable, key: jax.Array, size: int, probes: int
) -> tuple[jax.Array, jax.Array]:
    """The trace of a matrix of which only products are known, and its standard error.

    The mean of v H v over vectors v of random signs. A diagonal H has no error.
    """

    def one(key):
        signs_P = jax.random.rademacher(key, (size,), jnp.float32)
        return dot(signs_P, product(signs_P))

    traces_K = jax.lax.map(one, jax.random.split(key, probes))
    return traces_K.mean(), traces_K.std(ddof=1) / np.sqrt(probes)


def dot(x: jax.Array, y: jax.Array) -> jax.Array:
    """The product in full float32, on accelerators too."""
    return jnp.dot(x, y, precision="highest")


def norm(x_P: jax.Array) -> jax.Array:
    """The length of a vector."""
    return jnp.sqrt(dot(x_P, x_P))
