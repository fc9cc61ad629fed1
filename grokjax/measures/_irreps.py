"""The irreducible representations of the groups of `tasks/_groups.py`, over the real numbers.

All are orthogonal, and rho(a * b) = rho(a) rho(b). Young's orthogonal form of the symmetric groups:
James & Kerber, 1981, "The Representation Theory of the Symmetric Group", section 3.4. Splitting by
a random matrix that commutes with a representation: Dixon, 1970, "Computing irreducible
representations of groups", https://doi.org/10.1090/S0025-5718-1970-0280611-6.

Networks that compose permutations read them: Chughtai, Chan & Nanda, 2023, "A Toy Model of
Universality", https://arxiv.org/abs/2302.03025.
"""

import functools
import itertools
import string
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from grokjax.core.hparams import check_ranges
from grokjax.tasks._arithmetic import numbers
from grokjax.tasks._groups import FAMILIES, KNOWN, even, parse


class Irrep(NamedTuple):
    """An irreducible representation."""

    name: str
    rho_NxDxD: np.ndarray

    @property
    def character_N(self) -> np.ndarray:
        """The traces."""
        return np.trace(self.rho_NxDxD, axis1=1, axis2=2)

    @property
    def kind(self) -> int:
        """1 real, 2 complex, 4 quaternionic: the mean square of its character.

        Over the complex numbers one of kind 2 falls apart into two, conjugate to each other, and
        one of kind 4 into two equal ones. The sum of D^2 / kind over those of a group is N.
        """
        return round((self.character_N**2).mean())


def irreps(name: str) -> list[Irrep]:
    """Those of the group of a name, the trivial one first.

    They are named by frequency (Z_n), Mulliken's symbol (D_n; E2 turns twice as fast as E1),
    partition (S_n and A_n; (n) is trivial) or the subgroup that they send to 1 (Q_8), with a, b ...
    behind it for the parts of what falls apart.

    Raises:
        ValueError: if there is no such group.
    """
    check_ranges("", {"group": name}, {"group": KNOWN})
    return functools.reduce(_products, [list(IRREPS[letter](n)) for letter, n in parse(name)])


def split(name: str, rho_NxDxD: np.ndarray) -> list[Irrep]:
    """The irreducible parts of an orthogonal representation, each of them once.

    The mean of rho S rho^T over the group commutes with all rho, so that its eigenspaces are
    kept by them; for a random symmetric S they have no parts.
    """
    random_DxD = np.random.default_rng(0).normal(size=rho_NxDxD.shape[1:])
    moved_NxDxD = rho_NxDxD @ (random_DxD + random_DxD.T) @ rho_NxDxD.swapaxes(1, 2)
    values_D, vectors_DxD = np.linalg.eigh(moved_NxDxD.mean(axis=0))
    bases = np.split(vectors_DxD, np.flatnonzero(np.diff(values_D) > 1e-6) + 1, axis=1)
    parts = _different(Irrep(name, basis.T @ rho_NxDxD @ basis) for basis in bases)
    if len(parts) == 1:
        return parts
    letters = string.ascii_lowercase
    return [part._replace(name=name + a) for part, a in zip(parts, letters, strict=False)]


def _different(all_irreps):
    """Those with a character that none before them has."""
    kept = []
    for irrep in all_irreps:
        if not any(np.allclose(irrep.character_N, other.character_N) for other in kept):
            kept.append(irrep)
    return kept


def _products(first, second):
    """Kronecker products, which have parts if neither factor is of kind 1."""
    found = []
    for a, b in itertools.product(first, second):
        name = f"{a.name} x {b.name}"
        blocks = np.einsum("aij,bkl->abikjl", a.rho_NxDxD, b.rho_NxDxD)
        width = blocks.shape[2] * blocks.shape[3]
        rho_NxDxD = blocks.reshape(-1, width, width)
        found += split(name, rho_NxDxD) if min(a.kind, b.kind) > 1 else [Irrep(name, rho_NxDxD)]
    return found


