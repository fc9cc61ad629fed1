"""Loss and accuracy on the training and validation examples."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from grokjax.core.data import Array, Examples, Task
from grokjax.core.run import Run
from grokjax.core.split import Split, Strata, draw_split, is_train


class Evaluation(NamedTuple):
    """The examples that are evaluated, in blocks, and the names of their groups."""

    rows: np.ndarray  # [blocks, block] rows of the table; the last block is padded
    num_rows: int  # without the padding
    groups: tuple[str, ...]  # names of a mixture's tasks

    def scores(
        self, score: Callable, split: Split, group_N: Array, share_G: Array
    ) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        """Loss and accuracy over all groups with a share, and of each group of a mixture.

        `score(rows_B)` gives two things: loss_B with whether each example is classified correctly,
        bool [B]; and any outputs [B, ...], given back as [N, ...].
        """
        scored, outputs = jax.lax.map(score, self.rows)
        chex.assert_shape(scored, self.rows.shape)
        chex.assert_type(scored, [float, bool])
        loss_N, correct_N = jax.tree.map(self._in_order, scored)
        outputs_Nx = jax.tree.map(self._in_order, outputs)
        rows_N = self.rows.ravel()[: self.num_rows]
        train_N = is_train(split)[rows_N]
        group_N = group_N[rows_N]

        scores = _means(loss_N, correct_N, train_N, share_G[group_N] > 0)
        for g, group in enumerate(self.groups):
            group_scores = _means(loss_N, correct_N, train_N, group_N == g)
            scores |= {f"{name}/{group}": mean for name, mean in group_scores.items()}
        return scores | {"misclassified": (train_N & ~correct_N).sum()}, outputs_Nx

    def _in_order(self, x_blocks):
        """[blocks, block, ...] -> [N, ...], without the padding."""
        return x_blocks.reshape(-1, *x_blocks.shape[2:])[: self.num_rows]

    def counts(self, run: Run, examples: Examples, strata: Strata) -> jax.Array:
        """[G, 2]: how many of a run's training and validation examples of each group there are."""
        rows_N = self.rows.ravel()[: self.num_rows]
        train_N = is_train(draw_split(run, examples, strata))[rows_N]
        sides_Nx2 = jnp.stack([train_N, ~train_N], axis=1).astype(jnp.int32)
        return jax.ops.segment_sum(sides_Nx2, strata.group_N[rows_N], run.num_train_G.size)


def make_evaluation(task: Task, num_examples: int, block_size: int) -> Evaluation:
    """An evaluation of a fixed random subset of this size, or of all examples if that is 0."""
    num_rows = task.examples.labels_N.size
    rows_N = np.arange(num_rows)
    if 0 < num_examples < num_rows:
        rows_N = np.sort(np.random.default_rng(0).permutation(num_rows)[:num_examples])
    num_blocks = -(-rows_N.size // block_size)
    blocks = np.resize(rows_N.astype(np.int32), (num_blocks, -(-rows_N.size // num_blocks)))
    return Evaluation(blocks, rows_N.size, tuple(group.name for group in task.groups))


def _means(loss_N, correct_N, train_N, counted_N):
    """Mean loss and accuracy of the rows that count, on both sides; NaN where there are none."""

    def mean(x_N, mask_N):
        return jnp.where(mask_N, x_N, 0.0).sum() / mask_N.sum()

    sides = {"train": counted_N & train_N, "val": counted_N & ~train_N}
    loss = {f"{side}_loss": mean(loss_N, mask_N) for side, mask_N in sides.items()}
    return loss | {f"{side}_accuracy": mean(correct_N, mask_N) for side, mask_N in sides.items()}
