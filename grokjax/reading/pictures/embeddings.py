"""Embeddings of tokens in the plane, and how they get there in the course of training.

Networks that have grokked an operation mod p often lay the numbers on circles. Power et al.,
2022, "Grokking: Generalization Beyond Overfitting on Small Algorithmic Datasets",
https://arxiv.org/abs/2201.02177, saw it by t-SNE in the weights of the readout; Liu et al., 2022,
"Towards Understanding Grokking: An Effective Theory of Representation Learning",
https://arxiv.org/abs/2205.10343, in the principal components of the embeddings.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.animation import PillowWriter
from matplotlib.figure import Figure
from scipy.linalg import orthogonal_procrustes

from grokjax.reading.pictures import style

COLOURS = "hsv"  # cyclic: on a circle of numbers mod p, 0 follows p - 1
FRAMES_PER_SECOND = 3


class Projection(NamedTuple):
    """Points in the plane, and how much of the tokens' variance its axes show."""

    points_Vx2: np.ndarray
    share_2: np.ndarray | None  # None where axes have no meaning


def table(params: Mapping[str, Any], num_tokens: int) -> np.ndarray:
    """[V, D]: the embeddings of the first tokens, which in most tasks are the numbers.

    Raises:
        ValueError: if the model has none, or training has lost them.
    """
    if "token" not in params:
        raise ValueError("this model has no embeddings: it reads pixels or one-hot codes")
    token_VxD = np.asarray(params["token"], float)[:num_tokens]
    if not np.isfinite(token_VxD).all():
        raise ValueError("the embeddings of this run are not finite: it diverged; choose another")
    return token_VxD


def pca(x_VxD: np.ndarray) -> Projection:
    """The first two principal components, and the share of the variance in each."""
    centred_VxD = x_VxD - x_VxD.mean(axis=0)
    padded_VxI = np.pad(centred_VxD, ((0, 0), (0, 2)))  # one dimension has two components too
    u_VxI, size_I, _ = np.linalg.svd(padded_VxI, full_matrices=False)
    share_I = size_I**2 / max((size_I**2).sum(), np.finfo(float).tiny)
    return Projection((u_VxI * size_I)[:, :2], share_I[:2])


def tsne(x_VxD: np.ndarray) -> Projection:
    """A map that keeps neighbours together; distances across it mean little.

    van der Maaten & Hinton, 2008, "Visualizing Data using t-SNE",
    https://www.jmlr.org/papers/v9/vandermaaten08a.html, as scikit-learn has it.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise ValueError(
            "t-SNE needs scikit-learn; install it with pip install 'grokjax[tsne]', "
            "or choose --method=pca"
        ) from error
    neighbours = min(30.0, (len(x_VxD) - 1) / 3)
    start_Vx2 = pca(x_VxD).points_Vx2
    start_Vx2 *= 1e-4 / max(start_Vx2[:, 0].std(), np.finfo(float).tiny)  # as small as is usual
    method = TSNE(perplexity=neighbours, init=start_Vx2, random_state=0)
    return Projection(method.fit_transform(x_VxD).astype(float), None)


METHODS = {"pca": pca, "tsne": tsne}


def in_step(projections: Sequence[Projection]) -> list[np.ndarray]:
    """The points of every projection, turned or mirrored to lie as near to the next as they can.

    The last stays as it is. The sign of a component is arbitrary, and two that are alike change
    places at a whim; neither is to show in an animation. Orthogonal Procrustes: Schönemann, 1966,
    "A generalized solution of the orthogonal Procrustes problem",
    https://doi.org/10.1007/BF02289451.
    """
    frames = [projections[-1].points_Vx2]
    for projection in projections[-2::-1]:
        rotation_2x2, _ = orthogonal_procrustes(projection.points_Vx2, frames[0])
        frames.insert(0, projection.points_Vx2 @ rotation_2x2)
    return frames


@style.ours
def picture(projection: Projection, title: str) -> Figure:
    """The numbered points; colours go once around from the first token to the last."""
    figure = Figure(figsize=(7, 7), layout="constrained")
    axes = figure.subplots()
    points_Vx2, share_2 = projection
    _draw(axes, points_Vx2, title, points_Vx2)
    labels = ["t-SNE 1", "t-SNE 2"]
    if share_2 is not None:
        labels = [f"component {i + 1}: {share_2[i]:.1%} of the variance" for i in range(2)]
    axes.set(xlabel=labels[0], ylabel=labels[1])
    return figure


@style.ours
def animate(frames: Sequence[np.ndarray], titles: Sequence[str], path: Path) -> None:
    """Writes a GIF of the frames, all to one scale."""
    figure = Figure(figsize=(7, 7), layout="constrained")
    axes = figure.subplots()
    writer = PillowWriter(FRAMES_PER_SECOND)
    with writer.saving(figure, path, dpi=100):
        for points_Vx2, title in zip(frames, titles, strict=True):
            axes.clear()
            _draw(axes, points_Vx2, title, frames)
            writer.grab_frame()


def _draw(axes, points_Vx2, title, shown):
    """The points, in a square around all that is shown at one scale."""
    style.dress(axes, title)
    reach = 1.1 * np.abs(shown).max() or 1.0
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    colours = dict(c=np.arange(len(points_Vx2)), cmap=COLOURS, vmin=0, vmax=len(points_Vx2))
    axes.scatter(*points_Vx2.T, s=70, lw=0, **colours)
    for number, place in enumerate(points_Vx2):
        axes.annotate(str(number), place, (0, 7), textcoords="offset points", ha="center", size=7)
