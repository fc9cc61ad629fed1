"""GPT-2 with rows of its own beside every token, which it writes to and reads from.

A frame is a further row at a token's position that reads no token of its own. Blocks begin
with two cross-attentions (Vaswani et al., 2017, https://arxiv.org/abs/1706.03762): the frames
look at the tokens up to their position, then the tokens at the frames up to theirs. Both look
back only, so that a frame depends on a prefix alone, like the token beside it. The published
model of this name has the layers for it but never calls them; here they are wired.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp

from grokjax.core.checks import check_at_least
from grokjax.core.prefixes import Tree
from grokjax.models._attention import Attention
from grokjax.models._decoder import Block, Gpt2
from grokjax.models._layers import INITS


class Model(Gpt2):
    """A GPT-2 with G frames a row; with none it is `gpt2`.

    Frame g begins as a learned vector plus the embedding of its position, where there is one.
    """

    frames: int = 4  # G

    def __post_init__(self):
        """Raises a ValueError for options that do not fit together."""
        super().__post_init__()
        check_at_least("model.frames", self.frames, 0)

    def make_memory(self, tree: Tree, place_MxD):
        """[M, G, D]: the frames."""
        if self.frames == 0:
            return None
        embed = INITS[self.initializer].embedding
        start_GxD = self.param("frames", embed, (self.frames, self.width))
        num_rows = tree.tokens_M.size
        frames_MxGxD = jnp.broadcast_to(start_GxD, (num_rows, *start_GxD.shape))
        return frames_MxGxD if place_MxD is None else frames_MxGxD + place_MxD[:, None]

    def make_block(self, number: int) -> nn.Module:
        """Block 0, 1, ..."""
        if self.frames == 0:
            return super().make_block(number)
        cross = functools.partial(CrossAttention, **self.heads())
        return FramedBlock(**self.parts(number), make_cross=cross, name=f"block_{number}")


class FramedBlock(Block):
    """A block that begins with an exchange between rows and frames, norms before it.

        frames += cross(norm(frames), norm(x)),    x += cross(norm(x), norm(frames))

    All rows look at the frames even in the last block: the answers' attention reads them all.
    """

    make_cross: Callable  # (name) -> layer

    @nn.compact
    def __call__(self, x_MxD, frames_MxGxD, tree: Tree, answers_only: bool, train: bool):
        """The rows [M, D], or [B, D] of the last position, and the frames for the next block."""
        dropout = nn.Dropout(self.dropout, deterministic=not train)
        to_frames, to_rows = self.make_cross(name="to_frames"), self.make_cross(name="to_rows")
        norm_row, norm_before, norm_after = (
            self.make_norm(name=f"norm_{name}") for name in ("row", "frame_before", "frame_after")
        )
        row_Mx1xD = norm_row(x_MxD)[:, None]
        frames_MxGxD += dropout(to_frames(norm_before(frames_MxGxD), row_Mx1xD, tree, dropout))
        found_Mx1xD = to_rows(row_Mx1xD, norm_after(frames_MxGxD), tree, dropout)
        x_MxD += dropout(found_Mx1xD)[:, 0]
        x, _ = super().__call__(x_MxD, None, tree, answers_only, train)
        return x, frames_MxGxD


class CrossAttention(Attention):
    """Attention of U readers beside each row of a tree to what stands beside its ancestors."""

    @nn.compact
    def __call__(self, x_MxUxD, seen_MxGxD, tree: Tree, dropout: Callable):
        """[M, U, D]: readers see the G of every row up to their own."""
        num_rows, num_readers, width = x_MxUxD.shape
        q_MxUxHxK = self.heads(x_MxUxD, "query")
        k_MxGxHxK, v_MxGxHxK = self.heads(seen_MxGxD, "key"), self.heads(seen_MxGxD, "value")
        q = q_MxUxHxK.reshape(num_rows, -1, self.head_width)  # a reader's heads side by side
        k_Gl, v_Gl = (_for_readers(x, num_readers, tree) for x in (k_MxGxHxK, v_MxGxHxK))
        out = self.look(q, k_Gl, v_Gl, tree, False, dropout)
        return self.join(out.reshape(q_MxUxHxK.shape), width)


def _for_readers(x_MxGxHxK, num_readers, tree):
    """G lists over the positions of [M_l, U H, K]: the same for each reader."""
    x_GxMxHxK = jnp.moveaxis(x_MxGxHxK, 1, 0)
    return [tree.split(jnp.tile(x_MxHxK, (1, num_readers, 1))) for x_MxHxK in x_GxMxHxK]
