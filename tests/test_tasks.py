"""Tables that a reader can check by hand, and properties of the groups behind them."""

import itertools

import numpy as np
import pytest

from grokjax import lookup
from grokjax.arithmetic import MODULAR, is_prime, permutations
from grokjax.tasks import modular, parity, permutation, sums


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


BY_HAND = {  # a = 3 and b = 5, a = 4 and b = 6, mod 7
    "add": (1, 3),
    "sub": (5, 5),
    "mul": (1, 3),
    "a^2+b": (0, 1),  # 9 + 5, 16 + 6
    "a^3+b": (4, 0),  # 27 + 5, 64 + 6
    "a^2+b^2": (6, 3),  # 9 + 25, 16 + 36
    "a^2+ab+b^2": (0, 6),  # 34 + 15, 52 + 24
    "a^2+ab+b^2+a": (3, 3),
    "a^3+ab": (0, 4),  # 27 + 15, 64 + 24
    "a^3+ab^2+b": (2, 4),  # 27 + 75 + 5, 64 + 144 + 6
    "div_if_odd_else_sub": (2, 5),  # 3 / 5, 4 - 6
    "add_if_even_else_mul": (1, 3),  # 3 * 5, 4 + 6
    "add_if_even_else_sub": (5, 3),  # 3 - 5, 4 + 6
}


@pytest.mark.parametrize("op", [op for op in MODULAR if op != "div"])
def test_the_other_operations_mod_7(op):
    task = modular.make(op=op, p=7)

    assert len(task.examples.labels_N) == 49
    assert (equation(task, 3, 5), equation(task, 4, 6)) == BY_HAND[op]


def test_division_needs_a_prime():
    for op in ("div", "div_if_odd_else_sub"):
        with pytest.raises(ValueError, match="p = 96 is not prime"):
            modular.make(op=op, p=96)
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


def table_of(op, k):
    size = len(permutations(k))
    return permutation.make(op=op, k=k).examples.labels_N.reshape(size, size)


def test_permutations_are_a_group_that_does_not_commute():
    table = table_of("compose", 4)
    identity = np.arange(24)

    assert (table[0] == identity).all()
    assert (table[:, 0] == identity).all()
    assert all(sorted(row) == list(identity) for row in table)
    a, b, c = np.random.default_rng(0).integers(24, size=(3, 200))
    assert (table[table[a, b], c] == table[a, table[b, c]]).all()
    assert (table != table.T).any()


def test_conjugation_and_aba_are_compositions():
    """Conjugates of b by a solve c a = a b, first to last; aba is (a b) a."""
    table, conjugate, aba = (table_of(op, 4) for op in ("compose", "conjugate", "aba"))
    a, b = np.random.default_rng(1).integers(24, size=(2, 200))

    assert (table[conjugate[a, b], a] == table[a, b]).all()
    assert (aba[a, b] == table[table[a, b], a]).all()


def test_s5_has_14400_equations():
    task = permutation.make()

    assert task.examples.inputs_NxL.shape == (14400, 4)
    assert (task.num_tokens, task.num_classes) == (122, 120)


@pytest.mark.parametrize("k", [1, 7])
def test_a_group_too_large_or_too_small_is_refused(k):
    with pytest.raises(ValueError, match=f"k = {k} is out of range"):
        permutation.make(k=k)


def test_a_sum_of_three_mod_7():
    task = sums.make(length=3, p=7)
    (row,) = np.flatnonzero((task.examples.inputs_NxL == [3, 7, 5, 7, 6, 8]).all(axis=1))

    assert len(task.examples.labels_N) == 7**3
    assert task.examples.labels_N[row] == 0  # 14


def test_too_many_sums_are_refused():
    with pytest.raises(ValueError, match="length = 4 and p = 97 make 88,529,281 sums"):
        sums.make(length=4, p=97)


def test_the_parity_of_two_secret_bits_changes_with_each_of_them_and_no_other():
    """Of all 16 rows of 5 bits that are drawn, equal secret bits have equal labels."""
    table = parity.make(bits=5, secret=2, samples=16).examples
    secrets = [
        pair
        for pair in itertools.combinations(range(5), 2)
        if (table.inputs_NxL[:, list(pair)].sum(axis=1) % 2 == table.labels_N).all()
    ]

    assert len(secrets) == 1
    assert (parity.make(seed=1).examples.labels_N != parity.make(seed=2).examples.labels_N).any()
    with pytest.raises(ValueError, match="bits = 4 with samples = 9"):
        parity.make(bits=4, secret=2, samples=9)


@pytest.mark.parametrize("name", lookup.names("task"))
def test_every_task_has_distinct_examples_and_labels_in_range(name):
    task = lookup.find("task", name).make()
    table = task.examples

    assert table.inputs_NxL.dtype == table.labels_N.dtype == np.int32
    assert len(np.unique(table.inputs_NxL, axis=0)) == len(table.labels_N)
    assert 0 <= table.inputs_NxL.min() <= table.inputs_NxL.max() < task.num_tokens
    assert set(table.labels_N) == set(range(task.num_classes))
