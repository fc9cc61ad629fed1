"""The models as a good PyTorch user would write them.

The heads of an attention come from one projection and `scaled_dot_product_attention`, recurrent
layers are `nn.LSTM`.
"""

import functools
import itertools
from collections.abc import Mapping

import numpy as np
import torch.nn.functional as F
from torch import nn

from benchmarks.plain_models import number_layers, projections

ACTIVATIONS = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": functools.partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
}
GATES = "ifgo"  # the order in which PyTorch stacks those of an LSTM


class Attention(nn.Module):
    """Causal multi-head attention."""

    def __init__(self, width: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x_BxLxD):
        batch_size, length, width = x_BxLxD.shape
        qkv = self.qkv(x_BxLxD).view(batch_size, length, 3, self.num_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        out_BxHxLxK = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(out_BxHxLxK.transpose(1, 2).reshape(batch_size, length, width))


class Block(nn.Module):
    """Attention and an MLP, each on a residual branch that begins with a norm."""

    def __init__(self, width: int, num_heads: int, ff_width: int, activation: str):
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.norm_1 = nn.LayerNorm(width)
        self.attention = Attention(width, num_heads)
        self.norm_2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, ff_width)
        self.down = nn.Linear(ff_width, width)

    def forward(self, x_BxLxD):
        x_BxLxD = x_BxLxD + self.attention(self.norm_1(x_BxLxD))
        return x_BxLxD + self.down(self.activation(self.up(self.norm_2(x_BxLxD))))


class Transformer(nn.Module):
    """Logits [B, C] of sequences [B, L], read at their last position."""

    def __init__(
        self,
        num_tokens: int,
        num_classes: int,
        length: int,
        num_blocks: int,
        width: int,
        num_heads: int,
        ff_width: int,
        activation: str,
        tied_readout: bool = False,
    ):
        super().__init__()
        self.num_classes = num_classes
        self.token = nn.Embedding(num_tokens, width)
        self.position = nn.Embedding(length, width)
        self.blocks = nn.Sequential(
            *(Block(width, num_heads, ff_width, activation) for _ in range(num_blocks))
        )
        self.norm = nn.LayerNorm(width)
        self.readout = None if tied_readout else nn.Linear(width, num_classes, bias=False)

    def forward(self, inputs_BxL):
        x_BxLxD = self.blocks(self.token(inputs_BxL) + self.position.weight)
        x_BxD = self.norm(x_BxLxD[:, -1])
        if self.readout is None:
            return F.linear(x_BxD, self.token.weight[: self.num_classes])
        return self.readout(x_BxD)


class Mlp(nn.Module):
    """Logits [B, C] of sequences [B, L]: concatenated embeddings, hidden layers, readout."""

    def __init__(
        self,
        num_tokens: int,
        num_classes: int,
        length: int,
        embedding_width: int,
        hidden: tuple[int, ...],
    ):
        super().__init__()
        widths = (length * embedding_width, *hidden)
        self.token = nn.Embedding(num_tokens, embedding_width)
        self.hidden = nn.ModuleList(nn.Linear(*sizes) for sizes in itertools.pairwise(widths))
        self.readout = nn.Linear(hidden[-1], num_classes)

    def forward(self, inputs_BxL):
        x_BxF = self.token(inputs_BxL).flatten(1)
        for layer in self.hidden:
            x_BxF = F.relu(layer(x_BxF))
        return self.readout(x_BxF)


class Lstm(nn.Module):
    """Logits [B, C] of sequences [B, L], read at their last position.

    PyTorch adds two biases to every gate. Of the two, that of the input stays zero here: if
    both were trained, their sum would learn twice as fast as the one bias of Flax.
    """

    def __init__(self, num_tokens: int, num_classes: int, length: int, num_layers: int, width: int):
        super().__init__()
        del length  # any will do
        self.token = nn.Embedding(num_tokens, width)
        self.cells = nn.LSTM(width, width, num_layers, batch_first=True)
        self.readout = nn.Linear(width, num_classes)
        for name, parameter in self.cells.named_parameters():
            parameter.requires_grad_(not name.startswith("bias_ih"))

    def forward(self, inputs_BxL):
        x_BxLxD, _ = self.cells(self.token(inputs_BxL))
        return self.readout(x_BxLxD[:, -1])


MODELS = {"transformer": Transformer, "gpt2": Transformer, "mlp": Mlp, "lstm": Lstm}


def rename(model: str, params: Mapping, architecture: Mapping) -> dict[str, np.ndarray]:
    """grokjax's weights under the names that they have in `MODELS`."""
    if model == "lstm":
        return _lstm(params, architecture["num_layers"])
    if model == "mlp":
        return _mlp(params)
    return _transformer(params, architecture["num_blocks"])


def layer_weights(layers: Mapping[str, Mapping]) -> dict[str, np.ndarray]:
    """The weights of linear layers and norms, PyTorch's names and layout from Flax's."""
    named = {}
    for name, layer in layers.items():
        named[f"{name}.weight"] = layer["kernel"].T if "kernel" in layer else layer["scale"]
        if "bias" in layer:
            named[f"{name}.bias"] = layer["bias"]
    return named


def _transformer(params, num_blocks):
    named = {"token.weight": params["token"], "position.weight": params["position"]}
    layers = {name: params[name] for name in ("norm", "readout") if name in params}
    for i in range(num_blocks):
        layers |= {f"blocks.{i}.{n}": layer for n, layer in _block(params[f"block_{i}"])}
    return named | layer_weights(layers)


def _block(block):
    attention = projections(block["attention"])
    qkv = {
        part: np.concatenate([attention[name][part] for name in ("query", "key", "value")], axis=-1)
        for part in ("kernel", "bias")
    }
    yield from (("norm_1", block["norm_1"]), ("norm_2", block["norm_2"]))
    yield from (("attention.qkv", qkv), ("attention.out", attention["out"]))
    yield from block["mlp"].items()


def _mlp(params):
    layers = number_layers(params)
    named = {"token.weight": layers.pop("token")}
    return named | layer_weights({n.replace("_", "."): layer for n, layer in layers.items()})


def _lstm(params, num_layers):
    named = {"token.weight": params["token"]} | layer_weights({"readout": params["readout"]})
    for i in range(num_layers):
        named |= {f"cells.{name}_l{i}": x for name, x in _cell(params[f"cell_{i}"])}
    return named


def _cell(cell):
    """Flax's `ii`, `if`, ... multiply the input, `hi`, `hf`, ... the hidden state, with a bias."""
    bias_O = np.concatenate([cell[f"h{gate}"]["bias"] for gate in GATES])
    for side in "ih":
        kernels = [cell[f"{side}{gate}"]["kernel"] for gate in GATES]
        yield f"weight_{side}h", np.concatenate(kernels, axis=1).T
    yield from (("bias_ih", np.zeros_like(bias_O)), ("bias_hh", bias_O))
