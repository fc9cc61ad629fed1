"""Durations up to an event, of which some are censored, and what is estimated from them.

A run that has not grokked by its last step is *right-censored*: leaving it out, or taking that
step for the event, would make an arm look faster than it is. Shape letters: R runs, E distinct
steps.
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy  # its `stats` take half a second, when they are first asked for

from grokjax.recording.history import Grokking

HALF = 0.5 - 1e-9  # a product such as 7/8 * 6/7 * 5/6 * 4/5 may miss one half by rounding
CONFIDENCE = 0.95


class Durations(NamedTuple):
    """How long R runs were followed, up to an event or without one."""

    duration_R: np.ndarray  # step of the event, or the last step at which it had not come
    event_observed_R: np.ndarray  # bool; False is right-censored


class Incidence(NamedTuple):
    """Kaplan-Meier estimate of an event's cumulative incidence, a step function."""

    step_E: np.ndarray  # 0, the distinct steps of events, the last step observed
    incidence_E: np.ndarray  # from this step on, up to the next
    low_E: np.ndarray  # 95 % interval
    high_E: np.ndarray


class Median(NamedTuple):
    """A median time and its 95 % interval; NaN for what was not reached."""

    median: float
    low: float
    high: float


class Mean(NamedTuple):
    """A mean time up to a horizon, and its standard error."""

    mean: float
    error: float


def times_until(step_R: np.ndarray, last_R: np.ndarray | int) -> Durations:
    """Durations up to events, NaN where there was none, in runs followed up to `last_R`."""
    event_observed_R = np.isfinite(step_R)
    return Durations(np.where(event_observed_R, step_R, last_R).astype(float), event_observed_R)


def delay_times(grok: Grokking, last_R: np.ndarray | int) -> Durations:
    """Delays from memorising to grokking, or to the last step, of the runs that memorised."""
    delays = times_until(grok.delay_R, last_R - grok.memorised_R)
    has_memorised_R = np.isfinite(grok.memorised_R)
    return Durations(*(column_R[has_memorised_R] for column_R in delays))


def kaplan_meier(durations: Durations) -> Incidence:
    """The cumulative incidence of an event: the fraction of runs that have had it by each step.

        1 - S(t),   S(t) = product over event steps s <= t of (1 - events at s / runs at risk at s)

    Kaplan & Meier, 1958, "Nonparametric Estimation from Incomplete Observations",
    https://doi.org/10.1080/01621459.1958.10501452. The interval is Greenwood's on the scale of
    log(-log S), which stays between 0 and 1 but says nothing where S is 1 (the interval has no
    width there) or 0: then the upper limit is 1 and the lower one stays where it was or, if no run
    is censored, rises to the exact 0.025^(1/R) of Clopper and Pearson, 1934, "The Use of
    Confidence or Fiducial Limits", https://doi.org/10.1093/biomet/26.4.404.

        steps 2, 3+, 5 (+: censored)  ->  0 from 0, 1/3 from 2, 1 from 5
    """
    duration_R, event_observed_R = durations
    survival = scipy.stats.ecdf(_censored(durations)).sf
    with warnings.catch_warnings():  # of the limits where S is 0 or 1
        warnings.simplefilter("ignore", RuntimeWarning)
        limits = survival.confidence_interval(CONFIDENCE, method="log-log")
    is_event_E = np.isin(survival.quantiles, duration_R[event_observed_R])
    step_E = survival.quantiles[is_event_E]
    curves = (survival, limits.high, limits.low)
    incidence_E, low_E, high_E = (1 - curve.probabilities[is_event_E] for curve in curves)
    if incidence_E.size and incidence_E[-1] == 1:
        exact = ((1 - CONFIDENCE) / 2) ** (1 / duration_R.size) if event_observed_R.all() else 0.0
        low_E[-1] = max(exact, *low_E[:-1], 0.0)
        high_E[-1] = 1.0

    columns = [np.r_[0.0, column_E] for column_E in (step_E, incidence_E, low_E, high_E)]
    if duration_R.max() > columns[0][-1]:
        columns = [np.r_[column_E, column_E[-1]] for column_E in columns]
        columns[0][-1] = duration_R.max()
    return Incidence(*columns)


