"""Groups by name against what textbooks say of them."""

import numpy as np
import pytest

from grokjax.measures._irreps import irreps, split
from grokjax.tasks import group, permutation
from grokjax.tasks._groups import check_axioms, classes, find, generators

NAMES = (
    *("Z_2", "Z_7", "Z_12", "D_3", "D_4", "D_15", "D_30", "S_2", "S_3", "S_4", "S_5"),
    *("A_3", "A_4", "A_5", "Q_8", "Z_2xZ_4", "S_3xZ_5", "Z_3xZ_5", "A_4xZ_3", "Q_8xZ_3"),
    *("Q_8xQ_8", "Z_3xZ_3xZ_3", "D_3xQ_8"),
)
LOOP = np.array(  # every element is its own inverse, which five elements of a group cannot be
    [[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]]
)


def orders(name):
    """[N]: how often each element is multiplied with itself until it is the identity."""
    table = find(name).table_NxN
    found_N = np.ones(len(table), int)
    power_N = np.arange(len(table))
    while power_N.any():
        found_N += power_N > 0
        power_N = np.where(power_N > 0, table[power_N, np.arange(len(table))], 0)
    return found_N


@pytest.mark.parametrize("name", NAMES)
def test_tables_are_those_of_groups(name):
    """Three elements at a time, all of them."""
    found = find(name)
    table = found.table_NxN
    all_N = np.arange(len(table))

    assert (table[table] == table[:, table]).all()
    assert (table[0] == all_N).all()
    assert (table[:, 0] == all_N).all()
    assert (table[all_N, found.inverse_N] == 0).all()
    assert (table[found.inverse_N, all_N] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_elements_move_points_first_a_then_b(name):
    table, _, points_NxP = find(name)
    a_N, b_N = np.indices(table.shape).reshape(2, -1)
    together = np.take_along_axis(points_NxP[b_N], points_NxP[a_N], axis=1)

    assert (points_NxP[table[a_N, b_N]] == together).all()
    assert len(np.unique(points_NxP, axis=0)) == len(table)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("Z_12", {1: 1, 2: 1, 3: 2, 4: 2, 6: 2, 12: 4}),
        ("D_15", {1: 1, 2: 15, 3: 2, 5: 4, 15: 8}),
        ("D_4", {1: 1, 2: 5, 4: 2}),
        ("Q_8", {1: 1, 2: 1, 4: 6}),
        ("S_4", {1: 1, 2: 9, 3: 8, 4: 6}),
        ("A_5", {1: 1, 2: 15, 3: 20, 5: 24}),
        ("S_5", {1: 1, 2: 25, 3: 20, 4: 30, 5: 24, 6: 20}),
        ("Z_2xZ_4", {1: 1, 2: 3, 4: 4}),
    ],
)
def test_so_many_elements_have_each_order(name, count):
    assert dict(zip(*np.unique(orders(name), return_counts=True), strict=True)) == count


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("Z_7", [1] * 7),
        ("D_4", [1, 1, 2, 2, 2]),
        ("D_30", [1, 1] + [2] * 14 + [15, 15]),
        ("Q_8", [1, 1, 2, 2, 2]),
        ("S_5", [1, 10, 15, 20, 20, 24, 30]),
        ("A_5", [1, 12, 12, 15, 20]),
        ("S_3xZ_5", [1] * 5 + [2] * 5 + [3] * 5),
    ],
)
def test_conjugacy_classes_have_their_known_sizes(name, sizes):
    class_N = classes(find(name))

    assert class_N[0] == 0
    assert sorted(np.bincount(class_N)) == sizes


@pytest.mark.parametrize(
    ("name", "corner", "far"),
    [("Z_12", (5, 9, 2), None), ("D_15", (1, 15, 16), (15, 1, 29)), ("Q_8", (1, 2, 3), (2, 1, 7))],
)
def test_products_by_hand(name, corner, far):
    """5 + 9 = 2; r s is element 16 and s r is r^-1 s; i j = k and j i = -k."""
    for a, b, c in (corner, far or corner):
        assert find(name).table_NxN[a, b] == c


def test_tables_of_no_group_are_refused():
    table = find("S_3").table_NxN
    with pytest.raises(
        ValueError, match="a row or column of the table is no permutation of 0 to 5"
    ):
        check_axioms(np.where(table == 5, 4, table))
    with pytest.raises(ValueError, match="element 0 of the table is not an identity"):
        check_axioms(table[[1, 0, 2, 3, 4, 5]])
    with pytest.raises(ValueError, match="the table is not associative: \\(a 1\\) b is not always"):
        check_axioms(LOOP)


@pytest.mark.parametrize("name", NAMES)
def test_irreps_are_irreducible_different_and_all_there_are(name):
    """One for each class together with that of the inverses."""
    found = find(name)
    table = found.table_NxN
    class_N = classes(found)
    pairs = {frozenset(pair) for pair in zip(class_N, class_N[found.inverse_N], strict=True)}
    all_irreps = irreps(name)
    character_IxN = np.stack([irrep.character_N for irrep in all_irreps])

    for irrep in all_irreps:
        rho = irrep.rho_NxDxD
        identity = np.broadcast_to(np.eye(rho.shape[1]), rho.shape)
        np.testing.assert_allclose(rho[table], rho[:, None] @ rho, atol=1e-10)
        np.testing.assert_allclose(rho @ rho.swapaxes(1, 2), identity, atol=1e-10)
    kinds = [irrep.kind for irrep in all_irreps]
    products = character_IxN @ character_IxN.T / len(table)
    np.testing.assert_allclose(products, np.diag(kinds), atol=1e-10)
    assert (character_IxN[0] == 1).all()
    assert len(all_irreps) == len({irrep.name for irrep in all_irreps}) == len(pairs)
    dimensions = [irrep.rho_NxDxD.shape[1] for irrep in all_irreps]
    assert sum(d**2 / kind for d, kind in zip(dimensions, kinds, strict=True)) == len(table)


