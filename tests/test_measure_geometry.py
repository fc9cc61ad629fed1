"""Features and embeddings whose geometry is known."""

import chex
import jax.numpy as jnp
import numpy as np
import pytest

from grokjax.measures import geometry
from grokjax.models import mlp
from grokjax.tasks import modular
from tests.made_views import Head, lifted, taken, view

ADD = modular.make(op="add", p=11)


def of_features(features, labels=None, train=None):
    """The measure of features [N, D] with these labels, of a task without a group."""
    task = modular.make(op="a^2+b", p=5)
    labels = np.zeros(len(features)) if labels is None else labels
    return taken(geometry.make(task, Head), view({}, labels, train, features=features))


def of_embeddings(token_VxD, task=ADD, **params):
    """The measure of a table of embeddings."""
    seen = view(params | {"token": jnp.asarray(token_VxD, jnp.float32)}, [0], features=[[1.0]])
    return taken(geometry.make(task, Head), seen)


def test_the_dimension_of_features_that_spread_evenly_along_three_of_five_directions():
    features = np.concatenate([np.eye(5)[:3], -np.eye(5)[:3]])

    found = of_features(features)

    np.testing.assert_allclose(found["effective_rank"], 3, rtol=1e-5)
    np.testing.assert_allclose(found["participation"], 3, rtol=1e-5)


@pytest.mark.parametrize("rows", [1, 5])  # fewer rows than directions, and more
def test_the_dimension_of_two_directions_of_which_one_has_three_quarters_of_the_variance(rows):
    a, b = np.sqrt(3.0), 1.0
    cross = [[a, 0, 0, 7, 0, 0], [-a, 0, 0, 7, 0, 0], [0, b, 0, 7, 0, 0], [0, -b, 0, 7, 0, 0]]

    found = of_features(np.tile(cross, (rows, 1)))

    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    np.testing.assert_allclose(found["effective_rank"], np.exp(entropy), rtol=1e-4)
    np.testing.assert_allclose(found["participation"], 16 / 10, rtol=1e-5)


def test_features_on_a_line_have_dimension_1():
    features = np.outer(np.arange(13.0), [1.0, -2.0, 5.0])

    assert of_features(features)["effective_rank"] == pytest.approx(1, abs=1e-4)


MEANS = np.array([[1.0, 0, 2, 0], [0, 3, 0, 1], [-2, 0, 0, 0]])


def test_features_at_the_means_of_their_classes_have_collapsed():
    labels = np.repeat([0, 1, 2], [2, 3, 5])
    train = np.tile([True, False], 5)

    found = of_features(MEANS[labels], labels, train)

    assert found["nc1"] < 1e-10
    assert found["within_between"] < 1e-10
    pairs = [(0, 1), (0, 2), (1, 2)]
    inter = np.mean([np.square(MEANS[i] - MEANS[j]).sum() for i, j in pairs])
    np.testing.assert_allclose(found["ildr"], inter / 1e-8, rtol=1e-4)


def two_classes(distance, along, across):
    """Means at -distance and distance, and around each four points of a cross."""
    cross = np.array([[along, 0, 0], [-along, 0, 0], [0, across, 0], [0, -across, 0]])
    middle = np.array([distance, 0.0, 5.0])
    return np.concatenate([cross + middle, cross + middle * [-1, 1, 1]])


def test_two_classes_with_a_cross_of_points_each():
    """S_W is diag(a^2 / 2, b^2 / 2) and S_B diag(d^2, 0): nc1 knows nothing of b."""
    of_train = two_classes(distance=4.0, along=2.0, across=3.0)
    of_validation = two_classes(distance=5.0, along=1.0, across=2.0)
    labels = np.tile(np.repeat([2, 4], 4), 2)  # the classes 0, 1 and 3 have no examples

    found = of_features(np.concatenate([of_train, of_validation]), labels, np.arange(16) < 8)

    np.testing.assert_allclose(found["nc1"], (2.0**2 / 2) / 4.0**2 / 2, rtol=1e-5)
    np.testing.assert_allclose(found["within_between"], (4 + 9) / 2 / 16, rtol=1e-5)
    np.testing.assert_allclose(found["ildr"], 10.0**2 / ((1 + 4) / 2), rtol=1e-5)