def median_time(durations: Durations) -> Median:
    """The first step by which the event has come in half of all runs, and its 95 % interval.

    The interval is that of Brookmeyer & Crowley, 1982, "A Confidence Interval for the Median
    Survival Time", https://doi.org/10.2307/2530286: the steps at which the upper and the lower
    limit of the incidence reach one half. Where it leaps from 0 to 1 there is only the exact
    limit, and the interval is that one step from six runs on, else nothing.
    """
    if not durations.duration_R.size:
        return Median(np.nan, np.nan, np.nan)
    curve = kaplan_meier(durations)
    # at an incidence of 1 the upper limit is 1 whatever the data, so the lower one has to speak
    above_E = (curve.high_E >= HALF) & ((curve.incidence_E < 1) | (curve.low_E >= HALF))
    reached = (curve.incidence_E >= HALF, above_E, curve.low_E >= HALF)
    return Median(*(next(iter(curve.step_E[is_E]), np.nan) for is_E in reached))


def horizon(arms: Sequence[Durations]) -> float:
    """The last step up to which the incidence of every arm is known; NaN without any run.

    An arm whose runs have all come to the event is known for ever.
    """
    arms = [durations for durations in arms if durations.duration_R.size]
    open_ended = [each for each in arms if not each.event_observed_R.all()]
    last = [float(each.duration_R.max()) for each in open_ended or arms]
    return (min if open_ended else max)(last, default=np.nan)


def restricted_mean(durations: Durations, until: float) -> Mean:
    """The mean of the smaller of the time to the event and `until`, and its standard error.

    It is the area under the Kaplan-Meier curve S up to there; with the area A(t) from t on, d
    events at t, and n runs at risk before,

        variance = sum over event steps t <= until of A(t)^2 d / (n (n - d))

    Irwin, 1949, "The standard error of an estimate of expectation of life"; Royston & Parmar, 2013,
    "Restricted mean survival time: an alternative to the hazard ratio",
    https://doi.org/10.1186/1471-2288-13-152. Needs no proportional hazards and no median that was
    reached. Without censoring it is the plain mean, with the deviation over R, not R - 1.

        steps 2, 3+, 5 until 6 (+: censored)  ->  2 + 3 * 2/3 = 4
    """
    duration_R, event_observed_R = durations
    curve = kaplan_meier(durations)
    is_inside_E = curve.step_E < until
    step_E = np.r_[curve.step_E[is_inside_E], until]
    area_E = (1 - curve.incidence_E[is_inside_E]) * np.diff(step_E)
    later_E = np.cumsum(area_E[::-1])[::-1]  # from each step on
    risk_E = (duration_R >= step_E[:-1, None]).sum(axis=1)
    events_E = ((duration_R == step_E[:-1, None]) & event_observed_R).sum(axis=1)
    left_E = risk_E - events_E
    is_term_E = (events_E > 0) & (left_E > 0)  # where none is left, there is no area left either
    terms_E = later_E**2 * events_E / np.where(is_term_E, risk_E * left_E, 1)
    return Mean(float(area_E.sum()), float(np.sqrt(terms_E[is_term_E].sum())))


def log_rank(a: Durations, b: Durations) -> float:
    """The two-sided p of the log-rank test that two arms come to the event alike.

    Mantel, 1966, "Evaluation of survival data and two new rank order statistics arising in its
    consideration". NaN if no event came in either; 1 if the steps cannot tell the arms apart,
    because whenever an event came it came in all runs still at risk or in an arm left alone.
    """
    if not a.event_observed_R.any() and not b.event_observed_R.any():
        return np.nan
    with np.errstate(invalid="ignore"):  # 0 / 0
        p = scipy.stats.logrank(_censored(a), _censored(b)).pvalue
    return float(p) if np.isfinite(p) else 1.0


def _censored(durations):
    right_censored = scipy.stats.CensoredData.right_censored
    return right_censored(durations.duration_R, ~durations.event_observed_R)
