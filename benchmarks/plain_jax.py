"""The same training as a good JAX user would ordinarily write it: every row at every position.

Flax and its attention with a causal mask, optax, one jitted scan over the steps. Of the usual
ways to write attention this one was the fastest on a CPU, by a few percent.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax


class Problem(NamedTuple):
    """What every contender trains: one function, from the same weights, on the same examples."""

    architecture: Mapping[str, Any]  # the arguments of `Model`, here and in PyTorch
    params: Mapping  # grokjax's initial weights, as numpy arrays
    inputs_NxL: np.ndarray  # the training examples alone
    labels_N: np.ndarray
    batch_size: int
    hparams: Mapping[str, float]


ACTIVATIONS = {
    "relu": nn.relu,
    "gelu": functools.partial(nn.gelu, approximate=False),
    "gelu_tanh": nn.gelu,
}


class Mlp(nn.Module):
    """Two dense layers with an activation between them."""

    ff_width: int
    activation: str

    @nn.compact
    def __call__(self, x_BxLxD):
        hidden_BxLxF = nn.Dense(self.ff_width, name="up")(x_BxLxD)
        hidden_BxLxF = ACTIVATIONS[self.activation](hidden_BxLxF)
        return nn.Dense(x_BxLxD.shape[-1], name="down")(hidden_BxLxF)


class Block(nn.Module):
    """Attention and an MLP, each on a residual branch that begins with a norm."""

    num_heads: int
    ff_width: int
    activation: str

    @nn.compact
    def __call__(self, x_BxLxD):
        norm_1, norm_2 = (nn.LayerNorm(1e-5, name=name) for name in ("norm_1", "norm_2"))
        attention = nn.MultiHeadDotProductAttention(self.num_heads, name="attention")
        x_BxLxD += attention(norm_1(x_BxLxD), mask=nn.make_causal_mask(x_BxLxD[..., 0]))
        return x_BxLxD + Mlp(self.ff_width, self.activation, name="mlp")(norm_2(x_BxLxD))


class Model(nn.Module):
    """Answers [B, C] to sequences [B, L], read at their last position."""

    num_tokens: int
    num_classes: int
    length: int
    num_blocks: int
    width: int
    num_heads: int
    ff_width: int
    activation: str

    @nn.compact
    def __call__(self, inputs_BxL):
        embed = nn.initializers.normal(1.0)
        token_VxD = self.param("token", embed, (self.num_tokens, self.width))
        position_LxD = self.param("position", embed, (self.length, self.width))
        x_BxLxD = token_VxD[inputs_BxL] + position_LxD
        for i in range(self.num_blocks):
            block = Block(self.num_heads, self.ff_width, self.activation, name=f"block_{i}")
            x_BxLxD = block(x_BxLxD)
        x_BxD = nn.LayerNorm(1e-5, name="norm")(x_BxLxD[:, -1])
        return nn.Dense(self.num_classes, use_bias=False, name="readout")(x_BxD)


def train(problem: Problem, steps: int) -> Iterator[Mapping]:
    """Trains `steps` further steps at every `next`, waits for the last, yields the weights."""
    model, optimizer = Model(**problem.architecture), adamw(problem.hparams)
    inputs_NxL, labels_N = jnp.array(problem.inputs_NxL), jnp.array(problem.labels_N)

    def loss_of(params, rows_B):
        logits_BxC = model.apply({"params": params}, inputs_NxL[rows_B])
        return optax.softmax_cross_entropy_with_integer_labels(logits_BxC, labels_N[rows_B]).mean()

    def step(state, rows_B):
        params, opt_state = state
        loss, grads = jax.value_and_grad(loss_of)(params, rows_B)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss

    @functools.partial(jax.jit, donate_argnums=0)
    def chunk(state, key):
        return jax.lax.scan(step, state, batches(key, steps, problem.batch_size, labels_N.size))

    params = jax.tree.map(jnp.array, weights(problem))
    state, key = (params, optimizer.init(params)), jax.random.key(0)
    while True:
        key, key_chunk = jax.random.split(key)
        state, _ = jax.block_until_ready(chunk(state, key_chunk))
        yield state[0]


def adamw(hparams) -> optax.GradientTransformation:
    """AdamW with a linear warm-up to its learning rate."""

    def rate(t):
        return hparams["learning_rate"] * jnp.minimum((t + 1) / max(hparams["warmup"], 1), 1.0)

    moments = {name: hparams[name] for name in ("b1", "b2", "eps")}
    return optax.adamw(rate, **moments, weight_decay=hparams["weight_decay"])


def batches(key, steps, batch_size, num_rows):
    """[T, B]: rows of T batches; every epoch is a shuffle whose ragged last batch is dropped."""
    per_epoch = num_rows // batch_size
    keys = jax.random.split(key, -(-steps // per_epoch))
    rows = jax.vmap(lambda key: jax.random.permutation(key, num_rows))(keys)
    return rows[:, : per_epoch * batch_size].reshape(-1, batch_size)[:steps]


def weights(problem: Problem) -> dict:
    """grokjax's weights in the shapes that they have in `Model`: Flax splits the heads."""
    heads = (problem.architecture["num_heads"], -1)
    params = dict(problem.params)
    for name in [name for name in params if name.startswith("block_")]:
        attention = projections(params[name]["attention"])
        for part in ("query", "key", "value"):
            layer = attention[part].items()
            attention[part] = {leaf: x.reshape(*x.shape[:-1], *heads) for leaf, x in layer}
        kernel = attention["out"]["kernel"]
        attention["out"] = {**attention["out"], "kernel": kernel.reshape(*heads, kernel.shape[-1])}
        params[name] = {**params[name], "attention": attention}
    return params


def projections(attention: Mapping) -> dict:
    """The four linear layers of an attention, each with a bias.

    grokjax gives keys none: it adds the same to all scores of a query, and the softmax takes
    that out again. The usual attention has one, which starts at zero and stays there.
    """
    return {
        name: {"bias": np.zeros(layer["kernel"].shape[-1], np.float32), **layer}
        for name, layer in attention.items()
    }
