"""When validation accuracy came to a threshold: first, for a while, for good; and how it fell back.

Papers mean different things by the step at which a network groks. Curves that dip and come back
(slingshots, collapses) tell them apart.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from grokjax.recording.history import GrokkingTracker, History, accuracies

THRESHOLDS = (0.5, 0.9, 0.95, 0.99)


class Crossing(NamedTuple):
    """When R runs came to a threshold, and how they fell back below it; NaN is never.

    Of each run first <= sustained <= strict. Where a run has not come to stay for `count`
    evaluations, there is nothing that it can fall back from, and the last three are NaN.
    """

    first_R: np.ndarray  # step: at the threshold, or above it, for the first time
    sustained_R: np.ndarray  # step: the first of `count` such evaluations in a row
    strict_R: np.ndarray  # step: the first of as many or more that last as long as it was watched
    depth_R: np.ndarray  # how far it was below the threshold after sustained_R, at worst
    below_R: np.ndarray  # evaluations below it after sustained_R
    longest_R: np.ndarray  # steps that it was below it at a stretch, at most


def threshold_of(rule: Mapping[str, Any]) -> float:
    """The accuracy at which a run has grokked, by the section `grok` of its config."""
    return GrokkingTracker(0, **rule).threshold


def crossing(
    step_E: np.ndarray, val_ExR: np.ndarray, last_R: np.ndarray, threshold: float, count: int
) -> Crossing:
    """When runs that were watched up to `last_R` came to a threshold; later evaluations are none.

    An evaluation below the threshold counts for the steps since the one before it.

        step     100  200  300  400  500  600  700     threshold 0.9, count 2: first at 100,
        val      .9   .1   .9   1.   .6   .9   .9      sustained from 300, strict from 600;
                                                       then .3 below it, once, for 100 steps
    """
    index_Ex1 = np.arange(len(step_E))[:, None]
    is_watched_ExR = step_E[:, None] <= last_R
    is_above_ExR = (val_ExR >= threshold) & is_watched_ExR
    streak_ExR = index_Ex1 - np.maximum.accumulate(np.where(is_above_ExR, -1, index_Ex1))
    is_long_ExR = streak_ExR >= count
    end_R = is_watched_ExR.sum(axis=0) - 1
    streak_R = np.take_along_axis(streak_ExR, end_R[None], axis=0)[0]
    sustained_R = _step(step_E, is_long_ExR.any(axis=0), is_long_ExR.argmax(axis=0) - count + 1)

    is_below_ExR = (step_E[:, None] > sustained_R) & is_watched_ExR & ~is_above_ExR
    depth_ExR = np.where(is_below_ExR, np.nan_to_num(threshold - val_ExR.astype(float)), 0)
    steps_ExR = np.cumsum(np.where(is_below_ExR, np.diff(step_E, prepend=0)[:, None], 0), axis=0)
    spell_ExR = steps_ExR - np.maximum.accumulate(np.where(is_below_ExR, 0, steps_ExR))
    never_R = np.where(np.isnan(sustained_R), np.nan, 0)
    return Crossing(
        first_R=_step(step_E, is_above_ExR.any(axis=0), is_above_ExR.argmax(axis=0)),
        sustained_R=sustained_R,
        strict_R=_step(step_E, streak_R >= count, end_R - streak_R + 1),
        depth_R=depth_ExR.max(axis=0) + never_R,
        below_R=is_below_ExR.sum(axis=0) + never_R,
        longest_R=spell_ExR.max(axis=0) + never_R,
    )


def _step(step_E, came_R, index_R):
    """[R]: the step of an evaluation, where it came."""
    return np.where(came_R, step_E[np.clip(index_R, 0, len(step_E) - 1)], np.nan)


def times(
    history: History | Mapping[str, np.ndarray],
    last_R: np.ndarray,
    rule: Mapping[str, Any],
    group: str = "",
) -> dict[float, Crossing]:
    """{threshold: its crossing} for `THRESHOLDS` and that of a config, in increasing order.

    At the config's own threshold `sustained_R` is `Grokking.grok_R`, by its rule `sustained`.

    Args:
        last_R: step up to which each run was watched, as `last_steps` has it.
        rule: the section `grok` of the config.
        group: a task of a mixture; "" is all examples.
    """
    count = GrokkingTracker(0, **rule).count
    _, val_ExR = accuracies(history, group)
    return {
        threshold: crossing(history["step"], val_ExR, last_R, threshold, count)
        for threshold in sorted({*THRESHOLDS, threshold_of(rule)})
    }
