"""Multi-head attention over the rows of a tree."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from grokjax.core.prefixes import Tree
from grokjax.models._positions import rotate, slopes

FEW_KEYS = 8  # up to here a multiply and a sum beat a matrix product per example


class Attention(nn.Module):
    """Multi-head attention in which each row of a tree looks at itself and its ancestors.

    Keys have no bias: it would add the same to all scores of a query, which the softmax takes
    out again, so its gradient is rounding noise, which Adam would blow up to full steps.
    Vaswani et al., 2017, "Attention Is All You Need", https://arxiv.org/abs/1706.03762
    """

    num_heads: int
    head_width: int
    linear: Callable  # (features, use_bias, name) -> layer
    positions: str = "none"

    @nn.compact
    def __call__(self, x_MxD, memory, tree: Tree, answers_only: bool, dropout: Callable):
        """[M, D] -> [M, D]; with `answers_only`, -> [B, D], the rows of the last position.

        `memory` is what the block before handed on, and is returned for the next.
        """
        query_x = tree.split(x_MxD)[-1] if answers_only else x_MxD
        q = self.heads(query_x, "query")
        k_l = tree.split(self.heads(x_MxD, "key"))
        v_MxHxK, memory = self.values(x_MxD, memory)
        out = self.look(q, [k_l], [tree.split(v_MxHxK)], tree, answers_only, dropout)
        return self.join(out, x_MxD.shape[-1]), memory

    def values(self, x_MxD, memory):
        """[M, H, K], and the memory for the next block: a hook."""
        return self.heads(x_MxD, "value"), memory

    def heads(self, x_MxD, name: str):
        """[M, H, K]: a linear layer, split into heads."""
        y = self.linear(self.num_heads * self.head_width, use_bias=name != "key", name=name)(x_MxD)
        return y.reshape(*y.shape[:-1], self.num_heads, self.head_width)

    def join(self, out_MxHxK, width: int):
        """[M, D]: the heads, mixed by a last linear layer."""
        y = out_MxHxK.reshape(*out_MxHxK.shape[:-2], self.num_heads * self.head_width)
        return self.linear(width, name="out")(y)

    def look(self, q, k_Gl, v_Gl, tree: Tree, answers_only: bool, dropout: Callable):
        """[M, H, K]: attention to the keys of a row's ancestors and its own, G a row.

        `k_Gl` holds G lists over the positions of arrays [M_l, H, K]. All of them, and the
        queries, may have a multiple of H heads.
        """
        turn = rotate if self.positions == "rotary" else _stay
        k_Gl = [[turn(k, place) for place, k in enumerate(k_l)] for k_l in k_Gl]
        slope_H = None
        if self.positions == "alibi":
            slope_H = np.tile(slopes(self.num_heads), q.shape[1] // self.num_heads)

        def read(q_U, seen):
            k_S, v_S = (interleave([seen(x_l) for x_l in x_Gl]) for x_Gl in (k_Gl, v_Gl))
            return attend(q_U, k_S, v_S, dropout, len(k_Gl), slope_H)

        if answers_only:
            return read([turn(q, tree.length - 1)], tree.own)
        q_l = [turn(q, place) for place, q in enumerate(tree.split(q))]
        shared = [
            read([q_l[place]], lambda x_l, place=place: tree.path(x_l, place))
            for place in range(tree.num_shared)
        ]
        return jnp.concatenate([*shared, read(q_l[tree.num_shared :], tree.own)])


def _stay(x, position):
    del position
    return x


def interleave(x_Gl: Sequence[Sequence]) -> list:
    """G lists over positions as one list, the G entries of a position side by side."""
    return [x for x_G in zip(*x_Gl, strict=True) for x in x_G]


def attend(q_U: Sequence[jax.Array], k_S, v_S, dropout: Callable, group: int = 1, slope_H=None):
    """[U M, H, K]: the rows of the last U positions attend up to their own position.

    Queries, keys and values are given position by position, `group` keys at each, as arrays
    [M, H, K] whose rows belong together. Few keys are multiplied and summed; many are a
    matrix product. `slope_H` is what a position of distance costs each head's scores.
    """
    place_S = np.arange(len(k_S)) // group
    place_U = np.arange(len(q_U)) + place_S[-1] + 1 - len(q_U)
    distance_UxS = place_U[:, None] - place_S
    bias_HxUxS = None
    if slope_H is not None:
        bias_HxUxS = -slope_H[:, None, None] * distance_UxS.astype(np.float32)
    if len(k_S) > FEW_KEYS:
        return _product(q_U, k_S, v_S, dropout, distance_UxS < 0, bias_HxUxS)
    out = []
    for u, (q_MxHxK, n) in enumerate(zip(q_U, (distance_UxS >= 0).sum(axis=1), strict=True)):
        bias_HxS = None if bias_HxUxS is None else bias_HxUxS[:, u, :n]
        out.append(_sum(q_MxHxK, k_S[:n], v_S[:n], dropout, bias_HxS))
    return jnp.concatenate(out)


def _product(q_U, k_S, v_S, dropout, later_UxS, bias_HxUxS):
    """[U M, H, K]: all queries times all keys, the later ones masked."""
    q_UxMxHxK, k_SxMxHxK, v_SxMxHxK = (jnp.stack(x) for x in (q_U, k_S, v_S))
    score_MxHxUxS = jnp.einsum("umhk,smhk->mhus", q_UxMxHxK, k_SxMxHxK) * _scale(q_UxMxHxK)
    if bias_HxUxS is not None:
        score_MxHxUxS += bias_HxUxS
    weight_MxHxUxS = dropout(jax.nn.softmax(jnp.where(later_UxS, -jnp.inf, score_MxHxUxS)))
    out_UxMxHxK = jnp.einsum("mhus,smhk->umhk", weight_MxHxUxS, v_SxMxHxK)
    return out_UxMxHxK.reshape(-1, *out_UxMxHxK.shape[2:])


def _sum(q_MxHxK, k_S, v_S, dropout, bias_HxS):
    """[M, H, K]: each query attends to all of its S keys."""
    score_MxHxS = jnp.stack([(q_MxHxK * k).sum(-1) for k in k_S], axis=-1) * _scale(q_MxHxK)
    if bias_HxS is not None:
        score_MxHxS += bias_HxS
    weight_MxHxS = dropout(jax.nn.softmax(score_MxHxS))
    return sum(weight_MxHxS[..., s, None] * v for s, v in enumerate(v_S))


def _scale(q):
    return q.shape[-1] ** -0.5
