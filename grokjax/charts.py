"""Pictures that compare arms: runs that differ in nothing but their seeds.

Each arm has one colour in all panels, and from the ninth on another kind of line. A run
that has not grokked is always shown as that, at the step to which it was watched; medians
of the steps to grok are Kaplan-Meier estimates, which count it too. Shape letters:
E evaluations, R runs, Q quantiles, P points of a line, X and Y columns and rows of a grid.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from grokjax import statistics, style
from grokjax.metrics import History
from grokjax.statistics import Times
from grokjax.style import INK, RULE


class Arm(Protocol):
    """What a picture needs to know of R runs that differ in nothing but their seeds."""

    name: str
    family: str
    values: Mapping[str, Any]  # what tells it from the other arms of its family
    history: History
    times: Times


def comparison(arms: Sequence[Arm]) -> Figure:
    """Accuracy, both losses and the steps to grok of every arm, in four panels."""
    figure = Figure(figsize=(13, max(8, len(arms))), layout="constrained")
    axes = figure.subplots(2, 2).ravel()
    pairs = _looks(arms)
    entries, _ = _draw_curves(axes[0], pairs, "val_accuracy", "Validation accuracy")
    style.percent_axis(axes[0])
    for panel, side in zip(axes[1:3], ("Training", "Validation"), strict=True):
        metric = {"Training": "train_loss", "Validation": "val_loss"}[side]
        _, bands_QxE = _draw_curves(panel, pairs, metric, f"{side} loss, log scale")
        style.loss_axis(panel, bands_QxE, "log")
    marks = _steps_panel(axes[3], pairs)
    style.wide_legend(figure, entries | _quartile_key(arms) | marks)
    return figure


def survival(arms: Sequence[Arm]) -> Figure:
    """The share of each arm's runs that has grokked by each step, with a 95 % band.

    Kaplan-Meier estimates; a tick is a run that was watched to there and had not grokked.
    """
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes, entries = figure.subplots(), {}
    pairs = _looks(arms)
    _dress_steps(axes, arms, "Share of runs that grokked")
    style.percent_axis(axes)
    for arm, look in pairs:
        line = _draw_stairs(axes, arm, look)
        entries[f"{arm.name}: {_count(arm)}"] = (line,)
    if not all(arm.times.came_R.all() for arm in arms):
        entries["not grokked when last watched"] = style.key("|", markersize=9)
    style.wide_legend(figure, entries | {"95 % interval": style.patch_key()})
    return figure


def phase(arms: Sequence[Arm], x: str, y: str) -> Figure:
    """Median steps to grok and final validation accuracy over a grid of two entries.

    A cell is hatched where less than half of the runs grokked, and says how many did. A
    cell without an arm stays blank.
    """
    cells, columns, rows = _grid(arms, x, y)
    size = max(4.8, 1.8 + 0.75 * len(columns)), max(3.8, 1.3 + 0.5 * len(rows))
    figure = Figure(figsize=(2 * size[0], size[1]), layout="constrained")
    left, right = figure.subplots(1, 2)
    medians = {cell: statistics.median_time(arm.times).median for cell, arm in cells.items()}
    steps = {
        cell: (np.nan, _count(arm)) if medians[cell] is None else (medians[cell], "")
        for cell, arm in cells.items()
    }
    final = {
        cell: (statistics.finite_median(arm.history["val_accuracy"][-1]), "none")
        for cell, arm in cells.items()
    }
    style.dress_grid(left, "Median steps to grok", columns, rows, x, y)
    style.draw_cells(left, steps, style.step_norm(steps), "viridis_r", _whole)
    style.dress_grid(right, "Final validation accuracy", columns, rows, x, y)
    style.draw_cells(right, final, Normalize(0, 1), "viridis", _percent)
    return figure


def curve(arms: Sequence[Arm], x: str, best: bool = False) -> Figure:
    """Median steps to grok, or the best validation accuracy, against one numeric entry.

    A line per family, and per value of any other entry that varies in it. Steps have their
    95 % interval, accuracies the quartiles over the runs. An open triangle is an arm of
    which less than half grokked, at the step to which it was watched.
    """
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes, entries = figure.subplots(), {}
    lines = _lines(arms, x)
    style.dress(axes, "Best validation accuracy" if best else "Median steps to grok")
    for number, (name, points) in enumerate(lines.items()):
        # lines stand a little apart, so that their whiskers can be told apart
        shift = ScaledTranslation((number - (len(lines) - 1) / 2) / 12, 0, figure.dpi_scale_trans)
        draw = _draw_best if best else _draw_medians
        look = _look(number) | {"transform": axes.transData + shift}
        entries[name] = (draw(axes, points, look),)
    style.value_axis(axes, [value for points in lines.values() for value, _ in points], x)
    style.wide_legend(figure, entries | (_finish_best if best else _finish_medians)(axes, arms))
    return figure


def tasks(arms: Sequence[Arm]) -> Figure:
    """Validation accuracy on each task of a mixture, of the arms that train on it."""
    names = dict.fromkeys(task for arm in arms for task in arm.history.groups)
    panels = {
        task: [(arm, look) for arm, look in _looks(arms) if _trains_on(arm, task)] for task in names
    }
    panels = {task: pairs for task, pairs in panels.items() if pairs}
    if not panels:
        raise ValueError("none of these arms trains on a mixture; choose arms of mixtures")
    figure, axes = _panels(len(panels))
    drawn = {}
    for panel, (task, pairs) in zip(axes, panels.items(), strict=True):
        title = f"Validation accuracy, {task}"
        drawn |= _draw_curves(panel, pairs, f"val_accuracy/{task}", title)[0]
        style.percent_axis(panel)
    entries = {arm.name: drawn[arm.name] for arm in arms if arm.name in drawn}
    style.wide_legend(figure, entries | _quartile_key(arms))
    return figure


def _panels(number):
    """A figure, and its panels in rows of up to three."""
    width = min(3, number)
    height = -(-number // width)
    figure = Figure(figsize=(max(8, 5.5 * width), 4.2 * height), layout="constrained")
    axes = figure.subplots(height, width, squeeze=False).ravel()
    for empty in axes[number:]:
        empty.remove()
    return figure, axes[:number]


def _looks(arms):
    """(arm, how its lines look) for every arm."""
    if not arms:
        raise ValueError("there is no arm to draw; choose one or more")
    return [(arm, _look(number)) for number, arm in enumerate(arms)]


def _look(number):
    kind, colour = divmod(number, len(style.COLOURS))
    return {"color": style.COLOURS[colour], "ls": style.LINES[kind % len(style.LINES)]}


def _count(arm):
    """Such as `6 of 8`: the runs that grokked."""
    return f"{arm.times.came_R.sum():,} of {len(arm.times.came_R):,}"


def _whole(step):
    return f"{step:,.0f}"


def _percent(share):
    return f"{100 * share:.3g}%"


def _dress_steps(axes, arms, title):
    style.dress(axes, title)
    style.step_axis(axes, np.concatenate([arm.history["step"] for arm in arms]))


def _draw_curves(axes, pairs, metric, title):
    """Median and quartiles of each arm's runs; returns their legend and quantiles [Q, E]."""
    entries, bands = {}, []
    for arm, look in pairs:
        step_E, values_ExR = arm.history["step"], arm.history[metric]
        bands.append(style.quantiles(values_ExR))
        _, first_E, median_E, third_E, _ = bands[-1]
        if values_ExR.shape[1] > 1:
            area = dict(color=look["color"], alpha=0.16, label=f"{arm.name} quartiles")
            style.draw_band(axes, step_E, first_E, third_E, **area)
        entries[arm.name] = (style.draw_line(axes, step_E, median_E, label=arm.name, **look),)
    _dress_steps(axes, [arm for arm, _ in pairs], title)
    return entries, bands


