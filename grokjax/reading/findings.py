"""What a comparison may say besides its table: laws, critical values, precursors."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from grokjax.reading import laws, pairs, precursors, thresholds
from grokjax.reading.arms import Arm
from grokjax.reading.pictures.laws import critical_picture, law_picture
from grokjax.reading.pictures.pairs import has_any
from grokjax.reading.pictures.pairs import pairs as pairs_picture
from grokjax.reading.pictures.precursors import precursors as precursors_picture
from grokjax.reading.rows import Row


class Finding(NamedTuple):
    """name.csv, a part of summary.md, and name.png if there is a picture of it."""

    name: str
    text: str
    rows: Sequence[Row]
    draw: Callable[[], Figure] | None


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


def paired(arms: Sequence[Arm], of_all: bool = False) -> list[Finding]:
    """Arms compared run by run, see `pairs.compare`; none if nothing is paired."""
    found = pairs.compare(arms, of_all)
    if not found:
        return []
    draw = functools.partial(pairs_picture, found) if has_any(found) else None
    return [Finding("pairs", pairs.summary(found), pairs.rows(found), draw)]
