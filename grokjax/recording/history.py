"""What a run looked like: its history, and when it memorised and grokked."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

S3_THRESHOLD, S3_GAP = 0.95, 1000  # steps


class History:
    """The metrics of R runs at E evaluations, on the host; grows by one row at a time."""

    def __init__(self, arrays: Mapping[str, np.ndarray] | None = None):
        """Starts empty, or from the arrays of another history."""
        self._columns: dict[str, list] = {n: list(rows) for n, rows in (arrays or {}).items()}

    def append(self, step: int, metrics_R: Mapping) -> None:
        """Adds an evaluation: {name: [R]}."""
        row = {"step": np.int64(step)} | {
            n: np.asarray(value_R) for n, value_R in metrics_R.items()
        }
        for name, value in row.items():
            self._columns.setdefault(name, []).append(value)

    def arrays(self) -> dict[str, np.ndarray]:
        """{name: [E, R]}, and `step` [E]; no entries while there is no evaluation."""
        return {name: np.stack(rows) for name, rows in self._columns.items()}

    @property
    def groups(self) -> list[str]:
        """The tasks of a mixture, whose own metrics are called `val_accuracy/add`."""
        named = (name.partition("val_accuracy/") for name in self._columns)
        return [group for before, found, group in named if found and not before]

    def __len__(self) -> int:
        return len(self._columns.get("step", ()))

    def __getitem__(self, name: str) -> np.ndarray:
        return np.stack(self._columns[name])


class Grokking(NamedTuple):
    """When one run memorised and generalised; steps are multiples of the evaluation interval."""

    memorised_step: int | None  # training accuracy first at the threshold
    grok_step: int | None  # None: it never came while we looked (censored)
    delay: int | None  # grok_step - memorised_step; 0: it generalised as it memorised
    collapses: int  # times validation accuracy fell below the threshold afterwards

    @property
    def no_delay(self) -> bool:
        """Did validation accuracy come together with training accuracy?"""
        return self.delay == 0


def grokking(
    step_E, train_accuracy_E, val_accuracy_E, *, threshold=0.99, count=3, rule="sustained"
) -> Grokking:
    """Finds the grokking of one run.

    `sustained`: the first of `count` consecutive evaluations with validation accuracy at
    or above the threshold. `s3`: the first such evaluation more than 1,000 steps after
    training accuracy reached 95 %, if validation stayed below 95 % until then; a run that
    generalises sooner has not grokked by that rule.

        step     100  200  300  400  500       threshold 0.99, count 2:
        train    .9   1.   1.   1.   1.        memorised at 200, grokked at 400,
        val      .1   .99  .2   .99  1.        delay 200
    """
    if rule == "s3":
        threshold = S3_THRESHOLD
    above_E = np.asarray(val_accuracy_E) >= threshold
    memorised = _first(np.asarray(train_accuracy_E) >= threshold)
    if rule == "s3":
        grok = _first_after_gap(step_E, above_E, memorised)
    else:
        grok = _first(_runs_of(above_E, count))
    if grok is None:
        return Grokking(_step(step_E, memorised), None, None, 0)
    fell_E = above_E[:-1] & ~above_E[1:]
    delay = None if memorised is None else max(0, int(step_E[grok]) - int(step_E[memorised]))
    return Grokking(_step(step_E, memorised), _step(step_E, grok), delay, int(fell_E[grok:].sum()))


def grokking_of_runs(history: History, group: str = "", **rule) -> list[Grokking]:
    """`grokking` for each of R runs, over all examples or over one task of a mixture."""
    of_group = f"/{group}" if group else ""
    sides = (history[f"{side}_accuracy{of_group}"].T for side in ("train", "val"))
    columns, step_E = zip(*sides, strict=True), history["step"]
    return [grokking(step_E, train_E, val_E, **rule) for train_E, val_E in columns]


def last_evaluations(history: History, evaluations: int, **rule) -> np.ndarray:
    """[R]: number of the last evaluation, from 0, that each run trains to; infinite: not known.

    A run rests when it has diverged, or `evaluations` evaluations after it grokked, each task of
    a mixture included. Both are seen one evaluation late, because that is computed while this one
    is read.
    """
    step_E = history["step"]
    count = 0 if rule.get("rule") == "s3" else rule.get("count", 3) - 1
    grok_R = _last_to_grok(history, rule)
    seen_R = np.searchsorted(step_E, grok_R) + max(evaluations, count)
    lost_ExR = np.isnan(history["train_loss"])  # an infinite loss may come back
    lost_R = np.where(lost_ExR.any(axis=0), np.argmax(lost_ExR, axis=0), np.inf)
    first_R = np.minimum(np.where(np.isfinite(grok_R), seen_R, np.inf), lost_R)
    return np.where(first_R < len(step_E), first_R + 1, np.inf)


def watched_steps(history: History, schedule: Mapping, **rule) -> np.ndarray:
    """[R]: the step to which each run was watched without grokking, if it did not.

    That is its own last step, or of a run that has diverged, and so will never grok, the last of
    the schedule: to count it as one that was looked away from would flatter it.

    Args:
        schedule: `num_steps` and `stop_after_grok` of the config.
        rule: that of grokking.
    """
    step_E, evaluations = history["step"], schedule.get("stop_after_grok", 0)
    if not evaluations:
        return np.full(history["val_accuracy"].shape[1], step_E[-1])
    last_R = np.minimum(last_evaluations(history, evaluations, **rule), len(step_E) - 1)
    lost_R = np.isnan(history["train_loss"][-1])
    return np.where(lost_R, max(schedule["num_steps"], step_E[-1]), step_E[last_R.astype(int)])


def _last_to_grok(history, rule):
    """[R]: when all examples, and each task with a share, had been grokked; else infinity."""
    last_R = _or_infinity(grokking_of_runs(history, **rule))
    for group in history.groups:
        grok_R = _or_infinity(grokking_of_runs(history, group, **rule))
        shared_R = np.isfinite(history[f"train_accuracy/{group}"]).any(axis=0)
        last_R = np.where(shared_R, np.maximum(last_R, grok_R), last_R)
    return last_R


def _or_infinity(groks):
    return np.array([np.inf if g.grok_step is None else g.grok_step for g in groks])


def _runs_of(above_E, count):
    """True where the next `count` evaluations, this one included, are all true."""
    if len(above_E) < count:
        return np.zeros(0, bool)
    return np.lib.stride_tricks.sliding_window_view(above_E, count).all(axis=1)


def _first_after_gap(step_E, above_E, memorised):
    if memorised is None:
        return None
    after_E = np.asarray(step_E) > step_E[memorised] + S3_GAP
    if above_E[memorised:][~after_E[memorised:]].any():
        return None
    return _first(above_E & after_E)


def _first(true_E):
    return int(np.argmax(true_E)) if true_E.any() else None


def _step(step_E, index):
    return None if index is None else int(step_E[index])


def finite_quantiles(values_R, quantiles) -> np.ndarray:
    """[Q]: quantiles of the finite values; NaN if there are none, without a warning."""
    values_R = np.asarray(values_R, float)
    finite = values_R[np.isfinite(values_R)]
    if not finite.size:
        return np.full(len(quantiles), np.nan)
    return np.quantile(finite, quantiles)


def finite_median(values_R) -> float:
    """The median of the finite values."""
    return float(finite_quantiles(values_R, [0.5])[0])
