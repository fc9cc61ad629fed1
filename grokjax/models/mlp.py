"""Multi-layer perceptrons on the tokens: their concatenated embeddings, one-hot codes, or values.

The default is the network in which modular addition groks without attention: four embeddings
of 128, one hidden layer of 128, ReLU. One-hot codes of the operands with two hidden layers of
200 and no bias are the setting of Prieto et al., 2025, "Grokking at the Edge of Numerical
Stability", https://arxiv.org/abs/2501.04697. Pixels as numbers from 0 to 1, again with two of
200, are that of Liu, Michaud & Tegmark, 2022, "Omnigrok: Grokking Beyond Algorithmic Data",
https://arxiv.org/abs/2210.01117.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from grokjax.core.checks import check_depth
from grokjax.core.hparams import DROPOUT, WIDTH, check_ranges
from grokjax.core.prefixes import Tree
from grokjax.models import _initializers
from grokjax.models._layers import ACTIVATIONS, Linear


class Model(nn.Module):
    """Logits [B, C] of sequences of a fixed length.

    The first layer multiplies a concatenation of embeddings, which is the sum over positions
    of an embedding times that position's weights. Only V of these matmuls differ at a position,
    so they are computed once as a table [V, F] and gathered: exact, and cheaper where V < B.
    Pixels are one number a position, token / (V - 1), and need no table.
    """

    num_tokens: int
    num_classes: int
    length: int
    code: str = "embedding"  # how the first layer encodes a token
    embedding_width: int = 128  # read by code = "embedding" alone
    hidden: tuple[int, ...] = (128,)  # widths of the hidden layers
    slots: tuple[int, ...] = ()  # the positions that are read; (): all
    use_bias: bool = True  # in every layer
    layer_norm: bool = False  # before the readout
    activation: str = "relu"  # of the hidden layers; gelu is exact
    dropout: float = 0.0  # after every hidden layer
    initializer: str = "torch"  # of the weights; normal(s) for any deviation s

    causal = False
    RANGES: ClassVar = {
        "code": ("embedding", "one_hot", "pixels"),
        **dict.fromkeys(("embedding_width", "hidden"), WIDTH),
        "activation": ACTIVATIONS,
        "dropout": DROPOUT,
        "initializer": _initializers.KNOWN,
    }

    def __post_init__(self):
        super().__post_init__()
        check_ranges("model.", vars(self), self.RANGES)
        check_depth("number of model.hidden layers", len(self.hidden))
        if not set(self.slots) <= set(range(self.length)):
            raise ValueError(
                f"model.slots = {self.slots}; choose from positions 0 to {self.length - 1}"
            )

    @nn.compact
    def __call__(self, tree: Tree, train: bool = False) -> jax.Array:
        dropout = nn.Dropout(self.dropout, deterministic=not train)
        activation = ACTIVATIONS[self.activation]
        x_BxF = dropout(activation(self._first_layer(tree)))
        for i, width in enumerate(self.hidden[1:], start=1):
            layer = Linear(width, self.initializer, self.use_bias, name=f"hidden_{i}")
            x_BxF = dropout(activation(layer(x_BxF)))
        self.sow("intermediates", "neurons", x_BxF)
        if self.layer_norm:
            x_BxF = nn.LayerNorm(1e-5, name="norm")(x_BxF)
        self.sow("intermediates", "features", x_BxF)
        return Linear(self.num_classes, self.initializer, self.use_bias, name="readout")(x_BxF)

    def _first_layer(self, tree):
        init = _initializers.find(self.initializer)
        slots = self.slots or tuple(range(self.length))
        tokens = [tree.tokens[slot] for slot in slots]
        code_VxD = None if self.code == "pixels" else self._code(init)
        width = 1 if code_VxD is None else code_VxD.shape[1]
        fan_in = len(slots) * width
        features = self.hidden[0]
        kernel_IxF = self.param("kernel_0", init.kernel, (fan_in, features))
        if code_VxD is None:
            y_BxF = _numbers(tokens, self.num_tokens - 1) @ kernel_IxF
        else:
            y_BxF = _sum_of_tables(tokens, code_VxD, kernel_IxF)
        if self.use_bias:
            bias_F = self.param("bias_0", init.bias, (features,), fan_in)
            y_BxF += bias_F[None]
        return y_BxF

    def _code(self, init):
        """[V, D]: the code of each token."""
        if self.code == "one_hot":
            return jnp.eye(self.num_tokens, dtype=jnp.float32)
        return self.param("token", init.embedding, (self.num_tokens, self.embedding_width))

    def last_layer(self, params: Mapping[str, Any]) -> jax.Array:
        """[F, C]: the readout's weights."""
        return params["readout"]["kernel"]


def _sum_of_tables(tokens: list[jax.Array], code_VxD, kernel_IxF):
    """[B, F]: the matmul of the concatenated codes of the tokens, each [B], and the kernel."""
    parts = jnp.split(kernel_IxF, len(tokens))
    pairs = zip(tokens, parts, strict=True)
    return sum((code_VxD @ part_DxF)[token_B] for token_B, part_DxF in pairs)


def _numbers(tokens: list[jax.Array], highest: int):
    """[B, I]: the I tokens, each [B], as numbers from 0 to 1.

    Slices concatenated along the first axis are the table that they were cut from, which XLA
    recognises. Joined in another way, those of a 28 x 28 image take 20 seconds to compile.
    """
    tokens_IxB = jnp.concatenate([token_B[None] for token_B in tokens])
    return tokens_IxB.T.astype(jnp.float32) / highest
