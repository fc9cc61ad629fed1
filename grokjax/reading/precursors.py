"""Precursors: what of a run says beforehand that it is going to grok.

A rule is fixed on one half of an arm's runs and judged on the other: it raises an alarm at the
first evaluation after memorising at which a value has moved away from what it was at memorising
by a share of that. Any alarm that comes in every run looks like a sign, also one at memorising
itself. So what counts is how evenly it leads: a precursor has to know *when* a run will grok
better than the clock does that started at memorising. Shape letters: E evaluations, R runs.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import scipy

from grokjax.reading.arms import Arm
from grokjax.reading.evidence import holm
from grokjax.reading.rows import aligned
from grokjax.recording.history import measured
from grokjax.recording.summary import number_or_none, value_at

METRICS = (
    "train_loss",
    "val_loss",
    "max_train_loss",
    "grad_norm",
    "update_size",
    "weight_norm",
    "last_layer_norm",
    "sparsity",
)
FEWEST = 10  # runs of a half that grokked after a delay
LEVELS = np.linspace(0.02, 0.98, 25)  # quantiles that are tried as thresholds
SIGNIFICANT = 0.05


class Rule(NamedTuple):
    """An alarm: a value has risen (1) or fallen (-1) by a share of what it was at memorising."""

    direction: int
    threshold: float

    def alarms(self, moved_ExR: np.ndarray, step_E: np.ndarray) -> np.ndarray:
        """[R]: the step of the first alarm; NaN if there is none."""
        alarm_ExR = self.direction * moved_ExR >= self.threshold
        first_R = step_E[np.argmax(alarm_ExR, axis=0)]
        return np.where(alarm_ExR.any(axis=0), first_R, np.nan)

    def __str__(self) -> str:
        factor = f"{self.threshold:.3g}"
        return f"{'rises' if self.direction > 0 else 'falls'} by {factor} of its value"


class Leads(NamedTuple):
    """How the alarms of some runs stand to their grokking."""

    lead_R: np.ndarray  # steps from alarm to grokking; NaN without an alarm before it
    delay_R: np.ndarray  # steps from memorising to grokking; NaN if the run did not grok
    misses: int  # runs that grokked without an alarm before
    false_alarms: int  # alarms in runs that did not grok while they were followed

    @property
    def errors(self) -> int:
        """Runs with a missing or a false alarm."""
        return self.misses + self.false_alarms

    @property
    def spread(self) -> float:
        """Standard deviation of the leads; infinite with fewer than three."""
        return _deviation(self.lead_R[np.isfinite(self.lead_R)])

    @property
    def spread_of_clock(self) -> float:
        """That of the delays of the same runs, which are the leads of an alarm at memorising."""
        return _deviation(self.delay_R[np.isfinite(self.lead_R)])


class Precursor(NamedTuple):
    """A value of a run, its rule, and how that did on the other half of the runs."""

    arm: str
    value: str
    rule: Rule
    leads: Leads
    p: float  # that leads spread as widely as delays do, Pitman and Morgan's test

    def row(self, p_holm: float) -> dict[str, str | int | float | None]:
        """For a table; `p_holm` is corrected for the number of values."""
        lead_R, delay_R, misses, false_alarms = self.leads
        hits = np.isfinite(lead_R)
        return {
            "arm": self.arm,
            "value": self.value,
            "rule": str(self.rule),
            "runs": delay_R.size,
            "alarms": int(hits.sum()),
            "misses": misses,
            "false_alarms": false_alarms,
            "lead": number_or_none(np.mean(lead_R[hits])) if hits.any() else None,
            "lead_sd": number_or_none(self.leads.spread),
            "delay": number_or_none(np.mean(delay_R[hits])) if hits.any() else None,
            "delay_sd": number_or_none(self.leads.spread_of_clock),
            "p": number_or_none(p_holm),
            "verdict": self.verdict(p_holm),
        }

    def verdict(self, p_holm: float) -> str:
        """In words."""
        wrong = self.leads.errors
        if 2 * wrong > self.leads.delay_R.size:
            return "no sign: most alarms are missing or false"
        if not p_holm < SIGNIFICANT:
            return "no better than the clock"
        if self.leads.spread > self.leads.spread_of_clock:
            return "worse than the clock"
        return "precedes grokking" + f", wrong in {wrong} runs" * bool(wrong)


def _deviation(steps: np.ndarray) -> float:
    return float(np.std(steps, ddof=1)) if steps.size > 2 else np.inf


def precursors(arm: Arm) -> list[Precursor]:
    """Of each value of an arm's runs, that with the fewest errors first, then the most even one.

    Raises:
        ValueError: if too few of its runs grokked after a delay, or no value moves before that.
    """
    grok = arm.grokking
    fitted_R = np.arange(grok.grok_R.size) % 2 == 0
    halves = {"fix a rule": fitted_R, "judge it": ~fitted_R}
    counts = {purpose: int((grok.delay_R > 0)[half_R].sum()) for purpose, half_R in halves.items()}
    if lacking := [purpose for purpose, count in counts.items() if count < FEWEST]:
        fixing, judging = (f"{counts[p]} of {half_R.sum()}" for p, half_R in halves.items())
        raise ValueError(
            f"precursors of {arm.name}: a rule is fixed on every other run, of which {fixing} "
            f"grokked after a delay, and judged on those between, of which {judging} did: too few "
            f"to {' and to '.join(lacking)}, which takes {FEWEST}; train more seeds"
        )
    found = []
    for name, moved_ExR in _moved(arm):
        if rule := _fit(arm, moved_ExR, fitted_R):
            leads = _leads(arm, rule, moved_ExR, ~fitted_R)
            found.append(Precursor(arm.name, name, rule, leads, _pitman_morgan(leads)))
    if not found:
        raise ValueError(f"precursors of {arm.name}: nothing moves from memorising to grokking")
    return sorted(found, key=lambda one: (one.leads.errors, one.leads.spread))


def _moved(arm: Arm) -> Iterator[tuple[str, np.ndarray]]:
    """(value, [E, R] by what share of its value at memorising it has moved since).

    NaN up to memorising and after grokking.
    """
    arrays = arm.history.arrays()
    step_E = arrays["step"]
    grok = arm.grokking
    is_between_ExR = (step_E[:, None] > grok.memorised_R) & ~(step_E[:, None] >= grok.grok_R)
    for name in [name for name in METRICS if name in arrays] + measured(arrays):
        value_ExR = arrays[name].astype(float)
        if value_ExR.ndim == 2:
            then_R = value_at(step_E, value_ExR, grok.memorised_R)
            then_R = np.where(then_R == 0, np.nan, then_R)
            moved_ExR = (value_ExR - then_R) / np.abs(then_R)
            yield name, np.where(is_between_ExR, moved_ExR, np.nan)


def _fit(arm: Arm, moved_ExR: np.ndarray, fitted_R: np.ndarray) -> Rule | None:
    """The rule with the fewest errors, of these the one that leads most evenly."""
    seen = moved_ExR[:, fitted_R]
    rules = []
    for direction in (1, -1):
        away = direction * seen[np.isfinite(seen)]
        away = away[away > 0]
        if away.size:
            rules += [Rule(direction, float(level)) for level in np.quantile(away, LEVELS)]

    def rank(rule):
        leads = _leads(arm, rule, moved_ExR, fitted_R)
        return leads.errors, leads.spread

    return min(rules, key=rank, default=None)


def _leads(arm: Arm, rule: Rule, moved_ExR: np.ndarray, chosen_R: np.ndarray) -> Leads:
    grok = arm.grokking
    may_lead_R = chosen_R & ~(grok.delay_R == 0)  # a run without a delay has nothing to foresee
    alarm_R = rule.alarms(moved_ExR, arm.history["step"])[may_lead_R]
    grok_R = grok.grok_R[may_lead_R]
    has_alarm_R = np.isfinite(alarm_R)
    return Leads(
        lead_R=grok_R - alarm_R,
        delay_R=grok.delay_R[may_lead_R],
        misses=int((np.isfinite(grok_R) & ~has_alarm_R).sum()),
        false_alarms=int((~np.isfinite(grok_R) & has_alarm_R).sum()),
    )


def _pitman_morgan(leads: Leads) -> float:
    """The two-sided p that leads and delays of the same runs have one variance.

    Sums and differences of the pairs are uncorrelated if they have. Morgan, 1939, "A Test for the
    Significance of the Difference Between the Two Variances in a Sample From a Normal Bivariate
    Population", https://doi.org/10.2307/2332666.
    """
    both_R = np.isfinite(leads.lead_R) & np.isfinite(leads.delay_R)
    lead_R = leads.lead_R[both_R]
    delay_R = leads.delay_R[both_R]
    if both_R.sum() < 3 or not np.ptp(lead_R - delay_R) or not np.ptp(lead_R + delay_R):
        return 1.0
    return float(scipy.stats.pearsonr(lead_R + delay_R, lead_R - delay_R).pvalue)


def table(found: Sequence[Precursor]) -> list[dict]:
    """A row for each precursor, p values corrected for their number."""
    p_values = holm([one.p for one in found])
    return [one.row(p) for one, p in zip(found, p_values, strict=True)]


def summary(rows: Sequence[dict]) -> str:
    """The table for people, and how it is to be read."""

    def shown(value):
        if isinstance(value, float):
            return f"{value:,.3g}" if abs(value) < 1 else f"{value:,.0f}"
        return "" if value is None else str(value)

    headers = {
        "arm": "arm",
        "value": "value",
        "rule": "alarm when it",
        "runs": "runs",
        "misses": "missed",
        "false_alarms": "false",
        "lead": "steps before grokking",
        "lead_sd": "sd",
        "delay_sd": "sd of the delay",
        "p": "p",
        "verdict": "verdict",
    }
    columns = {header: [shown(row[name]) for row in rows] for name, header in headers.items()}
    text = (
        "A rule is fixed on every other run and judged on the runs between. A value precedes "
        "grokking if its alarms lead more evenly than the clock that starts at memorising, whose "
        "leads are the delays of the same runs: Pitman and Morgan's test, Holm's correction."
    )
    table = aligned(columns, left=["arm", "value", "alarm when it", "verdict"])
    return f"## Precursors\n\n{table.rstrip()}\n\n{text}"
