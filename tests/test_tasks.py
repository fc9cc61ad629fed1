"""Tables that a reader can check by hand, and properties of the groups behind them."""

import functools
import itertools
from pathlib import Path

import numpy as np
import pytest

import grokjax
from grokjax.core.split import find_strata
from grokjax.tasks import binding, group, modular, parity, permutation, sums
from grokjax.tasks._arithmetic import MODULAR, is_prime, permutations


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
    a_N = table.inputs_NxL[:, 0]
    b_N = table.inputs_NxL[:, 2]

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
        with pytest.raises(ValueError, match=f"p = 96 is not prime, so {op} meets"):
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
    with pytest.raises(ValueError, match=f"k = {k}; choose 2 to 6"):
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
    with pytest.raises(ValueError, match="seed = -1; choose 0 or more"):
        parity.make(seed=-1)


@pytest.mark.slow
def test_s6_has_518400_equations():
    """A few thousand of them are followed one by one: first a, then b."""
    task = permutation.make(k=6)
    elements = list(itertools.permutations(range(6)))
    a_N, op_N, b_N, eq_N = task.examples.inputs_NxL.T
    some = np.random.default_rng(0).integers(720**2, size=5003)

    assert task.examples.inputs_NxL.shape == (518400, 4)
    assert (task.num_tokens, task.num_classes) == (722, 720)
    assert (set(op_N), set(eq_N)) == ({720}, {721})
    assert (np.bincount(task.examples.labels_N) == 720).all()
    for a, b, c in zip(a_N[some], b_N[some], task.examples.labels_N[some], strict=True):
        assert elements[c] == tuple(elements[b][i] for i in elements[a])


def queried_value(tokens):
    """What the last variable of a line is worth, item by item."""
    values = {}
    for target, source in zip(tokens[:-1:2], tokens[1::2], strict=True):
        values[target] = values[source] if source >= 10 else source
    return values[tokens[-1]]


def test_a_line_of_bindings_is_followed_from_left_to_right():
    assert queried_value([10, 3, 11, 10, 10, 7, 11]) == 3  # a=3,b=a,a=7,b=?: b keeps the old a
    table = binding.make(lines=101, assignments=7, variables=3).examples

    assert table.inputs_NxL.shape == (101, 13)
    assert [queried_value(line) for line in table.inputs_NxL.tolist()] == table.labels_N.tolist()


def test_bindings_have_10000_lines_and_ten_classes_of_about_the_same_size():
    task = binding.make()
    variable_NxP, source_NxP = task.examples.inputs_NxL[:, ::2], task.examples.inputs_NxL[:, 1::2]

    assert task.examples.inputs_NxL.shape == (10_000, 35)
    assert (task.num_tokens, task.num_classes) == (15, 10)
    assert abs(np.bincount(task.examples.labels_N) - 1000).max() < 150  # 5 standard deviations
    assert set(variable_NxP.ravel()) == set(range(10, 15))
    assert set(source_NxP[:, 1:].ravel()) == set(range(15))
    assert set(source_NxP[:, 0]) == set(range(10))
    assert not (variable_NxP[:, :-1] == source_NxP).any()  # no a=a
    assert (binding.make(seed=1).examples.labels_N != task.examples.labels_N).any()


def binding_config():
    return grokjax.load(str(Path(__file__).parent.parent / "configs/binding.py"))


def test_bindings_are_not_trained_with_the_usual_decay():
    """With a decay of 1, that of `base()`, not even its easy version is learnt."""
    config = binding_config()

    assert (config.task.assignments, config.task.variables) == (6, 3)
    assert config.runs.weight_decay == (0.1,)


@pytest.mark.slow
def test_bindings_are_learnt():
    """Of two variables and four assignments, which is easy; the config's own take minutes."""
    config = binding_config()
    config.runs.seed = (1, 2)
    config.task.update(assignments=4, variables=2, lines=4000)
    config.schedule.update(num_steps=250, checkpoint_every=250)

    assert (grokjax.train(config).history["val_accuracy"][-1] > 0.9).all()


def test_few_possible_lines_of_bindings_are_drawn_until_there_are_enough():
    table = binding.make(lines=10, assignments=2, variables=2).examples

    assert len(np.unique(table.inputs_NxL, axis=0)) == 10
    with pytest.raises(ValueError, match="lines = 11 is too many .* choose at most 10"):
        binding.make(lines=11, assignments=2, variables=2)


def bindings_of(tmp_path, text):
    (tmp_path / "lines.csv").write_text(text)
    return binding.make(assignments=4, variables=3, path=str(tmp_path / "lines.csv"))


