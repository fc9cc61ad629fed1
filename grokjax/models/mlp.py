"""Multi-layer perceptrons on the concatenated embeddings, or one-hot codes, of the tokens.

The default is the network in which modular addition groks without attention: four embeddings
of 128, one hidden layer of 128, ReLU. One-hot codes of the operands with two hidden layers of
200 and no bias are the setting of Prieto et al., 2025, "Grokking at the Edge of Numerical
Stability", https://arxiv.org/abs/2501.04697.
"""

import flax.linen as nn
import jax.numpy as jnp

from grokjax.checks import check_at_least, check_choice
from grokjax.layers import ACTIVATIONS, INITS, Linear
from grokjax.prefixes import Tree


class Model(nn.Module):
    """Answers [B, C] to sequences of a fixed length.

    The first layer multiplies a concatenation of embeddings, which is the sum over positions
    of an embedding times that position's weights. There are only V such products a position,
    so they are made once as a table [V, F] and gathered: exact, and cheaper where V < B.
    """

    num_tokens: int
    num_classes: int
    length: int
    embedding_width: int = 128  # 0: one-hot codes
    hidden: tuple[int, ...] = (128,)  # widths of the hidden layers
    slots: tuple[int, ...] = ()  # the positions that are read; (): all
    use_bias: bool = True
    layer_norm: bool = False  # before the readout
    activation: str = "relu"  # or gelu (exact), gelu_tanh
    dropout: float = 0.0  # after every hidden layer
    initializer: str = "torch"  # or lecun

    causal = False

    def __post_init__(self):
        """Raises a ValueError for options that do not fit together."""
        super().__post_init__()
        check_at_least("model.embedding_width", self.embedding_width, 0)
        check_at_least("number of model.hidden layers", len(self.hidden), 1)
        check_at_least("narrowest of model.hidden", min(self.hidden), 1)
        check_choice("model.activation", self.activation, ACTIVATIONS)
        check_choice("model.initializer", self.initializer, INITS)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"model.dropout = {self.dropout}; choose 0 to below 1")
        if not set(self.slots) <= set(range(self.length)):
            raise ValueError(
                f"model.slots = {self.slots}; choose from positions 0 to {self.length - 1}"
            )

    @nn.compact
    def __call__(self, tree: Tree, train: bool = False):
        dropout = nn.Dropout(self.dropout, deterministic=not train)
        activation = ACTIVATIONS[self.activation]
        x_BxF = dropout(activation(self._first_layer(tree)))
        for i, width in enumerate(self.hidden[1:], start=1):
            layer = Linear(width, self.initializer, self.use_bias, name=f"hidden_{i}")
            x_BxF = dropout(activation(layer(x_BxF)))
        if self.layer_norm:
            x_BxF = nn.LayerNorm(1e-5, name="norm")(x_BxF)
        return Linear(self.num_classes, self.initializer, self.use_bias, name="readout")(x_BxF)

    def _first_layer(self, tree):
        init, slots = INITS[self.initializer], self.slots or tuple(range(self.length))
        code_VxD = jnp.eye(self.num_tokens)
        if self.embedding_width:
            shape = (self.num_tokens, self.embedding_width)
            code_VxD = self.param("token", init.embedding, shape)
        fan_in, features = len(slots) * code_VxD.shape[1], self.hidden[0]
        kernel_IxF = self.param("kernel_0", init.kernel, (fan_in, features))
        parts = jnp.split(kernel_IxF, len(slots))
        y_BxF = sum(
            (code_VxD @ part_DxF)[tree.tokens[slot]]
            for slot, part_DxF in zip(slots, parts, strict=True)
        )
        if self.use_bias:
            y_BxF += self.param("bias_0", init.bias, (features,), fan_in)
        return y_BxF

    def last_layer(self, params):
        """[F, C]: the weights that make logits."""
        return params["readout"]["kernel"]
