"""The same training as a good JAX user would ordinarily write it.

Models of Flax, optax, one jitted scan over the steps.
"""

import functools
from collections.abc import Generator, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from benchmarks import plain_models
from benchmarks.problem import Problem


def train(problem: Problem, steps: int) -> Generator[Mapping, int | None, None]:
    """Trains `steps` further steps at every `next`, waits for the last, yields the weights.

    `send(n)` makes them n; that compiles anew.
    """
    model = make_model(problem)
    optimizer = adamw(problem.hparams)
    everything = jnp.array(problem.inputs_NxL), jnp.array(problem.labels_N)

    def loss_of(params, inputs_BxL, labels_B):
        logits_BxC = model.apply({"params": params}, inputs_BxL).astype(jnp.float32)
        return optax.softmax_cross_entropy_with_integer_labels(logits_BxC, labels_B).mean()

    def step(state, rows_B):
        params, opt_state = state
        batch = everything if rows_B is None else (x_N[rows_B] for x_N in everything)
        loss, grads = jax.value_and_grad(loss_of)(params, *batch)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss

    @functools.partial(jax.jit, donate_argnums=0, static_argnames="steps")
    def chunk(state, key, steps):
        rows_TxB = batches(key, steps, problem.batch_size, len(problem.labels_N))
        return jax.lax.scan(step, state, rows_TxB, length=steps)

    params = jax.tree.map(jnp.array, weights(problem))
    state = (params, optimizer.init(params))
    key = jax.random.key(0)
    while True:
        key, key_chunk = jax.random.split(key)
        state, _ = jax.block_until_ready(chunk(state, key_chunk, steps))
        steps = (yield state[0]) or steps


def make_model(problem: Problem) -> nn.Module:
    """The model, without weights."""
    dtype = jnp.bfloat16 if problem.precision == "bfloat16" else None
    return plain_models.MODELS[problem.model](**problem.architecture, dtype=dtype)


def weights(problem: Problem) -> Mapping:
    """grokjax's weights as the model has them."""
    return plain_models.rename(problem.model, problem.params, problem.architecture)


def adamw(hparams: Mapping[str, float]) -> optax.GradientTransformation:
    """AdamW with a linear warm-up to its learning rate."""

    def rate(t):
        return hparams["learning_rate"] * jnp.minimum((t + 1) / max(hparams["warmup"], 1), 1.0)

    moments = {name: hparams[name] for name in ("b1", "b2", "eps")}
    return optax.adamw(rate, **moments, weight_decay=hparams["weight_decay"])


def batches(key: Array, steps: int, batch_size: int | None, num_rows: int) -> Array | None:
    """[T, B]: rows of T batches; every epoch is a shuffle whose ragged last batch is dropped.

    Nothing for a full batch, which needs no order.
    """
    if batch_size is None:
        return None
    per_epoch = num_rows // batch_size
    keys = jax.random.split(key, -(-steps // per_epoch))
    rows = jax.vmap(lambda key: jax.random.permutation(key, num_rows))(keys)
    return rows[:, : per_epoch * batch_size].reshape(-1, batch_size)[:steps]
