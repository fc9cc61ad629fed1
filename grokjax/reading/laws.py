"""Laws of grokking: a time as a product of powers of entries of the config.

    T = c x_1^b_1 ... x_K^b_K e^noise

An accelerated-failure-time regression of log T on the logarithms of the entries; a run that has
not come to the event says that its time is longer. Kalbfleisch & Prentice, 2002, "The Statistical
Analysis of Failure Time Data", chapter 3, https://doi.org/10.1002/9781118032985. Fitted by
lifelines: Davidson-Pilon, 2019, "lifelines: survival analysis in Python",
https://doi.org/10.21105/joss.01317. Shape letters: R runs, A arms, K entries of a law.
"""

import re
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy  # its `stats` take half a second, when they are first asked for

from grokjax.core.checks import check_choice
from grokjax.reading.arms import Arm
from grokjax.reading.rows import Row, aligned
from grokjax.reading.settings import differing, numbers
from grokjax.reading.survival import CONFIDENCE, times_until

TIMES = {  # left side of a law -> what a run has done then
    "delay": "grokked",  # steps from memorising to grokking
    "grok": "grokked",
    "memorised": "memorised",
}
FITTERS = {  # distribution of T -> lifelines' class, and its parameter of location
    "log-normal": ("LogNormalAFTFitter", "mu_"),
    "Weibull": ("WeibullAFTFitter", "lambda_"),
}
NEVER_SHORTER = 1e-3  # steps; of bounds of 0 the gradient of the fit is not a number
FORM = re.compile(r"\s*(\w+)\s*~\s*([\w.]+(?:\s*[*+]\s*[\w.]+)*)\s*", re.ASCII)


class Fit(NamedTuple):
    """A law with one distribution of the times."""

    distribution: str
    constant: float  # c of the median time
    exponent_K: np.ndarray
    low_K: np.ndarray  # 95 % interval
    high_K: np.ndarray
    aic: float  # Akaike's criterion: of two fits, the smaller one is the better


class Law(NamedTuple):
    """A law, the runs that it was fitted to, and what is to be said of them."""

    left: str
    names: list[str]
    values_RxK: np.ndarray
    lower_R: np.ndarray  # steps: the time is longer, or where `upper_R` is the same, just this
    upper_R: np.ndarray  # it is at most this; infinite of a run that is censored
    fits: list[Fit]  # in the order of `FITTERS`
    notes: list[str]

    @property
    def text(self) -> str:
        return f"{self.left} ~ {' * '.join(self.names)}"

    @property
    def is_event_R(self) -> np.ndarray:
        return np.isfinite(self.upper_R)

    @property
    def is_bracketed_R(self) -> np.ndarray:
        """Bool: the time is known from both sides; others add little to the scatter."""
        return self.is_event_R & (self.lower_R > 0)


def parse(text: str) -> tuple[str, list[str]]:
    """The left side and the entries of a law; raises a ValueError if it is none."""
    found = FORM.fullmatch(text)
    if not found:
        example = "delay ~ learning_rate * weight_decay"
        raise ValueError(f"cannot understand the law {text!r}; write it as {example!r}")
    check_choice("left side of a law", found[1], TIMES)
    names = re.findall(r"[\w.]+", found[2])
    if len(set(names)) < len(names):
        raise ValueError(f"the law {text!r} has an entry twice; write each once")
    return found[1], names


def fit(arms: Sequence[Arm], text: str) -> Law:
    """Fits a law to all runs of some arms.

    An interval is the estimate and its standard error times Student's quantile, with the events
    less the K + 1 coefficients as degrees of freedom: for exact times that of least squares.

    Args:
        text: `TIME ~ ENTRY * ENTRY`, with a time of `TIMES`; + is as good as *. An entry is one of
            `config.runs`, or the path of another, such as `model.width`.

    Raises:
        ValueError: if it is no law, or the runs cannot tell its exponents.
    """
    left, names = parse(text)
    values_AxK = np.stack([numbers(arms, name) for name in names], axis=1)
    values_RxK = np.repeat(values_AxK, [arm.diverged_R.size for arm in arms], axis=0)
    lower_R, upper_R = np.concatenate([_bounds(arm, left) for arm in arms], axis=1)
    is_known_R = (lower_R > 0) | np.isfinite(upper_R)
    is_positive_R = (values_RxK > 0).all(axis=1)
    kept_R = is_known_R & is_positive_R
    cases = {
        "left out {} that had not memorised before the last evaluation": ~is_known_R,
        "left out {} with an entry of 0 or less, which has no logarithm": ~is_positive_R,
        f"{{}} {TIMES[left]} by the first evaluation after the start: all that is known of the "
        f"{left} is that it is not longer than that": kept_R & (lower_R == 0),
    }
    notes = [note.format(_runs(case_R.sum())) for note, case_R in cases.items() if case_R.any()]
    if others := differing(arms, names):
        notes.append(f"the runs differ in {', '.join(others)} too, which the law leaves out")
    law = Law(left, names, values_RxK[kept_R], lower_R[kept_R], upper_R[kept_R], [], notes)
    _check(law)
    law.fits.extend(filter(None, (_fit(law, distribution) for distribution in FITTERS)))
    return law


def rows(law: Law) -> list[Row]:
    """A row for each distribution and entry."""
    events = int(law.is_event_R.sum())
    facts = {"runs": len(law.upper_R), "events": events, "censored": len(law.upper_R) - events}
    columns = ("entry", "exponent", "low", "high")
    return [
        {"law": law.text, "distribution": one.distribution}
        | dict(zip(columns, values, strict=True))
        | {"constant": one.constant, "aic": one.aic, **facts}
        for one in law.fits
        for values in zip(law.names, *(x_K.tolist() for x_K in one[2:5]), strict=True)
    ]