def test_unequal_classes_as_numpy_has_them():
    """With its pseudo-inverse in double precision, and all pairs of classes."""
    generator = np.random.default_rng(0)
    labels = generator.choice([0, 1, 3, 4], size=53, p=[0.1, 0.2, 0.3, 0.4])
    features = generator.normal(size=(53, 7)) + generator.normal(size=(5, 7))[labels]
    train = generator.random(53) < 0.6

    found = of_features(features, labels, train)

    off, means, sizes = of_classes(features[train], labels[train])
    within = off.T @ off / len(off)
    between = np.cov(means.T, bias=True)
    np.testing.assert_allclose(
        found["nc1"], np.trace(within @ np.linalg.pinv(between)) / len(means), rtol=1e-4
    )
    np.testing.assert_allclose(
        found["within_between"], np.trace(within) / np.trace(between), rtol=1e-5
    )
    off, means, sizes = of_classes(features[~train], labels[~train])
    inter = [np.square(a - b).sum() for i, a in enumerate(means) for b in means[:i]]
    splits = np.split(np.square(off).sum(axis=1), np.cumsum(sizes)[:-1])
    intra = np.mean([square.mean() for square in splits])
    np.testing.assert_allclose(found["ildr"], np.mean(inter) / intra, rtol=1e-5)


def of_classes(features, labels):
    """Rows minus their class's mean, class by class; the means; and the sizes."""
    classes = [features[labels == label] for label in np.unique(labels)]
    means = np.array([rows.mean(axis=0) for rows in classes])
    off = np.concatenate([rows - rows.mean(axis=0) for rows in classes])
    return off, means, [len(rows) for rows in classes]


def test_without_validation_examples_there_is_no_ildr():
    assert np.isnan(of_features(MEANS, [0, 1, 2])["ildr"])


def test_the_quadruples_are_those_of_four_nested_loops():
    by_loops = [
        (i, j, k, m)
        for i in range(11)
        for j in range(i + 1, 11)
        for k in range(j, 11)
        for m in range(k + 1, 11)
        if i + m == j + k
    ]

    assert sorted(map(tuple, geometry.quadruples(11).tolist())) == sorted(by_loops)
    assert len(geometry.quadruples(2)) == 0
    assert len(geometry.quadruples(131)) == geometry.MAX_PARALLELOGRAMS
    assert np.unique(geometry.quadruples(131), axis=0).shape == (geometry.MAX_PARALLELOGRAMS, 4)


def rotated(points_nxK, width=7):
    """Points in K dimensions, turned into random directions of `width`, with a mean."""
    random = np.random.default_rng(1).normal(size=(width, width))
    return points_nxK @ np.linalg.qr(random)[0][: points_nxK.shape[1]] + 3.0


def circle(n, frequency=1, radius=1.0):
    angle = 2 * np.pi * frequency * np.arange(n) / n
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def table(points_nxD, task):
    """The embeddings [V, D] of a task whose operand number i lies at points[i]."""
    token_VxD = np.random.default_rng(2).normal(size=(task.num_tokens, points_nxD.shape[1]))
    token_VxD[task.cyclic.token_n] = points_nxD
    return token_VxD


@pytest.mark.parametrize("task", [ADD, modular.make(op="div", p=11)])
def test_embeddings_on_a_circle(task):
    """In the order of the group, for products that of logarithms."""
    points = rotated(circle(task.cyclic.order, frequency=3))

    found = of_embeddings(table(points, task), task)

    np.testing.assert_allclose(found["circularity"], 1, rtol=1e-4)
    np.testing.assert_allclose(found["embedding_dimension"], 2, rtol=1e-4)
    assert found["parallelograms"] == 0


def test_embeddings_on_two_circles_of_different_radii():
    points = np.concatenate([circle(11, 2, radius=3.0), circle(11, 5, radius=2.0)], axis=1)

    found = of_embeddings(table(rotated(points), ADD))

    np.testing.assert_allclose(found["circularity"], 1, rtol=1e-4)
    assert 2 < found["embedding_dimension"] < 4


def test_embeddings_on_a_line_form_all_parallelograms():
    points = np.outer(np.arange(11.0), [1.0, 0.5, -2.0, 4.0, 1.0]) + 7

    found = of_embeddings(table(points, ADD))

    assert found["parallelograms"] == 1
    assert found["parallelogram_gap"] < 1e-5
    np.testing.assert_allclose(found["embedding_dimension"], 1, atol=1e-3)


def test_random_embeddings_form_none():
    task = modular.make(op="add", p=53)
    found = of_embeddings(np.random.default_rng(3).normal(size=(55, 211)), task)

    assert found["parallelograms"] == 0
    np.testing.assert_allclose(found["parallelogram_gap"], 1, atol=0.1)
    assert found["circularity"] < 0.3


