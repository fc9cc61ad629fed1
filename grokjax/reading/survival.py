"""Numbers over runs: some have diverged, some were stopped before what we wait for had come.

A run that has not grokked when we stop looking is *right-censored*: its step is unknown but
later than the last one. Leaving such runs out, or taking their last step for the event, makes
an arm look faster than it is; the estimates below do neither. Shape letters: R runs,
E distinct steps.
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

HALF = 0.5 - 1e-9  # a product such as 7/8 * 6/7 * 5/6 * 4/5 may miss one half by rounding
CONFIDENCE = 0.95


class Times(NamedTuple):
    """When an event came in each of R runs, or how long it was waited for."""

    step_R: np.ndarray  # of the event, or the last step at which it had not come
    came_R: np.ndarray  # bool; False is right-censored


def delay_times(memorised: Sequence[int | None], delays: Sequence[int | None], last_R) -> Times:
    """Delays from memorising to grokking of the runs that memorised; of the others there is none.

    A run that has not grokked has waited from memorising to the last step at which it was seen.
    """
    last_R = np.broadcast_to(last_R, len(memorised))
    known = [r for r, step in enumerate(memorised) if step is not None]
    came = [delays[r] is not None for r in known]
    waited = [last_R[r] - memorised[r] if delays[r] is None else delays[r] for r in known]
    return Times(np.array(waited, float), np.array(came, bool))


class Survival(NamedTuple):
    """Kaplan-Meier estimate of the share of runs in which an event has come, a step function."""

    step_E: np.ndarray  # 0, the distinct steps of events, the last step watched
    share_E: np.ndarray  # from this step on, up to the next
    low_E: np.ndarray  # 95 % interval
    high_E: np.ndarray


class Median(NamedTuple):
    """A median time and its 95 % interval; None for what was not reached."""

    median: float | None
    low: float | None
    high: float | None


def times_until(steps: Sequence[int | None], last_R) -> Times:
    """The times of events that may not have come (None) in runs watched to `last_R`, [R] or []."""
    came_R = np.array([step is not None for step in steps], bool)
    known_R = np.array([0 if step is None else step for step in steps], float)
    return Times(np.where(came_R, known_R, last_R), came_R)


def kaplan_meier(times: Times) -> Survival:
    """The share of runs in which the event has come by each step.

        1 - S(t),   S(t) = product over event steps s <= t of (1 - events at s / runs at risk at s)

    Kaplan & Meier, 1958, "Nonparametric Estimation from Incomplete Observations",
    https://doi.org/10.1080/01621459.1958.10501452. The interval is Greenwood's on the scale of
    log(-log S), which stays between 0 and 1. Where S is 1 that formula says nothing and the
    interval is empty of width, as is usual. Where S is 0 it says nothing either: the upper limit
    is 1 and the lower one stays where it was or, if every run was watched to its event, rises
    to the exact 0.025^(1/R) of Clopper and Pearson, 1934, "The Use of Confidence or Fiducial
    Limits", https://doi.org/10.1093/biomet/26.4.404.

        steps 2, 3+, 5 (+: censored)  ->  0 from 0, 1/3 from 2, 1 from 5
    """
    sf, *limits = _functions(times)
    came_E = np.isin(sf.quantiles, times.step_R[times.came_R])
    step_E = sf.quantiles[came_E]
    share_E, high_E, low_E = (1 - curve.probabilities[came_E] for curve in (sf, *limits))
    if share_E.size and share_E[-1] == 1:
        low_E[-1], high_E[-1] = max(0.0, *low_E[:-1], _exact_low(times)), 1.0

    step_E, *curves = (np.r_[0.0, column_E] for column_E in (step_E, share_E, low_E, high_E))
    if times.step_R.max() > step_E[-1]:
        step_E = np.r_[step_E, times.step_R.max()]
        curves = [np.r_[curve_E, curve_E[-1]] for curve_E in curves]
    return Survival(step_E, *curves)


def median_time(times: Times) -> Median:
    """The first step by which the event has come in half of all runs, and its 95 % interval.

    The interval is that of Brookmeyer & Crowley, 1982, "A Confidence Interval for the Median
    Survival Time", https://doi.org/10.2307/2530286: the steps at which the upper and the lower
    limit of the share reach one half. Where the share leaps from 0 to 1 there is only the exact
    limit, and the interval is that one step from six runs on, else nothing.
    """
    if not times.step_R.size:
        return Median(None, None, None)
    curve = kaplan_meier(times)
    # at a share of 1 the upper limit is 1 whatever the data, so the lower one has to speak
    above_E = (curve.high_E >= HALF) & ((curve.share_E < 1) | (curve.low_E >= HALF))
    reached = (curve.share_E >= HALF, above_E, curve.low_E >= HALF)
    return Median(*(_first(curve.step_E, reached_E) for reached_E in reached))


def log_rank(a: Times, b: Times) -> float | None:
    """The two-sided p of the log-rank test that two arms come to the event alike.

    Mantel, 1966, "Evaluation of survival data and two new rank order statistics arising in its
    consideration". None if no event came in either; 1 if the steps cannot tell the arms apart,
    because whenever an event came it came in all runs still at risk or in an arm left alone.
    """
    if not a.came_R.any() and not b.came_R.any():
        return None
    with np.errstate(invalid="ignore"):  # 0 / 0
        p = _scipy().logrank(_censored(a), _censored(b)).pvalue
    return float(p) if np.isfinite(p) else 1.0


def _functions(times):
    """The survival function and its lower and upper limit, at every distinct step."""
    sf = _scipy().ecdf(_censored(times)).sf
    with warnings.catch_warnings():  # of the limits where S is 0 or 1
        warnings.simplefilter("ignore", RuntimeWarning)
        limits = sf.confidence_interval(CONFIDENCE, method="log-log")
    return sf, limits.low, limits.high


def _censored(times):
    return _scipy().CensoredData.right_censored(times.step_R, ~times.came_R)


def _exact_low(times):
    """The lower limit of a share of which all R runs are; 0 if some were not watched to the end."""
    return ((1 - CONFIDENCE) / 2) ** (1 / times.came_R.size) if times.came_R.all() else 0.0


def _first(step_E, reached_E):
    return float(step_E[np.argmax(reached_E)]) if reached_E.any() else None


def _scipy():
    """SciPy's statistics, which take a while to import: not when training starts."""
    from scipy import stats

    return stats
