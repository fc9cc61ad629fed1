"""The decoder, base of the transformers among the models."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax

from grokjax.core.checks import check_depth, check_length
from grokjax.core.hparams import DEPTH, DROPOUT, WIDTH, Range, above, check_ranges
from grokjax.core.prefixes import Tree
from grokjax.models import _initializers
from grokjax.models._attention import POSITIONS, QK_NORMS, Attention
from grokjax.models._layers import ACTIVATIONS, LINEARS, NORMS, Cosine, Linear, Mlp, cosines, unit

RESIDUAL = ("out", "down", "mlp")  # names of layers whose output is added to the residual stream
RANGES = {
    **dict.fromkeys(("num_blocks", "block_repeats"), DEPTH),
    **dict.fromkeys(("width", "num_heads", "head_width", "ff_width"), WIDTH),
    "norm": ("pre", "post", "overwrite", "sphere", "none"),
    "norm_kind": NORMS,
    "norm_eps": above(0),
    "activation": ACTIVATIONS,
    "linear": LINEARS,
    "positions": POSITIONS,
    "qk_norm": QK_NORMS,
    "attention_coefficient": Range("0 to 1", lambda x: 0 <= x <= 1),
    "dropout": DROPOUT,
    "initializer": _initializers.KNOWN,
}


class Block(nn.Module):
    """Attention and an MLP, each with a residual; `norm` places the norms.

        pre        x += attention(norm_1(x)),         x += mlp(norm_2(x))
        post       x = norm_1(x + attention(x)),      x = norm_2(x + mlp(x))
        overwrite  x = norm_1(x),  x += attention(x),  x += mlp(norm_2(x))
        sphere     x = unit(x + attention(x)),        x = unit(x + mlp(x))
        none       x += attention(x),                 x += mlp(x)

    `overwrite` is that of Grokfast's code: the residual stream itself is replaced by its norm.
    `sphere` keeps every row of the stream at length 1, embeddings too, without parameters, and the
    readout is `Cosine`: Yildirim, 2026, "The Geometric Inductive Bias of Grokking",
    https://arxiv.org/abs/2603.05228, whose abstract says no more: at
    which places rows are brought to length 1 is our reading.
    """

    make_attention: Callable  # (name) -> layer
    make_mlp: Callable  # (name) -> layer
    make_norm: Callable  # (name) -> layer
    norm: str
    dropout: float

    @nn.compact
    def __call__(
        self, x_ExD: jax.Array, carry: Any, tree: Tree, last_only: bool, train: bool
    ) -> tuple[jax.Array, Any]:
        """[E, D] -> [M, D], or [B, D] of the last position, and the carry for the next block."""
        dropout = nn.Dropout(self.dropout, deterministic=not train)
        norm_1 = self.make_norm(name="norm_1")
        norm_2 = self.make_norm(name="norm_2")
        attention = self.make_attention(name="attention")
        mlp = self.make_mlp(name="mlp")

        if self.norm == "overwrite":
            x_ExD = norm_1(x_ExD)
        residual = tree.spread(tree.pairs(x_ExD, last_only), last_only)
        input_ExD = norm_1(x_ExD) if self.norm in ("pre", "none") else x_ExD
        attended, carry = attention(input_ExD, carry, tree, last_only, dropout)
        x = residual + dropout(attended)
        if self.norm in ("post", "sphere"):
            x = norm_1(x)
            return norm_2(x + dropout(mlp(x))), carry
        return x + dropout(mlp(norm_2(x))), carry


class Decoder(nn.Module):
    """Logits [B, C] of the sequences of a tree, read out at their last position.

    The readout of a tied model multiplies with the embeddings of the first C tokens, which are
    the classes in every task of ours but `images`, whose tokens are pixels. The last
    application of a block computes the last position's rows alone: no others are read out.
    So of a single block, applied once, `causal` makes no difference: what it computes has all keys.

    `dropout` acts as in GPT-2. Others drop the MLP's hidden activations too. It is static because
    it decides what is computed: masks differ between examples, so with dropout no two of them can
    share a prefix in training.

    A variation is a subclass with defaults of its own that overrides a `make_...` method.
    """

    num_tokens: int
    num_classes: int
    length: int
    num_blocks: int = 2  # blocks of attention and MLP
    width: int = 128  # of the residual stream
    num_heads: int = 4  # heads of an attention
    head_width: int | None = None  # of a query, key or value; none: width / num_heads
    ff_width: int | None = None  # of an MLP's hidden layer; none: 4 width
    block_repeats: int = 1  # times that the stack of blocks is applied, with the same weights
    norm: str = "pre"  # before a branch, after it, on the stream itself, at length 1, or nowhere
    norm_kind: str = "layer"  # bare: a layer norm without parameters
    norm_eps: float = 1e-5  # added to the variance
    activation: str = "gelu"  # of the MLPs; gelu is exact
    linear: str = "dense"  # layers of the blocks; bit: BitLinear
    use_bias: bool = True  # in the layers of the blocks
    causal: bool = True  # attention to a position itself and those before it; false: to all
    positions: str = "learned"  # how the order of the tokens is known
    qk_norm: str = "none"  # of queries and keys, over a head's width
    attention_coefficient: float = 1.0  # of the softmax; 0: all keys weigh the same
    dropout: float = 0.0  # of embeddings, attention weights and what a branch adds
    embedding_scale: float = 1.0  # factor of the token embeddings
    tied_readout: bool = False  # read out by the embeddings of the classes
    initializer: str = "lecun"  # of the weights; normal(s) for any deviation s

    RANGES: ClassVar = RANGES

    def __post_init__(self):
        super().__post_init__()
        check_ranges("model.", vars(self), self.RANGES)
        check_depth("number of blocks applied", self.num_blocks * self.block_repeats)
        check_length(self.length)
        if self.head_width is None and self.width % self.num_heads:
            raise ValueError(
                f"model.width = {self.width} is not divisible by model.num_heads = "
                f"{self.num_heads}; choose a multiple, or give model.head_width"
            )
        if self.positions == "rotary" and self.width_of_head % 2:
            raise ValueError(
                f"model.positions = 'rotary' turns pairs, and a head is {self.width_of_head} wide; "
                "choose an even model.head_width"
            )

    @nn.compact
    def __call__(self, tree: Tree, train: bool = False) -> jax.Array:
        embed = _initializers.find(self.initializer).embedding
        token_VxD = self.param("token", embed, (self.num_tokens, self.width))
        x = token_VxD[tree.tokens_E] * self.embedding_scale
        position_LxD = None
        if self.positions == "learned":
            position_LxD = self.param("position", embed, (self.length, self.width))
            x = x + position_LxD[tree.positions_E]
        if self.norm == "sphere":
            x = unit(x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)

        carry = self.make_carry(tree, position_LxD)
        blocks = [self.make_block(i) for i in range(self.num_blocks)] * self.block_repeats
        for i, block in enumerate(blocks):
            last = i == len(blocks) - 1
            x, carry = block(x, carry, tree, last_only=last, train=train)
            tree = tree.of_rows

        if self.norm in ("pre", "overwrite"):
            x = self.make_norm()(name="norm")(x)
        self.sow("intermediates", "features", x)
        is_sphere = self.norm == "sphere"
        if self.tied_readout:
            table_DxC = token_VxD[: self.num_classes].T
            return cosines(x, table_DxC) if is_sphere else x @ table_DxC
        readout = Cosine if is_sphere else Linear
        return readout(self.num_classes, self.initializer, use_bias=False, name="readout")(x)

    def make_carry(self, _tree: Tree, _position_LxD: jax.Array | None) -> Any:
        """What blocks pass on besides the residual stream; nothing, in a plain decoder."""

    def make_block(self, number: int, kind: Callable = Block, **options: Any) -> nn.Module:
        """Block 0, 1, ... of a kind, which may have options of its own."""
        return kind(
            make_attention=self.make_attention(number),
            make_mlp=self.make_mlp(),
            make_norm=self.make_norm(),
            norm=self.norm,
            dropout=self.dropout,
            name=f"block_{number}",
            **options,
        )

    def make_attention(self, _number: int, kind: Callable = Attention, **options: Any) -> Callable:
        """(name) -> the attention of a block."""
        qk_norm = QK_NORMS[self.qk_norm]
        return functools.partial(
            kind,
            self.num_heads,
            self.width_of_head,
            self.make_linear(),
            self.positions,
            qk_norm and functools.partial(qk_norm, self.norm_eps),
            self.attention_coefficient,
            self.causal,
            **options,
        )

    def make_mlp(self) -> Callable:
        """(name) -> the feed-forward layer of a block."""
        return functools.partial(Mlp, self.width_of_mlp, self.activation, self.make_linear())

    def make_linear(self) -> Callable:
        """(features, use_bias, name) -> a linear layer of a block."""
        residual_scale = self.residual_scale
        may_have_bias = self.use_bias

        def linear(features, use_bias=True, name=None):
            scale = residual_scale if name in RESIDUAL else 1.0
            options = (self.initializer, use_bias and may_have_bias, scale)
            return LINEARS[self.linear](features, *options, name=name)

        return linear

    def make_norm(self) -> Callable:
        """(name) -> a norm."""
        if self.norm == "none":
            return lambda **_: lambda x: x
        if self.norm == "sphere":
            return lambda **_: unit
        return functools.partial(NORMS[self.norm_kind], self.norm_eps)

    @property
    def width_of_head(self) -> int:
        return self.width // self.num_heads if self.head_width is None else self.head_width

    @property
    def width_of_mlp(self) -> int:
        return 4 * self.width if self.ff_width is None else self.ff_width

    @property
    def residual_scale(self) -> float:
        """Scale of the initial weights that end a residual branch; GPT-2 has 2 a block."""
        return (2 * self.num_blocks) ** -0.5 if self.initializer == "gpt2" else 1.0

    def last_layer(self, params: Mapping[str, Any]) -> jax.Array:
        """[D, C]: the readout's weights."""
        if self.tied_readout:
            return params["token"][: self.num_classes].T
        return params["readout"]["kernel"]


class Gpt2(Decoder):
    """A decoder with GPT-2's defaults: tanh GELU, tied readout, small initial weights."""

    activation: str = "gelu_tanh"
    tied_readout: bool = True
    initializer: str = "gpt2"
