"""The split: who trains, what stays together, what is held out, and which labels are redrawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grokjax.core.data import Examples, Group, Task
from grokjax.core.run import Run
from grokjax.core.split import draw_split, find_strata, is_train
from grokjax.tasks import mixture, modular, sums

drawn = jax.jit(draw_split)


def split_of(task, num_train, seed=0, num_noisy=0, **options):
    """A split with `num_train` rows of each group."""
    share_G = jnp.ones(len(num_train), jnp.int32)
    run = Run(0, seed, jnp.int32(num_train), share_G, dict(label_noise=jnp.float32(num_noisy)))
    return drawn(run, task.examples, find_strata(task, **options))


def table_of(num_rows):
    return Task(Examples(np.arange(num_rows)[:, None], np.arange(num_rows) % 7), num_rows, 7)


def test_the_training_set_grows_with_the_fraction_and_keeps_its_members():
    small, large = (np.asarray(is_train(split_of(table_of(29), [n]))) for n in (7, 17))

    assert (small.sum(), large.sum()) == (7, 17)
    assert (large | ~small).all()


def test_every_row_is_as_likely_to_train_as_any_other():
    """9 of 13 rows in 1,000 splits."""
    counts = sum(np.asarray(is_train(split_of(table_of(13), [9], seed))) for seed in range(1000))

    assert np.abs(counts - 1000 * 9 / 13).max() < 5 * np.sqrt(1000 * 9 / 13 * 4 / 13)


def test_each_task_of_a_mixture_has_its_own_training_set():
    task = Task(*table_of(29)[:3], groups=(Group("first", 11), Group("second", 18)))
    split = split_of(task, [5, 13])
    train_N = np.asarray(is_train(split))

    assert (train_N[:11].sum(), train_N[11:].sum()) == (5, 13)
    assert sorted(split.order_N[:11].tolist()) == list(range(11))


def test_held_out_labels_never_train_and_all_others_can():
    task = modular.make(op="add", p=7)
    labels_N = task.examples.labels_N
    train_N = np.asarray(is_train(split_of(task, [35], held_out=(2, 5))))

    assert set(labels_N[train_N]) == {0, 1, 3, 4, 6}
    assert set(labels_N[~train_N]) == {2, 5}


@pytest.mark.parametrize(
    ("task", "num_train"),
    [
        (modular.make(op="add", p=7), [24]),
        (sums.make(length=3, p=5), [61]),
        (mixture.make(ops=("add", "mul"), p=7), [24, 13]),
    ],
    ids=["pairs", "triples", "two operations"],
)
def test_equations_that_differ_in_the_order_of_their_operands_stay_together(task, num_train):
    inputs_NxL = np.array(task.examples.inputs_NxL)
    inputs_NxL[:, task.operands] = np.sort(inputs_NxL[:, task.operands], axis=1)
    group_N = np.repeat(np.arange(len(num_train)), task.group_sizes)
    for seed in range(20):
        split = split_of(task, num_train, seed, symmetric=True)
        train_N = np.asarray(is_train(split))
        sides = {}
        for row, side in zip(map(tuple, inputs_NxL), train_N, strict=True):
            sides.setdefault(row, set()).add(bool(side))

        assert all(len(side) == 1 for side in sides.values())
        assert (split.num_train_G == np.bincount(group_N[train_N])).all()
        largest = np.bincount(find_strata(task, symmetric=True).unit_N).max()
        assert (np.abs(num_train - np.asarray(split.num_train_G)) <= largest // 2).all()


def test_a_split_goes_to_the_nearest_border_of_a_unit():
    """Permutations of three operands: 60 of 125 rows is meant on average, not at most."""
    task = sums.make(length=3, p=5)
    sizes = [int(split_of(task, [60], seed, symmetric=True).num_train_G[0]) for seed in range(300)]

    assert min(sizes) < 60 < max(sizes)
    assert np.mean(sizes) == pytest.approx(60, abs=0.5)


def test_what_is_held_out_takes_its_mirror_image_along():
    """a - b = 3 and b - a = 4 (mod 7)."""
    task = modular.make(op="sub", p=7)
    train_N = np.asarray(is_train(split_of(task, [35], held_out=(3,), symmetric=True)))

    assert set(task.examples.labels_N[train_N]) == {0, 1, 2, 5, 6}


def test_noisy_labels_are_redrawn_for_so_many_training_rows_and_no_other():
    task = modular.make(op="add", p=31)
    clean, noisy = (split_of(task, [500], num_noisy=k) for k in (0, 300))
    changed_N = np.asarray(clean.labels_N != noisy.labels_N)

    assert (clean.labels_N == task.examples.labels_N).all()
    assert (clean.order_N == noisy.order_N).all()
    assert set(np.flatnonzero(changed_N)) <= set(noisy.order_N[:300].tolist())
    assert changed_N.sum() == pytest.approx(300 * 30 / 31, abs=15)  # one in 31 is drawn again
    assert (split_of(task, [500], seed=1, num_noisy=300).labels_N != noisy.labels_N).any()


def test_noise_stays_in_the_training_set_of_each_task():
    task = mixture.make(ops=("add", "mul"), p=7)
    noisy = split_of(task, [24, 13], num_noisy=13)
    changed_N = np.asarray(noisy.labels_N != task.examples.labels_N)

    assert changed_N[np.asarray(noisy.order_N[:13])].any()
    assert changed_N[np.asarray(noisy.order_N[49:62])].any()
    rest = np.delete(np.asarray(noisy.order_N), np.r_[0:13, 49:62])
    assert not changed_N[rest].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(held_out=(3, 7)), "split.held_out has 7; choose labels from 0 to 6"),
        (dict(held_out=(-1,)), "split.held_out has -1"),
        (dict(symmetric=True), "split.symmetric needs a task with operands"),
    ],
)
def test_a_split_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        find_strata(table_of(29), **options)
