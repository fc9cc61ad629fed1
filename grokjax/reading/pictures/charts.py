"""Pictures that compare arms: runs that differ in nothing but their seeds.

Each arm has one colour in all panels, and from the ninth on another kind of line. A run
that has not grokked is always shown as that, at the step up to which it was followed; medians
of the steps to grok are Kaplan-Meier estimates, which count it too. Shape letters:
E evaluations, R runs, Q quantiles.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grokjax.reading.arms import Arm
from grokjax.reading.pictures import style
from grokjax.reading.survival import kaplan_meier
from grokjax.reading.times import durations
from grokjax.recording.times import THRESHOLDS

CURVES = {  # metric -> title of its panel
    "val_accuracy": "Validation accuracy",
    "train_loss": "Training loss",
    "val_loss": "Validation loss",
}
WEIGHTS = {  # the first three are what the slingshot mechanism ties together
    "last_layer_norm": "Spectral norm of the last layer",
    "misclassified": "Misclassified training examples (range)",
    "max_train_loss": "Largest loss of a batch",
    "weight_norm": "Norm of all weights",
    "update_size": "Size of a step, relative to the weights",
    "grad_norm": "Norm of the gradient",
    "sparsity": "Share of weights below .01",
}
TIMES = {  # what a person reads behind the threshold
    "first": "validation accuracy, once",
    "sustained": "several times in a row",
    "strict": "for good, while watched",
}
FEW = 6  # arms of which these can be told apart
LOGARITHMIC = ("train_loss", "val_loss", "update_size", "grad_norm", "max_train_loss")


@style.ours
def comparison(arms: Sequence[Arm]) -> Figure:
    """Accuracy, both losses and the steps to grok of every arm, in four panels."""
    pairs = style.styled(arms)
    figure = Figure(figsize=(13, max(8, len(arms))), layout="constrained")
    *panels, last = figure.subplots(2, 2).ravel()
    for panel, (metric, title) in zip(panels, CURVES.items(), strict=True):
        _draw_curves(panel, pairs, metric, title)
    _draw_steps(last, pairs)
    keys = []
    has_grokked_R = np.concatenate([arm.durations.event_observed_R for arm in arms])
    if has_grokked_R.any():
        keys.append(style.mark_key("a run that grokked", "o"))
        keys.append(style.mark_key("median, 95 % interval", "D", ls="-"))
    if not has_grokked_R.all():
        keys.append(style.mark_key("not grokked by the last evaluation", ">", mfc="none"))
    style.legend(figure, *_quartile_key(arms), *keys)
    return figure


@style.ours
def survival(arms: Sequence[Arm]) -> Figure:
    """The cumulative incidence of grokking in each arm, with a 95 % band.

    Kaplan-Meier estimates; a tick is a run that was followed up to there and had not grokked.
    """
    pairs = style.styled(arms)
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    style.dress(axes, "Runs that grokked (cumulative incidence)", _steps(arms))
    style.percent_axis(axes)
    for arm, line in pairs:
        _draw_incidence(axes, arm, arm.durations, line, f"{arm.name}: {count(arm)}")
    keys = [style.band_key("95 % interval")]
    if not all(arm.durations.event_observed_R.all() for arm in arms):
        keys.append(style.mark_key("last seen without grokking", "|", markersize=9))
    style.legend(figure, *keys)
    return figure


@style.ours
def times(arms: Sequence[Arm]) -> Figure:
    """The cumulative incidence of each of the three times at each of the `THRESHOLDS`.

    A row for each time, a column for each threshold.
    """
    pairs = style.styled(arms)
    figure = Figure(figsize=(14, 8.5), layout="constrained")
    rows = figure.subplots(len(TIMES), len(THRESHOLDS))
    for (kind, name), panels in zip(TIMES.items(), rows, strict=True):
        for threshold, axes in zip(THRESHOLDS, panels, strict=True):
            style.dress(axes, f"{threshold:.0%} {name}", _steps(arms))
            style.percent_axis(axes)
            for arm, line in pairs:
                followed = durations(arm, arm.times_of("")[threshold], kind)
                _draw_incidence(axes, arm, followed, line, arm.name)
            axes.minorticks_off()  # they take a second
            axes.label_outer()
    ticks = style.mark_key("not there by its last evaluation", "|", markersize=9)
    style.legend(figure, style.band_key("95 % interval"), ticks)
    return figure


def _draw_incidence(axes, arm, followed, line, label):
    step_E, incidence_E, low_E, high_E = kaplan_meier(followed)
    seen_E = np.maximum(step_E, axes.get_xlim()[0])  # step 0 has no place on the axis
    area = dict(color=line["color"], alpha=0.12, lw=0)
    axes.fill_between(seen_E, low_E, high_E, step="post", **area)
    axes.step(seen_E, incidence_E, where="post", lw=1.8, label=label, gid=arm.name, **line)
    censored = np.unique(followed.duration_R[~followed.event_observed_R])
    share = incidence_E[np.searchsorted(step_E, censored, side="right") - 1]
    ticks = dict(marker="|", markersize=10, mew=1.6, color=line["color"], zorder=3)
    _draw_marks(axes, censored, share, gid=f"{arm.name} censored", **ticks)


@style.ours
def tasks(arms: Sequence[Arm]) -> Figure:
    """Validation accuracy on each task of a mixture, of the arms that train on it."""
    pairs = style.styled(arms)
    panels = {}
    for task in dict.fromkeys(task for arm in arms for task in arm.history.groups):
        if trained := [(arm, line) for arm, line in pairs if task in arm.trained_tasks]:
            panels[f"val_accuracy/{task}"] = (f"Validation accuracy, {task}", trained)
    if not panels:
        raise ValueError("none of these arms trains on a mixture; choose arms of mixtures")
    return _panels(panels)


@style.ours
def weights(arms: Sequence[Arm], since: int = 0) -> Figure:
    """What the weights do meanwhile: their norms, their steps, how many are small.

    The slingshot's cycles are seen where evaluations are close, from a step `since` on.
    """
    pairs = style.styled(arm.since(since) for arm in arms)
    known = set.intersection(*(set(arm.history.arrays()) for arm in arms))
    titles = WEIGHTS | {"val_accuracy": CURVES["val_accuracy"]}
    return _panels({m: (title, pairs) for m, title in titles.items() if m in known})


def count(arm: Arm) -> str:
    """Such as `6 of 8`: the runs that grokked."""
    has_grokked_R = arm.durations.event_observed_R
    return f"{has_grokked_R.sum():,} of {has_grokked_R.size:,}"


def draw_interval(axes: Axes, arm: Arm, place: float, which: str, **kwargs: Any) -> None:
    """The 95 % interval of an arm's median along the `x` or `y` axis, if it has one.

    Without an upper bound it goes to the last evaluation, without both it is the median; an arrow
    is where a bound is missing.
    """
    median, low, high = arm.median
    if np.isnan(median) and np.isnan(low):
        return
    turn = slice(None, None, 1 if which == "x" else -1)
    start = np.nan_to_num(low, nan=median)
    end = np.nan_to_num(high, nan=median if np.isnan(low) else arm.history["step"][-1])
    line = dict(gid=f"{arm.name} interval", solid_capstyle="butt")
    axes.plot(*((start, end), (place, place))[turn], **line | kwargs)
    for bound, at, side in ((low, start, -16), (high, end, 16)):
        if np.isnan(bound):
            style.arrow(axes, (at, place)[turn], (side, 0)[turn], **kwargs)


def _panels(panels):
    """A panel for each {metric: (title, styled arms)}, in rows of up to three."""
    width = min(3, len(panels))
    height = -(-len(panels) // width)
    figure = Figure(figsize=(max(8, 5.5 * width), 4.2 * height), layout="constrained")
    for number, (metric, (title, pairs)) in enumerate(panels.items(), start=1):
        _draw_curves(figure.add_subplot(height, width, number), pairs, metric, title)
    style.legend(figure, *_quartile_key(arm for _, pairs in panels.values() for arm, _ in pairs))
    return figure


def _draw_curves(axes, pairs, metric, title):
    """Median and quartiles of each arm's runs; their range where errors are counted, as few err."""
    bands = []
    for arm, line in pairs:
        kwargs = dict(label=arm.name, gid=arm.name)
        band = "range" if metric == "misclassified" else "quartiles"
        curves = (arm.history["step"], arm.history[metric], {band: 0.16})
        bands.append(style.draw_runs(axes, *curves, **kwargs, **line))
    logarithmic = metric in LOGARITHMIC
    style.dress(axes, title + ", log scale" * logarithmic, _steps(arm for arm, _ in pairs))
    if logarithmic:
        style.loss_axis(axes, np.concatenate(bands, axis=1), "log")
    elif metric.startswith("val_accuracy"):
        style.percent_axis(axes)
    elif metric == "misclassified":
        axes.set_yscale("symlog", linthresh=1)  # logarithmic, and 0 has a place
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter("{x:,.0f}")


