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
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from grokjax.reading.pictures import style

METHODS = ("pca", "tsne")
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
    u_VxI, size_I, _ = np.linalg.svd(centred_VxD, full_matrices=False)
    points_Vx2 = np.zeros((len(x_VxD), 2))
    share_2 = np.zeros(2)
    found = min(2, size_I.size)  # one component is all that one dimension has
    points_Vx2[:, :found] = (u_VxI * size_I)[:, :found]
    share_2[:found] = (size_I**2)[:found] / max((size_I**2).sum(), np.finfo(float).tiny)
    return Projection(points_Vx2, share_2)


def tsne(x_VxD: np.ndarray) -> Projection:
    """A map that keeps neighbours together; distances across it mean little.

    van der Maaten & Hinton, 2008, "Visualizing Data using t-SNE",
    https://www.jmlr.org/papers/v9/vandermaaten08a.html, as scikit-learn has it.
    """
    check_method("tsne")
    from sklearn.manifold import TSNE

    neighbours = min(30.0, (len(x_VxD) - 1) / 3)
    start_Vx2 = pca(x_VxD).points_Vx2
    start_Vx2 *= 1e-4 / max(start_Vx2[:, 0].std(), np.finfo(float).tiny)  # as small as is usual
    projection = TSNE(perplexity=neighbours, init=start_Vx2, random_state=0)
    return Projection(projection.fit_transform(x_VxD).astype(float), None)


def check_method(method: str) -> None:
    """Raises a ValueError if a method needs a package that is not there."""
    if method == "tsne":
        try:
            import sklearn.manifold  # noqa: F401
        except ImportError as error:
            raise ValueError(
                "t-SNE needs scikit-learn; install it with pip install 'grokjax[tsne]', "
                "or choose --method=pca"
            ) from error


def project(x_VxD: np.ndarray, method: str) -> Projection:
    """The plane of one of `METHODS`."""
    return {"pca": pca, "tsne": tsne}[method](x_VxD)


def aligned(points_Vx2: np.ndarray, target_Vx2: np.ndarray) -> np.ndarray:
    """Points turned, mirrored if need be, so that they lie as near to others as they can.

        P R,   R = U V',   P' T = U S V'

    Orthogonal Procrustes: Schönemann, 1966, "A generalized solution of the orthogonal Procrustes
    problem", https://doi.org/10.1007/BF02289451. The sign of a component is arbitrary, and two
    that are alike change places at a whim; neither is to show in an animation.
    """
    u, _, v = np.linalg.svd(points_Vx2.T @ target_Vx2)
    return points_Vx2 @ (u @ v)


def in_step(projections: Sequence[Projection]) -> list[np.ndarray]:
    """The points of every projection, each aligned to the next; the last stays as it is."""
    frames = [projections[-1].points_Vx2]
    for projection in projections[-2::-1]:
        frames.append(aligned(projection.points_Vx2, frames[-1]))
    return frames[::-1]


def picture(projection: Projection, title: str) -> Figure:
    """The numbered points; colours go once around from the first token to the last."""
    figure, axes = _blank()
    _draw(axes, projection.points_Vx2, title)
    for i, set_label in enumerate((axes.set_xlabel, axes.set_ylabel)):
        share = projection.share_2
        known = "" if share is None else f": {share[i]:.1%} of the variance"
        set_label(("t-SNE " if share is None else "component ") + f"{i + 1}{known}")
    return figure


def animate(frames: Sequence[np.ndarray], titles: Sequence[str], path: Path) -> None:
    """Writes a GIF of the frames, all to one scale."""
    figure, axes = _blank()
    FigureCanvasAgg(figure)
    reach = 1.1 * max(np.abs(points_Vx2).max() for points_Vx2 in frames) or 1.0
    writer = PillowWriter(FRAMES_PER_SECOND)
    with writer.saving(figure, path, dpi=100):
        for points_Vx2, title in zip(frames, titles, strict=True):
            axes.clear()
            _draw(axes, points_Vx2, title)
            axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
            writer.grab_frame()


def _blank():
    figure = Figure(figsize=(7, 7), layout="constrained")
    return figure, figure.subplots()


def _draw(axes, points_Vx2, title):
    style.dress(axes, title)
    axes.set_aspect("equal", adjustable="datalim")
    number_V = np.arange(len(points_Vx2))
    kwargs = dict(s=70, lw=0, cmap=COLOURS, vmin=0, vmax=len(points_Vx2))
    axes.scatter(*points_Vx2.T, c=number_V, **kwargs)
    for number, place in enumerate(points_Vx2):
        axes.annotate(str(number), place, (0, 7), textcoords="offset points", ha="center", size=7)
