"""Thresholds of grokking: the value of an entry of the config at which half of the runs grok.

    P(grok) = 1 / (1 + exp(-(a + b log x))),    critical value: log x = -a / b

Fitted by Firth's penalised likelihood, which is finite also where no run groks on one side and all
do on the other: Firth, 1993, "Bias reduction of maximum likelihood estimates",
https://doi.org/10.1093/biomet/80.1.27. Shape letters: R runs, K values of the entry, B resamples,
P the two coefficients.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy

from grokjax.config.grid import label
from grokjax.reading.arms import Arm
from grokjax.reading.rows import Row, aligned
from grokjax.reading.settings import differing, numbers, settings
from grokjax.reading.survival import CONFIDENCE

RESAMPLES = 2000


class Threshold(NamedTuple):
    """Where half of the runs grok; NaN where that, or a bound, is beyond the values of the runs."""

    group: str  # its other entries, such as `lamb=2`; "" if there is one group
    value_K: np.ndarray
    runs_K: np.ndarray
    grokked_K: np.ndarray
    step: int  # by which: the first at which a run was out of sight without having grokked
    coefficient_P: np.ndarray  # a, b
    critical: float
    low: float  # 95 % interval
    high: float

    def rate(self, value: np.ndarray) -> np.ndarray:
        """The rate of grokking that was fitted, at some values."""
        return scipy.special.expit(_design(value) @ self.coefficient_P)


def fit(arms: Sequence[Arm], entry: str, seed: int = 0) -> tuple[list[Threshold], list[str]]:
    """A threshold for each group of arms that differ in nothing but the entry; and notes.

    Raises:
        ValueError: if the entry is unknown, no number, or varies in no group.
    """
    every_A = numbers(arms, entry)
    others = differing(arms, [entry])
    groups = {}
    notes = []
    for arm, value in zip(arms, every_A, strict=True):
        if value <= 0:
            notes.append(f"left out {arm.name}: {entry} {value:g} has no logarithm")
            continue
        own = {name: settings(arm).get(name) for name in others}
        groups.setdefault(str(own), (own, []))[1].append((value, arm))
    named = [(_name(own, pairs), pairs) for own, pairs in groups.values()]
    kept = [(text, pairs) for text, pairs in named if len({x for x, _ in pairs}) > 1]
    if not kept:
        raise ValueError(
            f"{entry} takes no two values above 0 in arms that are alike in all else "
            f"({', '.join(others) or 'nothing else varies'}); choose results of a grid"
        )
    if left_out := [text for text, pairs in named if (text, pairs) not in kept]:
        notes.append(f"left out {', '.join(left_out)}: {entry} has one value there")
    return [_fit(text, pairs, seed) for text, pairs in kept], notes


def rows(entry: str, found: Sequence[Threshold]) -> list[Row]:
    """A row for each group."""
    return [
        {"entry": entry, "group": one.group, "runs": int(one.runs_K.sum())}
        | {"grokked": int(one.grokked_K.sum()), "step": one.step, "slope": one.coefficient_P[1]}
        | {name: x if np.isfinite(x := getattr(one, name)) else None for name in one._fields[-3:]}
        for one in found
    ]


def summary(entry: str, found: Sequence[Threshold], notes: Sequence[str]) -> str:
    """The thresholds for people."""
    table = {
        "group": [one.group or "all runs" for one in found],
        "runs": [f"{one.runs_K.sum():,}" for one in found],
        "grokked": [f"{one.grokked_K.sum():,}" for one in found],
        "by step": [f"{one.step:,}" for one in found],
        f"critical {entry} [95 % interval]": [_shown(one) for one in found],
    }
    text = aligned(table, left=["group"]).rstrip()
    return "\n\n".join([f"## Critical {entry}", text, *(f"{n[0].upper()}{n[1:]}." for n in notes)])


def estimate(
    value_K: np.ndarray, runs_K: np.ndarray, grokked_K: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, list[float]]:
    """The coefficients [P]; and the critical value with its interval over resampled runs."""
    coefficient_P = logistic(value_K, runs_K[None], grokked_K[None])[0]
    cells_2xK = np.stack([grokked_K, runs_K - grokked_K])
    share = cells_2xK.ravel() / runs_K.sum()
    # resampling runs is drawing how many there are of each value and outcome
    drawn = np.random.default_rng(seed).multinomial(runs_K.sum(), share, RESAMPLES)
    drawn_2xBxK = drawn.reshape(RESAMPLES, 2, -1).swapaxes(0, 1)
    low_B, high_B = _critical(value_K, *drawn_2xBxK, coefficient_P[1])
    with np.errstate(invalid="ignore"):  # between -inf and inf
        (middle,) = np.mean(_critical(value_K, *cells_2xK[:, None], coefficient_P[1]), axis=0)
    tail = (1 - CONFIDENCE) / 2
    low = np.quantile(low_B, tail, method="lower")
    high = np.quantile(high_B, 1 - tail, method="higher")
    first, last = np.log(value_K[[0, -1]])
    return coefficient_P, [
        float(np.exp(x)) if first <= x <= last else np.nan for x in (middle, low, high)
    ]


def logistic(value_K: np.ndarray, runs_BxK: np.ndarray, grokked_BxK: np.ndarray) -> np.ndarray:
    """Firth's estimate [B, P] of the rate's a and b, by Newton's method.

    With two values it is the logit of (grokked + 1/2) / (runs + 1) at each.
    """
    design_KxP = _design(value_K)
    middle = design_KxP[:, 1].mean()
    spread = design_KxP[:, 1].std()
    x_KxP = (design_KxP - [0, middle]) / [1, spread]
    coefficient_BxP = np.zeros((len(runs_BxK), 2))
    going = np.arange(len(runs_BxK))  # resamples that have not converged
    for _ in range(200):
        rate_BxK = scipy.special.expit(coefficient_BxP[going] @ x_KxP.T)
        weight_BxK = runs_BxK[going] * rate_BxK * (1 - rate_BxK)
        information_BxPxP = np.einsum("bk,kp,kq->bpq", weight_BxK, x_KxP, x_KxP)
        inverse_BxPxP = np.linalg.pinv(information_BxPxP, hermitian=True)
        leverage_BxK = weight_BxK * np.einsum("kp,bpq,kq->bk", x_KxP, inverse_BxPxP, x_KxP)
        score_BxK = (
            grokked_BxK[going] - runs_BxK[going] * rate_BxK + leverage_BxK * (0.5 - rate_BxK)
        )
        move_BxP = np.einsum("bpq,bk,kq->bp", inverse_BxPxP, score_BxK, x_KxP).clip(-1, 1)
        coefficient_BxP[going] += move_BxP
        going = going[np.abs(move_BxP).max(axis=1) > 1e-8]
        if not going.size:
            break
    slope_B = coefficient_BxP[:, 1] / spread
    return np.stack([coefficient_BxP[:, 0] - slope_B * middle, slope_B], axis=1)


def _name(own, pairs):
    """What tells a group from others: its folder if it is one, else the values of its settings."""
    families = {arm.family for _, arm in pairs}
    if len(families) > 1 or not any("." in name for name in own):
        return label({n: x if isinstance(x, int | float) else str(x) for n, x in own.items()})
    entries = label({name: x for name, x in own.items() if "." not in name})
    return f"{families.pop()} {entries}".strip()


def _fit(text, pairs, seed):
    duration_R, event_R = np.concatenate([arm.durations for _, arm in pairs], axis=1)
    step = duration_R[event_R == 0].min(initial=duration_R.max())
    value_K = np.unique([value for value, _ in pairs])
    runs_K, grokked_K = np.zeros((2, len(value_K)), int)
    for value, arm in pairs:
        k = np.searchsorted(value_K, value)
        runs_K[k] += arm.durations.duration_R.size
        grokked_K[k] += (arm.grokking.grok_R <= step).sum()
    coefficient_P, limits = estimate(value_K, runs_K, grokked_K, seed)
    return Threshold(text, value_K, runs_K, grokked_K, int(step), coefficient_P, *limits)


def _critical(value_K, grokked_BxK, failed_BxK, slope):
    """Logarithms of the critical value [B], two: the ends of all that the outcomes allow.

    They are one, but where no run groks on one side and all do on the other: then it is anywhere
    between. A resample whose rate goes the other way allows any.
    """
    sign = 1 if slope >= 0 else -1
    x_K = sign * np.log(value_K)
    coefficient_BxP = logistic(value_K, grokked_BxK + failed_BxK, grokked_BxK)
    with np.errstate(divide="ignore", invalid="ignore"):
        fitted_B = -coefficient_BxP[:, 0] / coefficient_BxP[:, 1] * sign
    last_B = np.where(failed_BxK > 0, x_K, -np.inf).max(axis=1)
    first_B = np.where(grokked_BxK > 0, x_K, np.inf).min(axis=1)
    is_apart_B = last_B < first_B
    other_B = (coefficient_BxP[:, 1] * sign <= 0) & ~is_apart_B
    low_B = np.where(other_B, -np.inf, np.where(is_apart_B, last_B, fitted_B))
    high_B = np.where(other_B, np.inf, np.where(is_apart_B, first_B, fitted_B))
    return (low_B, high_B) if sign > 0 else (-high_B, -low_B)


def _design(value):
    return np.stack([np.ones(len(value)), np.log(value)], axis=1)


def _shown(one):
    """`0.34 [0.31, 0.37]`; `none`: a bound beyond the values."""
    if np.isnan(one.critical):
        more = one.rate(one.value_K).mean() > 0.5
        return f"{'more' if more else 'less'} than half at all values"
    low, high = ("none" if np.isnan(x) else f"{x:.3g}" for x in (one.low, one.high))
    return f"{one.critical:.3g} [{low}, {high}]"