def _quartile_key(arms):
    several = any(len(arm.times.step_R) > 1 for arm in arms)
    return {"quartiles of the runs": style.patch_key()} if several else {}


def _steps_panel(axes, pairs):
    """A row per arm: its name and share, a mark per run, and the median with its interval."""
    _dress_steps(axes, [arm for arm, _ in pairs], "Steps to grok")
    axes.grid(visible=False, axis="y")
    axes.set(ylim=(len(pairs), 0), yticks=[])
    for row, (arm, look) in enumerate(pairs):
        text = dict(transform=axes.get_yaxis_transform(), va="center", size=9, color=INK)
        axes.text(0.01, row + 0.17, arm.name, **text, parse_math=False)
        axes.text(0.99, row + 0.17, _count(arm), **text, ha="right")
        axes.axhline(row, color=RULE, lw=0.8)
        _draw_runs(axes, row + 0.57, arm, look["color"])
        _draw_interval(axes, row + 0.87, arm, look)
    came_R = np.concatenate([arm.times.came_R for arm, _ in pairs])
    marks = {"a run that grokked": style.key("o")} if came_R.any() else {}
    if not came_R.all():
        marks["not grokked when last watched"] = style.key(">", mfc="none")
    return marks | ({"median, 95 % interval": style.key("D", ls="-")} if came_R.any() else {})


