"""Initial weights, by the names that public projects and libraries have for them."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn.initializers import lecun_normal, variance_scaling

from grokjax.core.checks import check_choice
from grokjax.core.hparams import Range

f32 = jnp.float32  # named wherever numbers are made, whatever JAX_ENABLE_X64 says
NORMAL = re.compile(r"normal\((\d*\.?\d+(?:e-?\d+)?)\)")


class Init(NamedTuple):
    """How to draw initial weights; grokking time depends on it strongly."""

    kernel: Callable  # (key, shape [I, O])
    bias: Callable  # (key, shape, fan_in)
    embedding: Callable  # (key, shape [V, D])
    layers: Mapping[str, "Init"] = MappingProxyType({})  # exceptions, by the name of a layer


def find(name: str | Init) -> Init:
    """The initialiser of a name, or itself.

    Raises:
        ValueError: if there is none.
    """
    if isinstance(name, Init):
        return name
    if normal := NORMAL.fullmatch(name):
        return Init(_normal(float(normal[1])), _no_bias, _normal(float(normal[1])))
    if name not in INITS:  # normal(s) for any s
        check_choice("model.initializer", name, [*INITS, "normal(0.02)"])
    return INITS[name]


def _uniform_fan_in(key, shape, fan_in):
    return jax.random.uniform(key, shape, f32, minval=-(fan_in**-0.5), maxval=fan_in**-0.5)


def _uniform_kernel(key, shape):
    return _uniform_fan_in(key, shape, shape[0])


def _normal(std):
    return lambda key, shape: jax.random.normal(key, shape, f32) * std


def _no_bias(_key, shape, _fan_in):
    return jnp.zeros(shape, f32)


def _scaled(scale, mode, distribution):
    """Kernels whose variance is scale / fan, biases zero, PyTorch's embedding."""
    draw = variance_scaling(scale, mode, distribution)
    return Init(lambda key, shape: draw(key, shape, f32), _no_bias, _normal(1.0))


def _stacked_xavier(key, shape):
    """PyTorch stacks queries, keys and values before it draws them: fan_out is three times D."""
    bound = (6 / (shape[0] + 3 * shape[1])) ** 0.5
    return jax.random.uniform(key, shape, f32, minval=-bound, maxval=bound)


def _embedding_of_length_1(key, shape):
    return jax.random.normal(key, shape, f32) * shape[1] ** -0.5


TORCH = Init(_uniform_kernel, _uniform_fan_in, _normal(1.0))
PROJECTION = Init(_stacked_xavier, _no_bias, _normal(1.0))
INITS = {
    "torch": TORCH,  # the defaults of nn.Linear and nn.Embedding
    "torch_attention": TORCH._replace(  # and of nn.MultiheadAttention
        layers={
            "query": PROJECTION,
            "key": PROJECTION,
            "value": PROJECTION,
            "out": TORCH._replace(bias=_no_bias),
        }
    ),
    "kaiming_normal": _scaled(2.0, "fan_in", "normal"),
    "kaiming_uniform": _scaled(2.0, "fan_in", "uniform"),
    "xavier_normal": _scaled(1.0, "fan_avg", "normal"),
    "xavier_uniform": _scaled(1.0, "fan_avg", "uniform"),
    # of Chughtai et al., 2023
    "fan_in_normal": _scaled(1.0, "fan_in", "normal")._replace(embedding=_embedding_of_length_1),
    "lecun": Init(  # Flax's default
        kernel=lambda key, shape: lecun_normal()(key, shape, f32),
        bias=_no_bias,
        embedding=_embedding_of_length_1,
    ),
    # of GPT-2, whose layers that end a residual branch are scaled down besides
    "gpt2": Init(_normal(0.02), _no_bias, _normal(0.02)),
}
KNOWN = Range(", ".join([*INITS, "normal(s)"]), find)
