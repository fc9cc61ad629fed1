"""Pictures of arms that are a grid: steps to grok over one entry of the config, or over two.

Shape letters: P points of a line, X and Y columns and rows of a grid.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from grokjax.config.grid import label
from grokjax.reading.arms import Arm
from grokjax.reading.pictures import charts, style
from grokjax.recording.history import finite_median


@style.ours
def phase(arms: Sequence[Arm], x: str, y: str) -> Figure:
    """Median steps to grok and final validation accuracy over a grid of two entries.

    A cell is hatched where less than half of the runs grokked, and says how many did. A
    cell without an arm stays blank.
    """
    columns, rows = (_values(arms, entry) for entry in (x, y))
    cells = _cells(arms, x, y, columns, rows)
    size = max(4.8, 1.8 + 0.75 * len(columns)), max(3.8, 1.3 + 0.5 * len(rows))
    figure = Figure(figsize=(2 * size[0], size[1]), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, title in ((left, "Median steps to grok"), (right, "Final validation accuracy")):
        style.dress(axes, title)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(-0.5, len(rows) - 0.5))
        axes.set_xticks(range(len(columns)), map(_short, columns))
        axes.set_yticks(range(len(rows)), map(_short, rows))
        axes.set(xlabel=x.replace("_", " "), ylabel=y.replace("_", " "))

    steps = {cell: (arm.median.median, charts.count(arm)) for cell, arm in cells.items()}
    accuracy = {
        cell: (finite_median(arm.history["val_accuracy"][-1]), "none")
        for cell, arm in cells.items()
    }
    known = [median for median, _ in steps.values() if np.isfinite(median)]
    norm = LogNorm(*style.log_limits(known or [1], margin=0))
    _draw_cells(left, steps, norm, "viridis_r", "{:,.0f}".format)
    _draw_cells(right, accuracy, Normalize(0, 1), "viridis", lambda share: f"{100 * share:.3g}%")
    return figure


@style.ours
def curve(arms: Sequence[Arm], x: str, best: bool = False) -> Figure:
    """Median steps to grok, or the best validation accuracy, against one numeric entry.

    A line per family, and per value of any other entry that varies in it. Steps have their
    95 % interval, accuracies the quartiles over the runs. An open triangle is an arm of
    which less than half grokked, at the last step.
    """
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    lines = _lines(arms, x)
    style.dress(axes, "Best validation accuracy" if best else "Median steps to grok")
    for number, ((name, of_line), look) in enumerate(style.styled(lines.items())):
        # lines are shifted a little, so that their whiskers do not overlap
        shift = ScaledTranslation((number - (len(lines) - 1) / 2) / 12, 0, figure.dpi_scale_trans)
        mark = {"color": look["color"], "transform": axes.transData + shift}
        values_P = [arm.values[x] for arm in of_line]
        middle_P = (_draw_accuracies if best else _draw_medians)(axes, of_line, values_P, mark)
        line = dict(marker="o", markersize=6, lw=1.8, label=name, ls=look["ls"])
        axes.plot(values_P, middle_P, **line, **mark)
    _value_axis(axes, _values(arms, x), x)
    if best:
        style.percent_axis(axes)
        keys = [style.mark_key("median, quartiles of the runs", "o", ls="-")]
    else:
        _median_axis(axes, arms)
        keys = [style.mark_key("median, 95 % interval", "o", ls="-")]
        if any(np.isnan(arm.median.median) for arm in arms):
            text = "less than half had grokked by the last evaluation"
            keys.append(style.mark_key(text, "^", mfc="none"))
    style.legend(figure, *keys)
    return figure


def _values(arms, entry):
    """The values of an entry in the arms, each once, in their order."""
    for arm, _ in style.styled(arms):
        if entry not in arm.values:
            given = ", ".join(arm.values) or "nothing"
            raise ValueError(f"{entry} does not vary in {arm.name}; what varies there: {given}")
    return sorted({arm.values[entry] for arm in arms})


def _cells(arms, x, y, columns, rows):
    """{(column, row): arm}."""
    cells = {}
    for arm in arms:
        cell = columns.index(arm.values[x]), rows.index(arm.values[y])
        if cell in cells:
            raise ValueError(
                f"{cells[cell].name} and {arm.name} have the same {x} and {y}; choose arms of "
                "one family that differ in nothing else"
            )
        cells[cell] = arm
    return cells


def _short(value):
    return value if isinstance(value, str) else f"{value:g}"


def _draw_cells(axes, cells, norm, colours, write):
    """A coloured cell for every number, with its text; a hatched one for what is none.

    Args:
        cells: {(column, row): (number or NaN, text for NaN)}.
    """
    colours = colormaps[colours]
    for (column, row), (number, otherwise) in cells.items():
        corner = (column - 0.49, row - 0.49)
        text = dict(ha="center", va="center", size=10)
        if np.isfinite(number):
            fill = colours(norm(number))
            axes.add_patch(Rectangle(corner, 0.98, 0.98, fc=fill, lw=0))
            dark = np.dot(fill[:3], (0.3, 0.59, 0.11)) < 0.5
            axes.text(column, row, write(number), color="white" if dark else style.INK, **text)
        else:
            fill = dict(fc="#EEEEEE", ec="#C4C4C4", hatch="///", lw=0)
            axes.add_patch(Rectangle(corner, 0.98, 0.98, **fill))
            behind = dict(fc="#EEEEEE", ec="none", pad=1.5)
            axes.text(column, row, otherwise, color=style.INK, bbox=behind, **text)
    if any(np.isfinite(number) for number, _ in cells.values()):
        ticks = LogLocator(subs=(1, 2, 5)) if isinstance(norm, LogNorm) else None
        kwargs = dict(ticks=ticks, format=lambda number, _: write(number))
        bar = axes.figure.colorbar(ScalarMappable(norm, colours), ax=axes, **kwargs)
        bar.ax.tick_params(which="both", labelsize=10, color=style.RULE, labelcolor=style.INK)
        bar.ax.yaxis.set_minor_formatter("")
        bar.outline.set_visible(False)


def _lines(arms, x):
    """{name: arms in the order of x}: a line per family and other values."""
    _values(arms, x)
    lines = {}
    for arm in arms:
        if isinstance(arm.values[x], str):
            raise ValueError(f"{x} is {arm.values[x]!r} in {arm.name}; choose an entry of numbers")
        others = label({name: value for name, value in arm.values.items() if name != x})
        lines.setdefault(f"{arm.family} {others}".strip(), []).append(arm)
    return {name: sorted(of_line, key=lambda arm: arm.values[x]) for name, of_line in lines.items()}


def _draw_accuracies(axes, arms, values_P, mark):
    """Quartiles of each arm's best validation accuracies; returns their medians."""
    best = [np.fmax.reduce(arm.history["val_accuracy"]) for arm in arms]
    low_P, median_P, high_P = style.quantiles(best)[1:4]
    axes.vlines(values_P, low_P, high_P, lw=1.4, **mark)
    return median_P


