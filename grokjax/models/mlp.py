"""Multi-layer perceptrons on the tokens: their embeddings, one-hot codes, or values.

The default is the network in which modular addition groks without attention: four embeddings
of 128, one hidden layer of 128, ReLU. One-hot codes of the operands with two hidden layers of
200 and no bias are the setting of Prieto et al., 2025, "Grokking at the Edge of Numerical
Stability", https://arxiv.org/abs/2501.04697. Pixels as numbers from 0 to 1, again with two of
200, are that of Liu, Michaud & Tegmark, 2022, "Omnigrok: Grokking Beyond Algorithmic Data",
https://arxiv.org/abs/2210.01117.

By their options, the networks of

    Gromov, 2023,        form="a b", code="one_hot", activation="square", use_bias=False,
      Doshi et al., 2023   hidden=(500,), initializer="normal(0.05)": s = .5 / (2 F)^(1/3), of F
                           neurons; with "gromov" the closed form of `_waves.py`, nothing to learn
    Chughtai et al.,     form="a b", code="own_embedding", embedding_width=256, hidden=(128,),
      2023                 use_bias=False, initializer="fan_in_normal"
"""

import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from grokjax.core.checks import check_depth
from grokjax.core.hparams import DROPOUT, WIDTH, Range, check_ranges
from grokjax.core.prefixes import Tree
from grokjax.models import _initializers, _waves
from grokjax.models._layers import ACTIVATIONS, Linear

GROMOV = "gromov"  # an initialiser of sums mod p


