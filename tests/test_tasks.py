"""Tables that a reader can check by hand, and properties of the groups behind them."""

import numpy as np
import pytest

from grokjax import lookup
from grokjax.arithmetic import composition_table, is_prime, permutations
from grokjax.tasks import modular, permutation


def equation(task, a, b):
    """The label of `a o b`."""
    inputs_NxL, labels_N = task.examples.inputs_NxL, task.examples.labels_N
    (row,) = np.flatnonzero((inputs_NxL[:, 0] == a) & (inputs_NxL[:, 2] == b))
    return labels_N[row]


def test_division_mod_7():
    task = modular.make(op="div", p=7)

    assert task.examples.inputs_NxL.shape == (42, 4)
    assert equation(task, 3, 5) == 2  # 2 * 5 = 10 = 3
    assert (task.num_tokens, task.num_classes) == (9, 7)
    assert not (task.examples.inputs_NxL[:, 2] == 0).any()


def test_multiplying_the_quotient_gives_the_dividend_back():
    table = modular.make(op="div", p=97).examples
    a_N, b_N = table.inputs_NxL[:, 0], table.inputs_NxL[:, 2]

    assert len(table.labels_N) == 9312
    assert (table.labels_N * b_N % 97 == a_N).all()


@pytest.mark.parametrize(("op", "answer"), [("add", 1), ("sub", 5), ("mul", 1)])
def test_the_other_operations_mod_7(op, answer):
    task = modular.make(op=op, p=7)

    assert len(task.examples.labels_N) == 49
    assert equation(task, 3, 5) == answer


def test_division_needs_a_prime():
    with pytest.raises(ValueError, match="p = 96 is not prime"):
        modular.make(op="div", p=96)
    assert [n for n in range(30) if is_prime(n)] == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]


def test_an_unknown_operation_lists_the_choices():
    with pytest.raises(ValueError, match="unknown op 'dvi'; choose from add, sub, mul, div"):
        modular.make(op="dvi")


def test_composition_applies_first_a_then_b():
    """(0 2 1) then (1 0 2): 0 -> 0 -> 1, 1 -> 2 -> 2, 2 -> 1 -> 0."""
    names = permutations(3).tolist()
    a, b, c = (names.index(p) for p in ([0, 2, 1], [1, 0, 2], [1, 2, 0]))

    assert (a, b, c) == (1, 2, 3)
    assert equation(permutation.make(k=3), a, b) == c


def test_permutations_are_a_group_that_does_not_commute():
    table = composition_table(4)
    identity = np.arange(24)

    assert (table[0] == identity).all()
    assert (table[:, 0] == identity).all()
    assert all(sorted(row) == list(identity) for row in table)
    a, b, c = np.random.default_rng(0).integers(24, size=(3, 200))
    assert (table[table[a, b], c] == table[a, table[b, c]]).all()
    assert (table != table.T).any()


def test_s5_has_14400_equations():
    task = permutation.make()

    assert task.examples.inputs_NxL.shape == (14400, 4)
    assert (task.num_tokens, task.num_classes) == (122, 120)


@pytest.mark.parametrize("k", [1, 7])
def test_a_group_too_large_or_too_small_is_refused(k):
    with pytest.raises(ValueError, match=f"k = {k} is out of range"):
        permutation.make(k=k)


@pytest.mark.parametrize("name", lookup.names("task"))
def test_every_task_has_distinct_examples_and_labels_in_range(name):
    task = lookup.find("task", name).make()
    table = task.examples

    assert table.inputs_NxL.dtype == table.labels_N.dtype == np.int32
    assert len(np.unique(table.inputs_NxL, axis=0)) == len(table.labels_N)
    assert 0 <= table.inputs_NxL.min() <= table.inputs_NxL.max() < task.num_tokens
    assert set(table.labels_N) == set(range(task.num_classes))
