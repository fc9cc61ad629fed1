"""Pictures that compare arms: runs that differ in nothing but their seeds.

Each arm has one colour in all panels, and from the ninth on another kind of line. A run
that has not grokked is always shown as that, at the step up to which it was followed; medians
of the steps to grok are Kaplan-Meier estimates, which count it too. Shape letters:
E evaluations, R runs, Q quantiles.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from grokjax.reading.arms import Arm
from grokjax.reading.pictures import style
from grokjax.reading.pictures.style import INK, RULE
from grokjax.reading.survival import kaplan_meier


def comparison(arms: Sequence[Arm]) -> Figure:
    """Accuracy, both losses and the steps to grok of every arm, in four panels."""
    figure = Figure(figsize=(13, max(8, len(arms))), layout="constrained")
    axes = figure.subplots(2, 2).ravel()
    pairs = styled(arms)
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
    """The cumulative incidence of grokking in each arm, with a 95 % band.

    Kaplan-Meier estimates; a tick is a run that was followed up to there and had not grokked.
    """
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    entries = {}
    pairs = styled(arms)
    _dress_steps(axes, arms, "Runs that grokked (cumulative incidence)")
    style.percent_axis(axes)
    for arm, kwargs in pairs:
        line = _draw_stairs(axes, arm, kwargs)
        entries[f"{arm.name}: {count(arm)}"] = (line,)
    if not all(arm.durations.event_observed_R.all() for arm in arms):
        entries["not grokked by the last evaluation"] = style.key("|", markersize=9)
    style.wide_legend(figure, entries | {"95 % interval": style.patch_key()})
    return figure


def tasks(arms: Sequence[Arm]) -> Figure:
    """Validation accuracy on each task of a mixture, of the arms that train on it."""
    names = dict.fromkeys(task for arm in arms for task in arm.history.groups)
    panels = {
        task: [(arm, kwargs) for arm, kwargs in styled(arms) if task in arm.trained_tasks]
        for task in names
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


WEIGHTS = {  # metric -> title of its panel
    "weight_norm": "Norm of all weights",
    "last_layer_norm": "Spectral norm of the last layer",
    "update_size": "Size of a step, relative to the weights",
    "grad_norm": "Norm of the gradient",
    "sparsity": "Share of weights below .01",
    "max_train_loss": "Largest loss of a batch",
}


def weights(arms: Sequence[Arm]) -> Figure:
    """What the weights do meanwhile: their norms, their steps, how many are small."""
    known = {m: title for m, title in WEIGHTS.items() if all(m in a.history.arrays() for a in arms)}
    figure, axes = _panels(len(known))
    for panel, (metric, title) in zip(axes, known.items(), strict=True):
        logarithmic = metric in ("update_size", "grad_norm", "max_train_loss")
        scale = ", log scale" if logarithmic else ""
        entries, bands_QxE = _draw_curves(panel, styled(arms), metric, title + scale)
        if logarithmic:
            style.loss_axis(panel, bands_QxE, "log")
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


def styled(arms: Sequence[Arm]) -> list[tuple[Arm, dict[str, str]]]:
    """(arm, the keyword arguments of its lines) for every arm."""
    if not arms:
        raise ValueError("there is no arm to draw; choose one or more")
    return [(arm, line_kwargs(number)) for number, arm in enumerate(arms)]


def line_kwargs(number: int) -> dict[str, str]:
    """Colour and kind of the lines of an arm, or of a family, by its number."""
    kind, colour = divmod(number, len(style.COLOURS))
    return {"color": style.COLOURS[colour], "ls": style.LINES[kind % len(style.LINES)]}


def count(arm: Arm) -> str:
    """Such as `6 of 8`: the runs that grokked."""
    has_grokked_R = arm.durations.event_observed_R
    return f"{has_grokked_R.sum():,} of {has_grokked_R.size:,}"


def _dress_steps(axes, arms, title):
    style.dress(axes, title)
    style.step_axis(axes, np.concatenate([arm.history["step"] for arm in arms]))


def _draw_curves(axes, pairs, metric, title):
    """Median and quartiles of each arm's runs; returns their legend and quantiles [Q, E]."""
    entries = {}
    bands = []
    for arm, kwargs in pairs:
        step_E = arm.history["step"]
        values_ExR = arm.history[metric]
        bands.append(style.quantiles(values_ExR))
        _, first_E, median_E, third_E, _ = bands[-1]
        if values_ExR.shape[1] > 1:
            area = dict(color=kwargs["color"], alpha=0.16, label=f"{arm.name} quartiles")
            style.draw_band(axes, step_E, first_E, third_E, **area)
        entries[arm.name] = (style.draw_line(axes, step_E, median_E, label=arm.name, **kwargs),)
    _dress_steps(axes, [arm for arm, _ in pairs], title)
    return entries, bands


