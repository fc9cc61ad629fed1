"""Layers that models share: activations, norms, linear layers, MLP."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from grokjax.models import _initializers

ACTIVATIONS = {
    "relu": nn.relu,
    "gelu": lambda x: x * (0.5 * jax.lax.erf(x * 2**-0.5) + 0.5),  # jax.nn's erfc takes longer
    "gelu_tanh": lambda x: nn.gelu(x, approximate=True),
    "silu": nn.silu,
    "square": jnp.square,
}

COSINE_SCALE = 10.0  # of logits

NORMS = {  # each takes epsilon and, in a module, a name
    "layer": nn.LayerNorm,
    "rms": nn.RMSNorm,
    "bare": lambda eps, name=None: nn.LayerNorm(eps, use_bias=False, use_scale=False, name=name),
}


class Linear(nn.Module):
    """x W + b with the initialiser of a preset."""

    features: int
    initializer: str | _initializers.Init = "torch"
    use_bias: bool = True
    scale: float = 1.0  # of the initial weights

    @nn.compact
    def __call__(self, x_MxI: jax.Array) -> jax.Array:
        fan_in = x_MxI.shape[-1]
        y_MxO = self.multiply(x_MxI, self.param("kernel", self._draw, (fan_in, self.features)))
        if self.use_bias:
            bias_O = self.param("bias", self._init.bias, (self.features,), fan_in)
            y_MxO += jnp.expand_dims(bias_O, range(y_MxO.ndim - 1))
        return y_MxO

    def multiply(self, x_MxI: jax.Array, kernel_IxO: jax.Array) -> jax.Array:
        """[M, O]: the matmul of the layer."""
        num_inputs, num_outputs = kernel_IxO.shape
        if num_inputs <= num_outputs:
            return x_MxI @ kernel_IxO
        # The gradient of a tall kernel is twice as fast where a CPU computes it transposed.
        kernel_OxI = jax.lax.optimization_barrier(kernel_IxO.T)
        return jnp.einsum("...i,oi->...o", x_MxI, kernel_OxI)

    @property
    def _init(self):
        init = _initializers.find(self.initializer)
        return init.layers.get(self.name or "", init)

    def _draw(self, key, shape):
        kernel_IxO = self._init.kernel(key, shape)
        return kernel_IxO if self.scale == 1 else kernel_IxO * self.scale


class BitLinear(Linear):
    """A linear layer that computes with weights -1, 0 and 1 and with activations of 8 bits.

        y = Q(rms(x)) g T,   T = clip(round(W / g), -1, 1),   g = mean |W|
        Q(x) = round(x s) / s,   s = 127 / max |x|  row by row

    Ma et al., 2024, "The Era of 1-bit LLMs: All Large Language Models are in 1.58 Bits",
    https://arxiv.org/abs/2402.17764. The weights stay float32 beneath; rounding passes their
    gradient and that of the activations through as if it were not there. The norm before it
    has no parameters.
    """

    def multiply(self, x_MxI: jax.Array, kernel_IxO: jax.Array) -> jax.Array:
        """[M, O]: the matmul of rounded activations and weights."""
        x_MxI *= jax.lax.rsqrt(jnp.square(x_MxI).mean(-1, keepdims=True) + 1e-6)
        return straight_through(eight_bits, x_MxI) @ straight_through(ternary, kernel_IxO)


def ternary(kernel_IxO: jax.Array) -> jax.Array:
    """The nearest of -g, 0 and g for each weight, g the mean of their sizes."""
    size = jnp.maximum(jnp.abs(kernel_IxO).mean(), 1e-5)
    return jnp.clip(jnp.round(kernel_IxO / size), -1, 1) * size


def eight_bits(x_MxI: jax.Array) -> jax.Array:
    """The nearest of 255 evenly spaced numbers for each activation, row by row."""
    step_Mx1 = jnp.maximum(jnp.abs(x_MxI).max(-1, keepdims=True), 1e-5) / 127
    return jnp.round(x_MxI / step_Mx1) * step_Mx1


def straight_through(function: Callable, x: jax.Array) -> jax.Array:
    """`function(x)` with the gradient of x."""
    return x + jax.lax.stop_gradient(function(x) - x)


LINEARS = {"dense": Linear, "bit": BitLinear}


class Cosine(Linear):
    """A readout without a scale to grow: the cosines to the columns of W, times `COSINE_SCALE`."""

    def multiply(self, x_MxI: jax.Array, kernel_IxO: jax.Array) -> jax.Array:
        """[M, O]: the cosines, scaled."""
        return cosines(x_MxI, kernel_IxO)


def cosines(x_MxI: jax.Array, kernel_IxO: jax.Array) -> jax.Array:
    """[M, O]: those between each row and each column, times `COSINE_SCALE`."""
    return COSINE_SCALE * unit(x_MxI) @ unit(kernel_IxO.T).T


def unit(x_MxD: jax.Array) -> jax.Array:
    """Each row divided by its length."""
    return x_MxD * jax.lax.rsqrt(jnp.square(x_MxD).sum(-1, keepdims=True) + 1e-12)


class Mlp(nn.Module):
    """Two linear layers with an activation between them, row by row."""

    width: int
    activation: str
    linear: Callable  # (features, name) -> layer

    @nn.compact
    def __call__(self, x_MxD: jax.Array) -> jax.Array:
        hidden_MxF = ACTIVATIONS[self.activation](self.linear(self.width, name="up")(x_MxD))
        self.sow("intermediates", "neurons", hidden_MxF)
        return self.linear(x_MxD.shape[-1], name="down")(hidden_MxF)
