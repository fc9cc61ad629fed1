"""Batches as a stateless function of the seed and the step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grokjax.core.split import Split, ranks

ROUNDS = 6  # of the Feistel network; four already pass for random, six leave a margin


class Batch(NamedTuple):
    """Rows of the table and how much each counts; the weights sum to one."""

    rows_B: jax.Array
    weights_B: jax.Array


def shuffled_batch(
    key: jax.Array, t: ArrayLike, split: Split, share_G: jax.Array, batch_size: int
) -> Batch:
    """Batch of step `t`: every training row once per epoch, no ragged batch.

    Of the batch's slots, `share_G` belong to each group; a group goes through its own rows at
    its own pace. Slot j of a group's m slots reads rank q mod n of a shuffle keyed by the
    epoch, q div n, where q = t m + j and n is the group's number of training rows, which may
    be traced and must be at least m. Exact while q < 2**32.
    """
    slot_B, group_B = _slots(share_G, batch_size)
    num_train_B = split.num_train_G.astype(jnp.uint32)[group_B]
    q_B = jnp.uint32(t) * share_G.astype(jnp.uint32)[group_B] + slot_B
    first_epoch_G = jnp.uint32(t) * share_G.astype(jnp.uint32) // _at_least_1(split.num_train_G)
    epoch_B = q_B // num_train_B
    rank_B = q_B % num_train_B

    # the slots of a group span at most two epochs, so two keys for each group are enough
    epoch_Gx2 = first_epoch_G[:, None] + jnp.arange(2, dtype=jnp.uint32)[None]
    stream_Gx2 = epoch_Gx2 * share_G.size + jnp.arange(share_G.size, dtype=jnp.uint32)[:, None]
    round_keys_Gx2 = jax.vmap(jax.vmap(lambda n: round_keys(jax.random.fold_in(key, n))))(
        stream_Gx2
    )
    round_keys_B = round_keys_Gx2[group_B, epoch_B - first_epoch_G[group_B]]
    rank_B = jax.vmap(permuted)(round_keys_B, rank_B, num_train_B)
    return _evenly_weighted(split.order_N[split.first_G[group_B] + rank_B])


def sampled_batch(
    key: jax.Array, t: ArrayLike, split: Split, share_G: jax.Array, batch_size: int
) -> Batch:
    """Batch of step `t`, drawn with replacement, `share_G` rows of each group."""
    _, group_B = _slots(share_G, batch_size)
    num_train_B = split.num_train_G[group_B]
    key_t = jax.random.fold_in(key, t)
    rank_B = jax.random.randint(key_t, (batch_size,), 0, num_train_B, jnp.int32)
    return _evenly_weighted(split.order_N[split.first_G[group_B] + rank_B])


def full_batch(
    key: jax.Array, t: ArrayLike, split: Split, share_G: jax.Array, batch_size: int
) -> Batch:
    """All N rows, those outside the training set with weight zero; groups weigh as `share_G`."""
    del key, t
    rank_N, group_N = ranks(split)
    weight_G = share_G / (batch_size * _at_least_1(split.num_train_G).astype(jnp.float32))
    train_N = rank_N < split.num_train_G[group_N]
    return Batch(split.order_N, jnp.where(train_N, weight_G[group_N], 0.0))


BATCHES = {"shuffled": shuffled_batch, "sampled": sampled_batch, "full": full_batch}


def _slots(share_G, batch_size):
    """Two [B]: the number of each slot within its group, uint32, and its group."""
    slot_B = jnp.arange(batch_size)
    end_G = jnp.cumsum(share_G)
    group_B = jnp.searchsorted(end_G, slot_B, side="right")
    return (slot_B - (end_G - share_G)[group_B]).astype(jnp.uint32), group_B


def _at_least_1(num_train_G):
    """A group without slots may have no rows either; this keeps divisions from its zero."""
    return jnp.maximum(num_train_G, 1).astype(jnp.uint32)


def _evenly_weighted(rows_B):
    return Batch(rows_B, jnp.full(rows_B.shape, 1 / rows_B.size, jnp.float32))


def round_keys(key: jax.Array) -> jax.Array:
    """[ROUNDS] uint32: what makes one shuffle differ from another."""
    return jax.random.bits(key, (ROUNDS,), jnp.uint32)


def permuted(round_keys: jax.Array, index: ArrayLike, size: ArrayLike) -> jax.Array:
    """The rank of an index in a keyed shuffle of 0..size-1, without building the shuffle.

    A Feistel network on 4**h >= size numbers, walked again while it lands outside; each
    of its rounds is a bijection, so the walk is one too. `size` may be traced.
    Black & Rogaway, 2002, "Ciphers with arbitrary finite domains".
    """
    half_bits = (33 - jax.lax.clz(jnp.uint32(size) - 1)) // 2
    mask = (jnp.uint32(1) << half_bits) - 1

    def network(number):
        left = number >> half_bits
        right = number & mask
        for round_key in round_keys:
            mixed = (right ^ round_key) * jnp.uint32(0x9E3779B1)
            mixed = (mixed ^ (mixed >> 15)) * jnp.uint32(0x85EBCA77)
            left, right = right, left ^ ((mixed ^ (mixed >> 13)) & mask)
        return (left << half_bits) | right

    start = network(jnp.uint32(index))
    return jax.lax.while_loop(lambda n: n >= size, network, start).astype(jnp.int32)
