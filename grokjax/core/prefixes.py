"""The distinct prefixes of a task's sequences: the rows that a causal model has to compute.

An equation `a o b =` has only p distinct first tokens, and in a causal model what happens at
position 0 depends on `a` alone, at position 1 on `(a, o)`. A batch of 512 would compute those
p rows 512 times over. A `Tree` holds each distinct prefix once and the rows that each row
attends to; a model written over the rows of a tree needs no second code path, because the
plain batch is the tree in which every example has its own row at every position.
"""

from collections.abc import Sequence

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from grokjax.core.data import Array


class Tree(flax.struct.PyTreeNode):
    """The rows of a batch of B sequences of length L, position by position.

    The first S positions are shared: a row is a distinct prefix, whose ancestors are its own
    prefixes. From there on every example has its own row, B rows a position in batch order.

    Before the first attention a row is the pair of its token and its position, and there are only
    E of these. `spread` makes rows of what was computed for pairs; in `of_rows` both are the same.
    """

    tokens: tuple[Array, ...]  # L times [M_l]: the token each row reads
    ancestors: tuple[tuple[Array, ...], ...]  # S times l times [M_l]: its row at m < l
    row_of_example: tuple[Array, ...]  # S times [B]
    distinct: tuple[Array, ...] | None = None  # L times [E_l]: tokens there; None: every row's own
    pair_of_row: tuple[Array, ...] = ()  # L times [M_l]: which of them a row reads

    @property
    def length(self) -> int:
        return len(self.tokens)

    @property
    def num_shared(self) -> int:
        return len(self.row_of_example)

    @property
    def tokens_M(self) -> jax.Array:
        """[M]: the token of each row, all positions one after another."""
        return jnp.concatenate(self.tokens)

    @property
    def positions_M(self) -> np.ndarray:
        """[M]: the position of each row; known when tracing."""
        return _positions(self.tokens)

    @property
    def tokens_E(self) -> jax.Array:
        """[E]: the token of each pair, all positions one after another."""
        return jnp.concatenate(self.tokens if self.distinct is None else self.distinct)

    @property
    def positions_E(self) -> np.ndarray:
        """[E]: the position of each pair; known when tracing."""
        return _positions(self.tokens if self.distinct is None else self.distinct)

    @property
    def of_rows(self) -> "Tree":
        """The same tree, in which every row is its own pair."""
        return self.replace(distinct=None, pair_of_row=())

    def pairs(self, x_Ex: jax.Array, last_only: bool) -> jax.Array:
        """[E, ...], or of the last position alone."""
        num_last = (self.tokens if self.distinct is None else self.distinct)[-1].shape[0]
        return x_Ex[-num_last:] if last_only else x_Ex

    def spread(self, x_Ex: jax.Array, last_only: bool = False) -> jax.Array:
        """[E, ...] -> [M, ...]: of each row what its pair has; or [B, ...], the last position."""
        if self.distinct is None:
            return x_Ex
        if last_only:
            return x_Ex[self.pair_of_row[-1]]
        first_l = np.cumsum([0, *(token_E.shape[0] for token_E in self.distinct)])
        pairs = zip(self.pair_of_row, first_l, strict=False)
        return x_Ex[jnp.concatenate([pair_M + first for pair_M, first in pairs])]

    def split(self, x_Mx: jax.Array) -> list[jax.Array]:
        """[M, ...] -> L times [M_l, ...]."""
        borders = np.cumsum([token_M.shape[0] for token_M in self.tokens])[:-1]
        return jnp.split(x_Mx, borders)

    def per_example(self, x_l: Sequence[jax.Array]) -> list[jax.Array]:
        """L times [M_l, ...] -> L times [B, ...]: the rows of each example."""
        gathered = [x[row_B] for x, row_B in zip(x_l, self.row_of_example, strict=False)]
        return gathered + list(x_l[self.num_shared :])

    def path(self, x_l: Sequence[jax.Array], position: int) -> list[jax.Array]:
        """The ancestors of each row of a shared position, from position 0 to the row itself."""
        pairs = zip(x_l, self.ancestors[position], strict=False)
        return [x[row_M] for x, row_M in pairs] + [x_l[position]]


