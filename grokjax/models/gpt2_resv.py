"""GPT-2 whose later blocks read the first block's values, besides their own or instead.

Zhou et al., 2024, "Value Residual Learning", https://arxiv.org/abs/2410.17897.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from grokjax.core.checks import check_choice
from grokjax.models._attention import Attention
from grokjax.models._decoder import Gpt2

VARIANTS = ("resformer", "svformer")


class Model(Gpt2):
    """A GPT-2 whose block n attends with values made from V_n and the first block's V_1.

        resformer  V_n <- l_1 V_n + l_2 V_1, with l_1 = l_2 = 1/2 at the start
        svformer   V_n <- V_1: later blocks project no values

    The weights l are learned, two for every block but the first. With `block_repeats`, V_1
    are the values of the very first block applied.
    """

    variant: str = "resformer"  # or svformer

    def __post_init__(self):
        """Raises a ValueError for options that do not fit together."""
        super().__post_init__()
        check_choice("model.variant", self.variant, VARIANTS)

    def make_attention(self, number: int) -> Callable:
        """(name) -> the attention of a block."""
        kind = {"resformer": MixedValues, "svformer": SharedValues}[self.variant]
        return functools.partial(FirstValues if number == 0 else kind, **self.attention_arguments())


class FirstValues(Attention):
    """Attention with its own values, which it passes on unless some were passed to it."""

    def values(
        self, x_MxD: jax.Array, first_MxHxK: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        """[M, H, K]: its values, and the first block's."""
        v_MxHxK = self.heads(x_MxD, "value")
        return v_MxHxK, v_MxHxK if first_MxHxK is None else first_MxHxK


class MixedValues(Attention):
    """Attention with a learned mixture of its own values and the first block's."""

    def values(self, x_MxD: jax.Array, first_MxHxK: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[M, H, K]: the mixture, and the first block's."""
        own, first = self.param("mixture", nn.initializers.constant(0.5), (2,), jnp.float32)
        return own * self.heads(x_MxD, "value") + first * first_MxHxK, first_MxHxK


class SharedValues(Attention):
    """Attention with the first block's values."""

    def values(self, x_MxD: jax.Array, first_MxHxK: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[M, H, K]: the first block's values, twice."""
        del x_MxD
        return first_MxHxK, first_MxHxK
