"""The bricks that models share: initialisers, linear layers, attention over a tree, MLP."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn import initializers

from grokjax.prefixes import Tree

FEW_KEYS = 8  # up to here a multiply and a sum beat a matrix product per example


class Init(NamedTuple):
    """How to draw initial weights; grokking time depends on it strongly."""

    kernel: Callable
    bias: Callable  # (key, shape, fan_in)
    embedding: Callable


def _uniform_fan_in(key, shape, fan_in):
    return jax.random.uniform(key, shape, minval=-(fan_in**-0.5), maxval=fan_in**-0.5)


def _no_bias(key, shape, fan_in):
    del key, fan_in
    return jnp.zeros(shape)


INITS = {
    "torch": Init(  # what nn.Linear and nn.Embedding of PyTorch do
        kernel=lambda key, shape: _uniform_fan_in(key, shape, shape[0]),
        bias=_uniform_fan_in,
        embedding=initializers.normal(1.0),
    ),
    "lecun": Init(  # what Flax does
        kernel=initializers.lecun_normal(),
        bias=_no_bias,
        embedding=lambda key, shape: jax.random.normal(key, shape) * shape[1] ** -0.5,
    ),
}

ACTIVATIONS = {
    "relu": nn.relu,
    "gelu": lambda x: nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: nn.gelu(x, approximate=True),
}


class Linear(nn.Module):
    """x W + b with the initialiser of a preset."""

    features: int
    initializer: str = "torch"
    use_bias: bool = True

    @nn.compact
    def __call__(self, x_MxI):
        fan_in = x_MxI.shape[-1]
        y_MxO = x_MxI @ self.param(
            "kernel", INITS[self.initializer].kernel, (fan_in, self.features)
        )
        if self.use_bias:
            y_MxO += self.param("bias", INITS[self.initializer].bias, (self.features,), fan_in)
        return y_MxO


class Attention(nn.Module):
    """Multi-head attention in which each row of a tree looks at itself and its ancestors.

    Keys have no bias: it would add the same to all scores of a query, which the softmax takes
    out again, so its gradient is rounding noise, which Adam would blow up to full steps.
    Vaswani et al., 2017, "Attention Is All You Need", https://arxiv.org/abs/1706.03762
    """

    num_heads: int
    head_width: int
    initializer: str = "torch"

    @nn.compact
    def __call__(self, x_MxD, tree: Tree, answers_only: bool, dropout: Callable):
        """[M, D] -> [M, D]; with `answers_only`, -> [B, D], the rows of the last position."""
        query_x = tree.split(x_MxD)[-1] if answers_only else x_MxD
        q = self._heads(query_x, "query")
        k_l = tree.split(self._heads(x_MxD, "key"))
        v_l = tree.split(self._heads(x_MxD, "value"))

        if answers_only:
            out = attend([q], tree.own(k_l), tree.own(v_l), dropout)
        else:
            q_l = tree.split(q)
            shared = [
                attend([q_l[place]], tree.path(k_l, place), tree.path(v_l, place), dropout)
                for place in range(tree.num_shared)
            ]
            own = attend(q_l[tree.num_shared :], tree.own(k_l), tree.own(v_l), dropout)
            out = jnp.concatenate([*shared, own])
        out = out.reshape(len(out), self.num_heads * self.head_width)
        return Linear(x_MxD.shape[-1], self.initializer, name="out")(out)

    def _heads(self, x_MxD, name):
        width = self.num_heads * self.head_width
        y = Linear(width, self.initializer, use_bias=name != "key", name=name)(x_MxD)
        return y.reshape(-1, self.num_heads, self.head_width)


def attend(q_U: Sequence[jax.Array], k_S, v_S, dropout: Callable):
    """[U M, H, K]: the rows of the last U of S positions attend up to their own position.

    Queries, keys and values are given position by position, as arrays [M, H, K] whose rows
    belong together. Few keys are multiplied and summed; many are a matrix product.
    """
    earlier = len(k_S) - len(q_U)
    if len(k_S) <= FEW_KEYS:
        seen = range(earlier + 1, len(k_S) + 1)
        out = [_sum(q, k_S[:n], v_S[:n], dropout) for q, n in zip(q_U, seen, strict=True)]
        return jnp.concatenate(out)
    later_UxS = jnp.arange(len(k_S)) > earlier + jnp.arange(len(q_U))[:, None]
    q_UxMxHxK, k_SxMxHxK, v_SxMxHxK = (jnp.stack(x) for x in (q_U, k_S, v_S))
    score_MxHxUxS = jnp.einsum("umhk,smhk->mhus", q_UxMxHxK, k_SxMxHxK) * _scale(q_UxMxHxK)
    weight_MxHxUxS = dropout(jax.nn.softmax(jnp.where(later_UxS, -jnp.inf, score_MxHxUxS)))
    out_UxMxHxK = jnp.einsum("mhus,smhk->umhk", weight_MxHxUxS, v_SxMxHxK)
    return out_UxMxHxK.reshape(-1, *out_UxMxHxK.shape[2:])


def _sum(q_MxHxK, k_S, v_S, dropout):
    """[M, H, K]: each query attends to all of its S keys."""
    score_MxHxS = jnp.stack([(q_MxHxK * k).sum(-1) for k in k_S], axis=-1) * _scale(q_MxHxK)
    weight_MxHxS = dropout(jax.nn.softmax(score_MxHxS))
    return sum(weight_MxHxS[..., s, None] * v for s, v in enumerate(v_S))


def _scale(q):
    return q.shape[-1] ** -0.5


class Mlp(nn.Module):
    """Two linear layers with an activation between them, row by row."""

    width: int
    activation: str = "relu"
    initializer: str = "torch"

    @nn.compact
    def __call__(self, x_MxD):
        hidden_MxF = ACTIVATIONS[self.activation](
            Linear(self.width, self.initializer, name="up")(x_MxD)
        )
        return Linear(x_MxD.shape[-1], self.initializer, name="down")(hidden_MxF)