class Prefixes(flax.struct.PyTreeNode):
    """The distinct prefixes of a table, at the positions where they are fewer than N."""

    inputs_NxL: Array
    pair_NxL: Array  # which of the distinct tokens of a position an example has there
    tokens: tuple[Array, ...] = ()  # [M_l] for each such position l
    ancestors: tuple[tuple[Array, ...], ...] = ()
    row_of_example: tuple[Array, ...] = ()  # [N]: its prefix
    distinct: tuple[Array, ...] = ()  # L times [E_l]: the tokens of the table at each position
    pair_of_row: tuple[Array, ...] = ()  # [M_l]: which of them a prefix ends with

    def tree(self, rows_B: jax.Array) -> Tree:
        """The tree of some examples; a position is shared where its prefixes are fewer."""
        num_shared = sum(token_M.shape[0] < rows_B.shape[0] for token_M in self.tokens)
        inputs_BxL = self.inputs_NxL[rows_B, num_shared:]
        pair_BxL = self.pair_NxL[rows_B, num_shared:]
        return Tree(
            tokens=self.tokens[:num_shared] + tuple(inputs_BxL.T),
            ancestors=self.ancestors[:num_shared],
            row_of_example=tuple(row_N[rows_B] for row_N in self.row_of_example[:num_shared]),
            distinct=self.distinct,
            pair_of_row=self.pair_of_row[:num_shared] + tuple(pair_BxL.T),
        )


def plain(inputs_BxL: Array) -> Tree:
    """The tree in which every example has its own row at every position."""
    return Tree(tokens=tuple(inputs_BxL.T), ancestors=(), row_of_example=())


def without_sharing(inputs_NxL: np.ndarray) -> Prefixes:
    """A table of which no position is shared, for models that are not causal."""
    return Prefixes(inputs_NxL, pair_NxL=inputs_NxL[:0])


def find_prefixes(inputs_NxL: np.ndarray) -> Prefixes:
    """The distinct prefixes of a table of sequences.

    The last position is left out: it is read out, one row per example.

        sequences      prefixes at 0    at 1              row of example
        3 + 5 =        3                3 +               0  0
        3 + 6 =        4                4 +               0  0
        4 + 5 =                                           1  1
    """
    num_examples, length = inputs_NxL.shape
    columns = [np.unique(column_N, return_inverse=True) for column_N in inputs_NxL.T]
    pair_NxL = np.stack([pair_N for _, pair_N in columns], axis=1).astype(np.int32)
    pairs = []
    tokens = []
    ancestors = []
    rows = []
    row_N = np.zeros(num_examples, np.int64)
    for position in range(length - 1):
        token_N = inputs_NxL[:, position].astype(np.int64)
        pair_N = row_N * (inputs_NxL.max() + 1) + token_N  # (parent, token) as one number
        _, first_M, row_N = np.unique(pair_N, return_index=True, return_inverse=True)
        if first_M.size == num_examples:
            break
        tokens.append(token_N[first_M].astype(np.int32))
        ancestors.append(tuple(earlier_N[first_M] for earlier_N in rows))
        rows.append(row_N.astype(np.int32))
        pairs.append(pair_NxL[first_M, position])
    return Prefixes(
        inputs_NxL=np.asarray(inputs_NxL),
        tokens=tuple(tokens),
        ancestors=tuple(ancestors),
        row_of_example=tuple(rows),
        distinct=tuple(token_E.astype(np.int32) for token_E, _ in columns),
        pair_of_row=tuple(pairs),
        pair_NxL=pair_NxL,
    )


def _positions(tokens):
    return np.repeat(np.arange(len(tokens)), [token_M.shape[0] for token_M in tokens])