S5 = {  # characters of 1, (12), (12)(34), (123), (123)(45), (1234), (12345)
    "(5)": (1, 1, 1, 1, 1, 1, 1),
    "(4,1)": (4, 2, 0, 1, -1, 0, -1),
    "(3,2)": (5, 1, 1, -1, 1, -1, 0),
    "(3,1,1)": (6, 0, -2, 0, 0, 0, 1),
    "(2,2,1)": (5, -1, 1, -1, -1, 1, 0),
    "(2,1,1,1)": (4, -2, 0, 1, 1, 0, -1),
    "(1,1,1,1,1)": (1, -1, 1, 1, -1, -1, 1),
}
ELEMENTS = ("01234", "10234", "10324", "12034", "12043", "12304", "12340")


def characters(name, elements):
    """{irrep: its characters of some permutations}."""
    points_NxP = find(name).points_NxP.tolist()
    numbers = [points_NxP.index([*map(int, element)]) for element in elements]
    return {irrep.name: irrep.character_N[numbers] for irrep in irreps(name)}


def test_the_characters_of_s5_and_a5_are_those_of_the_textbooks():
    found = characters("S_5", ELEMENTS)
    assert list(found) == list(S5)
    for name, expected in S5.items():
        np.testing.assert_allclose(found[name], expected, atol=1e-12)

    found = characters("A_5", ("01234", "10324", "12034", "12340", "23401"))  # (12345), its square
    golden = (1 + 5**0.5) / 2
    pair = sorted((found["(3,1,1)a"], found["(3,1,1)b"]), key=lambda of_elements: of_elements[3])
    expected = [[3, -1, 0, 1 - golden, golden], [3, -1, 0, golden, 1 - golden]]
    np.testing.assert_allclose(pair, expected, atol=1e-12)


def test_the_kinds_of_irreps_over_the_real_numbers():
    kinds = {name: [irrep.kind for irrep in irreps(name)] for name in ("Z_6", "Q_8", "A_4", "S_4")}

    assert kinds["Z_6"] == [1, 2, 2, 1]
    assert kinds["Q_8"] == [1, 1, 1, 1, 4]
    assert kinds["A_4"] == [1, 1, 2]
    assert kinds["S_4"] == [1] * 5


@pytest.mark.parametrize("name", ["S_4", "D_7", "Q_8", "A_5"])
def test_the_regular_representation_falls_apart_into_all_irreps(name):
    """Another way to the same characters, from the permutation matrices of the table alone."""
    regular_NxNxN = np.eye(len(find(name).table_NxN))[find(name).table_NxN]
    parts = {tuple(part.character_N.round(6) + 0.0) for part in split("", regular_NxNxN)}

    assert parts == {tuple(irrep.character_N.round(6) + 0.0) for irrep in irreps(name)}


@pytest.mark.parametrize("name", ["Z_60", "D_30", "S_5", "Z_2xZ_2xZ_2", "Q_8"])
def test_generators_are_few_and_generate(name):
    table = find(name).table_NxN
    chosen = generators(table)
    reached = {0}
    while new := {table[a, g] for a in reached for g in chosen} - reached:
        reached |= new

    assert len(reached) == len(table)
    assert 2 ** len(chosen) <= len(table)


def test_the_task_lists_every_equation_once():
    """i j = k and j i = -k in Q_8."""
    task = group.make("Q_8")
    rows = np.c_[task.examples.inputs_NxL, task.examples.labels_N].tolist()

    assert len(rows) == 64
    assert [1, 8, 2, 9, 3] in rows
    assert [2, 8, 1, 9, 7] in rows
    assert (task.num_tokens, task.num_classes, task.operands) == (10, 8, (0, 2))


def test_s5_is_the_table_of_the_task_permutation():
    ours, theirs = group.make("S_5"), permutation.make(op="compose", k=5)

    np.testing.assert_array_equal(ours.examples.inputs_NxL, theirs.examples.inputs_NxL)
    np.testing.assert_array_equal(ours.examples.labels_N, theirs.examples.labels_N)
    assert ours[1:] == theirs[1:]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "S5",
        "s_5",
        "X_5",
        "S_7",
        "Z_1",
        "Z_1001",
        "Z_02",
        "D_2",
        "Q_4",
        "A_5x",
        "S_6xZ_2",
        "Z_2*Z_2",
    ],
)
def test_a_name_of_no_group_lists_the_names_that_there_are(name):
    for ask in (group.make, find, irreps):
        with pytest.raises(ValueError, match="; choose from Z_2 to Z_1000, .*most 1,000") as error:
            ask(name)
        assert str(error.value).startswith(f"group = {name!r}; ")
        assert "\n" not in str(error.value)


@pytest.mark.slow
def test_the_largest_groups():
    for name, size in (("S_6", 720), ("A_6", 360), ("Z_1000", 1000), ("D_5xZ_10xZ_10", 1000)):
        assert len(find(name).table_NxN) == size
        all_irreps = irreps(name)
        assert sum(x.rho_NxDxD.shape[1] ** 2 / x.kind for x in all_irreps) == size