def _draw_runs(axes, height, arm, colour):
    """A dot where a run grokked; where it was watched without that, an open triangle."""
    step_R, came_R = arm.times
    # multiples of the golden ratio spread evenly, however many there are
    height_R = height + 0.26 * ((0.5 + 0.618034 * np.arange(len(step_R))) % 1 - 0.5)
    alpha = float(np.clip(6 / np.sqrt(len(step_R)), 0.2, 0.8))
    look = dict(color=colour, alpha=alpha)
    for here_R, what, mark in (
        (came_R, "grokked", dict(marker="o")),
        (~came_R, "censored", dict(marker=">", mfc="none")),
    ):
        label = f"{arm.name} {what}"
        style.draw_marks(axes, step_R[here_R], height_R[here_R], label=label, **mark, **look)


def _draw_interval(axes, height, arm, look):
    """The median's mark and whiskers, with an arrow where the interval has no bound."""
    median, low, high = interval = statistics.median_time(arm.times)
    if median is None and low is None:
        return
    ends = _ends(arm, interval)
    for bound, end, side in zip((low, high), ends, (-1, 1), strict=True):
        if bound is None:
            style.arrow(axes, (end, height), (16 * side, 0), look["color"])
    axes.plot(ends, [height] * 2, lw=1.8, label=f"{arm.name} interval", **look)
    if median is not None:
        mark = dict(marker="D", markersize=6, color=look["color"], mec="white", mew=0.6)
        axes.plot([median], [height], ls="none", label=f"{arm.name} median", **mark)


def _ends(arm, interval):
    """Where the whiskers end; without an upper bound where we stopped watching.

    Without both bounds there are no whiskers, only arrows from the median.
    """
    median, low, high = interval
    if low is None:
        return median, median if high is None else high
    return low, arm.history["step"][-1] if high is None else high


def _draw_stairs(axes, arm, look):
    """The Kaplan-Meier curve with its band and a tick per censored run; returns the curve."""
    step_E, share_E, low_E, high_E = statistics.survival(arm.times)
    seen_E = np.maximum(step_E, axes.get_xlim()[0])  # step 0 has no place on the axis
    axes.fill_between(seen_E, low_E, high_E, step="post", color=look["color"], alpha=0.12, lw=0)
    (line,) = axes.step(seen_E, share_E, where="post", lw=1.8, label=arm.name, **look)
    censored = np.unique(arm.times.step_R[~arm.times.came_R])
    share = share_E[np.searchsorted(step_E, censored, side="right") - 1]
    ticks = dict(marker="|", markersize=10, mew=1.6, color=look["color"], zorder=3)
    style.draw_marks(axes, censored, share, f"{arm.name} censored", **ticks)
    return line


