"""Embeddings of tokens in the course of training, where checkpoints are cheap to read."""

from collections.abc import Sequence
from typing import Any

from grokjax.config.experiment import make_task
from grokjax.reading import checkpoint
from grokjax.reading.arms import Arm
from grokjax.reading.page.numbers import plain, shares
from grokjax.reading.pictures import embeddings
from grokjax.reading.rebuild import config_of

MOST_BYTES = 200_000_000  # of all checkpoints that are read
MOST_FILMS = 6


def films(arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """The first run of each folder: its tokens in the plane at every checkpoint.

    A folder without checkpoints or embeddings, or with a damaged one of them, has none.
    """
    first = {}
    for arm in arms:
        if arm.folder:
            first.setdefault(arm.folder, arm)
    found = []
    left = MOST_BYTES
    for folder, arm in first.items():
        try:
            places = checkpoint.find(folder)
            left -= sum(place.size for place in places)
            if left >= 0 and len(found) < MOST_FILMS:
                found.append(_film(arm, places))
        except (ValueError, ImportError):  # there is none, it is damaged, or its task is not here
            continue
    return found


def _film(arm, places):
    num_tokens = make_task(config_of(arm.config).task).num_classes
    projections = {}
    for place in places:
        params_R = checkpoint.read(place).params_R
        first = {"token": params_R["token"][0]} if "token" in params_R else {}
        projections[place.step] = embeddings.pca(embeddings.table(first, num_tokens))
    frames = embeddings.in_step(list(projections.values()))
    return {
        "arm": arm.family,
        "step": list(projections),
        "x": [plain(points_Vx2[:, 0], 4) for points_Vx2 in frames],
        "y": [plain(points_Vx2[:, 1], 4) for points_Vx2 in frames],
        "share": shares([projection.share_2.sum() for projection in projections.values()]),
    }