def _draw_medians(axes, arms, values_P, mark):
    """The interval of each arm's median, open triangles where it was not reached; the medians."""
    for value, arm in zip(values_P, arms, strict=True):
        last = arm.history["step"][-1]
        charts.draw_interval(axes, arm, value, "y", lw=1.4, **mark)
        if np.isnan(arm.median.median):
            triangle = dict(mfc="white", markersize=8, zorder=3, gid=f"{arm.name} censored")
            axes.plot([value], [last], "^", **triangle, **mark)
            if np.isnan(arm.median.low):
                style.arrow(axes, (value, last), (0, 16), **mark)
    return [arm.median.median for arm in arms]


def _value_axis(axes, values, name):
    """A linear x axis, or a logarithmic one for values of several magnitudes, with their ticks."""
    low = min(values)
    high = max(values)
    if low > 0 and high > 20 * low:
        axes.set(xscale="log", xlim=style.log_limits(values, 0.04))
    else:
        room = 0.06 * (high - low) or 0.5 * abs(low) or 1
        axes.set_xlim(low - room, high + room)
    if len(values) <= 12:
        axes.set_xticks(values, map(_short, values))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(name.replace("_", " "))


def _median_axis(axes, arms):
    """A y axis of steps, with room for the arrows."""
    steps = [step for arm in arms for step in arm.median if np.isfinite(step)]
    steps += [arm.history["step"][-1] for arm in arms if np.isnan(arm.median.high)]
    style.step_axis(axes, "y", steps)
    low, high = axes.get_ylim()
    axes.set_ylim(top=high * (high / low) ** 0.05)
