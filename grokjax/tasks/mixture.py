"""Several operations mod p at once, each with an operator token of its own.

The setting in which a network learns division alone or together with addition and subtraction.
A batch holds examples of every operation in the proportions of `runs.mix`, each operation going
through its own examples at its own pace, so that none is dropped and none runs out; whether
the training sets have the same proportions is `split.proportional`.
"""

import numpy as np

from grokjax.core.data import Examples, Group, Task
from grokjax.core.hparams import check_ranges, whole
from grokjax.tasks._arithmetic import MAX_P, MODULAR, equations

RANGES = {"ops": MODULAR, "p": whole(2, MAX_P)}


def make(
    ops: tuple[str, ...] = ("div", "add"),  # the operations
    p: int = 97,  # the modulus, a prime for division
) -> Task:
    """Every equation `a o b =` of every operation once, one operation after another.

    Tokens 0..p-1 are the numbers, then comes a token for each operation, then the equals sign.

        3 / 5 = 2 and 3 + 5 = 1 (mod 7)  ->  inputs [3, 7, 5, 9] and [3, 8, 5, 9], labels 2 and 1
    """
    check_ranges("", locals(), RANGES)
    if len(set(ops)) < len(ops) or len(ops) < 2:
        raise ValueError(f"task.ops = {ops}; choose two different operations or more")
    tables = [equations(op, p, (p + i, p + len(ops))) for i, op in enumerate(ops)]
    inputs, labels = zip(*tables, strict=True)
    examples = Examples(np.concatenate(inputs), np.concatenate(labels))
    groups = tuple(Group(op, len(labels_N)) for op, labels_N in zip(ops, labels, strict=True))
    return Task(examples, p + len(ops) + 1, p, operands=(0, 2), groups=groups)
