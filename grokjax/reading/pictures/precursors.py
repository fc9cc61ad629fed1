"""A picture of precursors: how long before grokking each alarm comes, run by run."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from grokjax.reading.pictures import style
from grokjax.reading.precursors import Precursor

CLOCK = "the clock, from memorising, all runs"


@style.ours
def precursors(found: Sequence[Precursor]) -> Figure:
    """A row for each value, a panel for each arm: a dot for each run, and mean and deviation.

    The first row is the clock that starts at memorising: its leads are the delays themselves.
    """
    arms = list(dict.fromkeys(one.arm for one in found))
    of_arms = [[one for one in found if one.arm == arm] for arm in arms]
    rows = 1 + max(map(len, of_arms))
    figure = Figure(figsize=(8 * len(arms), 1.5 + 0.3 * rows), layout="constrained")
    for axes, arm, members in zip(
        figure.subplots(1, len(arms), squeeze=False)[0], arms, of_arms, strict=True
    ):
        style.dress(axes, f"Steps from alarm to grokking: {arm}")
        axes.grid(visible=False, axis="y")
        leads = [(CLOCK, members[0].leads.delay_R)]
        leads += [(one.value.replace("_", " "), one.leads.lead_R) for one in members]
        for row, (_, lead_R) in enumerate(leads):
            finite = lead_R[np.isfinite(lead_R)]
            colour = style.VERMILION if row == 0 else style.BLUE
            axes.plot(finite, np.full(finite.size, row), "o", ms=4, alpha=0.35, color=colour)
            if finite.size > 1:
                bar = dict(fmt="D", ms=5, color=colour, capsize=3, lw=1.4)
                axes.errorbar(finite.mean(), row, xerr=finite.std(ddof=1), **bar)
        axes.set(xlabel="steps", ylim=(len(leads) - 0.4, -0.6), xlim=(0, None))
        axes.set_yticks(range(len(leads)), [name for name, _ in leads])
        axes.xaxis.set_major_formatter("{x:,.0f}")
    mean = style.mark_key("mean and standard deviation", "D")
    style.legend(figure, style.mark_key("a run that grokked", "o"), mean)
    return figure
