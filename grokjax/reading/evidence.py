"""How much so many runs can show: intervals of rates, corrected p values, the smallest effects."""

import math
from collections.abc import Sequence

import numpy as np
import scipy

from grokjax.reading.survival import CONFIDENCE, Durations, log_rank
from grokjax.recording.summary import number_or_none

LEVEL = 1 - CONFIDENCE  # of a two-sided test
POWER = 0.8


def rate_interval(successes: int, runs: int) -> tuple[float, float]:
    """The 95 % interval of the share of runs that grokked, of one run or more.

    Wilson, 1927, "Probable Inference, the Law of Succession, and Statistical Inference",
    https://doi.org/10.1080/01621459.1927.10502953. It has a width where none or all grokked, too.
    """
    interval = scipy.stats.binomtest(successes, runs).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def holm(p: Sequence[float]) -> np.ndarray:
    """P values of m comparisons, corrected for their number; NaN is none of them.

        corrected = largest of (m - i) p_i, i = 0, 1, ..., over this p and all smaller; at most 1

    Holm, 1979, "A Simple Sequentially Rejective Multiple Test Procedure",
    https://www.jstor.org/stable/4615733. Whatever the dependence of the comparisons, a difference
    is claimed where there is none in any of them with a probability of the level at most.
    """
    p = np.asarray(p, float)
    order = np.argsort(p)  # NaN comes last
    number = np.isfinite(p).sum()
    factors = np.maximum(number - np.arange(p.size), 1)
    corrected = np.full(p.size, np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1)
    return corrected


def smallest_p(a: int, b: int) -> float:
    """The smallest two-sided p by which any test can tell `a` runs from `b`, if it is exact.

    All of one arm come before all of the other by chance in 2 of (a + b choose a) orders. The
    log-rank test, which is not exact, may give less, and too little then.
    """
    return min(1.0, 2 / math.comb(a + b, a))


def smallest_ratio(a: int, b: int, spread: float = 1.0) -> float:
    """The ratio of two medians that a test of `a` against `b` runs at 5 % finds with 80 % power.

    At a spread of 1 it is the ratio of the hazards, or of the medians of exponential times, that
    the log-rank test finds if all runs come to the event. Schoenfeld, 1981, "The asymptotic
    properties of nonparametric tests for comparing survival distributions",
    https://doi.org/10.1093/biomet/68.1.316:

        (log ratio)^2 = (z_0.975 + z_0.8)^2 (1/a + 1/b);   for a = b it is 4 (...)^2 / events

    For log-normal times, whose logarithm has the standard deviation `spread`, it is that power of
    it. That is the z test of the logarithms; the log-rank test needs somewhat more.
    """
    quantiles = scipy.stats.norm.isf([LEVEL / 2, 1 - POWER])
    return float(np.exp(spread * quantiles.sum() * np.sqrt(1 / a + 1 / b)))


def log_spread(*arms: Durations) -> float:
    """The standard deviation of the logarithm of the steps to grok within arms, pooled.

    Of the runs that grokked; NaN where no arm has two that did so at different steps.
    """
    logs = [np.log(duration_R[event_observed_R]) for duration_R, event_observed_R in arms]
    squares = sum(((log_R - log_R.mean()) ** 2).sum() for log_R in logs if log_R.size)
    freedom = sum(max(log_R.size - 1, 0) for log_R in logs)
    return float(np.sqrt(squares / freedom)) if squares else np.nan


def compared(reference: Durations, own: Durations) -> dict[str, float | None]:
    """For a table: the log-rank p of two arms, and what so many runs can show; None: not known."""
    sizes = (reference.duration_R.size, own.duration_R.size)
    return {
        "log_rank_p": number_or_none(log_rank(reference, own)),
        "smallest_p": smallest_p(*sizes),
        "smallest_hazard_ratio": smallest_ratio(*sizes),
        "smallest_median_ratio": number_or_none(smallest_ratio(*sizes, log_spread(reference, own))),
    }
