"""Pictures of what happened: accuracy and loss against the step, as matplotlib figures.

One run is a line; R runs are their median, quartiles and range. The module `charts` compares
several such histories. Shape letters: E evaluations, R runs, Q quantiles.
"""

import functools
import itertools
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea

from grokjax.reading.pictures import style
from grokjax.reading.pictures.style import GREY, INK, RULE, save
from grokjax.recording.history import Grokking, finite_median

__all__ = ["accuracy", "loss", "overview", "save"]

COLOURS = {"train": style.VERMILION, "val": style.BLUE}
NAMES = {"train": "training", "val": "validation"}
TASK_COLOURS = (style.GREEN, style.PURPLE, style.ORANGE, style.SKY, style.BLACK, style.YELLOW)
# per milestone: colour, and where its rug and its text are (fractions of the axes' height)
MILESTONES = {
    "memorised": (COLOURS["train"], (0.955, 0.99), 0.97),
    "grokked": (COLOURS["val"], (0.91, 0.945), 0.48),
}


def accuracy(history: Mapping[str, np.ndarray], grok: Grokking | None = None) -> Figure:
    """Training and validation accuracy of R runs, with the steps of memorising and grokking.

    Args:
        history: `step` [E], `train_accuracy` and `val_accuracy` [E, R].
        grok: of the runs; without it their steps are not marked.
    """
    figure = Figure(figsize=(9, 5), layout="constrained")
    style.legend(figure, _accuracy_panel(figure.subplots(), history, grok))
    return figure


def loss(history: Mapping[str, np.ndarray], grok: Grokking | None = None) -> Figure:
    """Training and validation loss of R runs, on a linear and on a logarithmic axis.

    The linear axis shows how validation loss rises and falls again, the logarithmic one
    how far both descend. Runs whose loss is not finite are left out where it is not.
    """
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    linear, logarithmic = figure.subplots(1, 2)
    _loss_panel(linear, history, grok, "linear")
    style.legend(figure, _loss_panel(logarithmic, history, grok, "log"))
    return figure


def overview(history: Mapping[str, np.ndarray], grok: Grokking, facts: Mapping[str, str]) -> Figure:
    """Accuracy, loss and what else is worth knowing about the runs, side by side.

    Args:
        facts: about ten short lines {name: value}, such as {"model": "transformer"}.
    """
    tasks = [name.partition("/")[2] for name in history if name.startswith("val_accuracy/")]
    panels = 3 if tasks else 2
    figure = Figure(figsize=(3 + 6 * panels, 5), layout="constrained")
    *axes, margin = figure.subplots(1, panels + 1, width_ratios=(1,) * panels + (0.4,))
    entries = _accuracy_panel(axes[0], history, grok)
    if tasks:
        entries |= _tasks_panel(axes[1], history, tasks)
    _loss_panel(axes[-1], history, grok, "log")
    _facts_panel(margin, facts)
    style.legend(figure, entries)
    return figure


def _accuracy_panel(axes, history, grok):
    """Draws the panel; returns its legend {label: artists}."""
    bands_QxE = {split: style.quantiles(history[f"{split}_accuracy"]) for split in COLOURS}
    entries = _draw_bands(axes, history, bands_QxE)
    marks = _draw_milestones(axes, grok)
    _dress(axes, history["step"], "Accuracy")
    style.percent_axis(axes)
    if grok is None:
        return entries
    if grok.grok_R.size == 1:
        _name_milestones(axes, grok, history["step"][-1])
        return entries
    _draw_rugs(axes, grok)
    axes.set_ylim(-0.03, 1.14)  # room for the rugs
    return entries | marks


def _tasks_panel(axes, history, tasks):
    """Draws the median validation accuracy of each task; returns the legend {label: artists}."""
    entries = {}
    for task, colour in zip(tasks, itertools.cycle(TASK_COLOURS), strict=False):
        median_E = [finite_median(row_R) for row_R in history[f"val_accuracy/{task}"]]
        line = style.draw_line(axes, history["step"], median_E, color=colour, label=task)
        entries[f"{task}, validation"] = (line,)
    _dress(axes, history["step"], "Validation accuracy by task")
    style.percent_axis(axes)
    return entries


def _loss_panel(axes, history, grok, scale):
    """Draws the panel with a `linear` or `log` axis; returns its legend {label: artists}."""
    losses = [np.asarray(history[f"{split}_loss"]) for split in COLOURS]
    bands_QxE = dict(zip(COLOURS, map(style.quantiles, losses), strict=True))
    entries = _draw_bands(axes, history, bands_QxE)
    marks = _draw_milestones(axes, grok)

    diverged_R = ~np.isfinite(losses).all(axis=(0, 1))
    note = f" (diverged: {diverged_R.sum():,} of {len(diverged_R):,})" if diverged_R.any() else ""
    _dress(axes, history["step"], ("Loss" if scale == "linear" else "Loss, log scale") + note)
    style.loss_axis(axes, bands_QxE.values(), scale)
    return entries | marks


def _dress(axes, step_E, title):
    style.dress(axes, title)
    style.step_axis(axes, step_E)


