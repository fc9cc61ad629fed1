"""The distinct prefixes of a task's sequences: the rows that a causal model has to compute.

An equation `a o b =` has only p distinct first tokens, and in a causal model what happens at
position 0 depends on `a` alone, at position 1 on `(a, o)`. A batch of 512 would compute those
p rows 512 times over. A `Tree` holds each distinct prefix once and tells every row which rows
it may look at; a model written over the rows of a tree needs no second code path, because the
plain batch is the tree in which every example has its own row at every position.
"""

from collections.abc import Sequence

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np


class Tree(flax.struct.PyTreeNode):
    """The rows of a batch of B sequences of length L, position by position.

    The first S positions are shared: a row is a distinct prefix, whose ancestors are its own
    prefixes. From there on every example has its own row, and B rows stand in batch order.
    """

    tokens: tuple[jax.Array, ...]  # L times [M_l]: the token each row reads
    ancestors: tuple[tuple[jax.Array, ...], ...]  # S times l times [M_l]: its row at m < l
    places: tuple[jax.Array, ...]  # S times [B]: the row of each example

    @property
    def length(self) -> int:
        return len(self.tokens)

    @property
    def num_shared(self) -> int:
        return len(self.places)

    @property
    def tokens_M(self):
        """[M]: the token of each row, all positions one after another."""
        return jnp.concatenate(self.tokens)

    @property
    def positions_M(self) -> np.ndarray:
        """[M]: the position of each row; known when tracing."""
        return np.repeat(np.arange(self.length), [row.shape[0] for row in self.tokens])

    def split(self, x_Mx: jax.Array) -> list[jax.Array]:
        """[M, ...] -> L times [M_l, ...]."""
        cuts = np.cumsum([row.shape[0] for row in self.tokens])[:-1]
        return jnp.split(x_Mx, cuts)

    def own(self, x_l: Sequence[jax.Array]) -> list[jax.Array]:
        """L times [M_l, ...] -> L times [B, ...]: what an example sees at each position."""
        gathered = [x[place_B] for x, place_B in zip(x_l, self.places, strict=False)]
        return gathered + list(x_l[self.num_shared :])

    def path(self, x_l: Sequence[jax.Array], position: int) -> list[jax.Array]:
        """What the rows of a shared position see, from position 0 to themselves."""
        seen = zip(x_l, self.ancestors[position], strict=False)
        return [x[row_M] for x, row_M in seen] + [x_l[position]]


class Prefixes(flax.struct.PyTreeNode):
    """The distinct prefixes of a table, at the positions where they are fewer than N."""

    inputs_NxL: jax.Array
    tokens: tuple[jax.Array, ...]  # [M_l] for each such position l
    ancestors: tuple[tuple[jax.Array, ...], ...]
    places: tuple[jax.Array, ...]  # [N]: the prefix of each example

    def tree(self, rows_B: jax.Array) -> Tree:
        """The tree of some examples; a position is shared where its prefixes are fewer."""
        shared = sum(row.shape[0] < rows_B.shape[0] for row in self.tokens)
        own = self.inputs_NxL[rows_B, shared:]
        return Tree(
            tokens=self.tokens[:shared] + tuple(own.T),
            ancestors=self.ancestors[:shared],
            places=tuple(place_N[rows_B] for place_N in self.places[:shared]),
        )


def plain(inputs_BxL: jax.Array) -> Tree:
    """The tree in which every example has its own row at every position."""
    return Tree(tokens=tuple(inputs_BxL.T), ancestors=(), places=())


def without_sharing(inputs_NxL: np.ndarray) -> Prefixes:
    """A table of which no position is shared, for models that are not causal."""
    return Prefixes(inputs_NxL, (), (), ())


def find_prefixes(inputs_NxL: np.ndarray) -> Prefixes:
    """Finds the distinct prefixes of a table of sequences.

    The last position is left out: that is where the answer is read, one row per example.

        sequences      prefixes at 0    at 1              places
        3 + 5 =        3                3 +               0  0
        3 + 6 =        4                4 +               0  0
        4 + 5 =                                           1  1
    """
    num_examples, length = inputs_NxL.shape
    tokens, ancestors, places = [], [], []
    place_N = np.zeros(num_examples, np.int64)
    for position in range(length - 1):
        token_N = inputs_NxL[:, position].astype(np.int64)
        number_N = place_N * (inputs_NxL.max() + 1) + token_N  # (parent, token) as one number
        _, first_M, place_N = np.unique(number_N, return_index=True, return_inverse=True)
        if first_M.size == num_examples:
            break
        tokens.append(token_N[first_M].astype(np.int32))
        ancestors.append(tuple(earlier_N[first_M] for earlier_N in places))
        places.append(place_N.astype(np.int32))
    return Prefixes(np.asarray(inputs_NxL), tuple(tokens), tuple(ancestors), tuple(places))