def _cyclic(n):
    for frequency in range(n // 2 + 1):
        rotation_NxDxD = _rotations(np.arange(n) * frequency, n)
        by_halves = 2 * frequency % n == 0
        yield Irrep(str(frequency), rotation_NxDxD[:, :1, :1] if by_halves else rotation_NxDxD)


def _dihedral(n):
    flip_N, turn_N = np.divmod(np.arange(2 * n), n)
    for i, name in enumerate(("A1", "A2", "B1", "B2") if n % 2 == 0 else ("A1", "A2")):
        sign_N = (-1.0) ** (i // 2 * turn_N + i % 2 * flip_N)
        yield Irrep(name, sign_N[:, None, None])
    for frequency in range(1, (n + 1) // 2):
        rotation_NxDxD = _rotations(turn_N * frequency, n)
        rotation_NxDxD[flip_N == 1] *= (1, -1)
        yield Irrep(f"E{frequency}", rotation_NxDxD)


def _rotations(turn_N, n):
    """[N, 2, 2]: by so many n-ths of a full turn."""
    angle_N = 2 * np.pi / n * (turn_N % n)
    cos_N = np.cos(angle_N)
    sin_N = np.sin(angle_N)
    return np.stack([cos_N, -sin_N, sin_N, cos_N], axis=1).reshape(-1, 2, 2)


def _symmetric(n):
    table = FAMILIES["S"].make(n)[0]
    swaps_SxK = np.tile(np.arange(n), (n - 1, 1))
    for i, swap in enumerate(swaps_SxK):
        swap[i : i + 2] = i + 1, i
    for shape in _partitions(n, n):
        swap_SxDxD = _young(shape)
        rho_NxDxD = np.zeros((len(table), *swap_SxDxD.shape[1:]))
        rho_NxDxD[0] = np.eye(swap_SxDxD.shape[1])
        reached = [0]
        for element in reached:  # grows until all are products of swaps
            for swap, matrix in zip(numbers(swaps_SxK), swap_SxDxD, strict=True):
                after = table[element, swap]
                if after not in reached:
                    rho_NxDxD[after] = rho_NxDxD[element] @ matrix
                    reached.append(after)
        yield Irrep(f"({','.join(map(str, shape))})", rho_NxDxD)


def _young(shape: tuple[int, ...]) -> np.ndarray:
    """[n - 1, D, D]: Young's orthogonal form of the swaps of i and i + 1; D standard tableaux.

    With d the content of i + 1 less that of i (column less row of its box), the swap takes a
    tableau T to T / d + sqrt(1 - 1 / d^2) T', where T' has i and i + 1 exchanged.
    """
    tableaux = list(_tableaux(shape))
    swap_SxDxD = np.zeros((sum(shape) - 1, len(tableaux), len(tableaux)))
    for i, swap_DxD in enumerate(swap_SxDxD):
        for number, rows in enumerate(tableaux):
            content, following = (rows[:j].count(rows[j]) - rows[j] for j in (i, i + 1))
            distance = following - content
            swap_DxD[number, number] = 1 / distance
            if abs(distance) > 1:
                exchanged = (*rows[:i], rows[i + 1], rows[i], *rows[i + 2 :])
                swap_DxD[tableaux.index(exchanged), number] = (1 - distance**-2) ** 0.5
    return swap_SxDxD


def _tableaux(shape: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Each standard tableau as the rows of 1, 2, ..."""
    if not sum(shape):
        yield ()
    for row, (length, below) in enumerate(zip(shape, [*shape[1:], 0], strict=True)):
        if length > below:  # a box that may be the last one
            smaller = [*shape[:row], length - 1, *shape[row + 1 :]]
            yield from ((*rows, row) for rows in _tableaux(smaller))


def _partitions(n: int, largest: int) -> Iterator[tuple[int, ...]]:
    """Sums of n, the largest part first: (3,), (2, 1), (1, 1, 1)."""
    if n == 0:
        yield ()
    for part in range(min(n, largest), 0, -1):
        yield from ((part, *rest) for rest in _partitions(n - part, part))


def _alternating(n):
    even_N = even(n)
    parts = [split(irrep.name, irrep.rho_NxDxD[even_N]) for irrep in _symmetric(n)]
    yield from _different(itertools.chain(*parts))


def _quaternions(_n):
    table = FAMILIES["Q"].make(8)[0]
    unit_N = np.arange(8) % 4
    yield Irrep("1", np.ones((8, 1, 1)))
    for unit, name in enumerate(("<i>", "<j>", "<k>"), start=1):
        yield Irrep(name, np.where(np.isin(unit_N, (0, unit)), 1.0, -1.0)[:, None, None])
    left_Nx4 = table[:, :4]  # a number times 1, i, j and k
    sign_Nx4 = 1 - 2 * (left_Nx4 // 4)
    yield Irrep("H", np.eye(4)[left_Nx4 % 4].swapaxes(1, 2) * sign_Nx4[:, None])


IRREPS = {
    "Z": _cyclic,
    "D": _dihedral,
    "S": _symmetric,
    "A": _alternating,
    "Q": _quaternions,
}
