"""A published number beside ours: does it lie where single runs of ours do?

inside      one number: it lies in the interval into which a further run of ours falls with 95 %
            probability, or, of a mean, the mean of as many further runs. Several, run by run: the
            log-rank test does not tell them from ours at 5 %.
outside     neither of the two.
setting not stated
            outside, but the source leaves open what may decide about it.

Shape letter: R runs.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy

from grokjax.reading.arms import Arm
from grokjax.reading.evidence import LEVEL
from grokjax.reading.survival import Durations, log_rank, times_until

VERDICTS = ("inside", "outside", "setting not stated")


class Published(NamedTuple):
    """A number of a source: what it is, and where from."""

    source: str  # authors, year, place in it
    link: str
    setting: str  # in words
    what: str  # "steps to 95 %", "epochs to 99 %": what the values are
    values: tuple[float, ...]  # of each run, or one; infinite: not by the end
    measured: Callable[[Arm], Durations]  # the same of our runs
    mean_of: int = 1  # of how many runs one value is the mean
    rounding: float = 0.0  # by how much one value may be rounded
    unstated: str = ""  # what the source leaves open, and what is chosen here
    corrected: str = ""  # what of the row was changed after a first run of ours had been seen
    instead_of: str = ""  # the row for which `setting` is another choice of what is left open


class Outcome(NamedTuple):
    """Ours of one row, and the verdict."""

    verdict: str
    p: float  # of the test; NaN where there is none
    low: float  # interval of a further run, or of a mean of some; NaN where there is none
    high: float


def first(threshold: float, steps_per_unit: float = 1.0) -> Callable[[Arm], Durations]:
    """The first evaluation at a validation accuracy, of every run."""
    return functools.partial(_time, "first", threshold, steps_per_unit)


def sustained(threshold: float, steps_per_unit: float = 1.0) -> Callable[[Arm], Durations]:
    """The first of as many evaluations in a row as the config says, of every run."""
    return functools.partial(_time, "sustained", threshold, steps_per_unit)


def value_at(metric: str, threshold: float) -> Callable[[Arm], Durations]:
    """A metric at the first evaluation at a validation accuracy, of every run."""
    return functools.partial(_value_at, metric, threshold)


def at_the_end(metric: str) -> Callable[[Arm], Durations]:
    """A metric at the last evaluation, of every run."""
    return functools.partial(_at_the_end, metric)


def _value_at(metric, threshold, arm):
    step_R = arm.times_of("")[threshold].first_R
    reached_R = np.isfinite(step_R)
    index_R = np.searchsorted(arm.history["step"], np.where(reached_R, step_R, arm.last_R))
    value_R = np.take_along_axis(arm.history[metric], index_R[None], axis=0)[0]
    return Durations(value_R.astype(float), reached_R)


def _at_the_end(metric, arm):
    value_R = arm.history[metric][-1].astype(float)
    return Durations(value_R, np.isfinite(value_R))


def _time(kind, threshold, steps_per_unit, arm):
    step_R = getattr(arm.times_of("")[threshold], f"{kind}_R")
    found = times_until(step_R, arm.last_R)
    return found._replace(duration_R=found.duration_R / steps_per_unit)


def judge(ours: Durations, published: Published) -> Outcome:
    """The verdict of a row.

    Without a distribution assumed, a further run falls between the k-th smallest and the k-th
    largest of n with probability (n + 1 - 2k) / (n + 1): with 39 runs or more for 95 %. Fewer
    runs give their whole range, which is less.
    """
    values = np.array(published.values)
    if len(values) > 1:
        is_event = np.isfinite(values)
        longest = max(ours.duration_R.max(), values[is_event].max(initial=0))
        theirs = Durations(np.where(is_event, values, longest), is_event)
        p = log_rank(ours, theirs)
        return Outcome(_said(p > LEVEL, published), p, np.nan, np.nan)
    low, high = further_run(ours)
    if published.mean_of > 1:
        low, high = further_mean(ours, published.mean_of)
    inside = low - published.rounding <= values[0] <= high + published.rounding
    return Outcome(_said(inside, published), np.nan, low, high)


def further_run(ours: Durations) -> tuple[float, float]:
    """The interval of one further run; infinite above where too many have not come to it."""
    value_R = np.sort(np.where(ours.event_observed_R, ours.duration_R, np.inf))
    rank = max(1, int(LEVEL / 2 * (len(value_R) + 1)))
    return float(value_R[rank - 1]), float(value_R[-rank])


def further_mean(ours: Durations, mean_of: int) -> tuple[float, float]:
    """The interval of the mean of further runs, if runs are normal; infinite above if some never
    came to it.

        m +- t s sqrt(1 / R + 1 / mean_of)        t of Student's distribution with R - 1 degrees
    """
    reached = ours.duration_R[ours.event_observed_R]
    quantile = scipy.stats.t.isf(LEVEL / 2, reached.size - 1)
    margin = quantile * reached.std(ddof=1) * np.sqrt(1 / reached.size + 1 / mean_of)
    high = reached.mean() + margin if ours.event_observed_R.all() else np.inf
    return float(reached.mean() - margin), float(high)


def _said(inside, published):
    if inside:
        return "inside"
    return "setting not stated" if published.unstated else "outside"
