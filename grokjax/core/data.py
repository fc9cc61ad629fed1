"""The examples of a task and the sizes that a model needs."""

from typing import NamedTuple

import flax.struct
import jax
import numpy as np

Array = jax.Array | np.ndarray  # NumPy's where a task or a grid makes it, JAX's in training


class Examples(flax.struct.PyTreeNode):
    """The table of all examples."""

    inputs_NxL: Array  # int32 tokens
    labels_N: Array  # int32, 0 <= label < C


class Group(NamedTuple):
    """Consecutive rows of a table: one task of a mixture."""

    name: str
    num_rows: int


class Task(NamedTuple):
    """What a module of `tasks/` makes: a table and its sizes."""

    examples: Examples
    num_tokens: int
    num_classes: int
    operands: tuple[int, ...] = ()  # positions whose tokens `split.symmetric` may swap
    groups: tuple[Group, ...] = ()  # of a mixture, in the table's order

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """Rows of each of the G groups; a task that is no mixture is one group."""
        return tuple(g.num_rows for g in self.groups) or (len(self.examples.labels_N),)
