"""Sums of K numbers, x1 + x2 + ... + xK = c (mod p).

The setting in which steps to generalise are compared over K = 2, 3, 4, with all p^K sums.
"""

import numpy as np

from grokjax.core.checks import MAX_ROWS
from grokjax.core.data import Examples, Task
from grokjax.core.hparams import check_ranges, whole
from grokjax.tasks._arithmetic import MAX_P

MAX_LENGTH = 19  # of the sums of two numbers, 2**19 are not a million yet
RANGES = {"length": whole(2, MAX_LENGTH), "p": whole(2, MAX_P)}


def make(
    length: int = 3,  # terms of a sum
    p: int = 11,  # the modulus
) -> Task:
    """Every sum of `length` numbers once.

    Tokens 0..p-1 are the numbers, p is the plus sign and p + 1 is the equals sign.

        3 + 5 + 6 = 0 (mod 7)  ->  inputs [3, 7, 5, 7, 6, 8], label 0
    """
    check_ranges("", locals(), RANGES)
    if p**length > MAX_ROWS:
        raise ValueError(
            f"length = {length} and p = {p} make {p**length:,} sums; choose at most {MAX_ROWS:,}"
        )
    terms_NxK = np.indices((p,) * length).reshape(length, -1).T
    inputs_NxL = np.full((len(terms_NxK), 2 * length), p)
    inputs_NxL[:, ::2] = terms_NxK
    inputs_NxL[:, -1] = p + 1
    labels_N = terms_NxK.sum(axis=1) % p
    examples = Examples(inputs_NxL.astype(np.int32), labels_N.astype(np.int32))
    operands = tuple(range(0, 2 * length, 2))
    return Task(examples, num_tokens=p + 2, num_classes=p, operands=operands)