class Model(nn.Module):
    """Logits [B, C] of sequences of a fixed length.

    The first layer multiplies a concatenation of codes, which is the sum over positions of a code
    times that position's weights; codes that are `summed` share one position's weights. Only V of
    these matmuls differ at a position, so they are computed once as a table [V, F] and gathered:
    exact, and cheaper where V < B. Pixels are one number a position, token / (V - 1), and need no
    table.
    """

    num_tokens: int
    num_classes: int
    length: int
    code: str = "embedding"  # of a token; own_embedding: of a token at a position
    embedding_width: int = 128  # read if there are embeddings
    summed: bool = False  # codes of all positions are added, not put side by side
    hidden: tuple[int, ...] = (128,)  # widths of the hidden layers
    slots: tuple[int, ...] = ()  # the positions that are read; (): all
    use_bias: bool = True  # in every layer
    layer_norm: bool = False  # before the readout
    activation: str = "relu"  # of the hidden layers; gelu is exact
    dropout: float = 0.0  # after every hidden layer
    initializer: str = "torch"  # of the weights; normal(s) for any deviation s

    causal = False
    RANGES: ClassVar = {
        "code": ("embedding", "own_embedding", "one_hot", "pixels"),
        **dict.fromkeys(("embedding_width", "hidden"), WIDTH),
        "activation": ACTIVATIONS,
        "dropout": DROPOUT,
        "initializer": Range(
            f"{_initializers.KNOWN.text}, {GROMOV}",
            lambda name: name == GROMOV or _initializers.find(name),
        ),
    }

    def __post_init__(self):
        super().__post_init__()
        check_ranges("model.", vars(self), self.RANGES)
        check_depth("number of model.hidden layers", len(self.hidden))
        if not set(self.slots) <= set(range(self.length)):
            raise ValueError(
                f"model.slots = {self.slots}; choose from positions 0 to {self.length - 1}"
            )
        if self.summed and self.code == "pixels":
            raise ValueError(
                "model.summed adds codes of tokens, and pixels have none; choose false"
            )
        if self.initializer == GROMOV and not self._adds_waves:
            raise ValueError(
                "model.initializer = 'gromov' is for one layer that squares two one-hot numbers; "
                "choose model.code = 'one_hot', two model.slots (or task.form = 'a b'), one of "
                "model.hidden, model.activation = 'square' and no model.use_bias or layer_norm"
            )

    @nn.compact
    def __call__(self, tree: Tree, train: bool = False) -> jax.Array:
        dropout = nn.Dropout(self.dropout, deterministic=not train)
        activation = ACTIVATIONS[self.activation]
        first, last = self._inits()
        x_BxF = dropout(activation(self._first_layer(tree, first)))
        for i, width in enumerate(self.hidden[1:], start=1):
            layer = Linear(width, self.initializer, self.use_bias, name=f"hidden_{i}")
            x_BxF = dropout(activation(layer(x_BxF)))
        self.sow("intermediates", "neurons", x_BxF)
        if self.layer_norm:
            x_BxF = nn.LayerNorm(1e-5, name="norm")(x_BxF)
        self.sow("intermediates", "features", x_BxF)
        return Linear(self.num_classes, last, self.use_bias, name="readout")(x_BxF)

    def _first_layer(self, tree, init):
        slots = self._read
        tokens = [tree.tokens[slot] for slot in slots]
        codes = self._codes(init, slots)
        width = 1 if codes is None else codes[0].shape[1]
        fan_in = width if self.summed else len(slots) * width
        features = self.hidden[0]
        kernel_IxF = self.param("kernel_0", init.kernel, (fan_in, features))
        if codes is None:
            y_BxF = _numbers(tokens, self.num_tokens - 1) @ kernel_IxF
        else:
            parts = [kernel_IxF] * len(slots) if self.summed else jnp.split(kernel_IxF, len(slots))
            y_BxF = _sum_of_tables(tokens, codes, parts)
        if self.use_bias:
            bias_F = self.param("bias_0", init.bias, (features,), fan_in)
            y_BxF += bias_F[None]
        return y_BxF

    def _codes(self, init, slots):
        """[V, D] for each position: the code of each token there; none for pixels."""
        shape = (self.num_tokens, self.embedding_width)
        if self.code == "pixels":
            return None
        if self.code == "one_hot":
            return [jnp.eye(self.num_tokens, dtype=jnp.float32)] * len(slots)
        if self.code == "own_embedding":
            each = dict.fromkeys(slots)
            tables = {slot: self.param(f"token_{slot}", init.embedding, shape) for slot in each}
            return [tables[slot] for slot in slots]
        return [self.param("token", init.embedding, shape)] * len(slots)

    def _inits(self):
        """Those of the first layer and of the readout."""
        if self.initializer != GROMOV:
            init = _initializers.find(self.initializer)
            return init, init
        # applied, weights are there, and of the initialisers no more than shapes is asked for
        key = self.make_rng("params") if self.is_initializing() else jax.random.key(0)
        draw = functools.partial(_waves.draw, key, self.num_classes, self.hidden[0])
        signs = ((0, self.num_tokens - self.num_classes), (0, 0))  # which have no weights

        def first(_key, _shape):
            left, right, _ = draw()
            return jnp.concatenate([jnp.pad(left, signs), jnp.pad(right, signs)])

        init = _initializers.find("torch")
        return init._replace(kernel=first), init._replace(kernel=lambda *_: draw().readout_Fxp)

    @property
    def _read(self):
        return self.slots or tuple(range(self.length))

    @property
    def _adds_waves(self):
        """Can the weights be those of `_waves.py`?"""
        is_plain = not (self.summed or self.use_bias or self.layer_norm)
        is_quadratic = self.code == "one_hot" and self.activation == "square"
        are_two = len(self._read) == 2 and self.num_tokens >= self.num_classes
        return is_plain and is_quadratic and are_two and len(self.hidden) == 1

    def last_layer(self, params: Mapping[str, Any]) -> jax.Array:
        """[F, C]: the readout's weights."""
        return params["readout"]["kernel"]


def _sum_of_tables(tokens: list[jax.Array], codes: list[jax.Array], parts: list[jax.Array]):
    """[B, F]: the sum of the codes [V, D] of the tokens [B], each times its part [D, F]."""
    triples = zip(tokens, codes, parts, strict=True)
    return sum((code_VxD @ part_DxF)[token_B] for token_B, code_VxD, part_DxF in triples)


def _numbers(tokens: list[jax.Array], highest: int):
    """[B, I]: the I tokens, each [B], as numbers from 0 to 1.

    Slices concatenated along the first axis are the table that they were cut from, which XLA
    recognises. Joined in another way, those of a 28 x 28 image take 20 seconds to compile.
    """
    tokens_IxB = jnp.concatenate([token_B[None] for token_B in tokens])
    return tokens_IxB.T.astype(jnp.float32) / highest
