"""What a comparison may say besides its table: laws, critical values, precursors."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from grokjax.reading import laws, precursors, thresholds
from grokjax.reading.arms import Arm
from grokjax.reading.pictures.laws import critical_picture, law_picture
from grokjax.reading.pictures.precursors import precursors as precursors_picture
from grokjax.reading.rows import Row

FINDINGS = ("law.png", "critical.png", "precursors.png")  # and tables of these names


class Finding(NamedTuple):
    """name.csv, name.png and a part of summary.md."""

    name: str
    text: str
    rows: Sequence[Row]
    draw: Callable[[], Figure]


def law(arms: Sequence[Arm], text: str) -> Finding:
    """The exponents of a time, see `laws.fit`; raises a ValueError as that does."""
    found = laws.fit(arms, text)
    return Finding("law", laws.summary(found), laws.rows(found), lambda: law_picture(found))


def critical(arms: Sequence[Arm], entry: str) -> Finding:
    """Where half of the runs grok, see `thresholds.fit`; raises a ValueError as that does."""
    found, notes = thresholds.fit(arms, entry)
    text = thresholds.summary(entry, found, notes)
    rows = thresholds.rows(entry, found)
    return Finding("critical", text, rows, lambda: critical_picture(entry, found))


def signs(arms: Sequence[Arm]) -> Finding:
    """What precedes grokking in each arm; raises a ValueError if runs are too few."""
    found = [one for arm in arms for one in precursors.precursors(arm)]
    rows = precursors.table(found)
    text = precursors.summary(rows)
    return Finding("precursors", text, rows, lambda: precursors_picture(found))
