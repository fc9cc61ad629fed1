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


class Cyclic(NamedTuple):
    """What makes a task's equations sums in Z_n: left i and right j have the result i + j mod n.

    Differences, products and quotients are sums of other numbers: of j's negative, or of discrete
    logarithms. Equations with an operand that has no number, such as 0 in a product, are left out.
    """

    row_nxn: np.ndarray  # [n, n] int32: the row of the table with operands i and j
    token_n: np.ndarray  # [n] int32: the token of the left operand i
    class_n: np.ndarray  # [n] int32: the class of the result i

    @property
    def order(self) -> int:
        """n, the number of elements."""
        return len(self.token_n)


class Task(NamedTuple):
    """What a module of `tasks/` makes: a table and its sizes."""

    examples: Examples
    num_tokens: int
    num_classes: int
    operands: tuple[int, ...] = ()  # positions whose tokens `split.symmetric` may swap
    groups: tuple[Group, ...] = ()  # of a mixture, in the table's order
    cyclic: Cyclic | None = None  # if it is arithmetic in a cyclic group
    # if row a * n + b is a o b in that group of tasks/_groups.py; elements are tokens and classes
    group_name: str = ""
    num_heads: int = 1  # tasks of a mixture with classes of their own, one head behind another

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """Rows of each of the G groups; a task that is no mixture is one group."""
        return tuple(g.num_rows for g in self.groups) or (len(self.examples.labels_N),)
