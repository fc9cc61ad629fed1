"""Equations a o b = c in the symmetric group S_k.

Power et al., 2022, "Grokking: Generalization Beyond Overfitting on Small
Algorithmic Datasets", https://arxiv.org/abs/2201.02177, appendix A.1.
"""

from grokjax.core.data import Examples, Task
from grokjax.core.hparams import check_ranges, whole
from grokjax.tasks._arithmetic import (
    FORMS,
    PERMUTING,
    left_sides,
    numbers,
    operands,
    permutations,
    signs,
)

MAX_K = 6  # 720 elements, 518,400 equations; S_7 would have 25 million
RANGES = {"op": PERMUTING, "k": whole(2, MAX_K), "form": FORMS}


def make(
    op: str = "compose",  # the operation
    k: int = 5,  # permutations of so many
    form: str = FORMS[0],  # the tokens of an equation
) -> Task:
    """Every equation of S_k once.

    `compose` is first a, then b, as in the authors' code; `conjugate` is a, b and a's inverse,
    `aba` is a, b and a again. Tokens 0..k!-1 are the permutations in lexicographic order, k! is
    the operator and k! + 1 is the equals sign, or k! if the form has no operator. S_5 has 120
    elements and 14,400 equations, S_6 has 720 and 518,400.

        (0 2 1) o (1 0 2) = (1 2 0) in S_3  ->  inputs [1, 6, 2, 7], label 3
    """
    check_ranges("", locals(), RANGES)
    elements = permutations(k)
    size = len(elements)
    tokens = signs(form, size)
    a_N, b_N, inputs_NxL = left_sides(range(size), range(size), tokens, form)
    labels_N = numbers(PERMUTING[op](elements[a_N], elements[b_N]))
    return Task(
        Examples(inputs_NxL, labels_N),
        num_tokens=size + len(tokens),
        num_classes=size,
        operands=operands(form),
        group_name=f"S_{k}" if op == "compose" else "",
    )
