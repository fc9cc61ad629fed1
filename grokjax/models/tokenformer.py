"""TokenFormer: a transformer whose weight matrices are attention to learned tokens.

Wang et al., 2024, "TokenFormer: Rethinking Transformer Scaling with Tokenized Model
Parameters", https://arxiv.org/abs/2410.23168.
"""

import functools
from collections.abc import Callable
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from grokjax.core.hparams import WIDTH
from grokjax.models import _initializers
from grokjax.models._decoder import RESIDUAL, Decoder
from grokjax.models._layers import ACTIVATIONS


class Model(Decoder):
    """A decoder in which queries, keys, values, their mixture and the MLP are `Pattention`s.

    As in the paper, norms have no parameters, and the feed-forward layer is one Pattention of
    `ff_width` parameter tokens (4 `width` unless given). The readout is a plain matrix.
    """

    norm_kind: str = "bare"
    use_bias: bool = False
    tokens: int | None = None  # of each layer of an attention; none: width

    RANGES: ClassVar = Decoder.RANGES | {"tokens": WIDTH}

    def __post_init__(self):
        super().__post_init__()
        if self.linear != "dense":
            raise ValueError(
                f"model.linear = {self.linear!r} has no layer to apply to in tokenformer, whose "
                "layers are parameter tokens; choose dense"
            )
        if self.use_bias:
            raise ValueError("model.use_bias = True: a tokenformer has no biases; choose False")

    def make_linear(self) -> Callable:
        return self._pattention(self.width if self.tokens is None else self.tokens)

    def make_mlp(self) -> Callable:
        return functools.partial(self._pattention(self.width_of_mlp), self.width)

    def _pattention(self, num_tokens):
        options = (num_tokens, self.activation, self.initializer)
        residual_scale = self.residual_scale

        def pattention(features, name, **_):
            scale = residual_scale if name in RESIDUAL else 1.0
            return Pattention(features, *options, scale, name=name)

        return pattention


class Pattention(nn.Module):
    """Attention of each row to F parameter tokens, that is to learned keys and values.

        y = f(s) V,    s = sqrt(F) x K' / ||x K'||,    f = GELU

    In place of a softmax the scores of a row get length sqrt(F) and pass an activation, which
    leaves small weights small and gradients alive. There is no bias.
    """

    features: int
    num_tokens: int  # F
    activation: str
    initializer: str
    scale: float = 1.0  # of the initial values

    @nn.compact
    def __call__(self, x_MxI: jax.Array) -> jax.Array:
        init = _initializers.find(self.initializer).kernel
        keys_IxF = self.param("keys", init, (x_MxI.shape[-1], self.num_tokens))
        values_FxO = self.param(
            "values",
            lambda key, shape: init(key, shape) * self.scale,
            (self.num_tokens, self.features),
        )
        score_MxF = x_MxI @ keys_IxF
        score_MxF *= jax.lax.rsqrt(jnp.square(score_MxF).mean(-1, keepdims=True) + 1e-12)
        neurons_MxF = ACTIVATIONS[self.activation](score_MxF)
        if self.name == "mlp":
            self.sow("intermediates", "neurons", neurons_MxF)
        return neurons_MxF @ values_FxO
