"""The history of R runs, and the criterion by which each memorised and grokked."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

S3_THRESHOLD = 0.95
S3_GAP = 1000  # steps
HIGH = 0.9  # validation accuracy above which there is little left to generalise


class History:
    """The metrics of R runs at E evaluations, on the host; grows by one row at a time."""

    def __init__(self, arrays: Mapping[str, np.ndarray] | None = None):
        """Starts empty, or from the arrays of another history."""
        self._columns = {name: list(rows) for name, rows in (arrays or {}).items()}

    @classmethod
    def load(cls, path: Path) -> "History":
        """From a file of `Results.write_history`."""
        with path.open("rb") as file, np.load(file) as arrays:  # NumPy leaves damaged files open
            return cls({name: arrays[name] for name in arrays if name != "label"})

    def append(self, step: int, metrics_R: Mapping[str, np.ndarray]) -> None:
        """Adds an evaluation: {name: [R]}, of a measure also [R, K]."""
        for name, value in {"step": np.int64(step), **metrics_R}.items():
            self._columns.setdefault(name, []).append(np.asarray(value))

    def arrays(self) -> dict[str, np.ndarray]:
        """{name: [E, R] or [E, R, K]}, and `step` [E]; no entries before the first evaluation."""
        return {name: np.stack(rows) for name, rows in self._columns.items()}

    def evaluations(self) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """What `append` was given, from the first to the last."""
        for row in zip(*self._columns.values(), strict=True):
            metrics_R = dict(zip(self._columns, row, strict=True))
            yield int(metrics_R.pop("step")), metrics_R

    @property
    def groups(self) -> list[str]:
        """The tasks of a mixture."""
        return groups_of(self._columns)

    def __len__(self) -> int:
        return len(self._columns.get("step", ()))

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._columns:
            raise KeyError(f"no metric {name!r}; choose from {', '.join(self._columns)}")
        return np.stack(self._columns[name])


def groups_of(metrics: Iterable[str]) -> list[str]:
    """The tasks of a mixture, whose own metrics are called `val_accuracy/add`."""
    prefix = "val_accuracy/"
    return [name.removeprefix(prefix) for name in metrics if name.startswith(prefix)]


def measured(metrics: Iterable[str]) -> list[str]:
    """The values of measures, called `norms/total`; of evaluations without them they are NaN."""
    names = list(metrics)
    return [name for name in names if "/" in name and name.partition("/")[0] not in names]


def accuracies(metrics: Mapping[str, np.ndarray], group: str = "") -> list[np.ndarray]:
    """Training and validation accuracy of all examples (`""`) or of one task of a mixture."""
    of_group = f"/{group}" if group else ""
    return [metrics[f"{side}_accuracy{of_group}"] for side in ("train", "val")]


class Grokking(NamedTuple):
    """When each of R runs memorised and generalised; NaN is never (right-censored)."""

    memorised_R: np.ndarray  # step: training accuracy first at the threshold
    grok_R: np.ndarray  # step: validation accuracy first at the threshold for long enough
    delay_R: np.ndarray  # grok_R - memorised_R; 0: it generalised as it memorised
    collapses_R: np.ndarray  # int: times validation accuracy fell below the threshold afterwards
    val_at_memorising_R: np.ndarray  # validation accuracy when it memorised
    high_share_R: np.ndarray  # share of the delay, so far, with validation accuracy at 90 % or more

    @property
    def has_grokked_R(self) -> np.ndarray:
        """Bool: it generalised, with or without a plateau."""
        return np.isfinite(self.grok_R)

    @property
    def crept_R(self) -> np.ndarray:
        """Bool: there was no plateau; most of the delay was the way from 90 % to the threshold."""
        return self.has_grokked_R & (self.high_share_R > 0.5)


class GrokkingTracker:
    """The grokking criterion for R runs, one evaluation after the other, at constant cost."""

    def __init__(
        self, num_runs: int, threshold: float = 0.99, count: int = 3, rule: str = "sustained"
    ):
        """Takes the section `grok` of a config."""
        self._needs_gap = rule == "s3"
        self.threshold = S3_THRESHOLD if self._needs_gap else threshold
        self.count = 1 if self._needs_gap else count
        self._memorised_R = np.full(num_runs, np.nan)
        self._grok_R = np.full(num_runs, np.nan)
        self._collapses_R = np.zeros(num_runs, int)
        self._streak_R = np.zeros(num_runs, int)  # latest evaluations at or above the threshold
        self._since_R = np.full(num_runs, np.nan)  # step at which that streak began
        self._too_soon_R = np.zeros(num_runs, bool)  # generalised inside the gap
        self._trains_R = np.zeros(num_runs, bool)  # has training examples, so an accuracy
        self._val_at_memorising_R = np.full(num_runs, np.nan)
        self._delay_R = np.zeros(num_runs, int)  # evaluations since it memorised, without grokking
        self._high_R = np.zeros(num_runs, int)  # of these with validation accuracy at HIGH

    def update(self, step: int, train_accuracy_R: np.ndarray, val_accuracy_R: np.ndarray) -> None:
        """Takes the accuracies of the next evaluation."""
        above_R = val_accuracy_R >= self.threshold
        was_above_R = self._streak_R > 0
        self._collapses_R += np.isfinite(self._grok_R) & was_above_R & ~above_R
        self._since_R[above_R & ~was_above_R] = step
        self._streak_R = np.where(above_R, self._streak_R + 1, 0)

        self._trains_R |= np.isfinite(train_accuracy_R)
        memorises_R = (train_accuracy_R >= self.threshold) & np.isnan(self._memorised_R)
        self._memorised_R[memorises_R] = step
        self._val_at_memorising_R[memorises_R] = val_accuracy_R[memorises_R]
        is_delay_R = np.isfinite(self._memorised_R) & np.isnan(self._grok_R)
        self._delay_R += is_delay_R
        self._high_R += is_delay_R & (val_accuracy_R >= HIGH)
        groks_R = (self._streak_R >= self.count) & np.isnan(self._grok_R)
        if self._needs_gap:
            self._too_soon_R |= above_R & (step <= self._memorised_R + S3_GAP)
            groks_R &= (step > self._memorised_R + S3_GAP) & ~self._too_soon_R
        self._grok_R[groks_R] = self._since_R[groks_R]
        streak_R = np.minimum(self._streak_R, self._delay_R)[groks_R]  # is no delay any more
        self._delay_R[groks_R] -= streak_R
        self._high_R[groks_R] -= streak_R

    @property
    def is_done_R(self) -> np.ndarray:
        """Bool: it has grokked, or there is nothing that it trains on."""
        return np.isfinite(self._grok_R) | ~self._trains_R

    @property
    def grokking(self) -> Grokking:
        """What the evaluations so far show."""
        return Grokking(
            memorised_R=self._memorised_R.copy(),
            grok_R=self._grok_R.copy(),
            delay_R=np.maximum(self._grok_R - self._memorised_R, 0),
            collapses_R=self._collapses_R.copy(),
            val_at_memorising_R=self._val_at_memorising_R.copy(),
            high_share_R=self._high_R / np.where(self._delay_R, self._delay_R, np.nan),
        )


def grokking(
    history: History | Mapping[str, np.ndarray],
    group: str = "",
    *,
    threshold: float = 0.99,
    count: int = 3,
    rule: str = "sustained",
) -> Grokking:
    """When each run grokked, over all examples or over one task of a mixture.

    `sustained`: the first of `count` consecutive evaluations with validation accuracy at
    or above the threshold. `s3`: the first such evaluation more than 1,000 steps after
    training accuracy reached 95 %, if validation stayed below 95 % until then; a run that
    generalises sooner has not grokked by that rule.

        step     100  200  300  400  500       threshold 0.99, count 2:
        train    .9   1.   1.   1.   1.        memorised at 200, grokked at 400,
        val      .1   .99  .2   .99  1.        delay 200, half of it at 90 % or more
    """
    train_ExR, val_ExR = accuracies(history, group)
    tracker = GrokkingTracker(val_ExR.shape[1], threshold, count, rule)
    for evaluation in zip(history["step"], train_ExR, val_ExR, strict=True):
        tracker.update(*evaluation)
    return tracker.grokking


def finite_quantiles(values_R: Sequence[float], quantiles: Sequence[float]) -> np.ndarray:
    """[Q]: quantiles of the finite values; NaN if there are none, without a warning."""
    values_R = np.asarray(values_R, float)
    finite = values_R[np.isfinite(values_R)]
    return np.quantile(finite, quantiles) if finite.size else np.full(len(quantiles), np.nan)


def finite_median(values_R: Sequence[float]) -> float:
    """The median of the finite values."""
    return float(finite_quantiles(values_R, [0.5])[0])