def _quartile_key(arms):
    several = any(len(arm.durations.duration_R) > 1 for arm in arms)
    return {"quartiles of the runs": style.patch_key()} if several else {}


def _steps_panel(axes, pairs):
    """A row per arm: its name and share, a mark per run, and the median with its interval."""
    _dress_steps(axes, [arm for arm, _ in pairs], "Steps to grok")
    axes.grid(visible=False, axis="y")
    axes.set(ylim=(len(pairs), 0), yticks=[])
    for row, (arm, kwargs) in enumerate(pairs):
        text = dict(transform=axes.get_yaxis_transform(), va="center", size=9, color=INK)
        axes.text(0.01, row + 0.17, arm.name, **text, parse_math=False)
        axes.text(0.99, row + 0.17, count(arm), **text, ha="right")
        axes.axhline(row, color=RULE, lw=0.8)
        _draw_runs(axes, row + 0.57, arm, kwargs["color"])
        _draw_interval(axes, row + 0.87, arm, kwargs)
    has_grokked_R = np.concatenate([arm.durations.event_observed_R for arm, _ in pairs])
    marks = {}
    if has_grokked_R.any():
        marks["a run that grokked"] = style.key("o")
    if not has_grokked_R.all():
        marks["not grokked by the last evaluation"] = style.key(">", mfc="none")
    if has_grokked_R.any():
        marks["median, 95 % interval"] = style.key("D", ls="-")
    return marks


def _draw_runs(axes, height, arm, colour):
    """A dot where a run grokked; where it was last evaluated without that, an open triangle."""
    step_R, has_grokked_R = arm.durations
    # multiples of the golden ratio spread evenly, however many there are
    height_R = height + 0.26 * ((0.5 + 0.618034 * np.arange(len(step_R))) % 1 - 0.5)
    alpha = float(np.clip(6 / np.sqrt(len(step_R)), 0.2, 0.8))
    kwargs = dict(color=colour, alpha=alpha)
    for here_R, what, mark in (
        (has_grokked_R, "grokked", dict(marker="o")),
        (~has_grokked_R, "censored", dict(marker=">", mfc="none")),
    ):
        label = f"{arm.name} {what}"
        style.draw_marks(axes, step_R[here_R], height_R[here_R], label=label, **mark, **kwargs)


def _draw_interval(axes, height, arm, kwargs):
    """The median's mark and whiskers, with an arrow where the interval has no bound."""
    median, low, high = arm.median
    if np.isnan(median) and np.isnan(low):
        return
    left_and_right = ends(arm)
    for bound, end, side in zip((low, high), left_and_right, (-1, 1), strict=True):
        if np.isnan(bound):
            style.arrow(axes, (end, height), (16 * side, 0), kwargs["color"])
    axes.plot(left_and_right, [height] * 2, lw=1.8, label=f"{arm.name} interval", **kwargs)
    if np.isfinite(median):
        mark = dict(marker="D", markersize=6, color=kwargs["color"], mec="white", mew=0.6)
        axes.plot([median], [height], ls="none", label=f"{arm.name} median", **mark)


def ends(arm: Arm) -> tuple[float, float]:
    """Where the whiskers of its median end; without an upper bound at the last evaluation.

    Without both bounds there are no whiskers, only arrows from the median.
    """
    median, low, high = arm.median
    open_end = median if np.isnan(low) else arm.history["step"][-1]
    return np.nan_to_num(low, nan=median), np.nan_to_num(high, nan=open_end)


def _draw_stairs(axes, arm, kwargs):
    """The Kaplan-Meier curve with its band and a tick per censored run; returns the curve."""
    step_E, incidence_E, low_E, high_E = kaplan_meier(arm.durations)
    seen_E = np.maximum(step_E, axes.get_xlim()[0])  # step 0 has no place on the axis
    axes.fill_between(seen_E, low_E, high_E, step="post", color=kwargs["color"], alpha=0.12, lw=0)
    (line,) = axes.step(seen_E, incidence_E, where="post", lw=1.8, label=arm.name, **kwargs)
    censored = np.unique(arm.durations.duration_R[~arm.durations.event_observed_R])
    share = incidence_E[np.searchsorted(step_E, censored, side="right") - 1]
    ticks = dict(marker="|", markersize=10, mew=1.6, color=kwargs["color"], zorder=3)
    style.draw_marks(axes, censored, share, f"{arm.name} censored", **ticks)
    return line
