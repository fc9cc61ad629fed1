"""Long short-term memory (LSTM), read out at the last token.

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

GATES = ("i", "f", "g", "o")  # input, forget, candidate, output
UNROLLED = 16  # longer sequences share no prefixes, each of which is compiled by itself


class Model(nn.Module):
    """Logits [B, C] of sequences of any length: embedding, LSTM layers, readout.

    The weights are those of Flax's cells, by name and initialiser: orthogonal recurrent weights,
    biases zero. A state depends on a prefix alone, so rows of a tree share it.
    """

    num_tokens: int
    num_classes: int
    length: int
    num_layers: int = 2  # LSTM layers
    width: int = 128  # of embeddings and states
    dropout: float = 0.0  # between layers, as in PyTorch
    initializer: str = "torch"  # of embedding and readout; normal(s) for any deviation s

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

    @property
    def causal(self) -> bool:
        """Whether prefixes are shared."""
        return self.length <= UNROLLED

    @nn.compact
    def __call__(self, tree: Tree, train: bool = False) -> jax.Array:
        embed = _initializers.find(self.initializer).embedding
        token_VxD = self.param("token", embed, (self.num_tokens, self.width))
        x = token_VxD[tree.tokens_E]
        for i in range(self.num_layers):
            if i > 0:
                x = nn.Dropout(self.dropout, deterministic=not train)(x)
            x = Cell(self.width, name=f"cell_{i}")(x, tree)
            tree = tree.of_rows
        last_BxD = tree.split(x)[-1]
        self.sow("intermediates", "features", last_BxD)
        self.sow("intermediates", "neurons", last_BxD)
        return Linear(self.num_classes, self.initializer, name="readout")(last_BxD)

    def last_layer(self, params: Mapping[str, Any]) -> jax.Array:
        """[D, C]: the readout's weights."""
        return params["readout"]["kernel"]


class Cell(nn.Module):
    """One layer: a state h that is gated, and the memory c behind it.

        i, f, o = sigmoid(W x + U h + b),    g = tanh(W x + U h + b)
        c = f c + i g,    h = o tanh(c)

    W x of all time steps is one matmul.
    """

    width: int

    @nn.compact
    def __call__(self, x_ExD: jax.Array, tree: Tree) -> jax.Array:
        """[E, D] -> [M, D]: the state at each row of a tree."""
        lecun, orthogonal = nn.initializers.lecun_normal(), nn.initializers.orthogonal()
        input_DxG, _ = self._weights("i", lecun, x_ExD.shape[-1])
        recurrent_DxG, bias_G = self._weights("h", orthogonal, self.width)
        gates_l = tree.split(tree.spread(x_ExD @ input_DxG) + bias_G[None])

        def step(state, gates_MxG):
            c_MxD, h_MxD = state
            i, f, g, o = jnp.split(gates_MxG + h_MxD @ recurrent_DxG, len(GATES), axis=-1)
            c_MxD = nn.sigmoid(f) * c_MxD + nn.sigmoid(i) * jnp.tanh(g)
            h_MxD = nn.sigmoid(o) * jnp.tanh(c_MxD)
            return (c_MxD, h_MxD), h_MxD

        rows = [path[-1] for path in tree.ancestors[1:]] + list(tree.row_of_example[-1:])
        state = (jnp.zeros((gates_l[0].shape[0], self.width), jnp.float32),) * 2
        out_l = []
        for gates_MxG, row in zip(gates_l, rows, strict=False):  # the shared positions
            state, h_MxD = step(state, gates_MxG)
            state = jax.tree.map(lambda x_MxD, row=row: x_MxD[row], state)
            out_l.append(h_MxD)
        _, h_lxBxD = jax.lax.scan(step, state, jnp.stack(gates_l[tree.num_shared :]))
        return jnp.concatenate([*out_l, h_lxBxD.reshape(-1, self.width)])

    def _weights(self, kind, initializer, num_inputs):
        """[D, 4 D] and [4 D]: the kernels and biases of all gates; those of inputs have none."""
        gates = [Gate(self.width, initializer, kind == "h", name=kind + gate) for gate in GATES]
        kernels, biases = zip(*(gate(num_inputs) for gate in gates), strict=True)
        return jnp.concatenate(kernels, axis=-1), jnp.concatenate(biases)


class Gate(nn.Module):
    """The weights of one gate."""

    width: int
    initializer: nn.initializers.Initializer
    use_bias: bool

    @nn.compact
    def __call__(self, num_inputs: int) -> tuple[jax.Array, jax.Array]:
        """Kernel [D, D] and bias [D]."""
        kernel = self.param("kernel", self.initializer, (num_inputs, self.width), jnp.float32)
        if not self.use_bias:
            return kernel, jnp.zeros(self.width, jnp.float32)
        return kernel, self.param("bias", nn.initializers.zeros, (self.width,), jnp.float32)