def test_the_parallelograms_of_a_noisy_line_are_counted():
    """As in the definition, from the embeddings themselves."""
    noise = np.random.default_rng(4).normal(size=(11, 3))
    points = np.outer(np.arange(11.0), [1.0, 2.0, 3.0]) + 0.2 * noise
    unit = (points - points.mean(axis=0)) / points.std(axis=0, ddof=1)
    i, j, k, m = geometry.quadruples(11).T
    squares = np.square(unit[i] + unit[m] - unit[j] - unit[k]).mean(axis=1)

    found = of_embeddings(table(points, ADD))

    assert 0.1 < (squares < 0.01).mean() < 0.9
    np.testing.assert_allclose(found["parallelograms"], (squares < 0.01).mean(), rtol=1e-6)
    np.testing.assert_allclose(found["parallelogram_gap"], squares.mean() / 4, rtol=1e-3)


def test_circularity_is_that_of_the_sums_in_the_paper():
    points = np.random.default_rng(5).normal(size=(11, 7))
    left, _, _ = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    shares = []
    for component in left.T[:4]:
        sums = [
            abs(sum(c * np.exp(2j * np.pi * j * k / 11) for j, c in enumerate(component))) ** 2
            for k in range(1, 11)
        ]
        shares.append(2 / (11 * np.square(component).sum()) * max(sums))

    found = of_embeddings(table(points, ADD))

    np.testing.assert_allclose(found["circularity"], np.mean(shares), rtol=1e-4)


def test_the_frequency_that_alternates_counts_once():
    """One dimension in a group of 10: a wave of variance 1/2 and one that alternates, of 1."""
    task = modular.make(op="div", p=11)
    t = np.arange(10)
    points = (np.cos(2 * np.pi * t / 10) + (-1.0) ** t)[:, None]

    found = of_embeddings(table(points, task), task)

    np.testing.assert_allclose(found["circularity"], 1 / 1.5, rtol=1e-5)


def test_one_hot_codes_are_embedded_by_the_first_layer():
    network = mlp.Model(13, 11, 4, code="one_hot", hidden=(7,))
    kernel = np.zeros((4 * 13, 7), np.float32)
    kernel[ADD.cyclic.token_n] = rotated(circle(11))
    seen = view({"kernel_0": jnp.asarray(kernel)}, [0], features=[[1.0]])

    found = taken(geometry.make(ADD, network), seen)

    np.testing.assert_allclose(found["circularity"], 1, rtol=1e-4)


def test_tables_of_a_module_are_embeddings_too():
    points = rotated(circle(11))
    of_module = {"embedding": jnp.asarray(table(points, ADD), jnp.float32)}

    seen = view({"token": of_module}, [0], features=[[1.0]])
    found = taken(geometry.make(ADD, Head), seen)

    chex.assert_trees_all_equal(found, of_embeddings(table(points, ADD)))


def test_of_a_model_without_embeddings_nothing_is_said():
    """It has no table, and its one-hot codes are those of the second operand alone."""
    network = mlp.Model(13, 11, 4, code="one_hot", slots=(2,), hidden=(7,))
    seen = view({"kernel_0": jnp.ones((13, 7))}, [0], features=[[1.0]])

    found = taken(geometry.make(ADD, network), seen)

    of_table = ("embedding_dimension", "circularity", "parallelograms", "parallelogram_gap")
    assert all(jnp.isnan(found[name]) for name in of_table)


def test_a_task_without_a_group_has_features_alone():
    found = of_features(MEANS, [0, 1, 1], [True, True, False])

    assert set(found) == {"effective_rank", "participation", "nc1", "within_between", "ildr"}


def test_runs_side_by_side_measure_what_they_do_one_after_the_other():
    measure = geometry.make(ADD, Head)
    generator = np.random.default_rng(6)
    labels = generator.integers(0, 5, 53)
    train = generator.random(53) < 0.5
    features_RxNxD = jnp.asarray(generator.normal(size=(3, 53, 7)), jnp.float32)
    token_RxVxD = jnp.asarray(generator.normal(size=(3, 13, 5)), jnp.float32)

    def compute(features_NxD, token_VxD):
        return measure.compute(view({"token": token_VxD}, labels, train, features=features_NxD))

    by_vmap, by_map = lifted(compute, features_RxNxD, token_RxVxD)

    chex.assert_trees_all_close(by_vmap, by_map, rtol=1e-5)
    chex.assert_trees_all_equal_shapes(*by_map.values(), jnp.zeros(3))
    assert all(jnp.isfinite(x).all() for x in by_map.values())
