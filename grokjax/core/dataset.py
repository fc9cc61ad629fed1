"""The examples on the device, and what every run may know of them."""

import zlib

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from grokjax.core import prefixes
from grokjax.core.data import Examples, Task
from grokjax.core.split import Strata


class Dataset(flax.struct.PyTreeNode):
    """The examples, their distinct prefixes, and what a split has to respect."""

    examples: Examples
    prefixes: prefixes.Prefixes
    strata: Strata

    def tree(self, network, rows_B: jax.Array, train: bool) -> prefixes.Tree:
        """The rows that a network computes for some examples.

        Dropout draws a mask for each example, so rows are then not shared in training.
        """
        if not network.causal or (train and network.dropout > 0):
            return prefixes.plain(self.examples.inputs_NxL[rows_B])
        return self.prefixes.tree(rows_B)


def make_dataset(task: Task, strata: Strata, *, causal: bool = True) -> Dataset:
    """A task's examples on the device.

    Args:
        task: what is trained.
        strata: of its rows, from `find_strata`.
        causal: find the distinct prefixes; only causal models can use them.
    """
    find = prefixes.find_prefixes if causal else prefixes.without_sharing
    shared = find(np.asarray(task.examples.inputs_NxL))
    return jax.tree.map(jnp.asarray, Dataset(task.examples, shared, strata))


def checksum(task: Task) -> int:
    """A number that changes with any input or label of the task."""
    inputs_NxL, labels_N = task.examples.inputs_NxL, task.examples.labels_N
    return zlib.crc32(labels_N.tobytes(), zlib.crc32(np.ascontiguousarray(inputs_NxL).tobytes()))
