"""Waves on a cyclic group Z_n, and how much of a function of two numbers is theirs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from grokjax.core.data import Cyclic
from grokjax.measures._linear import dot


class Waves(NamedTuple):
    """Cosines and sines of w_k i, w_k = 2 pi k / n, for the frequencies k = 1 .. K, K = n // 2.

    There are W = n - 1 of them, without a sine where k = n / 2: all that is not constant.
    """

    wave_Wxn: np.ndarray  # float32, orthonormal
    of_KxW: np.ndarray  # float32: 1 if the wave is of the frequency
    rows_4xnxn: np.ndarray  # int32: n pairs with the same i, with the same j, i + j, i - j

    @property
    def order(self) -> int:
        """n, the number of elements."""
        return self.wave_Wxn.shape[1]

    @property
    def frequencies(self) -> np.ndarray:
        """[K]: 1 .. n // 2."""
        return np.arange(1, len(self.of_KxW) + 1)

    @property
    def sum_nxn(self) -> np.ndarray:
        """The rows of the task's table with the same sum i + j."""
        return self.rows_4xnxn[2]

    def components(self, x_nxF: jax.Array) -> jax.Array:
        """[W, F]: the components of functions of one number."""
        return jnp.matmul(self.wave_Wxn, x_nxF, precision="highest")

    def power(self, x_nxF: jax.Array) -> jax.Array:
        """[K, F]: the sums of squares of a frequency's components."""
        return jnp.matmul(self.of_KxW, self.components(x_nxF) ** 2, precision="highest")

    def kept(self, x_nxF: jax.Array, keys_K: jax.Array) -> jax.Array:
        """[n, F]: the part of the frequencies for which `keys_K` is 1, not 0."""
        components_WxF = self.components(x_nxF) * (keys_K @ self.of_KxW)[:, None]
        return jnp.matmul(self.wave_Wxn.T, components_WxF, precision="highest")

    def power_of_pairs(self, x_NxF: jax.Array) -> jax.Array:
        """[K, F]: power of one frequency in functions of both numbers, the rows of a table.

        It is that of cos w_k i, sin w_k i, cos w_k j, sin w_k j, and of their four products, which
        span the waves of i + j and of i - j. Each is found from means over n pairs: exact, and in
        a fraction of the time of a transform in two dimensions.
        """
        rows_4xnxn = jnp.asarray(self.rows_4xnxn)
        power_4xKxF = jax.lax.map(lambda rows_nxn: self.power(x_NxF[rows_nxn].mean(1)), rows_4xnxn)
        # for k = n / 2 the waves of i + j and of i - j are the same
        differs_K = (2 * self.frequencies != self.order).astype(np.float32)
        return self.order * (power_4xKxF[:3].sum(0) + power_4xKxF[3] * differs_K[:, None])

    def variation(self, x_NxF: jax.Array) -> jax.Array:
        """[F]: the sum of squares of what is not constant in functions of both numbers."""
        counted_N = np.isin(np.arange(len(x_NxF)), self.sum_nxn).astype(np.float32)
        mean_F = jnp.matmul(counted_N, x_NxF, precision="highest") / counted_N.sum()
        return (counted_N[:, None] * (x_NxF - mean_F[None]) ** 2).sum(0)


def waves(group: Cyclic) -> Waves:
    """The waves of a group of two elements or more."""
    n = group.order
    frequency_W = np.arange(2, n + 1) // 2  # 1, 1, 2, 2, ...
    shift_W = np.arange(n - 1) % 2 * np.pi / 2  # cosine, sine, ...
    angle_Wxn = 2 * np.pi / n * (frequency_W[:, None] * np.arange(n) % n)
    wave_Wxn = np.cos(angle_Wxn - shift_W[:, None])
    wave_Wxn /= np.linalg.norm(wave_Wxn, axis=1, keepdims=True)
    of_KxW = np.arange(1, n // 2 + 1)[:, None] == frequency_W
    same_nxn, j_nxn = np.indices((n, n))
    row_nxn = group.row_nxn
    sum_nxn = row_nxn[(same_nxn - j_nxn) % n, j_nxn]
    difference_nxn = row_nxn[(same_nxn + j_nxn) % n, j_nxn]
    rows_4xnxn = np.stack([row_nxn, row_nxn.T, sum_nxn, difference_nxn])
    return Waves(wave_Wxn.astype(np.float32), of_KxW.astype(np.float32), rows_4xnxn)


def inverse_participation(power_KxF: jax.Array) -> jax.Array:
    """[]: the inverse participation ratio of spectra, the mean over those that are not zero.

    It is the sum of s_k^2 of the shares s_k of power: 1 for a single frequency, 1 / m for m
    frequencies of the same power.
    """
    share_KxF = power_KxF / power_KxF.sum(0, keepdims=True)
    return jnp.nanmean((share_KxF**2).sum(0))


def gini(size_W: jax.Array) -> jax.Array:
    """[]: the Gini coefficient of sizes, 0 if all are equal, 1 - 1 / W if all but one are 0.

    Hurley & Rickard, 2009, "Comparing Measures of Sparsity", https://arxiv.org/abs/0811.4706
    """
    count = len(size_W)
    weight_W = (count - np.arange(count) - 0.5) / count  # of the smallest first
    return 1 - 2 * dot(jnp.sort(size_W), jnp.asarray(weight_W, jnp.float32)) / size_W.sum()
