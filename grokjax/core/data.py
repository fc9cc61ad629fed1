"""A task's examples: what a module of `tasks/` makes."""

from typing import NamedTuple

import flax.struct
import jax


class Examples(flax.struct.PyTreeNode):
    """The table of all examples; numpy where a task makes it, on the device in training."""

    inputs_NxL: jax.Array  # int32 tokens
    labels_N: jax.Array  # int32, 0 <= label < C


class Group(NamedTuple):
    """Neighbouring rows of a table that belong together: one task of a mixture."""

    name: str
    num_rows: int


class Task(NamedTuple):
    """What a task module makes: its table and the sizes a model needs."""

    examples: Examples
    num_tokens: int
    num_classes: int
    operands: tuple[int, ...] = ()  # positions of what `split.symmetric` lets change places
    groups: tuple[Group, ...] = ()  # of a mixture, in the table's order

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """Rows of each of the G groups; a task that is no mixture is one group."""
        return tuple(g.num_rows for g in self.groups) or (len(self.examples.labels_N),)
