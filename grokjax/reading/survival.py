"""Numbers over runs: some have diverged, some were stopped before what we wait for had come.

A run that has not grokked when we stop looking is *right-censored*: its step is unknown but
later than the last one. Leaving such runs out, or taking their last step for the event, makes
an arm look faster than it is; the estimates below do neither. Shape letters: R runs,
E distinct steps.
"""

import warnings
from typing import NamedTuple

import numpy as np

from grokjax.recording.history import Grokking

HALF = 0.5 - 1e-9  # a product such as 7/8 * 6/7 * 5/6 * 4/5 may miss one half by rounding
CONFIDENCE = 0.95


class Durations(NamedTuple):
    """How long R runs were followed: up to an event, or without one."""

    duration_R: np.ndarray  # step of the event, or the last step at which it had not come
    event_observed_R: np.ndarray  # bool; False is right-censored


class Survival(NamedTuple):
    """Kaplan-Meier estimate of the share of runs in which an event has come, a step function."""

    step_E: np.ndarray  # 0, the distinct steps of events, the last step watched
    incidence_E: np.ndarray  # from this step on, up to the next
    low_E: np.ndarray  # 95 % interval
    high_E: np.ndarray


class Median(NamedTuple):
    """A median time and its 95 % interval; NaN for what was not reached."""

    median: float
    low: float
    high: float


def times_until(step_R: np.ndarray, last_R: np.ndarray | int) -> Durations:
    """Durations up to events, NaN where there was none, in runs followed up to `last_R`."""
    event_observed_R = np.isfinite(step_R)
    return Durations(np.where(event_observed_R, step_R, last_R).astype(float), event_observed_R)


def delay_times(grok: Grokking, last_R: np.ndarray | int) -> Durations:
    """Delays from memorising to grokking of the runs that memorised; of the others there is none.

    A run that has not grokked was followed from memorising to the last step at which it was seen.
    """
    delays = times_until(grok.delay_R, last_R - grok.memorised_R)
    has_memorised_R = np.isfinite(grok.memorised_R)
    return Durations(*(column_R[has_memorised_R] for column_R in delays))


def kaplan_meier(durations: Durations) -> Survival:
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
    sf, *limits = _functions(durations)
    came_E = np.isin(sf.quantiles, durations.duration_R[durations.event_observed_R])
    step_E = sf.quantiles[came_E]
    incidence_E, high_E, low_E = (1 - curve.probabilities[came_E] for curve in (sf, *limits))
    if incidence_E.size and incidence_E[-1] == 1:
        low_E[-1], high_E[-1] = max(0.0, *low_E[:-1], _exact_low(durations)), 1.0

    step_E, *curves = (np.r_[0.0, column_E] for column_E in (step_E, incidence_E, low_E, high_E))
    if durations.duration_R.max() > step_E[-1]:
        step_E = np.r_[step_E, durations.duration_R.max()]
        curves = [np.r_[curve_E, curve_E[-1]] for curve_E in curves]
    return Survival(step_E, *curves)


def median_time(durations: Durations) -> Median:
    """The first step by which the event has come in half of all runs, and its 95 % interval.

    The interval is that of Brookmeyer & Crowley, 1982, "A Confidence Interval for the Median
    Survival Time", https://doi.org/10.2307/2530286: the steps at which the upper and the lower
    limit of the share reach one half. Where the share leaps from 0 to 1 there is only the exact
    limit, and the interval is that one step from six runs on, else nothing.
    """
    if not durations.duration_R.size:
        return Median(np.nan, np.nan, np.nan)
    curve = kaplan_meier(durations)
    # at a share of 1 the upper limit is 1 whatever the data, so the lower one has to speak
    above_E = (curve.high_E >= HALF) & ((curve.incidence_E < 1) | (curve.low_E >= HALF))
    reached = (curve.incidence_E >= HALF, above_E, curve.low_E >= HALF)
    return Median(*(next(iter(curve.step_E[is_E]), np.nan) for is_E in reached))


def log_rank(a: Durations, b: Durations) -> float:
    """The two-sided p of the log-rank test that two arms come to the event alike.

    Mantel, 1966, "Evaluation of survival data and two new rank order statistics arising in its
    consideration". NaN if no event came in either; 1 if the steps cannot tell the arms apart,
    because whenever an event came it came in all runs still at risk or in an arm left alone.
    """
    if not a.event_observed_R.any() and not b.event_observed_R.any():
        return np.nan
    with np.errstate(invalid="ignore"):  # 0 / 0
        p = _scipy().logrank(_censored(a), _censored(b)).pvalue
    return float(p) if np.isfinite(p) else 1.0


def _functions(durations):
    """The survival function and its lower and upper limit, at every distinct step."""
    sf = _scipy().ecdf(_censored(durations)).sf
    with warnings.catch_warnings():  # of the limits where S is 0 or 1
        warnings.simplefilter("ignore", RuntimeWarning)
        limits = sf.confidence_interval(CONFIDENCE, method="log-log")
    return sf, limits.low, limits.high


def _censored(durations):
    return _scipy().CensoredData.right_censored(durations.duration_R, ~durations.event_observed_R)


def _exact_low(durations):
    """The lower limit of a share of which all R runs are; 0 if some were not watched to the end."""
    return (
        ((1 - CONFIDENCE) / 2) ** (1 / durations.event_observed_R.size)
        if durations.event_observed_R.all()
        else 0.0
    )


def _scipy():
    """SciPy's statistics, which take a while to import: not when training starts."""
    from scipy import stats

    return stats
