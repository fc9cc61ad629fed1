"""Embeddings of tokens in the course of training, where checkpoints are cheap to read."""

import contextlib
from collections.abc import Sequence
from typing import Any

from grokjax.config.experiment import make_task
from grokjax.reading import checkpoint
from grokjax.reading.arms import Arm
from grokjax.reading.page.numbers import plain, shares
from grokjax.reading.pictures import embeddings
from grokjax.reading.rebuild import config_of
from grokjax.recording.output import may_fail

MOST_BYTES = 200_000_000  # of all checkpoints that a page reads
MOST_FILMS = 6  # of a part


def films(parts: Sequence[Sequence[Arm]]) -> list[list[dict[str, Any]]]:
    """Of each part the first run of each folder: its tokens in the plane at every checkpoint.

    A folder without checkpoints or embeddings, or with a damaged one of them, has none, nor has
    one whose checkpoints are larger than what is left of MOST_BYTES for the whole page.
    """
    found = []
    left = MOST_BYTES
    for arms in parts:
        first = {}
        for arm in arms:
            if arm.folder:
                first.setdefault(arm.folder, arm)
        of_part = []
        for folder, arm in first.items():
            if len(of_part) == MOST_FILMS:
                break
            # there is none, it is damaged, or its task is not here; all else is worth a line
            expected = contextlib.suppress(ValueError, ImportError)
            with may_fail(f"{folder}: its embeddings are not drawn"), expected:
                places = checkpoint.find(folder)
                size = sum(place.size for place in places)
                if size <= left:
                    left -= size
                    of_part.append(_film(arm, places))
        found.append(of_part)
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
