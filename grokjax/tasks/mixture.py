"""Several operations mod p at once, each with an operator token or a head of its own.

The setting in which a network learns division alone or together with addition and subtraction.
A batch holds examples of every operation in the proportions of `runs.mix`, each operation going
through its own examples at its own pace, so that none is dropped and none runs out; whether
the training sets have the same proportions is `split.proportional`.
"""

import numpy as np

from grokjax.core.data import Examples, Group, Task
from grokjax.core.hparams import check_ranges, whole
from grokjax.tasks._arithmetic import FORMS, MAX_P, MODULAR, equations, operands

RANGES = {"ops": MODULAR, "p": whole(2, MAX_P), "form": FORMS}


def make(
    ops: tuple[str, ...] = ("div", "add"),  # the operations
    p: int = 97,  # the modulus, a prime for division
    form: str = FORMS[0],  # the tokens of an equation
    heads: bool = False,  # classes of its own for each operation, and a softmax over these alone
) -> Task:
    """Every equation of every operation once, one operation after another.

    Tokens 0..p-1 are the numbers, then comes a token for each operation, then the equals sign.

        3 / 5 = 2 and 3 + 5 = 1 (mod 7)  ->  inputs [3, 7, 5, 9] and [3, 8, 5, 9], labels 2 and 1

    With heads, classes 0..p-1 are the results of the first operation, p..2p-1 those of the second,
    and so on; no token has to say which it is. In the form `a b` these are inputs [3, 5] twice,
    labels 2 and 8, and the setting of a network with a linear layer for each operation. Its loss is
    the mean over a batch, so the sum of two losses over 512 pairs is twice that of 1,024 examples.
    Xu, 2026, "The Geometry of Multi-Task Grokking", https://arxiv.org/abs/2602.18523
    """
    check_ranges("", locals(), RANGES)
    if len(set(ops)) < len(ops) or len(ops) < 2:
        raise ValueError(f"task.ops = {ops}; choose two different operations or more")
    if "o" not in form and not heads:
        raise ValueError(
            f"task.form = {form!r} does not say which operation is meant; choose {FORMS[0]!r}, or "
            "task.heads = True"
        )
    num_signs = len(ops) if "o" in form else 0
    signs = [{"o": p + i, "=": p + num_signs} for i in range(len(ops))]
    tables = [equations(op, p, tokens, form) for op, tokens in zip(ops, signs, strict=True)]
    inputs, labels = zip(*tables, strict=True)
    sizes = [len(labels_N) for labels_N in labels]
    first_N = np.repeat(p * heads * np.arange(len(ops), dtype=np.int32), sizes)  # class of a head
    return Task(
        Examples(np.concatenate(inputs), np.concatenate(labels) + first_N),
        num_tokens=p + num_signs + ("=" in form),
        num_classes=p * len(ops) if heads else p,
        operands=operands(form),
        groups=tuple(map(Group, ops, sizes)),
        num_heads=len(ops) if heads else 1,
    )
