"""The decoder-only transformer of the grokking papers.

Power et al., 2022, "Grokking: Generalization Beyond Overfitting on Small
Algorithmic Datasets", https://arxiv.org/abs/2201.02177: two blocks, 128 wide, four heads.
"""

import flax.linen as nn

from grokjax.checks import check_at_least, check_choice
from grokjax.layers import ACTIVATIONS, INITS, Attention, Linear, Mlp
from grokjax.prefixes import Tree


class Block(nn.Module):
    """Attention and an MLP, each with a residual and a norm before (`pre`) or after (`post`)."""

    num_heads: int
    head_width: int
    ff_width: int
    norm: str
    norm_eps: float
    activation: str
    initializer: str
    dropout: float

    @nn.compact
    def __call__(self, x_MxD, tree: Tree, answers_only: bool, train: bool):
        dropout = nn.Dropout(self.dropout, deterministic=not train)
        norm_1 = nn.LayerNorm(self.norm_eps, name="norm_1")
        norm_2 = nn.LayerNorm(self.norm_eps, name="norm_2")
        attention = Attention(self.num_heads, self.head_width, self.initializer, name="attention")
        mlp = Mlp(self.ff_width, self.activation, self.initializer, name="mlp")

        residual = tree.split(x_MxD)[-1] if answers_only else x_MxD
        if self.norm == "pre":
            x = residual + dropout(attention(norm_1(x_MxD), tree, answers_only, dropout))
            return x + dropout(mlp(norm_2(x)))
        x = norm_1(residual + dropout(attention(x_MxD, tree, answers_only, dropout)))
        return norm_2(x + dropout(mlp(x)))


class Model(nn.Module):
    """Answers [B, C] to the sequences of a tree, read at their last position.

    `block_repeats` applies the stack of blocks that many times with the same weights. The
    readout of a tied model multiplies with the embeddings of the first C tokens, which are
    the answers' own in every task of ours. The last application of a block computes the
    last position's rows alone: nobody looks at the others.
    """

    num_tokens: int
    num_classes: int
    length: int
    num_blocks: int = 2
    width: int = 128
    num_heads: int = 4
    head_width: int | None = None  # width / num_heads unless given
    ff_width: int | None = None  # 4 width unless given
    block_repeats: int = 1
    norm: str = "pre"  # or post
    norm_eps: float = 1e-5
    activation: str = "gelu"  # exact; or gelu_tanh, relu
    dropout: float = 0.0
    embedding_scale: float = 1.0
    tied_readout: bool = False
    initializer: str = "lecun"  # or torch

    causal = True

    def __post_init__(self):
        """Raises a ValueError for options that do not fit together."""
        super().__post_init__()
        for size in ("num_blocks", "width", "num_heads", "block_repeats"):
            check_at_least(f"model.{size}", getattr(self, size), 1)
        for size in ("head_width", "ff_width"):
            check_at_least(f"model.{size}", getattr(self, size) or 1, 1)
        check_choice("model.norm", self.norm, ("pre", "post"))
        check_choice("model.activation", self.activation, ACTIVATIONS)
        check_choice("model.initializer", self.initializer, INITS)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"model.dropout = {self.dropout}; choose 0 to below 1")
        if self.head_width is None and self.width % self.num_heads:
            raise ValueError(
                f"model.width = {self.width} is not divisible by model.num_heads = "
                f"{self.num_heads}; choose a multiple, or give model.head_width"
            )

    @nn.compact
    def __call__(self, tree: Tree, train: bool = False):
        embed = INITS[self.initializer].embedding
        token_VxD = self.param("token", embed, (self.num_tokens, self.width))
        position_LxD = self.param("position", embed, (self.length, self.width))
        x_MxD = token_VxD[tree.tokens_M] * self.embedding_scale + position_LxD[tree.positions_M]
        x_MxD = nn.Dropout(self.dropout, deterministic=not train)(x_MxD)

        blocks = [
            Block(
                num_heads=self.num_heads,
                head_width=self.head_width or self.width // self.num_heads,
                ff_width=self.ff_width or 4 * self.width,
                norm=self.norm,
                norm_eps=self.norm_eps,
                activation=self.activation,
                initializer=self.initializer,
                dropout=self.dropout,
                name=f"block_{i}",
            )
            for i in range(self.num_blocks)
        ] * self.block_repeats
        for i, block in enumerate(blocks):
            x_MxD = block(x_MxD, tree, answers_only=i == len(blocks) - 1, train=train)

        if self.norm == "pre":
            x_MxD = nn.LayerNorm(self.norm_eps, name="norm")(x_MxD)
        if self.tied_readout:
            return x_MxD @ token_VxD[: self.num_classes].T
        return Linear(self.num_classes, self.initializer, use_bias=False, name="readout")(x_MxD)

    def last_layer(self, params):
        """[D, C]: the weights that make logits."""
        if self.tied_readout:
            return params["token"][: self.num_classes].T
        return params["readout"]["kernel"]
