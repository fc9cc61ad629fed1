"""A task's examples, their split, and which example slot j of step t reads."""

from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

ROUNDS = 6  # of the Feistel network; four already pass for random, six leave a margin


class Examples(flax.struct.PyTreeNode):
    """The table of all examples; numpy where a task makes it, on the device in training."""

    inputs_NxL: jax.Array  # int32 tokens
    labels_N: jax.Array  # int32, 0 <= label < C


class Task(NamedTuple):
    """What a task module makes: its table and the sizes a model needs."""

    examples: Examples
    num_tokens: int
    num_classes: int


class Batch(NamedTuple):
    """Rows of the table and how much each counts; the weights sum to one."""

    rows_B: jax.Array
    weights_B: jax.Array


def shuffled_rows(key, num_examples):
    """[N]: a run's own order of the table, of which the first `num_train` rows are for training."""
    return jax.random.permutation(key, num_examples).astype(jnp.int32)


def is_train(order_N, num_train):
    """[N] bool, in the table's order: does this run train on the example?"""
    place_N = jnp.arange(order_N.size)
    return jnp.zeros(order_N.size, bool).at[order_N].set(place_N < num_train)


def shuffled_batch(key, t, batch_size, order_N, num_train):
    """Batch of step `t`: every training row once per epoch, no ragged batch, nothing to remember.

    Slot j reads place q mod n of a shuffle keyed by the epoch, q div n, where q = t B + j
    and n = `num_train`, which may be traced and must be at least B. Exact while q < 2**32.
    """
    slot_B = jnp.uint32(t) * jnp.uint32(batch_size) + jnp.arange(batch_size, dtype=jnp.uint32)
    num_train = num_train.astype(jnp.uint32)
    epoch_B, place_B = slot_B // num_train, slot_B % num_train
    now, then = epoch_B[0], epoch_B[-1]  # a batch meets at most two epochs
    in_now = permuted(jax.random.fold_in(key, now), place_B, num_train)
    in_then = permuted(jax.random.fold_in(key, then), place_B, num_train)
    return _even(order_N[jnp.where(epoch_B == now, in_now, in_then)])


def sampled_batch(key, t, batch_size, order_N, num_train):
    """Batch of step `t`, drawn with replacement."""
    place_B = jax.random.randint(jax.random.fold_in(key, t), (batch_size,), 0, num_train)
    return _even(order_N[place_B])


def full_batch(key, t, batch_size, order_N, num_train):
    """All N rows, those outside the training set with weight zero: `num_train` may be traced."""
    del key, t, batch_size
    return Batch(order_N, (jnp.arange(order_N.size) < num_train) / num_train)


BATCHES = {"shuffled": shuffled_batch, "sampled": sampled_batch, "full": full_batch}


def _even(rows_B):
    return Batch(rows_B, jnp.full(rows_B.shape, 1 / rows_B.size))


def permuted(key, index_B, size):
    """The place of each index in a keyed shuffle of 0..size-1, without building the shuffle.

    A Feistel network on 4**h >= size numbers, walked again while it lands outside; each
    of its rounds is a bijection, so the walk is one too. `size` may be traced.
    Black & Rogaway, 2002, "Ciphers with arbitrary finite domains".
    """
    half_bits = (33 - jax.lax.clz(jnp.uint32(size) - 1)) // 2
    mask = (jnp.uint32(1) << half_bits) - 1
    keys = jax.random.bits(key, (ROUNDS,))

    def network(number):
        left, right = number >> half_bits, number & mask
        for round_key in keys:
            mixed = (right ^ round_key) * jnp.uint32(0x9E3779B1)
            mixed = (mixed ^ (mixed >> 15)) * jnp.uint32(0x85EBCA77)
            left, right = right, left ^ ((mixed ^ (mixed >> 13)) & mask)
        return (left << half_bits) | right

    def walk(number):
        return jax.lax.while_loop(lambda n: n >= size, network, network(number))

    return jax.vmap(walk)(index_B.astype(jnp.uint32)).astype(jnp.int32)