def _facts_panel(axes, facts):
    """Two columns of text, as wide as they need to be."""
    axes.axis("off")
    kwargs = dict(size=10, linespacing=1.6, parse_math=False)
    columns = [
        TextArea("\n".join(lines), textprops=kwargs | {"color": colour})
        for lines, colour in ((facts.keys(), GREY), (facts.values(), INK))
    ]
    table = HPacker(children=columns, sep=12, align="top")
    box = AnchoredOffsetbox("upper left", child=table, pad=0.8, borderpad=0)
    box.patch.set(edgecolor=RULE, facecolor="#FAFAFA", boxstyle="round,pad=0,rounding_size=0.4")
    axes.add_artist(box)


def _draw_bands(axes, history, bands_QxE):
    """Draws median, quartiles and range of each split; returns their legend."""
    step_E = np.asarray(history["step"])
    num_runs = np.shape(history["train_accuracy"])[1]
    entries = {}
    ranges = []
    quartiles = []
    for split, (low_E, first_E, median_E, third_E, high_E) in bands_QxE.items():
        name = NAMES[split]
        kwargs = dict(color=COLOURS[split], zorder=2)
        if num_runs > 1:
            band = functools.partial(style.draw_band, axes, step_E, **kwargs)
            ranges.append(band(low_E, high_E, alpha=0.13, label=f"{name} range"))
            quartiles.append(band(first_E, third_E, alpha=0.3, label=f"{name} quartiles"))
        line = style.draw_line(axes, step_E, median_E, label=name, **kwargs)
        entries[f"{name}, median" if num_runs > 1 else name] = (line,)
    if num_runs > 1:
        entries[f"quartiles of {num_runs:,} runs"] = tuple(quartiles)
        entries[f"range of {num_runs:,} runs"] = tuple(ranges)
    return entries


def _milestones(grok):
    """{milestone: steps [R]}, NaN where it never came."""
    return {"memorised": grok.memorised_R, "grokked": grok.grok_R}


def _median(steps_R):
    """The first step by which half of all runs were there; NaN if that never came."""
    median = np.quantile(np.nan_to_num(steps_R, nan=np.inf), 0.5, method="lower")
    return median if np.isfinite(median) else np.nan


def _draw_milestones(axes, grok):
    """A dashed line where half of the runs memorised and one where half grokked; their legend."""
    entries = {}
    for name, steps_R in _milestones(grok).items() if grok else ():
        # a median that is NaN has no place on the axis, but its entry says so
        kwargs = dict(color=MILESTONES[name][0], lw=1.2, ls=(0, (4, 3)), zorder=1.5)
        line = axes.axvline(_median(steps_R), label=name, **kwargs)
        entries[_summary(name, steps_R, grok)] = (line,)
    return entries


def _summary(name, steps_R, grok):
    """Such as `grokked: 60 of 64 runs, median 2,600 (delay 2,300)`."""
    if len(steps_R) == 1:
        return _event(name, grok) or f"not {name}"
    text = f"{name}: {np.isfinite(steps_R).sum():,} of {len(steps_R):,} runs"
    if np.isfinite(_median(steps_R)):
        text += f", median {_median(steps_R):,.0f}"
        delay = _median(grok.delay_R)
        if name == "grokked" and np.isfinite(delay):
            text += f" (delay {delay:,.0f})"
    return text


def _event(name, grok):
    """Of one run, such as `grokked at 2,600 (delay 2,300)`; empty if it did not happen."""
    (step,) = _milestones(grok)[name]
    (delay,) = grok.delay_R
    if np.isnan(step):
        return ""
    if name == "grokked" and np.isfinite(delay):
        return f"grokked at {step:,.0f} (delay {delay:,.0f})"
    return f"{name} at {step:,.0f}"


def _name_milestones(axes, grok, last_step):
    """Writes along the two lines of one run what they are; what never came, at the right edge."""
    for name, (step,) in _milestones(grok).items():
        colour, _, height = MILESTONES[name]
        came = np.isfinite(step)
        text = _event(name, grok) or f"not {name} by {last_step:,}"
        axes.annotate(
            text.replace(" (", "\n("),
            (step if came else 1, height),
            xycoords=axes.get_xaxis_transform() if came else "axes fraction",
            xytext=(4 if came else -4, 0),
            textcoords="offset points",
            rotation=90,
            ha="left" if came else "right",
            va="top",
            size=10,
            color=colour,
            zorder=1.8,  # above the grid, below the curves
            bbox=dict(facecolor="white", edgecolor="none", alpha=0.7, pad=0.5),
        )


def _draw_rugs(axes, grok):
    """A tick per run and milestone along the upper edge; where many coincide it is darker."""
    for name, steps_R in _milestones(grok).items():
        colour, (bottom, top), _ = MILESTONES[name]
        alpha = float(np.clip(4 / np.sqrt(len(steps_R)) - 0.1, 0.1, 0.8))
        kwargs = dict(color=colour, alpha=alpha, lw=1.2, label=f"{name} steps")
        there = steps_R[np.isfinite(steps_R)]
        axes.vlines(there, bottom, top, transform=axes.get_xaxis_transform(), **kwargs)
