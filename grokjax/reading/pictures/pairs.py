"""A picture of pairs: how far each run fell back after it had grokked, beside its partner."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from grokjax.reading.pairs import Comparison
from grokjax.reading.pictures import style


@style.ours
def pairs(found: Sequence[Comparison]) -> Figure:
    """A panel for each comparison: a line for a pair that grokked, a grey dot for a run alone."""
    figure = Figure(figsize=(1.5 + 3.6 * len(found), 5), layout="constrained")
    panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for axes, one in zip(panels, found, strict=True):
        lowest_Px2 = np.stack(one.lowest, axis=1)
        have_both_P = np.isfinite(lowest_Px2).all(axis=1)
        style.dress(axes, f"{have_both_P.sum()} of {one.pairs} pairs grokked")
        axes.grid(visible=False, axis="x")
        for pair, have_both in zip(lowest_Px2, have_both_P, strict=True):
            colour = style.VERMILION if pair[1] < pair[0] else style.BLUE
            colour = colour if have_both else style.GREY
            axes.plot([0, 1], pair, "o-", color=colour, alpha=0.6, ms=5, lw=1.2)
        axes.set_xticks([0, 1], [one.a, one.b])
        axes.set_xlim(-0.3, 1.3)
        axes.axhline(one.threshold, color=style.GREY, ls=":", lw=1)
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    panels[0].set_ylabel("lowest validation accuracy since grokking")
    higher = style.mark_key("higher to the right, or alike", "o", color=style.BLUE)
    lower = style.mark_key("lower to the right", "o", color=style.VERMILION)
    style.legend(figure, higher, lower)
    return figure


def has_any(found: Sequence[Comparison]) -> bool:
    """Is there a pair to draw?"""
    return any(np.isfinite(one.lowest).all(axis=0).any() for one in found)
