"""Tests of two outcomes or times, pair by pair.

What a pair has in common, such as an easy split, cancels; so fewer runs show the same effect.
Shape letter: P pairs.
"""

from typing import NamedTuple

import numpy as np
import scipy

from grokjax.reading.evidence import rate_interval
from grokjax.reading.survival import Durations


class Rates(NamedTuple):
    """How often something happened in two arms of P pairs."""

    both: int
    only_a: int
    only_b: int
    neither: int

    @property
    def difference(self) -> float:
        """Rate of b minus rate of a."""
        return (self.only_b - self.only_a) / sum(self)

    @property
    def p(self) -> float:
        """The exact two-sided p of McNemar's test; 1 where the arms agree in every pair.

        McNemar, 1947, "Note on the sampling error of the difference between correlated
        proportions or percentages", https://doi.org/10.1007/BF02295996. Of the pairs that differ,
        half are expected to go either way.
        """
        return half(self.only_a, self.only_b)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference.

        Newcombe, 1998, "Improved confidence intervals for the difference between binomial
        proportions based on paired data", method 10,
        https://doi.org/10.1002/(SICI)1097-0258(19981130)17:22<2635::AID-SIM954>3.0.CO;2-C:
        Wilson's intervals of the two rates, put together by

            d - sqrt((b - b_low)^2 - 2 phi (b - b_low) (a_high - a) + (a_high - a)^2)

        and likewise above, where phi is the correlation of the pairs with a correction for
        continuity if it is positive.
        """
        pairs = sum(self)
        sums = (self.both + self.only_b, self.both + self.only_a)
        b, a = (count / pairs for count in sums)
        (b_low, b_high), (a_low, a_high) = (rate_interval(count, pairs) for count in sums)
        margins = np.prod([float(n) for count in sums for n in (count, pairs - count)])
        covariance = float(self.both * self.neither - self.only_a * self.only_b)
        if covariance > 0:
            covariance = max(covariance - pairs / 2, 0.0)
        phi = covariance / np.sqrt(margins) if margins else 0.0

        def size(x, y):
            return np.sqrt(x**2 - 2 * phi * x * y + y**2)

        below = size(b - b_low, a_high - a)
        above = size(b_high - b, a - a_low)
        return float(self.difference - below), float(self.difference + above)


class Times(NamedTuple):
    """Which of P pairs' runs came to an event first."""

    a_first: int
    b_first: int
    open: int  # at the same step, or censored before it is known

    @property
    def sign_p(self) -> float:
        """The exact two-sided p of the sign test; 1 where no pair is decided."""
        return half(self.a_first, self.b_first)

    @property
    def log_rank_p(self) -> float:
        """The two-sided p of the log-rank test stratified by pair; NaN if no pair is decided.

        In a stratum of two runs only the first event counts, of which one half is expected in
        either arm with variance 1/4: z = (b - a) / sqrt(a + b). Klein & Moeschberger, 2003,
        "Survival Analysis", section 7.5. The exact sign test is safer with few pairs.
        """
        decided = self.a_first + self.b_first
        if not decided:
            return np.nan
        z = (self.b_first - self.a_first) / np.sqrt(decided)
        return float(2 * scipy.stats.norm.sf(abs(z)))


def rates(a_P: np.ndarray, b_P: np.ndarray) -> Rates:
    """Counts of two outcomes, bool."""
    pairs = ((a_P & b_P), (a_P & ~b_P), (~a_P & b_P), (~a_P & ~b_P))
    return Rates(*(int(count.sum()) for count in pairs))


def times(a: Durations, b: Durations) -> Times:
    """Who was first: an event that came before the other run's, or while that was still followed.

    A run that is censored at the step of the other's event was still without it then.
    """

    def first(x, y):
        earlier_P = x.duration_R < y.duration_R
        outlasted_P = (x.duration_R == y.duration_R) & ~y.event_observed_R
        return int((x.event_observed_R & (earlier_P | outlasted_P)).sum())

    counts = (first(a, b), first(b, a))
    return Times(*counts, len(a.duration_R) - sum(counts))


def half(one: int, other: int) -> float:
    """The two-sided p that of the pairs which differ half go either way."""
    return float(scipy.stats.binomtest(one, one + other).pvalue) if one + other else 1.0
