"""Operators on tables of numbers, and the tables themselves, in numpy."""

import itertools
import math
from collections.abc import Mapping

import numpy as np

from grokjax.core.data import Cyclic


def divide(a_N: np.ndarray, b_N: np.ndarray, p: int) -> np.ndarray:
    """a times the inverse of b modulo a prime p, for b from 1 to p - 1."""
    inverses = np.array([0] + [pow(b, -1, p) for b in range(1, p)])  # that of 0 is never used
    return a_N * inverses[b_N] % p


MODULAR = {  # [N], [N], p -> [N]
    "add": lambda a, b, p: (a + b) % p,
    "sub": lambda a, b, p: (a - b) % p,
    "mul": lambda a, b, p: a * b % p,
    "div": divide,
    "a^2+b": lambda a, b, p: (a**2 + b) % p,
    "a^3+b": lambda a, b, p: (a**3 + b) % p,
    "a^2+b^2": lambda a, b, p: (a**2 + b**2) % p,
    "a^2+ab+b^2": lambda a, b, p: (a**2 + a * b + b**2) % p,
    "a^2+ab+b^2+a": lambda a, b, p: (a**2 + a * b + b**2 + a) % p,
    "a^3+ab": lambda a, b, p: (a**3 + a * b) % p,
    "a^3+ab^2+b": lambda a, b, p: (a**3 + a * b**2 + b) % p,
    "div_if_odd_else_sub": lambda a, b, p: np.where(b % 2 == 1, divide(a, b, p), (a - b) % p),
    "add_if_even_else_mul": lambda a, b, p: np.where(a % 2 == 0, a + b, a * b) % p,
    "add_if_even_else_sub": lambda a, b, p: np.where(a % 2 == 0, a + b, a - b) % p,
}
FORMS = ("a o b =", "a b =", "a b")  # the tokens of an equation
DIVIDING = ("div", "div_if_odd_else_sub")  # these need a prime p
MAX_P = 1000  # a million equations


def signs(form: str, size: int) -> dict[str, int]:
    """The tokens of a form's operator and equals sign, the next after those of `size` numbers."""
    return {sign: size + i for i, sign in enumerate(x for x in form.split() if x in "o=")}


def operands(form: str) -> tuple[int, int]:
    """The positions of a and b."""
    return form.split().index("a"), form.split().index("b")


def equations(
    op: str, p: int, tokens: Mapping[str, int], form: str = FORMS[0]
) -> tuple[np.ndarray, np.ndarray]:
    """Every equation mod p once: inputs [N, L] in a form of `FORMS` and labels [N], int32.

    Division leaves out b = 0. `tokens` are those of the operator and of the equals sign. Raises a
    ValueError for a p that the operator cannot have.
    """
    if op in DIVIDING and not is_prime(p):
        raise ValueError(
            f"p = {p} is not prime, so {op} meets numbers without an inverse; the papers use 97"
        )
    second = range(1, p) if op == "div" else range(p)
    a_N, b_N, inputs_NxL = left_sides(range(p), second, tokens, form)
    return inputs_NxL, MODULAR[op](a_N, b_N, p).astype(np.int32)


def cyclic(op: str, p: int, operands_Nx2: np.ndarray) -> Cyclic | None:
    """How the equations a o b mod p are sums in a cyclic group; None if they are not.

    For sums and differences that is Z_p, for products and quotients modulo a prime Z_(p-1), by
    discrete logarithms to the base of the smallest primitive root.
    """
    if op not in ("add", "sub") and not (op in ("mul", "div") and is_prime(p)):
        return None
    numbers_n = np.arange(p) if op in ("add", "sub") else _powers(p)
    order = len(numbers_n)
    sign = 1 if op in ("add", "mul") else -1
    right_n = numbers_n[sign * np.arange(order) % order]
    row_pxp = np.full((p, p), -1, np.int32)
    row_pxp[tuple(operands_Nx2.T)] = np.arange(len(operands_Nx2))
    numbers_n = numbers_n.astype(np.int32)
    return Cyclic(row_pxp[np.ix_(numbers_n, right_n)], numbers_n, numbers_n)


def _powers(p):
    """[p - 1]: 1, g, g^2, ... modulo a prime, g its smallest primitive root."""
    for g in range(1, p):
        powers = [1]
        while len(powers) < p - 1 and (power := powers[-1] * g % p) != 1:
            powers.append(power)
        if len(powers) == p - 1:
            return np.array(powers)
    raise ValueError(f"p = {p} has no primitive root; choose a prime")


def is_prime(n: int) -> bool:
    """By trial division."""
    return n > 1 and all(n % d for d in range(2, math.isqrt(n) + 1))


def left_sides(
    first: range, second: range, tokens: Mapping[str, int], form: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every a [N] and b [N], the second moving fastest, and a form of them [N, L], int32."""
    a_N, b_N = (x.ravel() for x in np.meshgrid(first, second, indexing="ij"))
    columns = {"a": a_N, "b": b_N}
    columns |= {sign: np.full_like(a_N, token) for sign, token in tokens.items()}
    inputs_NxL = np.stack([columns[x] for x in form.split()], axis=1)
    return a_N, b_N, inputs_NxL.astype(np.int32)


def permutations(k: int) -> np.ndarray:
    """[k!, k]: the elements of S_k in lexicographic order; number 0 is the identity."""
    return np.array(list(itertools.permutations(range(k))))


def numbers(elements_Nxk: np.ndarray) -> np.ndarray:
    """[N] int32: the numbers of permutations in the order of `permutations`."""
    k = elements_Nxk.shape[1]
    weights_k = k ** np.arange(k)[::-1]  # digits as one number, which sorts in the same order
    return np.searchsorted(permutations(k) @ weights_k, elements_Nxk @ weights_k).astype(np.int32)


def compose(first_Nxk: np.ndarray, then_Nxk: np.ndarray) -> np.ndarray:
    """[N, k]: c[i] = b[a[i]], first a, then b."""
    return np.take_along_axis(then_Nxk, first_Nxk, axis=1)


PERMUTING = {  # [N, k], [N, k] -> [N, k]
    "compose": compose,
    "conjugate": lambda a, b: compose(compose(a, b), np.argsort(a, axis=1)),
    "aba": lambda a, b: compose(compose(a, b), a),
}
