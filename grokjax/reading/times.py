"""The three times of arms: durations up to them, their medians, and how far runs fell back."""

from typing import Any

import numpy as np

from grokjax.reading.arms import Arm
from grokjax.reading.survival import Durations, median_time, times_until
from grokjax.recording.history import finite_median
from grokjax.recording.summary import number_or_none
from grokjax.recording.times import THRESHOLDS, Crossing, threshold_of

KINDS = ("first", "sustained", "strict")
MEDIANS = tuple(f"{kind}_{threshold:g}" for threshold in THRESHOLDS for kind in KINDS)
COLUMNS = ("strict_runs", "collapse_depth", "collapse_steps", *MEDIANS)  # of `columns`


def durations(arm: Arm, found: Crossing, kind: str) -> Durations:
    """When each run came to one of the `KINDS` of times, or how long it was followed without."""
    return times_until(getattr(found, f"{kind}_R"), arm.observed_until_R)


def columns(arm: Arm, task: str) -> dict[str, Any]:
    """For a table: medians of all runs, and of those that collapsed at the config's threshold."""
    medians = {
        f"{kind}_{threshold:g}": median_time(durations(arm, found, kind)).median
        for threshold, found in arm.times_of(task).items()
        if threshold in THRESHOLDS
        for kind in KINDS
    }
    own = arm.times_of(task)[threshold_of(arm.config.get("grok", {}))]
    collapsed_R = own.below_R > 0
    return {
        "strict_runs": int(np.isfinite(own.strict_R).sum()),
        "collapse_depth": number_or_none(finite_median(own.depth_R[collapsed_R])),
        "collapse_steps": number_or_none(finite_median(own.longest_R[collapsed_R])),
        **{name: number_or_none(step, int) for name, step in medians.items()},
    }
