"""Pictures of laws and thresholds. Shape letters: R runs, K entries, P points of a line."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from grokjax.reading.evidence import rate_interval
from grokjax.reading.laws import Law
from grokjax.reading.pictures import style
from grokjax.reading.thresholds import Threshold

MOST_MARKED = 3  # groups whose rates are marked; of more they would be a muddle


@style.ours
def law_picture(found: Law) -> Figure:
    """The times against those of the law, and against each entry at the others' middle values.

    It is the log-normal fit. An open triangle is a censored run: its time is longer. The band
    around a line is what the 95 % interval of its exponent allows.
    """
    log_normal = found.fits[0]
    log_x_RxK = np.log(found.values_RxK)
    part_RxK = (log_x_RxK - log_x_RxK.mean(axis=0)) * log_normal.exponent_K
    middle = np.log(log_normal.constant) + log_x_RxK.mean(axis=0) @ log_normal.exponent_K
    log_time_R = np.log(np.where(found.is_event_R, found.upper_R, found.lower_R))
    count = 1 + len(found.names)
    width = 2 if count == 4 else min(3, count)
    figure = Figure(figsize=(5 * width, 4.2 * -(-count // width)), layout="constrained")
    panels = figure.subplots(-(-count // width), width, squeeze=False).ravel()
    for axes in panels[count:]:
        axes.remove()

    fitted_R = np.exp(middle + part_RxK.sum(axis=1))
    style.dress(panels[0], "Observed and fitted")
    _draw_times(panels[0], fitted_R, np.exp(log_time_R), found)
    every = [*fitted_R, *np.exp(log_time_R)]
    style.step_axis(panels[0], "x", every)
    style.step_axis(panels[0], "y", every)
    panels[0].axline((1, 1), (2, 2), color=style.VERMILION, lw=1.8)
    panels[0].set(xlabel=f"{found.left} by the law, in steps", ylabel=f"{found.left} in steps")
    for k, (name, axes) in enumerate(zip(found.names, panels[1:], strict=False)):
        values_R = found.values_RxK[:, k]
        others_R = part_RxK.sum(axis=1) - part_RxK[:, k]
        bounds = (log_normal.exponent_K[k], log_normal.low_K[k], log_normal.high_K[k])
        style.dress(axes, "{}: exponent {:.2f} [{:.2f}, {:.2f}]".format(_words(name), *bounds))
        _draw_times(axes, values_R, np.exp(log_time_R - others_R), found)
        x_P = np.geomspace(*style.log_limits(values_R, 0.05), 100)
        centred_P = np.log(x_P) - log_x_RxK[:, k].mean()
        line_P, low_P, high_P = (np.exp(middle + b * centred_P) for b in bounds)
        axes.fill_between(x_P, low_P, high_P, color=style.VERMILION, alpha=0.16, lw=0)
        axes.plot(x_P, line_P, color=style.VERMILION, lw=1.8, gid=name)
        _value_axis(axes, values_R, name)
        others = ", other entries at their means" if len(found.names) > 1 else ""
        axes.set_ylabel(f"{found.left} in steps{others}")
    keys = [
        style.mark_key(text, mark, color=style.BLUE, mfc=style.BLUE if mark == "o" else "none")
        for mark, (text, here_R) in _marks(found).items()
        if here_R.any()
    ]
    keys.append(style.mark_key("law, log-normal", "", color=style.VERMILION, ls="-"))
    style.legend(figure, *keys, style.band_key("95 % interval of the exponent"))
    return figure


@style.ours
def critical_picture(entry: str, found: Sequence[Threshold]) -> Figure:
    """The share of runs that grok against an entry, the logistic fit, and where that is half."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    style.dress(axes, "Runs that grokked, and where half of them do")
    style.percent_axis(axes)
    axes.axhline(0.5, color="#AAAAAA", lw=0.8)
    values = np.concatenate([one.value_K for one in found])
    low, high = style.log_limits(values, 0)
    for number, (one, line) in enumerate(style.styled(found)):
        name = one.group or "all runs"
        value_P = np.geomspace(*style.log_limits(one.value_K, 0.03), 200)
        axes.plot(value_P, one.rate(value_P), lw=1.8, label=name, gid=name, **line)
        if len(found) <= MOST_MARKED:
            share_K = one.grokked_K / one.runs_K
            intervals = [
                rate_interval(grokked, runs)
                for grokked, runs in zip(one.grokked_K.tolist(), one.runs_K.tolist(), strict=True)
            ]
            beside_K = one.value_K * (high / low) ** (0.006 * (number - (len(found) - 1) / 2))
            axes.plot(beside_K, share_K, "o", color=line["color"], markersize=6)
            axes.vlines(beside_K, *zip(*intervals, strict=True), color=line["color"], lw=1)
        if np.isfinite(one.critical):
            height = 0.5 + 0.02 * (number - (len(found) - 1) / 2)  # whiskers side by side
            limits = np.where(np.isnan(one[-2:]), one.value_K[[0, -1]], one[-2:])
            axes.plot(limits, [height] * 2, color=line["color"], lw=3, alpha=0.6)
            axes.plot([one.critical], [height], "D", color=line["color"], mec="white", markersize=8)
    _value_axis(axes, values, entry)
    keys = [style.mark_key("critical value, 95 % interval", "D", ls="-")]
    if len(found) <= MOST_MARKED:
        keys.insert(0, style.mark_key("share, Wilson's 95 % interval", "o", ls="-", lw=1))
    style.legend(figure, *keys)
    return figure


def _marks(found):
    """{mark: (its text, which runs)}."""
    return {
        "o": ("a run", found.is_bracketed_R),
        "^": ("censored: its time is longer", ~found.is_event_R),
        "v": ("its time is shorter", found.is_event_R & ~found.is_bracketed_R),
    }


def _draw_times(axes, x_R, time_R, found):
    """A mark for each run, those of one value side by side."""
    style.step_axis(axes, "y", time_R)
    low, high = style.log_limits(x_R, 0)
    order_R = (0.618034 * np.arange(len(x_R))) % 1 - 0.5  # spread evenly, however many there are
    x_R = x_R * (high / low) ** (0.03 * order_R)
    alpha = float(np.clip(6 / np.sqrt(len(x_R)), 0.25, 0.8))
    for mark, (text, here_R) in _marks(found).items():
        look = dict(color=style.BLUE, mfc=style.BLUE if mark == "o" else "none", alpha=alpha)
        axes.plot(x_R[here_R], time_R[here_R], mark, gid=text, markersize=5, **look)


def _value_axis(axes, values, name):
    """A logarithmic x axis with ticks at the values, as many as can be read."""
    low, high = style.log_limits(values, 0.06)
    ticks = []
    for value in np.unique(values):
        if not ticks or np.log(value / ticks[-1]) > 0.07 * np.log(high / low):
            ticks.append(value)
    axes.set(xscale="log", xlim=(low, high), xlabel=_words(name))
    axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def _words(name):
    return name.replace("_", " ")
