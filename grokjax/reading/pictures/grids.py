"""Pictures of arms that are a grid: steps to grok over one entry of the config, or over two.

Shape letters: P points of a line, X and Y columns and rows of a grid.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from grokjax.reading.arms import Arm
from grokjax.reading.pictures import charts, style
from grokjax.recording.history import finite_median


def phase(arms: Sequence[Arm], x: str, y: str) -> Figure:
    """Median steps to grok and final validation accuracy over a grid of two entries.

    A cell is hatched where less than half of the runs grokked, and says how many did. A
    cell without an arm stays blank.
    """
    cells, columns, rows = _grid(arms, x, y)
    size = max(4.8, 1.8 + 0.75 * len(columns)), max(3.8, 1.3 + 0.5 * len(rows))
    figure = Figure(figsize=(2 * size[0], size[1]), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = {cell: (arm.median.median, charts.count(arm)) for cell, arm in cells.items()}
    final = {
        cell: (finite_median(arm.history["val_accuracy"][-1]), "none")
        for cell, arm in cells.items()
    }
    style.dress_grid(left, "Median steps to grok", columns, rows, x, y)
    style.draw_cells(left, steps, style.step_norm(steps), "viridis_r", "{:,.0f}".format)
    style.dress_grid(right, "Final validation accuracy", columns, rows, x, y)
    style.draw_cells(right, final, Normalize(0, 1), "viridis", lambda share: f"{100 * share:.3g}%")
    return figure


def curve(arms: Sequence[Arm], x: str, best: bool = False) -> Figure:
    """Median steps to grok, or the best validation accuracy, against one numeric entry.

    A line per family, and per value of any other entry that varies in it. Steps have their
    95 % interval, accuracies the quartiles over the runs. An open triangle is an arm of
    which less than half grokked, at the last step.
    """
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    entries = {}
    lines = _lines(arms, x)
    style.dress(axes, "Best validation accuracy" if best else "Median steps to grok")
    for number, (name, points) in enumerate(lines.items()):
        # lines are shifted a little, so that their whiskers do not overlap
        shift = ScaledTranslation((number - (len(lines) - 1) / 2) / 12, 0, figure.dpi_scale_trans)
        draw = _draw_best if best else _draw_medians
        kwargs = charts.line_kwargs(number) | {"transform": axes.transData + shift}
        entries[name] = (draw(axes, points, kwargs),)
    style.value_axis(axes, [value for points in lines.values() for value, _ in points], x)
    if best:
        style.percent_axis(axes)
        marks = {"median, quartiles of the runs": style.key("o", ls="-")}
    else:
        marks = _finish_medians(axes, arms)
    style.wide_legend(figure, entries | marks)
    return figure


def _grid(arms, x, y):
    """{(column, row): arm}, and the values of the columns and of the rows in their order."""
    charts.styled(arms)
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
    for arm, _ in charts.styled(arms):
        _check_entries(arm, x)
        if isinstance(arm.values[x], str):
            raise ValueError(f"{x} is {arm.values[x]!r} in {arm.name}; choose an entry of numbers")
        others = [f"{name}={style.short(v)}" for name, v in arm.values.items() if name != x]
        lines.setdefault(" ".join([arm.family, *others]), []).append((arm.values[x], arm))
    return {name: sorted(points, key=lambda p: p[0]) for name, points in lines.items()}


def _draw_best(axes, points, kwargs):
    """The best validation accuracy of each arm's runs, as median and quartiles; the line."""
    best = [np.fmax.reduce(arm.history["val_accuracy"]) for _, arm in points]
    low_P, median_P, high_P = style.quantiles(best)[1:4]
    x_P = np.array([value for value, _ in points])
    axes.vlines(x_P, low_P, high_P, lw=1.4, color=kwargs["color"], transform=kwargs["transform"])
    return axes.plot(x_P, median_P, marker="o", markersize=6, lw=1.8, **kwargs)[0]


def _draw_medians(axes, points, kwargs):
    """Median steps with their interval, open triangles for those not reached; the line."""
    mark = dict(color=kwargs["color"], transform=kwargs["transform"])
    for x, arm in points:
        median, low, high = arm.median
        last = arm.history["step"][-1]
        if np.isnan(median):
            label = f"{arm.name} censored"
            axes.plot([x], [last], "^", mfc="white", markersize=8, zorder=3, label=label, **mark)
        if np.isnan(median) and np.isnan(low):
            style.arrow(axes, (x, last), (0, 16), **mark)
            continue
        low_and_high = charts.ends(arm)
        axes.vlines(x, *low_and_high, lw=1.4, label=f"{arm.name} interval", **mark)
        for bound, end, side in zip((low, high), low_and_high, (-1, 1), strict=True):
            if np.isnan(bound):
                style.arrow(axes, (x, end), (0, 16 * side), **mark)
    x_P = [x for x, _ in points]
    median_P = [arm.median.median for _, arm in points]
    return axes.plot(x_P, median_P, marker="o", markersize=6, lw=1.8, **kwargs)[0]


def _finish_medians(axes, arms):
    """The y axis of steps, and the legend of their marks."""
    steps = [step for arm in arms for step in arm.median if np.isfinite(step)]
    steps += [arm.history["step"][-1] for arm in arms if np.isnan(arm.median.high)]
    style.step_axis(axes, steps, "y")
    low, high = axes.get_ylim()
    axes.set_ylim(top=high * (high / low) ** 0.05)  # room for the arrows
    marks = {"median, 95 % interval": style.key("o", ls="-")}
    if any(np.isnan(arm.median.median) for arm in arms):
        marks["less than half had grokked by the last evaluation"] = style.key("^", mfc="none")
    return marks
