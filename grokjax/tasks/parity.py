"""Sparse parity: the parity of a few secret bits among many.

Barak et al., 2022, "Hidden Progress in Deep Learning: SGD Learns Parities Near the
Computational Limit", https://arxiv.org/abs/2207.08799
"""

import numpy as np

from grokjax.core.checks import check_at_least, check_table_size
from grokjax.core.data import Examples, Task
from grokjax.core.hparams import at_least, check_ranges, whole

MAX_BITS = 62  # of a number in 64
RANGES = {
    "bits": whole(1, MAX_BITS),
    "secret": at_least(1),
    "samples": at_least(2),
    "seed": at_least(0),
}


def make(
    bits: int = 40,  # bits of a row
    secret: int = 3,  # bits that count
    samples: int = 2000,  # rows
    seed: int = 0,  # of the rows, and of which bits count
) -> Task:
    """`samples` distinct rows of random bits; the label is the parity of `secret` of them.

    Tokens are 0 and 1.

        bits 0 and 2 of [1, 0, 1, 1] count  ->  label (1 + 1) mod 2 = 0
    """
    check_ranges("", locals(), RANGES)
    check_at_least("bits", bits, secret)
    check_table_size(samples, bits)
    if samples > 2 ** (bits - 1):
        raise ValueError(
            f"bits = {bits} with samples = {samples}; choose no more than half of all rows"
        )
    random = np.random.default_rng(seed)
    secret_bits = random.permutation(bits)[:secret]
    numbers = np.zeros(0, np.int64)
    while numbers.size < samples:
        numbers = np.unique(np.append(numbers, random.integers(2**bits, size=samples)))
    rows_N = random.permutation(numbers)[:samples]
    inputs_NxL = (rows_N[:, None] >> np.arange(bits)) & 1
    labels_N = inputs_NxL[:, secret_bits].sum(axis=1) % 2
    examples = Examples(inputs_NxL.astype(np.int32), labels_N.astype(np.int32))
    return Task(examples, num_tokens=2, num_classes=2)
