"""GPT-2 whose later blocks read the first block's values, besides their own or instead.

Zhou et al., 2024, "Value Residual Learning", https://arxiv.org/abs/2410.17897.
"""

from collections.abc import Callable
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from grokjax.core.prefixes import Tree
from grokjax.models._attention import Attention
from grokjax.models._decoder import Gpt2


class Model(Gpt2):
    """A GPT-2 whose block n attends with values made from V_n and the first block's V_1.

        resformer  V_n <- l_1 V_n + l_2 V_1, with l_1 = l_2 = 1/2 at the start
        svformer   V_n <- V_1: later blocks project no values

    The weights l are learned, two for every block but the first. With `block_repeats`, V_1
    are the values of the very first block applied.
    """

    variant: str = "resformer"  # add the first block's values, or use them alone

    RANGES: ClassVar = Gpt2.RANGES | {"variant": ("resformer", "svformer")}

    def make_attention(self, number: int) -> Callable:
        """(name) -> the attention of a block."""
        return super().make_attention(
            number, SharedValues, variant=self.variant if number else "first"
        )


class SharedValues(Attention):
    """Attention that passes on the first block's values, to which later blocks add their own."""

    variant: str = "first"  # or resformer, svformer

    def values(
        self, x_ExD: jax.Array, first_MxHxK: jax.Array | None, tree: Tree
    ) -> tuple[jax.Array, jax.Array]:
        """[M, H, K]: the values attended with, and the first block's."""
        if first_MxHxK is not None and self.variant == "svformer":
            return first_MxHxK, first_MxHxK
        v_MxHxK = tree.spread(self.heads(x_ExD, "value"))
        if first_MxHxK is None:
            return v_MxHxK, v_MxHxK
        if self.variant == "first":  # applied again
            return v_MxHxK, first_MxHxK
        own, first = self.param("mixture", nn.initializers.constant(0.5), (2,), jnp.float32)
        return own * v_MxHxK + first * first_MxHxK, first_MxHxK
