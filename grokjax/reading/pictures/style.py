"""The style of all pictures: colours, axes, lines with bands, legends and files.

Only matplotlib's object API: no pyplot, no backend, no global style, so a picture needs no
display and leaves a program's other pictures alone. Shape letters: E evaluations, R runs,
Q quantiles.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import Collection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    NullFormatter,
    NullLocator,
    PercentFormatter,
)

from grokjax.recording.history import finite_quantiles

# Okabe and Ito's, distinct to colour-blind readers; yellow last, as it is faint on white
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, YELLOW = "#E69F00", "#56B4E9", "#000000", "#F0E442"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, YELLOW)
LINES = ("-", "--", ":", "-.")
INK, GREY, RULE = "#222222", "#666666", "#E4E4E4"
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)

Value = float | str  # of an entry of `config.runs`
Cells = Mapping[tuple[int, int], tuple[float, str]]  # (column, row): number, text if it is NaN
Entries = Mapping[str, tuple[Artist, ...]]  # of a legend


def dress(axes: Axes, title: str) -> None:
    """Title, ticks, grid and spines. Set here and not in rcParams, which ticks would read later."""
    axes.set_title(title, loc="left", size=12, color=INK, weight="bold")
    axes.tick_params(which="both", labelsize=10, color=RULE, labelcolor=INK)
    axes.grid(which="major", color=RULE, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#AAAAAA")


def step_axis(axes: Axes, step_E: Sequence[float], which: str = "x", label: str = "step") -> None:
    """A logarithmic `x` or `y` axis from the first step after 0 to the last."""
    low, high = step_limits(step_E)
    axes.set(**{f"{which}lim": (low, high), f"{which}scale": "log"})
    axis = getattr(axes, f"{which}axis")
    axis.set_label_text(label, size=11, color=INK)
    axis.set_major_locator(LogLocator(subs=(1,) if high > 300 * low else (1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axis.set_minor_formatter("")


def step_limits(step_E: Sequence[float]) -> tuple[float, float]:
    """From the first step after 0 to the last, and a little room on both sides."""
    high = np.max(step_E)
    low = np.min(step_E, where=np.greater(step_E, 0), initial=high)
    if low == high:
        return max(low, 1) / 2, max(high, 1) * 2
    room = (high / low) ** 0.02
    return low / room, high * room


def percent_axis(axes: Axes) -> None:
    """A y axis from 0 % to 100 % for shares from 0 to 1."""
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_ylim(-0.03, 1.03)


def value_axis(axes: Axes, values: Sequence[float], name: str) -> None:
    """A linear axis, or a logarithmic one for values of several magnitudes, with their ticks."""
    low = min(values)
    high = max(values)
    logarithmic = low > 0 and high > 20 * low
    if logarithmic:
        axes.set_xscale("log")
        room = (high / low) ** 0.04
        axes.set_xlim(low / room, high * room)
    else:
        room = 0.06 * (high - low) or 0.5 * abs(low) or 1
        axes.set_xlim(low - room, high + room)
    ticks = in_order(values)
    if len(ticks) <= 12:
        axes.set_xticks(ticks, [short(value) for value in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_label_text(name.replace("_", " "), size=11, color=INK)


def dress_grid(
    axes: Axes, title: str, columns: Sequence[Value], rows: Sequence[Value], x: str, y: str
) -> None:
    """An axis with a place for each value, however far apart they are."""
    dress(axes, title)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    for which, values, name in (("x", columns, x), ("y", rows, y)):
        axis = getattr(axes, f"{which}axis")
        axis.set_ticks(range(len(values)), [short(value) for value in values])
        axis.set_label_text(name.replace("_", " "), size=11, color=INK)
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(-0.5, len(rows) - 0.5))


def short(value: Value) -> str:
    """A value of `config.runs` as an axis shows it."""
    return value if isinstance(value, str) else f"{value:g}"


def in_order(values: Iterable[Value]) -> list[Value]:
    """The distinct ones: numbers by size, then words."""
    return sorted(set(values), key=lambda value: (isinstance(value, str), value))


def quantiles(values_ExR: np.ndarray) -> np.ndarray:
    """`QUANTILES` over the runs [Q, E], of the finite values; NaN where there are none."""
    return np.stack([finite_quantiles(row_R, QUANTILES) for row_R in values_ExR], axis=1)


def loss_axis(axes: Axes, bands_QxE: Iterable[np.ndarray], scale: str) -> None:
    """A `linear` or `log` y axis for `quantiles` of several losses.

    It shows all quartiles, and of the range what does not make them unreadably small.
    """
    # limits before the scale, which else looks for its own and warns if nothing is positive
    axes.set_ylim(_loss_limits(np.concatenate(list(bands_QxE), axis=1), scale))
    axes.set_yscale(scale)


def _loss_limits(bands_QxE, scale):
    low_E, first_E, _, third_E, high_E = np.nan_to_num(bands_QxE)
    largest = high_E.max()
    tallest = third_E.max()
    if scale == "linear":
        top = 1.05 * min(largest, 2 * tallest) or 1.0
        return -0.02 * top, top  # a loss of 0 stays off the edge
    if tallest <= 0:
        return 1e-8, 1
    smallest, lowest = (e[e > 0].min(initial=tallest) for e in (low_E, first_E))
    return max(smallest, lowest / 10) / 1.5, min(largest, tallest * 10) * 1.5


def draw_line(axes: Axes, step_E: np.ndarray, values_E: np.ndarray, **kwargs: Any) -> Line2D:
    """A line, with dots at finite values without a finite neighbour; returns it."""
    (line,) = axes.plot(step_E, values_E, lw=1.8, **kwargs)
    if alone := _alone(values_E):
        line.set(marker="o", markersize=5, markevery=alone)
    return line


def draw_band(
    axes: Axes, step_E: np.ndarray, low_E: np.ndarray, high_E: np.ndarray, **kwargs: Any
) -> Collection:
    """The area between two lines; returns it."""
    # a band needs two steps to have an area
    reach_E = step_E if len(step_E) > 1 else step_E * np.array([0.98, 1.02])
    return axes.fill_between(reach_E, low_E, high_E, lw=0, **kwargs)


def draw_marks(axes: Axes, x_R: np.ndarray, y_R: np.ndarray, label: str, **kwargs: Any) -> None:
    """Marks that an edge does not cut, if there are any: a layout takes none for one at (0, 0)."""
    if len(x_R):
        axes.plot(x_R, y_R, clip_on=False, ls="none", label=label, **dict(markersize=5) | kwargs)


def arrow(
    axes: Axes,
    start: tuple[float, float],
    offset: tuple[float, float],
    color: str,
    transform: Any = "data",
) -> None:
    """From a point of the axes into a direction (points), where an interval has no bound."""
    line = dict(arrowstyle="<-", color=color, shrinkA=0, shrinkB=0, lw=1.4)
    place = dict(xy=start, xycoords=transform, annotation_clip=False)
    axes.annotate("", xytext=offset, textcoords="offset points", arrowprops=line, **place)


def draw_cells(
    axes: Axes, cells: Cells, norm: Normalize, colours: str, write: Callable[[float], str]
) -> None:
    """A coloured cell for every number, with its text; a hatched one for what is none.

    Args:
        cells: {(column, row): (number or NaN, text for NaN)}.
    """
    colours = colormaps[colours]
    for (column, row), (number, otherwise) in cells.items():
        known = np.isfinite(number)
        fill = colours(norm(number)) if known else "#EEEEEE"
        hatch = {} if known else dict(hatch="///", ec="#C4C4C4")
        corner = column - 0.49, row - 0.49
        axes.add_patch(Rectangle(corner, 0.98, 0.98, fc=fill, **dict(lw=0) | hatch))
        dark = known and np.dot(fill[:3], (0.3, 0.59, 0.11)) < 0.5
        text = axes.text(column, row, write(number) if known else otherwise, size=10)
        text.set(ha="center", va="center", color="white" if dark else INK)
        if not known:
            text.set_bbox(dict(fc="#EEEEEE", ec="none", pad=1.5))
    if any(np.isfinite(number) for number, _ in cells.values()):
        ticks = LogLocator(subs=(1, 2, 5)) if isinstance(norm, LogNorm) else None
        kwargs = dict(ticks=ticks, format=lambda number, _: write(number))
        bar = axes.figure.colorbar(ScalarMappable(norm, colours), ax=axes, **kwargs)
        bar.ax.tick_params(which="both", labelsize=10, color=RULE, labelcolor=INK)
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
        bar.outline.set_visible(False)


def step_norm(cells: Cells) -> LogNorm:
    """Logarithmic colours for the steps of `cells`."""
    steps = [step for step, _ in cells.values() if np.isfinite(step) and step > 0]
    low = min(steps, default=1)
    high = max(steps, default=1)
    return LogNorm(low, high) if low < high else LogNorm(low / 2, high * 2)


def _alone(values_E):
    """Places of finite values without a finite neighbour: a line would not show them."""
    finite_E = np.pad(np.isfinite(values_E), 1)
    return list(np.flatnonzero(finite_E[1:-1] & ~finite_E[:-2] & ~finite_E[2:]))


def legend(figure: Figure, entries: Entries, columns: int | None = None) -> None:
    """A legend {label: artists} below the panels, where it covers nothing.

    Args:
        columns: two rows of entries, or a few more columns, if not given.
    """
    figure.legend(
        entries.values(),
        entries.keys(),
        loc="outside lower center",
        ncols=columns or max(2, (len(entries) + 1) // 2),
        handler_map={tuple: HandlerTuple(ndivide=None)},
        frameon=False,
        fontsize=10,
        labelcolor=INK,
    )


def wide_legend(figure: Figure, entries: Entries) -> None:
    """`legend` of long labels, in a figure that becomes so much taller that panels keep their size.

    As many columns as the longest label leaves room for.
    """
    inches = 0.7 + 0.08 * max(map(len, entries))
    columns = min(len(entries), max(1, int(figure.get_figwidth() / inches)))
    figure.set_figheight(figure.get_figheight() + 0.22 * -(-len(entries) // columns))
    legend(figure, entries, columns)


def key(marker: str, ls: str = "none", **kwargs: Any) -> tuple[Artist]:
    """An entry of the legend for a mark that all arms have in their own colours."""
    return (Line2D([], [], marker=marker, ls=ls, **dict(color=GREY, markersize=6) | kwargs),)


def patch_key() -> tuple[Artist]:
    """An entry of the legend for the areas that all arms have in their own colours."""
    return (Patch(color=GREY, alpha=0.25, lw=0),)


def save(figure: Figure, path: str | Path) -> None:
    """Writes the picture; the suffix chooses the format (.png, .pdf, .svg)."""
    figure.savefig(path, dpi=150, bbox_inches="tight", facecolor="white")