def test_bindings_are_read_from_a_file(tmp_path):
    task = bindings_of(tmp_path, "a=3,b=a,a=7,b=3\n\nc = 0, c = c, a = 2, c = 0\n")

    assert task.examples.inputs_NxL.tolist() == [
        [10, 3, 11, 10, 10, 7, 11],
        [12, 0, 12, 12, 10, 2, 12],
    ]
    assert task.examples.labels_N.tolist() == [3, 0]
    assert task.num_tokens == 13


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a=3,d=a,a=7,a=7", "line 2: 'd=a' has 'd'; choose from a, b, c"),
        ("a=3,b=d,a=7,a=7", "line 2: 'b=d' has 'd'; choose from a, b, c, 0, 1, .*, 9"),
        ("a=3,b=12,a=7,a=7", "line 2: 'b=12' has '12'"),
        ("a=3,b=,a=7,a=7", "line 2: 'b=' has ''"),
        ("a=3,b,a=7,a=7", "line 2: 'b' has no equals sign; write a=3 or a=b"),
        ("a=3,b=c,a=7,a=7", "line 2: 'b=c' reads c before it has a value"),
        ("a=3,b=a,a=7", "line 2: has 3 item\\(s\\); task.assignments = 4 are needed"),
        ("a=3,b=a,a=7,b=7", "line 2: ends in 'b=7', but b has the value 3; the last item repeats"),
        ("a=3,b=a,a=7,c=7", "line 2: ends in 'c=7', but c has the value None"),
        ("a=1,b=2,c=3,a=1", "line 2: is line 1 again"),
        ("", "has 1 line\\(s\\); give two or more"),
    ],
)
def test_a_malformed_line_of_bindings_is_named_by_its_number(line, message, tmp_path):
    with pytest.raises(ValueError, match=message) as error:
        bindings_of(tmp_path, f"a=1,b=2,c=3,a=1\n{line}\n")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(lines=1), "lines = 1; choose 2 or more"),
        (dict(assignments=1), "assignments = 1; choose 2 to 1,000"),
        (dict(variables=0), "variables = 0; choose 1 to 26"),
        (dict(seed=-1), "seed = -1; choose 0 or more"),
        (dict(variables=27), "variables = 27; choose 1 to 26"),
        (dict(path="/nowhere/lines.csv"), "no file '/nowhere/lines.csv'"),
    ],
)
def test_bindings_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        binding.make(**options)


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
def test_arithmetic_is_addition_in_a_cyclic_group(op):
    """Of the equation with operands i and j the answer is the class of i + j."""
    task = modular.make(op=op, p=11)
    row_nxn, token_n, class_n = task.cyclic
    left_n = np.arange(task.cyclic.order)

    labels_nxn = task.examples.labels_N[row_nxn]
    assert (
        len({*token_n})
        == len({*class_n})
        == task.cyclic.order
        == (11 if op in ("add", "sub") else 10)
    )
    assert (labels_nxn == class_n[(left_n[:, None] + left_n) % task.cyclic.order]).all()
    assert (task.examples.inputs_NxL[row_nxn, 0] == token_n[:, None]).all()


@pytest.mark.parametrize(("op", "p"), [("mul", 12), ("a^2+b", 11), ("div_if_odd_else_sub", 11)])
def test_other_arithmetic_is_not(op, p):
    assert modular.make(op=op, p=p).cyclic is None


BY_FORM = {  # form: 3 / 5 = 2 (mod 7), first 1, then 2 of S_3, i j in Q_8; and the operands
    "a o b =": ([3, 7, 5, 8], [1, 6, 2, 7], [1, 8, 2, 9], (0, 2)),
    "a b =": ([3, 5, 7], [1, 2, 6], [1, 2, 8], (0, 1)),
    "a b": ([3, 5], [1, 2], [1, 2], (0, 1)),
}


@pytest.mark.parametrize("form", BY_FORM)
def test_an_equation_is_written_in_one_of_three_forms(form):
    """Rows and labels are in the same order in all of them."""
    *rows, operands = BY_FORM[form]
    makers = (
        functools.partial(modular.make, op="div", p=7),
        functools.partial(permutation.make, k=3),
        functools.partial(group.make, "Q_8"),
    )
    for make, row in zip(makers, rows, strict=True):
        task, usual = make(form=form), make()
        pairs_Nx2 = task.examples.inputs_NxL[:, operands]

        assert row in task.examples.inputs_NxL.tolist()
        assert task.operands == operands
        assert task.num_tokens - task.num_classes == len(row) - 2
        assert set(task.examples.inputs_NxL[:, 0]) == set(range(task.num_classes))
        np.testing.assert_array_equal(pairs_Nx2, usual.examples.inputs_NxL[:, [0, 2]])
        np.testing.assert_array_equal(task.examples.labels_N, usual.examples.labels_N)
        assert task.group_name == usual.group_name


@pytest.mark.parametrize("form", BY_FORM)
def test_groups_and_swaps_are_the_same_in_every_form(form):
    task, usual = modular.make("add", p=7, form=form), modular.make("add", p=7)
    units = [find_strata(each, symmetric=True).unit_N for each in (task, usual)]

    np.testing.assert_array_equal(*units)
    assert len(set(units[0])) == 28
    assert task.cyclic is not None
    assert usual.cyclic is not None
    for ours, theirs in zip(task.cyclic, usual.cyclic, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("make", [modular.make, permutation.make, group.make])
def test_a_form_that_does_not_exist_lists_the_choices(make):
    with pytest.raises(ValueError, match="unknown form 'a b c'; choose from a o b =, a b =, a b"):
        make(form="a b c")