def _steps(arms):
    return np.concatenate([arm.history["step"] for arm in arms])


def _quartile_key(arms):
    if all(len(arm.durations.duration_R) == 1 for arm in arms):
        return []
    return [style.band_key("quartiles of the runs")]


def _draw_steps(axes, pairs):
    """A row per arm: its name and share, a mark per run, and the median with its interval."""
    style.dress(axes, "Steps to grok", _steps(arm for arm, _ in pairs))
    axes.grid(visible=False, axis="y")
    axes.set(ylim=(len(pairs), 0), yticks=[])
    for row, (arm, line) in enumerate(pairs):
        text = dict(transform=axes.get_yaxis_transform(), va="center", size=9, color=style.INK)
        axes.text(0.01, row + 0.17, arm.name, **text, parse_math=False)
        axes.text(0.99, row + 0.17, count(arm), **text, ha="right")
        axes.axhline(row, color=style.RULE, lw=0.8)
        draw_interval(axes, arm, row + 0.87, "x", lw=1.8, **line)
        median = dict(marker="D", markersize=6, color=line["color"], mec="white", mew=0.6)
        if np.isfinite(arm.median.median):
            _draw_marks(axes, [arm.median.median], [row + 0.87], f"{arm.name} median", **median)

        # a dot where a run grokked; where it was last evaluated without that, an open triangle
        step_R, has_grokked_R = arm.durations
        # multiples of the golden ratio spread evenly, however many there are
        height_R = row + 0.57 + 0.26 * ((0.5 + 0.618034 * np.arange(len(step_R))) % 1 - 0.5)
        alpha = float(np.clip(6 / np.sqrt(len(step_R)), 0.2, 0.8))
        for name, here_R, mark in (
            ("grokked", has_grokked_R, dict(marker="o")),
            ("censored", ~has_grokked_R, dict(marker=">", mfc="none")),
        ):
            mark |= dict(color=line["color"], alpha=alpha)
            _draw_marks(axes, step_R[here_R], height_R[here_R], f"{arm.name} {name}", **mark)


def _draw_marks(axes, x_R, y_R, gid, **kwargs):
    """Marks that an edge does not cut, if there are any: a layout takes none for one at (0, 0)."""
    if len(x_R):
        axes.plot(x_R, y_R, clip_on=False, ls="none", gid=gid, **dict(markersize=5) | kwargs)
