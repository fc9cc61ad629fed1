"""The batches: every example once per epoch, every task its slots, no state."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import toy_mlp

import grokjax
from grokjax.core.batches import full_batch, permuted, round_keys, sampled_batch, shuffled_batch
from grokjax.core.split import Split, is_train
from grokjax.running import report

permuted_all = jax.jit(jax.vmap(permuted, (None, 0, None)))


@pytest.mark.parametrize("size", [1, 2, 3, 16, 17, 97, 1000])
def test_the_keyed_shuffle_is_a_bijection(size):
    ranks = permuted_all(round_keys(jax.random.key(3)), jnp.arange(size), jnp.uint32(size))

    assert sorted(ranks.tolist()) == list(range(size))


def test_another_key_is_another_shuffle():
    keys = (round_keys(jax.random.key(k)) for k in (0, 1))
    first, second = (permuted_all(k, jnp.arange(97), jnp.uint32(97)) for k in keys)

    assert (first != second).mean() > 0.9


def test_the_keyed_shuffle_looks_uniform():
    """Each index lands at each of 5 ranks in about a fifth of 4,000 shuffles."""
    keys = jax.vmap(round_keys)(jax.random.split(jax.random.key(0), 4000))
    ranks = jax.vmap(lambda key: permuted_all(key, jnp.arange(5), jnp.uint32(5)))(keys)
    counts = np.stack([np.bincount(column, minlength=5) for column in np.asarray(ranks).T])

    assert np.abs(counts - 800).max() < 5 * np.sqrt(4000 * 0.2 * 0.8)


def split_of(sizes, num_train):
    """A split of groups of some sizes, in a random order within each."""
    first_G = np.cumsum([0, *sizes[:-1]])
    parts = [
        first + np.random.default_rng(first).permutation(n)
        for first, n in zip(first_G, sizes, strict=True)
    ]
    order_N = jnp.asarray(np.concatenate(parts), jnp.int32)
    return Split(order_N, jnp.zeros_like(order_N), jnp.int32(first_G), jnp.int32(num_train))


ONE = split_of([29], [13])
TWO = split_of([29, 17], [13, 7])


@functools.partial(jax.jit, static_argnums=(0, 4))
def drawn(draw, t, split, share_G, batch_size):
    return draw(jax.random.key(2), t, split, share_G, batch_size)


def rows(draw, split, share, steps):
    share_G = jnp.int32(share)
    batches = [drawn(draw, t, split, share_G, sum(share)).rows_B for t in range(steps)]
    return np.concatenate(batches)


def test_every_training_row_comes_once_per_epoch_across_the_border_of_epochs():
    """13 rows in batches of 5: the third batch spans two epochs."""
    seen = rows(shuffled_batch, ONE, [5], steps=13)

    for epoch in seen.reshape(5, 13):
        assert sorted(epoch.tolist()) == sorted(ONE.order_N[:13].tolist())
    assert (seen[:13] != seen[13:26]).any()


@pytest.mark.parametrize("share", [(5, 2), (1, 6), (6, 0)])
def test_each_task_fills_its_slots_and_goes_through_its_own_rows_at_its_own_pace(share):
    """13 rows of the first 29 and 7 of the 17 after them; 91 batches are whole epochs of both."""
    seen = rows(shuffled_batch, TWO, share, steps=91)
    counts = np.bincount(seen, minlength=46)

    for first, train, slots in ((0, 13, share[0]), (29, 7, share[1])):
        of_task = (seen.reshape(91, -1) >= first) & (
            seen.reshape(91, -1) < first + (29, 17)[first > 0]
        )
        assert (of_task.sum(axis=1) == slots).all()
        train_rows = np.asarray(TWO.order_N[first : first + train])
        assert (counts[train_rows] == 91 * slots // train).all()
    assert counts.sum() == 91 * sum(share)


def test_the_tasks_of_a_mixture_are_shuffled_differently():
    twins = split_of([13, 13], [13, 13])
    twins = twins.replace(order_N=jnp.arange(26, dtype=jnp.int32))
    first, second = np.split(rows(shuffled_batch, twins, (13, 13), steps=1), 2)

    assert (first != second - 13).any()


def test_sampled_batches_stay_in_the_training_set_and_repeat_rows():
    seen = rows(sampled_batch, TWO, (100, 50), steps=1)

    assert set(seen[:100].tolist()) == set(TWO.order_N[:13].tolist())
    assert set(seen[100:].tolist()) == set(TWO.order_N[29:36].tolist())


@pytest.mark.parametrize("share", [(4, 1), (5, 0)])
def test_a_full_batch_weighs_training_rows_by_their_task_and_others_not_at_all(share):
    batch = drawn(full_batch, 0, TWO, jnp.int32(share), 5)
    weight_N = np.zeros(46)
    weight_N[batch.rows_B] = batch.weights_B

    assert weight_N[:29].sum() == pytest.approx(share[0] / 5)
    assert weight_N[29:].sum() == pytest.approx(share[1] / 5)
    wanted = np.asarray(is_train(TWO)) & (np.repeat(share, (29, 17)) > 0)
    assert ((weight_N > 0) == wanted).all()
    assert len(np.unique(weight_N[:29])) == 2


@pytest.mark.parametrize(("batches", "told"), [("shuffled", "11"), ("full", "all training")])
def test_the_introduction_says_how_many_examples_a_step_has(batches, told):
    config = toy_mlp()
    config.batches = batches

    text = report.introduction(grokjax.setup(config), 0)
    assert f"training: 20 steps of {told} examples" in text
