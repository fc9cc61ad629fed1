"""The models as a good JAX user would ordinarily write them: every row at every position.

Flax's layers, and its attention with a causal mask. Of the usual ways to write attention this
one was the fastest on a CPU, by a few percent. With `dtype=bfloat16` the layers multiply in it;
weights, norms and the residual stream stay float32, as under PyTorch's autocast.
"""

import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import numpy as np
from flax.linen.dtypes import promote_dtype

ACTIVATIONS = {
    "relu": nn.relu,
    "gelu": functools.partial(nn.gelu, approximate=False),
    "gelu_tanh": nn.gelu,
    "silu": nn.silu,
}


class FeedForward(nn.Module):
    """Two dense layers with an activation between them."""

    width: int
    activation: str
    dtype: Any

    @nn.compact
    def __call__(self, x_BxLxD):
        dense = functools.partial(nn.Dense, dtype=self.dtype)
        hidden_BxLxF = ACTIVATIONS[self.activation](dense(self.width, name="up")(x_BxLxD))
        return dense(x_BxLxD.shape[-1], name="down")(hidden_BxLxF)


class Block(nn.Module):
    """Attention and an MLP, each on a residual branch that begins with a norm."""

    num_heads: int
    ff_width: int
    activation: str
    dtype: Any

    @nn.compact
    def __call__(self, x_BxLxD):
        norm_1, norm_2 = (nn.LayerNorm(1e-5, name=name) for name in ("norm_1", "norm_2"))
        attend = functools.partial(nn.MultiHeadDotProductAttention, self.num_heads)
        attention = attend(dtype=self.dtype, name="attention")
        mlp = FeedForward(self.ff_width, self.activation, self.dtype, name="mlp")
        x_BxLxD += attention(norm_1(x_BxLxD), mask=nn.make_causal_mask(x_BxLxD[..., 0]))
        return x_BxLxD + mlp(norm_2(x_BxLxD))


class Transformer(nn.Module):
    """Logits [B, C] of sequences [B, L], read at their last position."""

    num_tokens: int
    num_classes: int
    length: int
    num_blocks: int
    width: int
    num_heads: int
    ff_width: int
    activation: str
    tied_readout: bool = False  # its rows are then the embeddings of the first C tokens
    dtype: Any = None  # of matmuls; None: that of the weights

    @nn.compact
    def __call__(self, inputs_BxL):
        token_VxD = self.param("token", *_embedding(self.num_tokens, self.width))
        position_LxD = self.param("position", *_embedding(self.length, self.width))
        x_BxLxD = token_VxD[inputs_BxL] + position_LxD[None]
        for i in range(self.num_blocks):
            sizes = (self.num_heads, self.ff_width, self.activation)
            x_BxLxD = Block(*sizes, self.dtype, name=f"block_{i}")(x_BxLxD)
        x_BxD = nn.LayerNorm(1e-5, name="norm")(x_BxLxD[:, -1])
        if self.tied_readout:
            answers_CxD = token_VxD[: self.num_classes]
            x_BxD, answers_CxD = promote_dtype(x_BxD, answers_CxD, dtype=self.dtype)
            return x_BxD @ answers_CxD.T
        dense = nn.Dense(self.num_classes, use_bias=False, dtype=self.dtype, name="readout")
        return dense(x_BxD)


class Mlp(nn.Module):
    """Logits [B, C] of sequences [B, L]: concatenated embeddings, hidden layers, readout."""

    num_tokens: int
    num_classes: int
    length: int
    embedding_width: int
    hidden: tuple[int, ...]
    dtype: Any = None

    @nn.compact
    def __call__(self, inputs_BxL):
        token_VxD = self.param("token", *_embedding(self.num_tokens, self.embedding_width))
        x_BxF = token_VxD[inputs_BxL].reshape(len(inputs_BxL), -1)
        for i, width in enumerate(self.hidden):
            x_BxF = nn.relu(nn.Dense(width, dtype=self.dtype, name=f"hidden_{i}")(x_BxF))
        return nn.Dense(self.num_classes, dtype=self.dtype, name="readout")(x_BxF)


class Lstm(nn.Module):
    """Logits [B, C] of sequences [B, L], read at their last position."""

    num_tokens: int
    num_classes: int
    length: int
    num_layers: int
    width: int
    dtype: Any = None

    @nn.compact
    def __call__(self, inputs_BxL):
        token_VxD = self.param("token", *_embedding(self.num_tokens, self.width))
        x_BxLxD = token_VxD[inputs_BxL]
        for i in range(self.num_layers):
            cell = nn.OptimizedLSTMCell(self.width, dtype=self.dtype, name=f"cell_{i}")
            x_BxLxD = nn.RNN(cell, name=f"layer_{i}")(x_BxLxD)
        return nn.Dense(self.num_classes, dtype=self.dtype, name="readout")(x_BxLxD[:, -1])


MODELS = {"transformer": Transformer, "gpt2": Transformer, "mlp": Mlp, "lstm": Lstm}


def _embedding(*shape):
    return nn.initializers.normal(1.0), shape


def rename(model: str, params: Mapping, architecture: Mapping) -> Mapping:
    """grokjax's weights under the names and in the shapes that they have in `MODELS`."""
    if model == "lstm":
        return params
    if model == "mlp":
        return number_layers(params)
    return _split_heads(params, architecture["num_heads"])


def _split_heads(params, num_heads):
    """Flax shapes the projections of an attention [D, H, K] and [H, K, D]."""
    heads = (num_heads, -1)
    params = dict(params)
    for name in [name for name in params if name.startswith("block_")]:
        attention = projections(params[name]["attention"])
        for part in ("query", "key", "value"):
            layer = attention[part].items()
            attention[part] = {leaf: x.reshape(*x.shape[:-1], *heads) for leaf, x in layer}
        kernel = attention["out"]["kernel"]
        attention["out"] = {**attention["out"], "kernel": kernel.reshape(*heads, kernel.shape[-1])}
        params[name] = {**params[name], "attention": attention}
    return params


def projections(attention: Mapping) -> dict:
    """The four linear layers of an attention, each with a bias.

    grokjax gives keys none: it adds the same to all scores of a query, and the softmax takes
    that out again. The usual attention has one, which starts at zero and stays there.
    """
    return {
        name: {"bias": np.zeros(layer["kernel"].shape[-1], np.float32), **layer}
        for name, layer in attention.items()
    }


def number_layers(params: Mapping) -> dict:
    """An MLP's weights with its first layer a layer like the others."""
    layers = {name: layer for name, layer in params.items() if not name.endswith("_0")}
    return {"hidden_0": {"kernel": params["kernel_0"], "bias": params["bias_0"]}, **layers}
