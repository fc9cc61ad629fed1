"""Equations a o b = c (mod p).

Power et al., 2022, "Grokking: Generalization Beyond Overfitting on Small
Algorithmic Datasets", https://arxiv.org/abs/2201.02177, appendix A.1.
"""

from grokjax.core.data import Examples, Task
from grokjax.core.hparams import check_ranges, whole
from grokjax.tasks._arithmetic import FORMS, MAX_P, MODULAR, cyclic, equations, operands, signs

RANGES = {"op": MODULAR, "p": whole(2, MAX_P), "form": FORMS}


def make(
    op: str = "div",  # the operation
    p: int = 97,  # the modulus, a prime for division
    form: str = FORMS[0],  # the tokens of an equation
) -> Task:
    """Every equation once, labelled with its result c.

    Tokens 0..p-1 are the numbers, p is the operator and p + 1 is the equals sign; a form without
    the operator has p as its equals sign, and `a b` is read out at b. Division leaves out b = 0,
    so it has p (p - 1) equations; the others have p squared. Operators that change with parity
    depend on that of a (`add_if_even_...`) or of b (`div_if_odd_...`).

        3 / 5 = 2 (mod 7)  ->  inputs [3, 7, 5, 8], label 2
    """
    check_ranges("", locals(), RANGES)
    tokens = signs(form, p)
    inputs_NxL, labels_N = equations(op, p, tokens, form)
    positions = operands(form)
    return Task(
        Examples(inputs_NxL, labels_N),
        num_tokens=p + len(tokens),
        num_classes=p,
        operands=positions,
        cyclic=cyclic(op, p, inputs_NxL[:, positions]),
        group_name=f"Z_{p}" if op == "add" else "",
    )
