"""Operators on tables of numbers, and the tables themselves, in numpy."""

import itertools
import math

import numpy as np


def inverse(b_N: np.ndarray, p: int) -> np.ndarray:
    """The field inverse of every b modulo a prime p; b = 0 has none and is an error."""
    return np.array([pow(int(b), -1, p) for b in range(1, p)])[b_N - 1]


MODULAR = {
    "add": lambda a, b, p: (a + b) % p,
    "sub": lambda a, b, p: (a - b) % p,
    "mul": lambda a, b, p: (a * b) % p,
    "div": lambda a, b, p: a * inverse(b, p) % p,
}


def is_prime(n: int) -> bool:
    """By trial division."""
    return n > 1 and all(n % d for d in range(2, math.isqrt(n) + 1))


def all_pairs(first: range, second: range) -> tuple[np.ndarray, np.ndarray]:
    """Every pair (a, b), as two columns [N], the second moving fastest."""
    grid = np.meshgrid(np.array(first), np.array(second), indexing="ij")
    return grid[0].ravel(), grid[1].ravel()


def permutations(k: int) -> np.ndarray:
    """[k!, k]: the elements of S_k in lexicographic order; number 0 is the identity."""
    return np.array(list(itertools.permutations(range(k))))


def composition_table(k: int) -> np.ndarray:
    """[k!, k!]: number of c for numbers of a and b, where c[i] = b[a[i]]: first a, then b."""
    elements = permutations(k)
    weights = k ** np.arange(k)[::-1]  # a permutation's digits as one number, in the same order
    codes = elements @ weights
    composed = elements[np.arange(len(elements))[None, :, None], elements[:, None, :]]
    return np.searchsorted(codes, composed @ weights)
