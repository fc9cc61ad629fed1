"""A metric writer, and the curves it draws: one for each run, or of many runs three.

The methods have the names of `clu.metric_writers.MetricWriter`, so that any writer of clu's can be
given to `grokjax.train`; clu's package itself needs TensorFlow to be imported, so it is not here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from grokjax.recording.history import finite_quantiles, measured

MANY = 16  # above this, curves of single runs would fill a disk and a screen
QUANTILES = {"lowest": 0, "median": 0.5, "highest": 1}


def curves(labels: Sequence[str], value_R: np.ndarray) -> dict[str, float]:
    """{curve: value} of a metric: each run, or of many runs quantiles of the finite values."""
    if len(labels) > MANY:
        values = finite_quantiles(value_R, list(QUANTILES.values()))
        return dict(zip(QUANTILES, values.tolist(), strict=True))
    return dict(zip(labels, value_R.tolist(), strict=True))


def scalars(metrics_R: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{name: [R]}: each entry of a measure's [R, K] by its number; what was not measured is out."""
    absent = [n for n in measured(metrics_R) if np.isnan(metrics_R[n]).all()]
    found = {}
    for name, value_Rx in metrics_R.items():
        if name not in absent and value_Rx.ndim == 1:
            found[name] = value_Rx
        elif name not in absent:
            found |= {f"{name}/{k}": value_R for k, value_R in enumerate(value_Rx.T)}
    return found


def row(labels: Sequence[str], scalars_R: Mapping[str, np.ndarray]) -> dict[str, float]:
    """{metric, or of several runs metric/curve: value}."""
    found = {}
    for metric, value_R in scalars_R.items():
        for name, value in curves(labels, value_R).items():
            found[metric if len(labels) == 1 else f"{metric}/{name}"] = value
    return found


class Writer:
    """What a writer may do; scalars are [R], the summary is that of `summary.json`."""

    @property
    def name(self) -> str:
        """What a warning calls it."""
        return type(self).__name__

    def write_scalars(self, step: int, scalars_R: Mapping[str, np.ndarray]) -> None: ...
    def write_texts(self, step: int, texts: Mapping[str, str]) -> None: ...
    def write_summary(self, summary: Mapping[str, Any]) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class Given(Writer):
    """A caller's `clu.metric_writers.MetricWriter`, which the caller closes."""

    def __init__(self, writer: Any, labels: Sequence[str]):
        if not all(hasattr(writer, method) for method in ("write_scalars", "flush")):
            raise ValueError(f"{writer!r} is no writer; choose those of clu.metric_writers")
        self._labels = labels
        self._writer = writer
        self.flush = writer.flush

    @property
    def name(self) -> str:
        return type(self._writer).__name__

    def write_scalars(self, step: int, scalars_R: Mapping[str, np.ndarray]) -> None:
        self._writer.write_scalars(step, row(self._labels, scalars_R))