def _grid(arms, x, y):
    """{(column, row): arm}, and the values of the columns and of the rows in their order."""
    _looks(arms)
    for arm in arms:
        _check_entries(arm, x, y)
    columns, rows = (style.in_order(arm.values[entry] for arm in arms) for entry in (x, y))
    cells = {}
    for arm in arms:
        cell = columns.index(arm.values[x]), rows.index(arm.values[y])
        if cell in cells:
            raise ValueError(
                f"{cells[cell].name} and {arm.name} have the same {x} and {y}; choose arms of "
                "one family that differ in nothing else"
            )
        cells[cell] = arm
    return cells, columns, rows


def _check_entries(arm, *entries):
    for entry in entries:
        if entry not in arm.values:
            given = ", ".join(arm.values) or "nothing"
            raise ValueError(f"{entry} does not vary in {arm.name}; what varies there: {given}")


def _lines(arms, x):
    """{name: [(value of x, arm)] in the order of x}: a line per family and other values."""
    lines = {}
    for arm, _ in _looks(arms):
        _check_entries(arm, x)
        if isinstance(arm.values[x], str):
            raise ValueError(f"{x} is {arm.values[x]!r} in {arm.name}; choose an entry of numbers")
        others = [f"{name}={style.short(v)}" for name, v in arm.values.items() if name != x]
        lines.setdefault(" ".join([arm.family, *others]), []).append((arm.values[x], arm))
    return {name: sorted(points, key=lambda p: p[0]) for name, points in lines.items()}


def _draw_best(axes, points, look):
    """The best validation accuracy of each arm's runs, as median and quartiles; the line."""
    best = [np.fmax.reduce(arm.history["val_accuracy"]) for _, arm in points]
    low_P, median_P, high_P = style.quantiles(best)[1:4]
    x_P = np.array([value for value, _ in points])
    axes.vlines(x_P, low_P, high_P, lw=1.4, color=look["color"], transform=look["transform"])
    return axes.plot(x_P, median_P, marker="o", markersize=6, lw=1.8, **look)[0]


def _draw_medians(axes, points, look):
    """Median steps with their interval, open triangles for those not reached; the line."""
    medians = [statistics.median_time(arm.times) for _, arm in points]
    mark = dict(color=look["color"], transform=look["transform"])
    for (x, arm), (median, low, high) in zip(points, medians, strict=True):
        last = arm.history["step"][-1]
        if median is None:
            label = f"{arm.name} censored"
            axes.plot([x], [last], "^", mfc="white", markersize=8, zorder=3, label=label, **mark)
        if median is None and low is None:
            style.arrow(axes, (x, last), (0, 16), **mark)
            continue
        ends = _ends(arm, (median, low, high))
        axes.vlines(x, *ends, lw=1.4, label=f"{arm.name} interval", **mark)
        for bound, end, side in zip((low, high), ends, (-1, 1), strict=True):
            if bound is None:
                style.arrow(axes, (x, end), (0, 16 * side), **mark)
    x_P = [x for x, _ in points]
    median_P = [np.nan if median is None else median for median, _, _ in medians]
    return axes.plot(x_P, median_P, marker="o", markersize=6, lw=1.8, **look)[0]


def _finish_best(axes, arms):
    """The y axis of accuracies, and the legend of their marks."""
    del arms
    style.percent_axis(axes)
    return {"median, quartiles of the runs": style.key("o", ls="-")}


def _finish_medians(axes, arms):
    """The y axis of steps, and the legend of their marks."""
    medians = [statistics.median_time(arm.times) for arm in arms]
    steps = [step for interval in medians for step in interval if step is not None]
    open_ended = [arm for arm, (*_, high) in zip(arms, medians, strict=True) if high is None]
    style.step_axis(axes, steps + [arm.history["step"][-1] for arm in open_ended], "y")
    low, high = axes.get_ylim()
    axes.set_ylim(top=high * (high / low) ** 0.05)  # room for the arrows
    marks = {"median, 95 % interval": style.key("o", ls="-")}
    if any(interval.median is None for interval in medians):
        marks["less than half had grokked when last watched"] = style.key("^", mfc="none")
    return marks


def _trains_on(arm, task):
    """Has it training examples of this task? Without any, their accuracy is no number."""
    return task in arm.history.groups and np.isfinite(arm.history[f"train_accuracy/{task}"]).any()
