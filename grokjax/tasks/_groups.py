"""Finite groups by name: their tables, the points they move, their conjugacy classes.

A group of N elements has them as numbers 0 to N - 1, 0 the identity:

    Z_n  k stands for adding k mod n
    D_n  k for the rotation r^k of n corners, n + k for r^k, then a reflection; 2n elements
    S_n  permutations in lexicographic order, numbered as in the task `permutation`
    A_n  the even ones of them, in the same order
    Q_8  1, i, j, k, -1, -i, -j, -k
    products such as Z_2xS_3: the number of the last factor moves fastest

A product a * b of elements that move points is first a, then b.
"""

import functools
import math
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from grokjax.core.hparams import Range, check_ranges
from grokjax.tasks._arithmetic import MAX_P, compose, numbers, permutations


class FiniteGroup(NamedTuple):
    """A group of N elements, which move P points."""

    table_NxN: np.ndarray  # a * b
    inverse_N: np.ndarray
    points_NxP: np.ndarray  # where an element moves each point, no two elements alike


class Family(NamedTuple):
    """The groups of one letter."""

    sizes: range  # of n
    order: Callable[[int], int]  # n -> number of elements
    make: Callable[[int], tuple[np.ndarray, np.ndarray]]  # n -> table and points


def find(name: str) -> FiniteGroup:
    """The group of a name such as `S_5` or `Z_2xZ_4`; its table is held against the axioms.

    Raises:
        ValueError: if there is none, or if it has too many elements.
    """
    check_ranges("", {"group": name}, {"group": KNOWN})
    factors = [FAMILIES[letter].make(n) for letter, n in parse(name)]
    table_NxN, points_NxP = functools.reduce(_product, factors)
    return FiniteGroup(table_NxN, check_axioms(table_NxN), points_NxP)


def parse(name: str) -> list[tuple[str, int]]:
    """`Z_2xS_3` -> Z, 2 and S, 3; empty if it is not the name of a group."""
    factors = [re.fullmatch(r"([A-Z])_([1-9]\d{0,3})", factor) for factor in name.split("x")]
    found = [(factor[1], int(factor[2])) for factor in factors if factor]
    known = all(letter in FAMILIES and n in FAMILIES[letter].sizes for letter, n in found)
    return found if known and len(found) == len(factors) else []


def check_axioms(table_NxN: np.ndarray) -> np.ndarray:
    """[N]: the inverses in a group with this table, whose identity is element 0.

    Associativity is exact by Light's test: if (a g) b = a (g b) for all a, b and for elements g
    that generate the others, it holds for all.

    Raises:
        ValueError: for a table of no group.
    """
    size = len(table_NxN)
    all_N = np.arange(size)
    for lines_NxN in (table_NxN, table_NxN.T):
        if (np.sort(lines_NxN) != all_N).any():
            raise ValueError(f"a row or column of the table is no permutation of 0 to {size - 1}")
        if (lines_NxN[0] != all_N).any():
            raise ValueError("element 0 of the table is not an identity")
    for g in generators(table_NxN):
        if (table_NxN[table_NxN[:, g]] != table_NxN[:, table_NxN[g]]).any():
            raise ValueError(f"the table is not associative: (a {g}) b is not always a ({g} b)")
    return (table_NxN == 0).argmax(axis=1)


def generators(table_NxN: np.ndarray) -> list[int]:
    """Elements of which all are products; each is the first that those before it do not give."""
    chosen = []
    reached_N = np.zeros(len(table_NxN), bool)
    reached_N[0] = True
    while not reached_N.all():
        chosen.append(int(reached_N.argmin()))
        reached_N[chosen[-1]] = True
        before = 0
        while before < reached_N.sum():
            before = reached_N.sum()
            reached_N[table_NxN[np.ix_(reached_N, reached_N)]] = True
    return chosen


def classes(group: FiniteGroup) -> np.ndarray:
    """[N]: the conjugacy class of each element, 0 that of the identity."""
    all_Nx1 = np.arange(len(group.table_NxN))[:, None]
    left_NxN = group.table_NxN[group.inverse_N]  # g^-1 x, a row for each g
    conjugate_NxN = group.table_NxN[left_NxN, all_Nx1]
    return np.unique(conjugate_NxN.min(axis=0), return_inverse=True)[1]


def even(n: int) -> np.ndarray:
    """[n!] bool: which permutations of n are even."""
    later = np.triu(np.ones((n, n), bool), 1)
    elements = permutations(n)
    inversions = (elements[:, :, None] > elements[:, None]) & later
    return inversions.sum(axis=(1, 2)) % 2 == 0


def _order(name):
    """The number of elements; 0 if there is no such group."""
    factors = parse(name)
    return math.prod(FAMILIES[letter].order(n) for letter, n in factors) if factors else 0


def _product(first, second):
    """The table and points of a product; the points of both stand side by side."""
    (table_a, points_a), (table_b, points_b) = first, second
    size = len(table_a) * len(table_b)
    table = table_a[:, None, :, None] * len(table_b) + table_b[:, None]
    moved_a = np.repeat(points_a, len(table_b), axis=0)
    moved_b = np.tile(points_b, (len(table_a), 1)) + points_a.shape[1]
    return table.reshape(size, size), np.concatenate([moved_a, moved_b], axis=1)


def _cyclic(n):
    table = np.add.outer(np.arange(n), np.arange(n)) % n
    return table, table  # it moves its own elements


def _dihedral(n):
    flip_N, turn_N = np.divmod(np.arange(2 * n), n)
    sign_Nx1 = 1 - 2 * flip_N[:, None]
    turn_NxN = (turn_N[:, None] + sign_Nx1 * turn_N) % n
    points_NxP = (turn_N[:, None] + np.arange(n)) * sign_Nx1 % n
    return (flip_N[:, None] ^ flip_N) * n + turn_NxN, points_NxP


def _symmetric(n):
    elements = permutations(n)
    size = len(elements)
    a_N, b_N = np.divmod(np.arange(size**2), size)
    table = numbers(compose(elements[a_N], elements[b_N]))
    return table.reshape(size, size), elements


def _alternating(n):
    table, elements = _symmetric(n)
    even_N = even(n)
    number_N = np.cumsum(even_N) - 1  # of an even permutation among them
    return number_N[table[even_N][:, even_N]], elements[even_N]


def _quaternions(_n):
    minus_N, unit_N = np.divmod(np.arange(8), 4)  # i j = k, and so on: units multiply by xor
    negative = np.array([[0, 0, 0, 0], [0, 1, 0, 1], [0, 1, 1, 0], [0, 0, 1, 1]])
    minus_NxN = minus_N[:, None] ^ minus_N ^ negative[unit_N[:, None], unit_N]
    table = 4 * minus_NxN + (unit_N[:, None] ^ unit_N)
    return table, table.T  # an element b moves a to a b


FAMILIES = {
    "Z": Family(range(2, MAX_P + 1), lambda n: n, _cyclic),
    "D": Family(range(3, MAX_P // 2 + 1), lambda n: 2 * n, _dihedral),
    "S": Family(range(2, 7), math.factorial, _symmetric),
    "A": Family(range(3, 7), lambda n: math.factorial(n) // 2, _alternating),
    "Q": Family(range(8, 9), lambda n: n, _quaternions),
}
KNOWN = Range(
    f"from Z_2 to Z_{MAX_P}, D_3 to D_{MAX_P // 2} (2n elements), S_2 to S_6, A_3 to A_6, Q_8, or "
    f"a product such as Z_2xS_3, of at most {MAX_P:,} elements",
    lambda name: 0 < _order(name) <= MAX_P,
)
