"""Long short-term memory, read out at the last token.

Hochreiter & Schmidhuber, 1997, "Long Short-Term Memory",
https://doi.org/10.1162/neco.1997.9.8.1735; as a model that groks: two layers, 128 wide.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from grokjax.core.hparams import DEPTH, DROPOUT, WIDTH, check_ranges
from grokjax.core.prefixes import Tree
from grokjax.models import _initializers
from grokjax.models._layers import Linear


class Model(nn.Module):
    """Logits [B, C] of sequences of any length: embedding, LSTM layers, readout.

    Cells are Flax's, with its initialisers: orthogonal recurrent weights, biases zero.
    """

    num_tokens: int
    num_classes: int
    length: int
    num_layers: int = 2  # LSTM layers
    width: int = 128  # of embeddings and states
    dropout: float = 0.0  # between layers, as in PyTorch
    initializer: str = "torch"  # of embedding and readout; normal(s) for any deviation s

    causal = False  # rows of a tree do not carry a state from one to the next
    RANGES: ClassVar = {
        "num_layers": DEPTH,
        "width": WIDTH,
        "dropout": DROPOUT,
        "initializer": _initializers.KNOWN,
    }

    def __post_init__(self):
        super().__post_init__()
        check_ranges("model.", vars(self), self.RANGES)
        if self.dropout and self.num_layers == 1:
            raise ValueError(
                f"model.dropout = {self.dropout} lies between layers, and there is one; choose "
                "model.num_layers of 2 or more, or model.dropout 0"
            )

    @nn.compact
    def __call__(self, tree: Tree, train: bool = False) -> jax.Array:
        embed = _initializers.find(self.initializer).embedding
        token_VxD = self.param("token", embed, (self.num_tokens, self.width))
        tokens_LxB = jnp.stack(tree.tokens)  # side by side, 784 would compile for ages
        x_BxLxD: Any = token_VxD[tokens_LxB.T]
        for i in range(self.num_layers):
            if i > 0:
                x_BxLxD = nn.Dropout(self.dropout, deterministic=not train)(x_BxLxD)
            cell = nn.OptimizedLSTMCell(self.width, name=f"cell_{i}")
            x_BxLxD = nn.RNN(cell, name=f"layer_{i}")(x_BxLxD)
        return Linear(self.num_classes, self.initializer, name="readout")(x_BxLxD[:, -1])

    def last_layer(self, params: Mapping[str, Any]) -> jax.Array:
        """[D, C]: the readout's weights."""
        return params["readout"]["kernel"]
