"""The style of all pictures: colours, axes, lines with bands, legends and files.

Only matplotlib's object API: no pyplot, no backend, no global style, so a picture needs no
display and leaves a program's other pictures alone. An artist's label is its text in the legend,
its gid says what it shows. Shape letters: E evaluations, R runs, Q quantiles.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, PercentFormatter

from grokjax.recording.files import replacing
from grokjax.recording.history import finite_quantiles

# Okabe and Ito's, distinct to colour-blind readers; yellow last, as it is faint on white
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, YELLOW = "#E69F00", "#56B4E9", "#000000", "#F0E442"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, YELLOW)
LINES = ("-", "--", ":", "-.")
INK, GREY, RULE = "#222222", "#666666", "#E4E4E4"
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
BANDS = {"range": [0, 4], "quartiles": [1, 3]}  # places in QUANTILES

# A decorator of what draws: with the defaults of matplotlib, whatever the user's matplotlibrc says
ours = style.context("default")


def styled(arms: Iterable[Any]) -> list[tuple[Any, dict[str, str]]]:
    """(arm, colour and kind of its lines) for every arm, or whatever has a line of its own."""
    pairs = []
    for number, arm in enumerate(arms):
        kind, colour = divmod(number, len(COLOURS))
        pairs.append((arm, {"color": COLOURS[colour], "ls": LINES[kind % len(LINES)]}))
    if not pairs:
        raise ValueError("there is no arm to draw; choose one or more")
    return pairs


def dress(axes: Axes, title: str, step_E: Sequence[float] | None = None) -> None:
    """Title, ticks, grid and spines, and given the steps, an x axis for them.

    Set here and not in rcParams, which ticks would read later.
    """
    axes.set_title(title, loc="left", size=12, color=INK, weight="bold")
    axes.tick_params(which="both", labelsize=10, color=RULE, labelcolor=INK)
    axes.grid(which="major", color=RULE, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#AAAAAA")
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(size=11, color=INK)
    if step_E is not None:
        step_axis(axes, "x", step_E)


def step_axis(axes: Axes, which: str, step_E: Sequence[float]) -> None:
    """An `x` or `y` axis from the first step after 0 to the last; logarithmic if they are far."""
    low, high = log_limits(step_E, 0.02)
    axes.set(**{f"{which}lim": (low, high), f"{which}label": "step"})
    axis = getattr(axes, f"{which}axis")
    if high > 3 * low:
        axes.set(**{f"{which}scale": "log"})
        axis.set_major_locator(LogLocator(subs=(1,) if high > 300 * low else (1, 2, 5)))
        axis.set_minor_formatter("")
    axis.set_major_formatter("{x:,.0f}")


def log_limits(values: Sequence[float], margin: float) -> tuple[float, float]:
    """From the smallest positive value to the largest, and some of that range on both sides."""
    high = np.max(values)
    low = np.min(values, where=np.greater(values, 0), initial=high)
    if low == high:
        return max(low, 1) / 2, max(high, 1) * 2
    room = (high / low) ** margin
    return low / room, high * room


def percent_axis(axes: Axes) -> None:
    """A y axis from 0 % to 100 % for shares from 0 to 1."""
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_ylim(-0.03, 1.03)


def loss_axis(axes: Axes, bands_QxE: np.ndarray, scale: str) -> None:
    """A `linear` or `log` y axis for the quantiles of losses.

    It shows all quartiles, and of the range what does not make them unreadably small.
    """
    low_E, first_E, _, third_E, high_E = np.nan_to_num(bands_QxE)
    largest = high_E.max()
    tallest = third_E.max()
    if scale == "linear":
        top = 1.05 * min(largest, 2 * tallest) or 1.0
        limits = (-0.02 * top, top)  # a loss of 0 stays off the edge
    elif tallest <= 0:
        limits = (1e-8, 1)
    else:
        smallest, lowest = (e[e > 0].min(initial=tallest) for e in (low_E, first_E))
        limits = max(smallest, lowest / 10) / 1.5, min(largest, tallest * 10) * 1.5
    axes.set_ylim(limits)  # before the scale, which else warns if nothing is positive
    axes.set_yscale(scale)


def quantiles(values_ExR: np.ndarray) -> np.ndarray:
    """`QUANTILES` over the runs [Q, E], of the finite values; NaN where there are none."""
    return np.stack([finite_quantiles(row_R, QUANTILES) for row_R in values_ExR], axis=1)


def draw_runs(
    axes: Axes,
    step_E: np.ndarray,
    values_ExR: np.ndarray,
    alphas: Mapping[str, float],
    **line: Any,
) -> np.ndarray:
    """Draws the median of R runs against the step, and bands around it; returns `quantiles`.

    A finite value without a finite neighbour is a dot.

    Args:
        alphas: of the `BANDS` that are drawn if there are several runs.
        line: of the median, with color and gid.
    """
    bands_QxE = quantiles(values_ExR)
    median_E = bands_QxE[2]
    if values_ExR.shape[1] > 1:
        reach_E = step_E if len(step_E) > 1 else step_E * np.array([0.98, 1.02])  # to be an area
        for name, alpha in alphas.items():
            area = dict(color=line["color"], alpha=alpha, lw=0, gid=f"{line['gid']} {name}")
            axes.fill_between(reach_E, *bands_QxE[BANDS[name]], **area)
    (drawn,) = axes.plot(step_E, median_E, lw=1.8, **line)
    finite_E = np.pad(np.isfinite(median_E), 1)
    alone = np.flatnonzero(finite_E[1:-1] & ~finite_E[:-2] & ~finite_E[2:])
    if alone.size:
        drawn.set(marker="o", markersize=5, markevery=alone.tolist())
    return bands_QxE


def arrow(
    axes: Axes, start: tuple[float, float], offset: tuple[float, float], **kwargs: Any
) -> None:
    """From a point of the axes into a direction (points), where an interval has no bound."""
    line = dict(arrowstyle="<-", color=kwargs["color"], shrinkA=0, shrinkB=0, lw=1.4)
    place = dict(xycoords=kwargs.get("transform", "data"), annotation_clip=False)
    axes.annotate("", start, offset, textcoords="offset points", arrowprops=line, **place)


def legend(figure: Figure, *keys: Artist) -> None:
    """A legend below the panels of every label in them, and of `keys`.

    It has the fewest rows that fit, and makes the figure taller, so that panels keep their size.
    """
    drawn = [artist for axes in figure.axes for artist in axes.get_legend_handles_labels()[0]]
    entries = {artist.get_label(): artist for artist in (*drawn, *keys)}

    def inches(columns):
        parts = np.array_split(list(entries), columns)
        return sum(0.7 + 0.08 * max(map(len, part)) for part in parts)

    def rows(columns):
        return -(-len(entries) // columns)

    fitting = [n for n in range(1, len(entries) + 1) if inches(n) <= figure.get_figwidth()]
    columns = min(fitting, key=rows, default=1)
    figure.set_figheight(figure.get_figheight() + 0.22 * rows(columns))
    outside = dict(loc="outside lower center", ncols=columns, frameon=False)
    figure.legend(entries.values(), entries.keys(), fontsize=10, labelcolor=INK, **outside)


def mark_key(label: str, marker: str, **kwargs: Any) -> Artist:
    """An entry of the legend for a mark that all arms have in their own colours."""
    grey = dict(color=GREY, ls="none", markersize=6)
    return Line2D([], [], marker=marker, label=label, **grey | kwargs)


def band_key(label: str, alpha: float = 0.25) -> Artist:
    """An entry of the legend for the areas that all arms have in their own colours."""
    return Patch(color=GREY, alpha=alpha, lw=0, label=label)


@ours
def save(figure: Figure, path: str | Path) -> None:
    """Writes the picture; the suffix chooses the format (.png, .pdf, .svg)."""
    with replacing(Path(path)) as scratch:
        figure.savefig(scratch, dpi=150, bbox_inches="tight", facecolor="white")


@ours
def check_format(path: Path) -> None:
    """Raises a ValueError if no picture can be written by the suffix of a path."""
    figure = Figure(figsize=(1, 1))
    figure.text(0, 0, "1")
    suffix = path.suffix.lower().removeprefix(".")
    formats = figure.canvas.get_supported_filetypes()
    if suffix not in formats:
        raise ValueError(f"{str(path)!r} is no picture; choose a suffix of: {', '.join(formats)}")
    try:
        figure.savefig(io.BytesIO(), format=suffix)
    except Exception as error:  # such as .pgf without LaTeX
        raise ValueError(f"{str(path)!r} cannot be drawn ({error}); choose .png or .pdf") from error
