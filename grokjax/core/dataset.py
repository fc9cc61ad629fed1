"""The examples on the device, with their distinct prefixes and strata."""

import zlib

import chex
import flax.linen as nn
import flax.struct
import jax
import numpy as np

from grokjax.core.data import Examples, Task
from grokjax.core.prefixes import Prefixes, Tree, find_prefixes, plain, without_sharing
from grokjax.core.split import Strata


class Dataset(flax.struct.PyTreeNode):
    """The examples, their distinct prefixes, and what a split has to respect."""

    examples: Examples
    prefixes: Prefixes
    strata: Strata

    def tree(self, network: nn.Module, rows_B: jax.Array, train: bool) -> Tree:
        """The rows that a network computes for some examples.

        Dropout draws a mask for each example, so rows are then not shared in training.
        """
        if not network.causal or (train and network.dropout > 0):
            return plain(self.examples.inputs_NxL[rows_B])
        return self.prefixes.tree(rows_B)


def make_dataset(task: Task, strata: Strata, *, causal: bool = True) -> Dataset:
    """A task's examples on the device.

    Args:
        task: its table and sizes.
        strata: of its rows, from `find_strata`.
        causal: find the distinct prefixes; only causal models can use them.
    """
    table = (task.examples.inputs_NxL, task.examples.labels_N)
    chex.assert_rank(table, [2, 1])
    chex.assert_type(table, np.int32)
    chex.assert_equal_shape_prefix([*table, *jax.tree.leaves(strata)], 1)
    find = find_prefixes if causal else without_sharing
    prefixes = find(np.asarray(task.examples.inputs_NxL))
    return jax.device_put(Dataset(task.examples, prefixes, strata))  # `jnp.asarray` compiles


def checksum(task: Task) -> int:
    """A number that changes with any input or label of the task."""
    inputs = np.ascontiguousarray(task.examples.inputs_NxL).tobytes()
    return zlib.crc32(task.examples.labels_N.tobytes(), zlib.crc32(inputs))
