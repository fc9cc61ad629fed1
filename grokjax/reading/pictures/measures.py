"""Pictures of measures: the values of one measure beside validation accuracy.

Shape letters: E evaluations, R runs, K entries of a value.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grokjax.config import registry
from grokjax.reading.arms import Arm
from grokjax.reading.pictures import style
from grokjax.recording.history import measured

ACCURACIES = {"val_accuracy": "Validation accuracy", "train_accuracy": "Training accuracy"}
WIDTH = 3  # panels of a row
MANY_TIMES = 10  # the smallest value; else a logarithmic axis shows nothing more


def names(arms: Sequence[Arm]) -> list[str]:
    """The measures of which some arm has values."""
    values = [name for arm in arms for name in measured(arm.history.arrays())]
    return list(dict.fromkeys(name.partition("/")[0] for name in values))


@style.ours
def measure(arms: Sequence[Arm], name: str, only: Sequence[str] = ()) -> Figure:
    """A panel for each value of a measure, after accuracy: medians and quartiles of the runs.

    Shows the values of `only` if some are named.

    A value with K entries, such as a spectrum, is a map of the first arm's first run: the median
    of runs with other key frequencies would show none.
    """
    histories = {arm.name: arm.history.arrays() for arm in arms}
    having = {a: h for a, h in histories.items() if any(v.startswith(f"{name}/") for v in h)}
    titles = declared(name, "TITLES")
    values = dict.fromkeys(v for h in having.values() for v in h if v.startswith(f"{name}/"))
    known = [f"{name}/{key}" for key in titles]
    values = [v for v in known if v in values] + [v for v in values if v not in known]
    values = [f"{name}/{key}" for key in only] or values
    figure, panels = _panels(len(ACCURACIES) + len(values))
    for panel, value in zip(panels, [*ACCURACIES, *values], strict=True):
        key = value.partition("/")[2]
        title = ACCURACIES.get(value) or titles.get(key, key.replace("_", " "))
        of_arms = {arm: taken(h["step"], h[value]) for arm, h in having.items() if value in h}
        if next(iter(of_arms.values()))[1].ndim == 3:
            entry = declared(name, "ENTRIES").get(key, "entry")
            _map(figure, panel, title, entry, of_arms, len(having) > 1)
        else:
            _curves(panel, title, of_arms, having, key in declared(name, "LOGARITHMIC"))
        if value.endswith("accuracy"):
            style.percent_axis(panel)
    if any(history["val_accuracy"].shape[1] > 1 for history in having.values()):
        style.legend(figure, style.band_key("quartiles of the runs"))
    else:
        style.legend(figure)
    return figure


def declared(name: str, what: str) -> Any:
    """What the module of a measure says of its values; nothing if it is not here any more."""
    if name not in registry.names("measure"):
        return {}
    return getattr(registry.find("measure", name), what, {})


def _panels(number: int) -> tuple[Figure, list]:
    height = -(-number // WIDTH)
    figure = Figure(figsize=(5 * WIDTH, 3.6 * height), layout="constrained")
    return figure, [figure.add_subplot(height, WIDTH, i + 1) for i in range(number)]


def taken(step_E: np.ndarray, values_Ex: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The evaluations at which a value was taken, and it."""
    taken_E = np.isfinite(values_Ex).any(axis=tuple(range(1, values_Ex.ndim)))
    return step_E[taken_E], values_Ex[taken_E]


def _curves(axes: Axes, title: str, of_arms: Mapping, all_arms: Mapping, logarithmic: bool) -> None:
    lines = dict(style.styled(all_arms))
    steps = np.concatenate([history["step"] for history in all_arms.values()])
    bands = [np.full((len(style.QUANTILES), 1), np.nan)]
    for arm, (step_E, values_ExR) in of_arms.items():
        if len(step_E):
            curve = dict(label=arm, gid=f"{arm} {title}", **lines[arm])
            bands.append(style.draw_runs(axes, step_E, values_ExR, {"quartiles": 0.16}, **curve))
    bands_QxE = np.concatenate(bands, axis=1)
    low, high = np.nanmin(bands_QxE, initial=np.inf), np.nanmax(bands_QxE, initial=0)
    logarithmic = logarithmic and bool(high > MANY_TIMES * low)
    style.dress(axes, title + ", log scale" * logarithmic, steps)
    if logarithmic:
        style.loss_axis(axes, bands_QxE, "log")


def _map(
    figure: Figure, axes: Axes, title: str, entry: str, of_arms: Mapping, several: bool
) -> None:
    """Step by entry, of one run."""
    arm, (step_E, values_ExRxK) = next(iter(of_arms.items()))
    style.dress(axes, f"{title}, {arm}" if several else title)
    axes.grid(visible=False)
    if not len(step_E):
        return
    value_KxE = values_ExRxK[:, 0].T
    before = step_E[0] - (step_E[1] - step_E[0] if len(step_E) > 1 else 1)
    borders = np.r_[before, step_E]
    entries = np.arange(value_KxE.shape[0] + 1) + 0.5
    mesh = axes.pcolormesh(borders, entries, value_KxE, cmap="viridis", rasterized=True)
    axes.set(xlabel="step", ylabel=entry + ", first run" * (values_ExRxK.shape[1] > 1))
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    figure.colorbar(mesh, ax=axes)
