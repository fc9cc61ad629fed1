"""Equations a o b = c in a finite group, by its name.

Chughtai, Chan & Nanda, 2023, "A Toy Model of Universality: Reverse Engineering How Networks Learn
Group Operations", https://arxiv.org/abs/2302.03025; Stander, Yu, Fan & Biderman, 2023, "Grokking
Group Multiplication with Cosets", https://arxiv.org/abs/2312.06581.
"""

import numpy as np

from grokjax.core.data import Examples, Task
from grokjax.core.hparams import check_ranges
from grokjax.tasks._arithmetic import FORMS, left_sides, operands, signs
from grokjax.tasks._groups import KNOWN, find

RANGES = {"group": KNOWN, "form": FORMS}


def make(
    group: str = "A_5",  # its name, or names of factors: Z_60, D_30, S_5, Q_8, Z_2xZ_4
    form: str = FORMS[0],  # the tokens of an equation
) -> Task:
    """Every equation of a group once.

    Of a group of n elements tokens 0..n-1 are the elements, 0 the identity, n is the operator and
    n + 1 is the equals sign, or n if the form has no operator. Which element has which number is
    said in `_groups.py`; the table of S_5 is that of the task `permutation`, number by number:
    first a, then b. D_n has 2n elements.

        i o j = k in Q_8  ->  inputs [1, 8, 2, 9], label 3
    """
    check_ranges("", locals(), RANGES)
    table = find(group).table_NxN
    size = len(table)
    tokens = signs(form, size)
    a_N, b_N, inputs_NxL = left_sides(range(size), range(size), tokens, form)
    examples = Examples(inputs_NxL, table[a_N, b_N].astype(np.int32))
    return Task(
        examples,
        num_tokens=size + len(tokens),
        num_classes=size,
        operands=operands(form),
        group_name=group,
    )
