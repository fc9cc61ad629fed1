"""Multi-head attention over the rows of a tree, and the positional encodings inside it.

Positional encodings inside attention: rotary (RoPE) and ALiBi. Rotary: Su et al., 2021, "RoFormer:
Enhanced Transformer with Rotary Position Embedding", https://arxiv.org/abs/2104.09864. ALiBi:
Press, Smith & Lewis, 2022, "Train Short, Test Long: Attention with Linear Biases Enables Input
Length Extrapolation", https://arxiv.org/abs/2108.12409.

QK norm: queries and keys are normalised over a head's width before they are rotated; heads share
the learned scale. `layer`, without a bias: Dehghani et al., 2023, "Scaling Vision Transformers to
22 Billion Parameters", https://arxiv.org/abs/2302.05442; `rms`: Qwen 3, Gemma 3. Henry et al.,
2020, https://arxiv.org/abs/2010.04245, were the first, with one scale for all components.

An attention coefficient c goes from learned attention (1) to attention that is the same for all
keys (0):

    weights = c softmax(q k / sqrt(K)) + (1 - c)

Zhong, Liu, Tegmark & Andreas, 2023, "The Clock and the Pizza: Two Stories in Mechanistic
Explanation of Neural Networks", https://arxiv.org/abs/2306.17844. As in the authors' code every key
gets 1 - c, so that the weights of n keys sum to c + (1 - c) n, and c = 0 sums the values: n times
their mean. Their attention has no mask, as here if `causal` is false; else a position attends to
itself and those before it, and later ones get no 1 - c either. The last position, which is read
out, has all keys as theirs has: of one block, their seven published networks have the same logits
here (to 1e-6 of the largest).
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from grokjax.core.prefixes import Tree

POSITIONS = ("learned", "rotary", "alibi", "none")
QK_NORMS = {  # each takes epsilon and a name
    "none": None,
    "layer": functools.partial(nn.LayerNorm, use_bias=False),
    "rms": nn.RMSNorm,
}
FEW_KEYS = 8  # up to here a multiply and a sum beat a matrix product per example


class Attention(nn.Module):
    """Multi-head attention in which each row of a tree attends to itself and its ancestors.

    Unless it is `causal` it attends to all rows of its sequence, of which none may be shared.

    Keys have no bias: it would add the same to all scores of a query, which the softmax takes
    out again, so its gradient is rounding noise, which Adam would blow up to full steps.
    Vaswani et al., 2017, "Attention Is All You Need", https://arxiv.org/abs/1706.03762
    """

    num_heads: int
    head_width: int
    linear: Callable  # (features, use_bias, name) -> layer
    positions: str = "none"
    qk_norm: Callable | None = None  # (name) -> norm
    coefficient: float = 1.0  # of the softmax; every key gets the rest
    causal: bool = True  # false: to all rows of the sequence

    @nn.compact
    def __call__(
        self, x_ExD: jax.Array, carry: Any, tree: Tree, last_only: bool, dropout: Callable
    ) -> tuple[jax.Array, Any]:
        """[E, D] -> [M, D]; with `last_only`, -> [B, D], the rows of the last position.

        `carry` comes from the attention of the block before, and is returned for the next.
        """
        q = tree.spread(self.heads(tree.pairs(x_ExD, last_only), "query"), last_only)
        k_l = tree.split(tree.spread(self.heads(x_ExD, "key")))
        v_MxHxK, carry = self.values(x_ExD, carry, tree)
        out = self.attend(q, [k_l], [tree.split(v_MxHxK)], tree, last_only, dropout)
        return self.join(out, x_ExD.shape[-1]), carry

    def values(self, x_ExD: jax.Array, carry: Any, tree: Tree) -> tuple[jax.Array, Any]:
        """[M, H, K], and the carry for the next block: a hook."""
        return tree.spread(self.heads(x_ExD, "value")), carry

    def heads(self, x_MxD: jax.Array, name: str) -> jax.Array:
        """[M, H, K]: a linear layer, split into heads, with the norm of queries and keys."""
        y = self.linear(self.num_heads * self.head_width, use_bias=name != "key", name=name)(x_MxD)
        y_MxHxK = y.reshape(*y.shape[:-1], self.num_heads, self.head_width)
        if self.qk_norm is None or name == "value":
            return y_MxHxK
        return self.qk_norm(name=f"norm_{name}")(y_MxHxK)

    def join(self, out_MxHxK: jax.Array, width: int) -> jax.Array:
        """[M, D]: the heads, mixed by a last linear layer."""
        y = out_MxHxK.reshape(*out_MxHxK.shape[:-2], self.num_heads * self.head_width)
        return self.linear(width, name="out")(y)

    def attend(
        self,
        q: jax.Array,
        k_Gl: Sequence[Sequence[jax.Array]],
        v_Gl: Sequence[Sequence[jax.Array]],
        tree: Tree,
        last_only: bool,
        dropout: Callable,
    ) -> jax.Array:
        """[M, H, K]: queries attend to the keys of a row's ancestors and its own, G a row.

        `k_Gl` holds G lists over the positions of arrays [M_l, H, K]. All of them, and the
        queries, may have a multiple of H heads.
        """

        def encoded(x_l, first=0):
            if self.positions != "rotary":
                return x_l
            return [rotate(x, position) for position, x in enumerate(x_l, start=first)]

        k_Gl = [encoded(k_l) for k_l in k_Gl]
        slope_H = None
        if self.positions == "alibi":
            slope_H = np.tile(slopes(self.num_heads), q.shape[1] // self.num_heads)

        def read(q_U, gather):
            k_S = interleave([gather(k_l) for k_l in k_Gl])
            v_S = interleave([gather(v_l) for v_l in v_Gl])
            options = (len(k_Gl), slope_H, self.coefficient, self.causal)
            return attend(q_U, k_S, v_S, dropout, *options)

        if last_only:
            return read(encoded([q], first=tree.length - 1), tree.per_example)
        q_l = encoded(tree.split(q))
        shared = [
            read([q_l[position]], functools.partial(tree.path, position=position))
            for position in range(tree.num_shared)
        ]
        return jnp.concatenate([*shared, read(q_l[tree.num_shared :], tree.per_example)])


def interleave(x_Gl: Sequence[Sequence]) -> list:
    """G lists over positions as one list, the G entries of a position next to each other."""
    return [x for x_G in zip(*x_Gl, strict=True) for x in x_G]


def attend(
    q_U: Sequence[jax.Array],
    k_S: Sequence[jax.Array],
    v_S: Sequence[jax.Array],
    dropout: Callable,
    group: int = 1,
    slope_H: np.ndarray | None = None,
    coefficient: float = 1.0,
    causal: bool = True,
) -> jax.Array:
    """[U M, H, K]: queries of the last U positions attend to keys up to their own position.

    Queries, keys and values come position by position, `group` keys at each, as arrays
    [M, H, K] with matching rows. Few keys are multiplied and summed; many are a matrix
    product. `slope_H` is what a position of distance costs each head's scores; `coefficient`
    scales the softmax, and every key that is attended to gets what is left of 1. Unless it is
    `causal`, all keys are attended to, at distances either way.
    """

    def weigh(score, attended=True):
        weight = jax.nn.softmax(score)
        if coefficient != 1:
            weight = coefficient * weight + np.float32(1 - coefficient) * attended
        return dropout(weight)

    position_S = np.arange(len(k_S)) // group
    position_U = np.arange(len(q_U)) + position_S[-1] + 1 - len(q_U)
    distance_UxS = position_U[:, None] - position_S
    attended_UxS = distance_UxS >= 0
    if not causal:
        attended_UxS = np.ones_like(attended_UxS)
        distance_UxS = np.abs(distance_UxS)
    bias_HxUxS = None
    if slope_H is not None:
        bias_HxUxS = -slope_H[:, None, None] * distance_UxS.astype(np.float32)
    if len(k_S) > FEW_KEYS:
        return _by_matmul(q_U, k_S, v_S, weigh, ~attended_UxS, bias_HxUxS)
    out = []
    for u, (q_MxHxK, n) in enumerate(zip(q_U, attended_UxS.sum(axis=1), strict=True)):
        bias_HxS = None if bias_HxUxS is None else bias_HxUxS[:, u, :n]
        out.append(_by_sum(q_MxHxK, k_S[:n], v_S[:n], weigh, bias_HxS))
    return jnp.concatenate(out)


def _by_matmul(q_U, k_S, v_S, weigh, masked_UxS, bias_HxUxS):
    """[U M, H, K]: matmul of all queries with all keys, of which some are masked."""
    q_UxMxHxK, k_SxMxHxK, v_SxMxHxK = (jnp.stack(x) for x in (q_U, k_S, v_S))
    score_MxHxUxS = jnp.einsum("umhk,smhk->mhus", q_UxMxHxK, k_SxMxHxK) * _scale(q_UxMxHxK)
    if bias_HxUxS is not None:
        score_MxHxUxS += bias_HxUxS[None]
    masked_UxS = masked_UxS[None, None]
    masked_MxHxUxS = jnp.where(masked_UxS, -jnp.inf, score_MxHxUxS)
    weight_MxHxUxS = weigh(masked_MxHxUxS, ~masked_UxS)
    out_UxMxHxK = jnp.einsum("mhus,smhk->umhk", weight_MxHxUxS, v_SxMxHxK)
    return out_UxMxHxK.reshape(-1, *out_UxMxHxK.shape[2:])


def _by_sum(q_MxHxK, k_S, v_S, weigh, bias_HxS):
    """[M, H, K]: each query attends to all of its S keys."""
    score_MxHxS = jnp.stack([(q_MxHxK * k).sum(-1) for k in k_S], axis=-1) * _scale(q_MxHxK)
    if bias_HxS is not None:
        score_MxHxS += bias_HxS[None]
    weight_MxHxS = weigh(score_MxHxS)
    return sum(weight_MxHxS[..., s, None] * v for s, v in enumerate(v_S))


def _scale(q):
    return q.shape[-1] ** -0.5


def rotate(x_MxHxK: jax.Array, position: int) -> jax.Array:
    """Rotates pair i of the components of each head by the angle `position` 10000^(-2i / K).

    The dot product of a query at position m and a key at n then depends on both only through
    m - n. Pair i is (i, i + K/2), as in most code; the paper's (2i, 2i + 1) is the same up to
    the order of the columns of the query's and key's weights.
    """
    half = x_MxHxK.shape[-1] // 2
    angle_k = position * 10000.0 ** (-np.arange(half) / half)
    cos_k = np.cos(angle_k).astype(np.float32)[None, None]
    sin_k = np.sin(angle_k).astype(np.float32)[None, None]
    a_MxHxk, b_MxHxk = jnp.split(x_MxHxK, 2, axis=-1)
    rotated = (a_MxHxk * cos_k - b_MxHxk * sin_k, a_MxHxk * sin_k + b_MxHxk * cos_k)
    return jnp.concatenate(rotated, axis=-1)


def slopes(num_heads: int) -> np.ndarray:
    """[H]: what one position of distance costs the scores of each head: 2^(-8 h / H).

    The authors' code has another series where H is no power of two; their formula does not.
    """
    return (2.0 ** (-8 * np.arange(1, num_heads + 1) / num_heads)).astype(np.float32)
