"""The split of a run: its training rows, their order, and their labels."""

from collections.abc import Sequence

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from grokjax.core.data import Array, Examples, Task
from grokjax.core.run import Run, streams


class Strata(flax.struct.PyTreeNode):
    """What every split of a table has to respect."""

    group_N: Array  # int32: which task of a mixture
    held_out_N: Array  # bool: never trained on
    unit_N: Array  # int32: rows of one unit stay on one side of the split


class Split(flax.struct.PyTreeNode):
    """A run's own view of the table."""

    order_N: jax.Array  # int32 rows, group by group; the first of each group train
    labels_N: jax.Array  # int32, in the table's order; some are redrawn if labels are noisy
    first_G: jax.Array  # int32: where each group begins in the order
    num_train_G: jax.Array  # int32: how many of each group train


def find_strata(task: Task, held_out: Sequence[int] = (), symmetric: bool = False) -> Strata:
    """The groups, held-out rows and units of a task's table.

    Args:
        task: its groups are consecutive rows of the table.
        held_out: labels whose examples are never trained on.
        symmetric: keep examples together that differ in the order of their operands only; those
            of an example that is held out are held out with it.

    Raises:
        ValueError: for a label that the task does not have, or a task without operands.
    """
    wrong = [label for label in held_out if label not in range(task.num_classes)]
    if wrong:
        raise ValueError(
            f"split.held_out has {wrong[0]}; choose labels from 0 to {task.num_classes - 1}"
        )
    if symmetric and not task.operands:
        raise ValueError("split.symmetric needs a task with operands; this one has none to swap")
    unit_N = _units(task.examples, task.operands if symmetric else ())
    held_out_N = np.isin(task.examples.labels_N, held_out)
    return Strata(
        group_N=np.repeat(np.arange(len(task.group_sizes), dtype=np.int32), task.group_sizes),
        held_out_N=np.isin(unit_N, unit_N[held_out_N]),  # whole units
        unit_N=unit_N,
    )


def _units(table: Examples, operands):
    """[N]: the same number for rows that are equal once their operands are sorted."""
    if not operands:
        return np.arange(len(table.labels_N), dtype=np.int32)
    columns = list(operands)
    sorted_NxL = np.array(table.inputs_NxL)
    sorted_NxL[:, columns] = np.sort(sorted_NxL[:, columns], axis=1)
    _, unit_N = np.unique(sorted_NxL, axis=0, return_inverse=True)
    return unit_N.astype(np.int32)


def draw_split(run: Run, examples: Examples, strata: Strata) -> Split:
    """A run's random split: `num_train_G` rows of each group, to the nearest border of a unit.

    Labels of the first `label_noise` training rows of each group are redrawn, with replacement,
    from all labels of the table.
    """
    keys = streams(run.split_seed)
    true_labels_N = jnp.asarray(examples.labels_N)
    num_rows = true_labels_N.size
    num_groups = run.num_train_G.size
    position_N = jnp.zeros(num_rows, jnp.int32)  # of a unit in a shuffle
    position_N = position_N.at[jax.random.permutation(keys.split, num_rows)].set(
        jnp.arange(num_rows, dtype=jnp.int32)
    )
    sort_key_N = (2 * strata.group_N + strata.held_out_N) * num_rows + position_N[strata.unit_N]
    order_N = jnp.argsort(sort_key_N).astype(jnp.int32)
    sorted_N = jnp.append(sort_key_N[order_N], jnp.int32(jnp.iinfo(jnp.int32).max))

    first_G = jnp.searchsorted(sorted_N, 2 * num_rows * jnp.arange(num_groups)).astype(jnp.int32)
    cut_G = first_G + run.num_train_G
    before_G, after_G = (
        jnp.searchsorted(sorted_N, sorted_N[cut_G], side=side).astype(jnp.int32)
        for side in ("left", "right")
    )
    cut_G = jnp.where(after_G - cut_G < cut_G - before_G, after_G, before_G)
    split = Split(order_N, true_labels_N, first_G, cut_G - first_G)

    rank_N, group_N = ranks(split)
    drawn_N = true_labels_N[jax.random.randint(keys.labels, (num_rows,), 0, num_rows, jnp.int32)]
    noisy_N = rank_N < jnp.minimum(run.hparams["label_noise"], split.num_train_G[group_N])
    labels_N = jnp.where(noisy_N, drawn_N, true_labels_N[order_N])
    return split.replace(labels_N=split.labels_N.at[order_N].set(labels_N))


def ranks(split: Split) -> tuple[jax.Array, jax.Array]:
    """Two [N], in the split's order: the rank of each row within its group, and its group."""
    position_N = jnp.arange(split.order_N.size)
    group_N = jnp.searchsorted(split.first_G, position_N, side="right") - 1
    return position_N - split.first_G[group_N], group_N


def is_train(split: Split) -> jax.Array:
    """[N] bool, in the table's order: does this run train on the example?"""
    rank_N, group_N = ranks(split)
    train_N = rank_N < split.num_train_G[group_N]
    return jnp.zeros(train_N.size, bool).at[split.order_N].set(train_N)