def summary(law: Law) -> str:
    """The law for people: its runs, its formula, a table of exponents and notes."""
    first = law.fits[0]
    powers = [f"{n}^{b:.2f}" for n, b in zip(law.names, first.exponent_K, strict=True)]
    events = int(law.is_event_R.sum())
    table = {"entry": law.names}
    for one in law.fits:
        bounds = zip(one.exponent_K, one.low_K, one.high_K, strict=True)
        header = f"exponent [95 % interval], {one.distribution}, AIC {one.aic:.1f}"
        table[header] = [f"{b:.2f} [{low:.2f}, {high:.2f}]" for b, low, high in bounds]
    parts = [
        f"## {law.text}",
        f"{_runs(len(law.upper_R))}: {events} {TIMES[law.left]}, {len(law.upper_R) - events} "
        f"censored. Median {' * '.join([f'{law.left} = {first.constant:.4g}', *powers])}.",
        aligned(table, left=["entry"]).rstrip(),
    ]
    return "\n\n".join([*parts, *(f"{note[0].upper()}{note[1:]}." for note in law.notes)])


def _runs(number):
    return f"{number:,} run{'' if number == 1 else 's'}"


def _bounds(arm, left):
    """[2, R]: the time is longer than the first and at most the second; NaN: it has no beginning.

    A step is known to lie between two evaluations. A delay, both of whose ends are found late, is
    on average right, and taken as it is unless it is 0.
    """
    grok = arm.grokking
    event_R = {"delay": grok.delay_R, "grok": grok.grok_R, "memorised": grok.memorised_R}[left]
    start_R = grok.memorised_R if left == "delay" else 0
    lower_R, is_event_R = times_until(event_R, arm.observed_until_R - start_R)
    upper_R = np.where(is_event_R, lower_R, np.inf)
    step_E = np.r_[0, arm.history["step"]]
    if left == "delay":
        upper_R[upper_R == 0] = np.diff(step_E).max()
    else:
        before_R = step_E[np.searchsorted(step_E, lower_R) - 1]
        lower_R = np.where(is_event_R, before_R, lower_R)
    return np.stack([lower_R, upper_R])


def _check(law):
    """Raises a ValueError if the times do not tell all exponents."""
    is_known_R = law.is_bracketed_R
    needed = len(law.names) + 2  # a constant and the noise
    if is_known_R.sum() < needed:
        what = f"{len(law.names)} exponent{'s' * (len(law.names) > 1)}"
        raise ValueError(
            f"the law {law.text!r}: {is_known_R.sum()} of {_runs(len(is_known_R))} "
            f"{TIMES[law.left]}, too few to fit {what}; at least {needed} are needed"
        )
    log_x_RxK = np.log(law.values_RxK[is_known_R])
    if np.linalg.matrix_rank(log_x_RxK - log_x_RxK.mean(axis=0)) < len(law.names):
        raise ValueError(
            f"the law {law.text!r}: in the runs that {TIMES[law.left]} {', '.join(law.names)} "
            "do not vary independently; leave one out, or choose results of a grid"
        )


def _fit(law, distribution):
    """The fit by lifelines; None if one with other times than log-normal does not converge."""
    try:
        import lifelines
        import pandas as pd
    except ImportError as error:
        raise ValueError(
            "a law needs the package lifelines; install it with pip install 'grokjax[survival]'"
        ) from error
    fitter, location = FITTERS[distribution]
    log_x_RxK = np.log(law.values_RxK)
    middle_K = log_x_RxK.mean(axis=0)
    scale = np.median(law.lower_R) or 1.0  # of numbers near 1 the fit is at ease
    table = pd.DataFrame(log_x_RxK - middle_K, columns=law.names)
    lower_R = np.maximum(law.lower_R, NEVER_SHORTER)
    table = table.assign(lower_=lower_R / scale, upper_=law.upper_R / scale)
    model = getattr(lifelines, fitter)()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it tries on its way
            model.fit_interval_censoring(table, "lower_", "upper_")
        has_scatter = abs(model.log_likelihood_) > 1e-3  # 0: a line goes through all brackets
    except lifelines.exceptions.ConvergenceError:
        has_scatter = False
    if not has_scatter and distribution == next(iter(FITTERS)):
        raise ValueError(
            f"the law {law.text!r}: found no best exponents; do the times scatter about it at all?"
        )
    if not has_scatter:
        return None
    middle = pd.DataFrame(0.0, index=[0], columns=law.names)
    median = scale * float(np.squeeze(model.predict_median(middle)))
    exponent_K = model.params_[location][law.names].to_numpy()
    num_events = law.is_bracketed_R.sum()
    degrees = num_events - len(law.names) - 1
    quantile = scipy.stats.t.ppf((1 + CONFIDENCE) / 2, degrees) * np.sqrt(num_events / degrees)
    reach_K = quantile * model.standard_errors_[location][law.names].to_numpy()
    constant = float(median * np.exp(-middle_K @ exponent_K))
    bounds = (exponent_K - reach_K, exponent_K + reach_K)
    num_densities = (law.lower_R == law.upper_R).sum()
    aic = float(model.AIC_ + 2 * num_densities * np.log(scale))  # of times in steps
    return Fit(distribution, constant, exponent_K, *bounds, aic)
