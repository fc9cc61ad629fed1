"""Embeddings of a known shape are found in the plane, and do not jump about in a film."""

import sys

import numpy as np
import pytest
from PIL import Image

from grokjax.reading.pictures import embeddings
from grokjax.reading.pictures.embeddings import Projection

V, D = 13, 7


def circle():
    """[V, 2]: the numbers on a circle, in order."""
    angle_V = 2 * np.pi * np.arange(V) / V
    return np.stack([np.cos(angle_V), np.sin(angle_V)], axis=1)


def in_a_plane(points_Vx2, seed=0):
    """[V, D]: the points in a random plane, away from the origin."""
    rng = np.random.default_rng(seed)
    plane_Dx2, _ = np.linalg.qr(rng.normal(size=(D, 2)))
    return points_Vx2 @ plane_Dx2.T + rng.normal(size=D)


def turned(points_Vx2, angle, mirror=1):
    cos, sin = np.cos(angle), np.sin(angle)
    return points_Vx2 @ np.array([[cos, -sin], [sin, cos]]) * [1, mirror]


def test_pca_recovers_a_circle_in_a_random_plane_up_to_a_rotation():
    projection = embeddings.pca(in_a_plane(circle()))

    np.testing.assert_allclose(np.linalg.norm(projection.points_Vx2, axis=1), 1, atol=1e-12)
    found, _ = embeddings.in_step([projection, Projection(circle(), None)])
    np.testing.assert_allclose(found, circle(), atol=1e-12)
    np.testing.assert_allclose(projection.share_2, [0.5, 0.5], atol=1e-12)


def test_components_are_ordered_by_the_variance_they_explain():
    """An ellipse with axes 3 and 1: nine tenths of the variance, and one."""
    projection = embeddings.pca(in_a_plane(circle() * [1, 3]))

    np.testing.assert_allclose(projection.share_2, [0.9, 0.1], atol=1e-12)
    np.testing.assert_allclose(projection.points_Vx2.var(axis=0), [4.5, 0.5], atol=1e-12)


def test_one_dimension_has_one_component():
    projection = embeddings.pca(np.array([[1.0], [2.0], [6.0]]))

    np.testing.assert_allclose(np.abs(projection.points_Vx2), [[2, 0], [1, 0], [3, 0]])
    assert projection.share_2.tolist() == [1, 0]


def test_embeddings_that_are_all_alike_explain_nothing():
    projection = embeddings.pca(np.ones((V, D)))

    assert not projection.points_Vx2.any()
    assert not projection.share_2.any()


def test_frames_neither_turn_nor_flip_and_the_last_stays_as_it_is():
    """The same ellipse, each time turned or mirrored otherwise and a little larger."""
    ellipse = circle() * [1, 3]
    seen = [turned(ellipse * (1 + k / 5), 2.0 * k, (-1) ** k) for k in range(4)]
    frames = embeddings.in_step([Projection(points_Vx2, None) for points_Vx2 in seen])

    np.testing.assert_array_equal(frames[-1], seen[-1])
    for k, points_Vx2 in enumerate(frames):
        np.testing.assert_allclose(points_Vx2 * 1.6, frames[-1] * (1 + k / 5), atol=1e-12)


def test_alignment_keeps_distances():
    points_Vx2 = np.random.default_rng(1).normal(size=(V, 2))
    pair = [Projection(points_Vx2, None), Projection(circle(), None)]
    found, _ = embeddings.in_step(pair)

    np.testing.assert_allclose(found @ found.T, points_Vx2 @ points_Vx2.T, atol=1e-12)


def test_the_picture_shows_every_number_and_what_the_axes_explain():
    projection = Projection(circle(), np.array([0.75, 0.125]))
    (axes,) = embeddings.picture(projection, "seed=0, step 20").axes
    (points,) = axes.collections

    np.testing.assert_allclose(points.get_offsets(), circle())
    assert [text.get_text() for text in axes.texts] == [str(number) for number in range(V)]
    assert axes.get_xlabel() == "component 1: 75.0% of the variance"
    assert axes.get_ylabel() == "component 2: 12.5% of the variance"


def test_colours_go_around_once():
    """So that the last number looks like the first, as it is its neighbour mod p."""
    (axes,) = embeddings.picture(Projection(circle(), None), "").axes
    (points,) = axes.collections
    points.update_scalarmappable()
    steps = np.abs(np.diff(points.get_facecolors(), axis=0, append=points.get_facecolors()[:1]))

    assert steps.sum(axis=1).max() < 2 * np.median(steps.sum(axis=1))


def test_an_animation_has_a_frame_for_each_checkpoint(tmp_path):
    frames = [circle(), circle() * 2, circle() * 3]
    embeddings.animate(frames, ["one", "two", "three"], tmp_path / "film.gif")

    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 3


def test_the_table_holds_the_first_tokens():
    token_VxD = np.arange(15.0).reshape(5, 3)

    np.testing.assert_array_equal(embeddings.table({"token": token_VxD}, 4), token_VxD[:4])


def test_a_model_without_embeddings_is_an_error():
    with pytest.raises(ValueError, match="no embeddings: it reads pixels or one-hot codes"):
        embeddings.table({"kernel_0": np.ones((3, 2))}, 3)


def test_embeddings_of_a_diverged_run_are_an_error():
    with pytest.raises(ValueError, match="not finite"):
        embeddings.table({"token": np.array([[1.0, np.nan]])}, 1)


def test_tsne_without_scikit_learn_is_one_clear_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)

    with pytest.raises(
        ValueError,
        match="needs scikit-learn; install it with pip install .* or choose --method=pca",
    ) as e:
        embeddings.tsne(in_a_plane(circle()))
    assert "\n" not in str(e.value)


def test_tsne_keeps_neighbours_on_a_circle_together():
    pytest.importorskip("sklearn")
    points_Vx2 = embeddings.tsne(in_a_plane(circle())).points_Vx2
    distance_VxV = np.linalg.norm(points_Vx2[:, None] - points_Vx2, axis=-1)
    beside = [distance_VxV[v, (v + 1) % V] for v in range(V)]

    assert np.mean(beside) < 0.6 * distance_VxV.mean()
