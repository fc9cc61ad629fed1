"""GPT-2 with meta tokens at every position, which it writes to and reads from.

A meta token is a further row at a token's position that reads no token of its own. Blocks begin
with two cross-attentions (Vaswani et al., 2017, https://arxiv.org/abs/1706.03762): the meta tokens
attend to the tokens up to their position, then the tokens to the meta tokens up to theirs. Both
are causal, so that a meta token depends on a prefix alone, like the token at its position.

The published model of this name has the layers for it but never calls them; here they are wired.
Of each meta token it has a self-attention and an MLP before the exchange, which `frame_blocks`
adds, and a cross-attention each way, one after the other; here all meta tokens share two.
"""

from collections.abc import Callable
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from grokjax.core.checks import MAX_LENGTH, check_between
from grokjax.core.hparams import at_least
from grokjax.core.prefixes import Tree
from grokjax.models import _initializers
from grokjax.models._attention import Attention
from grokjax.models._decoder import Block, Gpt2


class Model(Gpt2):
    """A GPT-2 with G meta tokens a row; with none it is `gpt2`.

    Meta token g begins as a learned vector plus the embedding of its position, if there is one.
    """

    frames: int = 4  # meta tokens of a row, G
    frame_blocks: bool = False  # each has a self-attention and an MLP of its own in every block

    RANGES: ClassVar = Gpt2.RANGES | {"frames": at_least(0)}

    def __post_init__(self):
        super().__post_init__()
        check_between("model.frames", self.frames, 0, MAX_LENGTH // self.length)  # unrolled too
        if self.frame_blocks and not self.frames:
            raise ValueError("model.frame_blocks is for meta tokens; choose model.frames above 0")

    def make_carry(self, tree: Tree, position_LxD: jax.Array | None) -> jax.Array | None:
        """[M, G, D]: the meta tokens."""
        if self.frames == 0:
            return None
        embed = _initializers.find(self.initializer).embedding
        start_GxD = self.param("frames", embed, (self.frames, self.width))
        num_rows = tree.tokens_M.size
        meta_MxGxD = jnp.broadcast_to(start_GxD, (num_rows, *start_GxD.shape))
        if position_LxD is None:
            return meta_MxGxD
        return meta_MxGxD + position_LxD[tree.positions_M][:, None]

    def make_block(self, number: int) -> nn.Module:
        if self.frames == 0:
            return super().make_block(number)
        make_cross = self.make_attention(number, CrossAttention)
        options = dict(make_cross=make_cross, frame_blocks=self.frame_blocks)
        return super().make_block(number, MetaBlock, **options)


class MetaBlock(Block):
    """A block that begins with an exchange between rows and meta tokens, norms before it.

        meta += cross(norm(meta), norm(x)),    x += cross(norm(x), norm(meta))

    With `frame_blocks`, a meta token first passes a block of its own, along the row's ancestors.
    All rows attend to the meta tokens even in the last block: the last position attends to them.
    """

    make_cross: Callable  # (name) -> layer
    frame_blocks: bool

    @nn.compact
    def __call__(
        self, x_ExD: jax.Array, meta_MxGxD: jax.Array, tree: Tree, last_only: bool, train: bool
    ) -> tuple[jax.Array, jax.Array]:
        """The rows [M, D], or [B, D] of the last position, and the meta tokens."""
        x_MxD = tree.spread(x_ExD)
        tree = tree.of_rows
        if self.frame_blocks:
            parts = (self.make_attention, self.make_mlp, self.make_norm, self.norm, self.dropout)
            passed_G = []
            for g in range(meta_MxGxD.shape[1]):
                block = Block(*parts, name=f"frame_{g}")
                passed_G.append(block(meta_MxGxD[:, g], None, tree, False, train)[0])
            meta_MxGxD = jnp.stack(passed_G, axis=1)
        dropout = nn.Dropout(self.dropout, deterministic=not train)
        to_meta = self.make_cross(name="to_frames")
        to_rows = self.make_cross(name="to_rows")
        norm_row = self.make_norm(name="norm_row")
        norm_before = self.make_norm(name="norm_frame_before")
        norm_after = self.make_norm(name="norm_frame_after")
        row_Mx1xD = norm_row(x_MxD)[:, None]
        meta_MxGxD += dropout(to_meta(norm_before(meta_MxGxD), row_Mx1xD, tree, dropout))
        attended_Mx1xD = to_rows(row_Mx1xD, norm_after(meta_MxGxD), tree, dropout)
        x_MxD += dropout(attended_Mx1xD)[:, 0]
        x, _ = super().__call__(x_MxD, None, tree, last_only, train)
        return x, meta_MxGxD


class CrossAttention(Attention):
    """Attention of U queries at each row of a tree to G keys at each of its ancestors."""

    @nn.compact
    def __call__(
        self, x_MxUxD: jax.Array, context_MxGxD: jax.Array, tree: Tree, dropout: Callable
    ) -> jax.Array:
        """[M, U, D]: queries attend to the G keys of every row up to their own."""
        num_rows, num_queries, width = x_MxUxD.shape
        q_MxUxHxK = self.heads(x_MxUxD, "query")
        k_MxGxHxK = self.heads(context_MxGxD, "key")
        v_MxGxHxK = self.heads(context_MxGxD, "value")
        q = q_MxUxHxK.reshape(num_rows, -1, self.head_width)  # a query's heads side by side
        k_Gl = _for_queries(k_MxGxHxK, num_queries, tree)
        v_Gl = _for_queries(v_MxGxHxK, num_queries, tree)
        out = self.attend(q, k_Gl, v_Gl, tree, False, dropout)
        return self.join(out.reshape(q_MxUxHxK.shape), width)


def _for_queries(x_MxGxHxK, num_queries, tree):
    """G lists over the positions of [M_l, U H, K]: the same for each query."""
    x_GxMxHxK = jnp.moveaxis(x_MxGxHxK, 1, 0)
    return [tree.split(jnp.tile(x_MxHxK, (1, num_queries, 1))) for x_MxHxK in x_GxMxHxK]
