"""Where a row stands, told to attention: by turning queries and keys, or by a distance's cost.

Rotary: Su et al., 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding",
https://arxiv.org/abs/2104.09864. ALiBi: Press, Smith & Lewis, 2022, "Train Short, Test Long:
Attention with Linear Biases Enables Input Length Extrapolation",
https://arxiv.org/abs/2108.12409.
"""

import jax.numpy as jnp
import numpy as np

POSITIONS = ("learned", "rotary", "alibi", "none")


def rotate(x_MxHxK, position: int):
    """Turns pair i of the numbers of each head by the angle `position` 10000^(-2i / K).

    The product of a query at position m and a key at n then depends on both only through
    m - n. Pair i is (i, i + K/2), as in most code; the paper's (2i, 2i + 1) is the same up to
    the order of the columns of the query's and key's weights.
    """
    half = x_MxHxK.shape[-1] // 2
    angle_k = position * 10000.0 ** (-np.arange(half) / half)
    cos_k, sin_k = np.float32(np.cos(angle_k)), np.float32(np.sin(angle_k))
    a_MxHxk, b_MxHxk = jnp.split(x_MxHxK, 2, axis=-1)
    turned = (a_MxHxk * cos_k - b_MxHxk * sin_k, a_MxHxk * sin_k + b_MxHxk * cos_k)
    return jnp.concatenate(turned, axis=-1)


def slopes(num_heads: int) -> np.ndarray:
    """[H]: what one position of distance costs the scores of each head: 2^(-8 h / H).

    The authors' code has another series where H is no power of two; their formula does not.
    """
    return np.float32(2.0 ** (-8 * np.arange(1, num_heads + 1) / num_heads))
