"""Pictures of what happened: accuracy and loss against the step, as matplotlib figures.

One run is a line; R runs are their median, quartiles and range. The module `charts` compares
several such histories. Shape letters: E evaluations, R runs, Q quantiles.
"""

import itertools
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea

from grokjax.reading.pictures import style
from grokjax.reading.pictures.style import save as save
from grokjax.recording.history import Grokking, groups_of

SPLITS = {"train": ("training", style.VERMILION), "val": ("validation", style.BLUE)}
ALPHAS = {"range": 0.13, "quartiles": 0.3}
TASK_COLOURS = (style.GREEN, style.PURPLE, style.ORANGE, style.SKY, style.BLACK, style.YELLOW)


@style.ours
def accuracy(history: Mapping[str, np.ndarray], grok: Grokking | None = None) -> Figure:
    """Training and validation accuracy of R runs, with the steps of memorising and grokking.

    Args:
        history: `step` [E], `train_accuracy` and `val_accuracy` [E, R].
        grok: of the runs; without it their steps are not marked.
    """
    figure = Figure(figsize=(9, 5), layout="constrained")
    _accuracy_panel(figure.subplots(), history, grok)
    return _with_legend(figure, history)


@style.ours
def loss(history: Mapping[str, np.ndarray], grok: Grokking | None = None) -> Figure:
    """Training and validation loss of R runs, on a linear and on a logarithmic axis.

    The linear axis shows how validation loss rises and falls again, the logarithmic one
    how far both descend. Runs whose loss is not finite are left out where it is not.
    """
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    for axes, scale in zip(figure.subplots(1, 2), ("linear", "log"), strict=True):
        _loss_panel(axes, history, grok, scale)
    return _with_legend(figure, history)


@style.ours
def overview(history: Mapping[str, np.ndarray], grok: Grokking, facts: Mapping[str, str]) -> Figure:
    """Accuracy, loss and what else is worth knowing about the runs, side by side.

    Args:
        facts: about ten short lines {name: value}, such as {"model": "transformer"}.
    """
    tasks = groups_of(history)
    panels = 3 if tasks else 2
    figure = Figure(figsize=(3 + 6 * panels, 5), layout="constrained")
    *axes, margin = figure.subplots(1, panels + 1, width_ratios=(1,) * panels + (0.4,))
    _accuracy_panel(axes[0], history, grok)
    if tasks:
        _tasks_panel(axes[1], history, tasks)
    _loss_panel(axes[-1], history, grok, "log")
    _facts_panel(margin, facts)
    return _with_legend(figure, history)


def _with_legend(figure, history):
    num_runs = history["val_accuracy"].shape[1]
    keys = []
    if num_runs > 1:
        keys.append(style.band_key(f"quartiles of {num_runs:,} runs", alpha=0.4))
        keys.append(style.band_key(f"range of {num_runs:,} runs", alpha=0.15))
    style.legend(figure, *keys)
    return figure


def _accuracy_panel(axes, history, grok):
    _draw_splits(axes, history, grok, "accuracy")
    style.dress(axes, "Accuracy", history["step"])
    style.percent_axis(axes)
    if grok is None or grok.grok_R.size == 1:
        return
    axes.set_ylim(-0.03, 1.14)  # room for a tick per run, darker where many coincide
    alpha = float(np.clip(4 / np.sqrt(grok.grok_R.size) - 0.1, 0.1, 0.8))
    for name, step_R, colour, height in _milestones(grok):
        kwargs = dict(transform=axes.get_xaxis_transform(), gid=f"{name} steps")
        came_R = step_R[np.isfinite(step_R)]
        axes.vlines(came_R, height, height + 0.035, colour, alpha=alpha, lw=1.2, **kwargs)


def _tasks_panel(axes, history, tasks):
    """The median validation accuracy of each task."""
    for task, colour in zip(tasks, itertools.cycle(TASK_COLOURS), strict=False):
        line = dict(color=colour, label=f"{task}, validation", gid=task)
        style.draw_runs(axes, history["step"], history[f"val_accuracy/{task}"], {}, **line)
    style.dress(axes, "Validation accuracy by task", history["step"])
    style.percent_axis(axes)


def _loss_panel(axes, history, grok, scale):
    bands_QxE = _draw_splits(axes, history, grok, "loss")
    losses = [history[f"{split}_loss"] for split in SPLITS]
    diverged_R = ~np.isfinite(losses).all(axis=(0, 1))
    note = f" (diverged: {diverged_R.sum():,} of {len(diverged_R):,})" if diverged_R.any() else ""
    style.dress(axes, f"Loss{', log scale' if scale == 'log' else ''}{note}", history["step"])
    style.loss_axis(axes, bands_QxE, scale)


def _facts_panel(axes, facts):
    """Two columns of text, as wide as they need to be."""
    axes.axis("off")
    text = dict(size=10, linespacing=1.6, parse_math=False)
    columns = [
        TextArea("\n".join(lines), textprops=text | {"color": colour})
        for lines, colour in ((facts.keys(), style.GREY), (facts.values(), style.INK))
    ]
    table = HPacker(children=columns, sep=12, align="top")
    box = AnchoredOffsetbox("upper left", child=table, pad=0.8, borderpad=0)
    round_ = "round,pad=0,rounding_size=0.4"
    box.patch.set(edgecolor=style.RULE, facecolor="#FAFAFA", boxstyle=round_)
    axes.add_artist(box)


def _draw_splits(axes, history, grok, metric):
    """Draws a metric of both splits, and a line where half of the runs memorised or grokked.

    Returns the quantiles [Q, 2E].
    """
    bands = []
    for split, (name, colour) in SPLITS.items():
        values_ExR = history[f"{split}_{metric}"]
        label = f"{name}, median" if values_ExR.shape[1] > 1 else name
        line = dict(color=colour, label=label, gid=name)
        bands.append(style.draw_runs(axes, history["step"], values_ExR, ALPHAS, **line))
    for name, step_R, colour, _ in _milestones(grok) if grok else ():
        kwargs = dict(color=colour, lw=1.2, ls=(0, (4, 3)), zorder=1.5, gid=name)
        label = _summary(name, step_R, grok, history["step"][-1])
        # a median that is NaN has no place on the axis, but its entry in the legend says so
        axes.axvline(_median(step_R), label=label, **kwargs)
    return np.concatenate(bands, axis=1)


def _milestones(grok):
    """(name, steps [R] with NaN for never, colour, height of its ticks) of each milestone."""
    return (
        ("memorised", grok.memorised_R, style.VERMILION, 0.955),
        ("grokked", grok.grok_R, style.BLUE, 0.91),
    )


def _median(step_R):
    """The first step by which half of all runs were there; NaN if that never came."""
    median = np.quantile(np.nan_to_num(step_R, nan=np.inf), 0.5, method="lower")
    return median if np.isfinite(median) else np.nan


def _summary(name, step_R, grok, last_step):
    """`grokked at 2,600 (delay 2,300)`, or `grokked: 60 of 64 runs, median 2,600 (delay 2,300)`."""
    median = _median(step_R)
    delay = _median(grok.delay_R) if name == "grokked" else np.nan
    after = f" (delay {delay:,.0f})" if np.isfinite(delay) else ""
    if len(step_R) == 1:
        came = np.isfinite(median)
        return f"{name} at {median:,.0f}{after}" if came else f"not {name} by {last_step:,}"
    text = f"{name}: {np.isfinite(step_R).sum():,} of {len(step_R):,} runs"
    return f"{text}, median {median:,.0f}{after}" if np.isfinite(median) else text
