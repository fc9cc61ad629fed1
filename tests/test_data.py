"""The split and the batches: every example once per epoch, nothing to remember."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grokjax.data import (
    full_batch,
    is_train,
    permuted,
    sampled_batch,
    shuffled_batch,
    shuffled_rows,
)


@pytest.mark.parametrize("size", [1, 2, 3, 16, 17, 97, 1000])
def test_the_keyed_shuffle_is_a_bijection(size):
    places = permuted(jax.random.key(3), jnp.arange(size), jnp.uint32(size))

    assert sorted(places.tolist()) == list(range(size))


def test_another_key_is_another_shuffle():
    first, second = (permuted(jax.random.key(k), jnp.arange(97), jnp.uint32(97)) for k in (0, 1))

    assert (first != second).mean() > 0.9


def test_the_keyed_shuffle_looks_uniform():
    """Each index lands in each of 5 places in about a fifth of 4,000 shuffles."""
    keys = jax.random.split(jax.random.key(0), 4000)
    places = jax.vmap(lambda key: permuted(key, jnp.arange(5), jnp.uint32(5)))(keys)
    counts = np.stack([np.bincount(column, minlength=5) for column in np.asarray(places).T])

    assert np.abs(counts - 800).max() < 5 * np.sqrt(4000 * 0.2 * 0.8)


def test_every_training_row_comes_once_per_epoch_across_the_border_of_epochs():
    """13 rows in batches of 5: the third batch spans two epochs."""
    order_N = shuffled_rows(jax.random.key(1), 29)
    key, num_train = jax.random.key(2), jnp.int32(13)
    seen = np.concatenate([shuffled_batch(key, t, 5, order_N, num_train).rows_B for t in range(13)])
    train = sorted(order_N[:13].tolist())

    for epoch in seen.reshape(5, 13):
        assert sorted(epoch.tolist()) == train
    assert (seen[:13] != seen[13:26]).any()


def test_sampled_batches_stay_in_the_training_set_and_repeat_rows():
    order_N = shuffled_rows(jax.random.key(1), 29)
    rows = np.asarray(sampled_batch(jax.random.key(2), 0, 100, order_N, jnp.int32(13)).rows_B)

    assert set(rows.tolist()) == set(order_N[:13].tolist())


def test_a_full_batch_weighs_training_rows_alike_and_others_not_at_all():
    order_N = shuffled_rows(jax.random.key(1), 29)
    batch = full_batch(None, 0, 0, order_N, jnp.int32(13))
    train_N = np.asarray(is_train(order_N, 13))

    assert float(batch.weights_B.sum()) == pytest.approx(1.0)
    assert set(np.asarray(batch.rows_B)[np.asarray(batch.weights_B) > 0]) == set(
        np.flatnonzero(train_N)
    )


def test_the_training_set_grows_with_the_fraction_and_keeps_its_members():
    order_N = shuffled_rows(jax.random.key(1), 29)
    small, large = is_train(order_N, 7), is_train(order_N, 17)

    assert int(small.sum()) == 7
    assert int(large.sum()) == 17
    assert bool((large | ~small).all())
