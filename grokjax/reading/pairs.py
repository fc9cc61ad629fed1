"""Comparisons of two arms run by run: each pair has a seed, or the state it began with, in common.

Shape letter: P pairs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from grokjax.config import grid
from grokjax.reading.arms import SEEDS, Arm
from grokjax.reading.paired_tests import half, rates, times
from grokjax.reading.references import References
from grokjax.reading.rows import Row, aligned
from grokjax.reading.survival import Durations
from grokjax.recording.history import finite_median
from grokjax.recording.times import threshold_of

HEAD = ["", "A", "B", "A alone", "B alone", "B - A [95 % interval]", "p"]
NOTE = """\
Pairs of runs with the same seed; of a branch, with the same past. Rates: Newcombe's interval of the
difference, and the exact p of McNemar's test. Validation accuracy, medians at the end, and who was
first: the p of the sign test, and for steps of the log-rank test stratified by pair; pairs in which
neither is ahead say nothing. Where steps of the trunk count too, a branch that had grokked by its
first evaluation, as its trunk may have, leaves its pair open."""
NAMES = ("outcome", "of_a", "of_b", "a_alone", "b_alone", "difference", "p")  # in pairs.csv
ONE_CLOCK = ", steps of a branch with those of its trunk before it"


class Comparison(NamedTuple):
    """Two arms, run by run."""

    a: str
    b: str
    pairs: int
    one_clock: bool  # do the steps of the trunk count too?
    cells: list[list[str]]  # as in HEAD
    lowest: tuple[np.ndarray, np.ndarray]  # [P] of a and b, infinite for no grokking
    threshold: float  # of b


def matched(a: Arm, b: Arm) -> tuple[list[int], list[int]]:
    """The runs [P] of each arm that have the same seeds, in the order of b."""
    place = {seeds: r for r, seeds in enumerate(_seeds(a))}
    runs = [(place[seeds], r) for r, seeds in enumerate(_seeds(b)) if seeds in place]
    return [r for r, _ in runs], [r for _, r in runs]


def _seeds(arm):
    """[(seed, split_seed)] of the runs."""
    runs = arm.config["runs"]
    points = dict(zip(grid.labels(runs), grid.grid_points(runs), strict=True))
    return [tuple(points[label][name] for name in SEEDS) for label in arm.labels]


def compare(arms: Sequence[Arm], of_all: bool = False) -> list[Comparison]:
    """Each arm against the one it is compared with; empty if nothing is paired.

    Args:
        arms: in the order of the table of arms.
        of_all: also arms that are no branches, wherever they have seeds in common.

    Raises:
        ValueError: if all are asked for and none have.
    """
    found = []
    before = References()
    on_any_clock = References(any_clock=True)
    for b in arms:
        a = (on_any_clock if of_all else before).of(b)
        one_clock = a is not before.of(b)
        before.add(b)
        on_any_clock.add(b)
        if a is not None and (of_all or "branched" in a.config or "branched" in b.config):
            a_runs, b_runs = matched(a, b)
            if a_runs:
                cells = list(_rows(a, b, a_runs, b_runs, one_clock))
                lowest = (_lowest(a)[a_runs], _lowest(b)[b_runs])
                facts = (len(a_runs), one_clock, cells, lowest, _threshold(b))
                found.append(Comparison(a.name, b.name, *facts))
    if of_all and not found:
        raise ValueError(
            "--paired: no two arms of one task have seeds in common; choose arms that do"
        )
    return found


def summary(found: Sequence[Comparison]) -> str:
    """A table for people of each comparison, and what it says."""
    parts = []
    for one in found:
        said = f"In pairs, {one.a} (A) and {one.b} (B), {one.pairs} seeds"
        parts.append(f"{said}{ONE_CLOCK * one.one_clock}:")
        cells = zip(*one.cells, strict=True)
        parts.append(aligned(dict(zip(HEAD, cells, strict=True)), HEAD[:1]).rstrip())
    return "\n\n".join([*parts, NOTE])


def rows(found: Sequence[Comparison]) -> list[Row]:
    """A line for each outcome of each comparison, for programs."""
    found_rows = []
    for one in found:
        own = {"a": one.a, "b": one.b, "pairs": one.pairs}
        found_rows += [own | dict(zip(NAMES, cells, strict=True)) for cells in one.cells]
    return found_rows


def since_trunk(arm: Arm) -> Durations:
    """When each run grokked, counted from the start of the trunk that it branched from.

    An arm that is no branch, that goes on with the trunk's steps or that takes single weights of it
    has only its own steps. A branch that was there at its first evaluation, as its trunk may have
    been, is censored at 0: of its time nothing is known.
    """
    if not arm.counts_anew:
        return arm.durations
    first_steps = arm.config["branched"]["steps"]
    steps = dict(zip(grid.labels(arm.config["runs"]), first_steps, strict=True))
    before_R = np.array([steps[label] for label in arm.labels])
    came_R, event_observed_R = arm.durations
    is_known_R = ~event_observed_R | (came_R > arm.history["step"][0])
    return Durations((before_R + came_R) * is_known_R, event_observed_R & is_known_R)


def _rows(a, b, a_runs, b_runs, one_clock):
    outcomes = {
        "grokked": [arm.grokking.has_grokked_R for arm in (a, b)],
        "collapsed after": [arm.grokking.collapses_R > 0 for arm in (a, b)],
        "generalised at the end": [_ends_above(arm) for arm in (a, b)],
    }
    for name, (a_R, b_R) in outcomes.items():
        counts = rates(a_R[a_runs], b_R[b_runs])
        low, high = counts.interval
        difference = f"{counts.difference:+.0%} [{low:+.0%}, {high:+.0%}]"
        totals = (counts.both + counts.only_a, counts.both + counts.only_b)
        numbers = map(str, (*totals, counts.only_a, counts.only_b))
        yield [name, *numbers, difference, _p(counts.p)]
    a_P, b_P = a.history["val_accuracy"][-1][a_runs], b.history["val_accuracy"][-1][b_runs]
    higher = (int((a_P > b_P).sum()), int((b_P > a_P).sum()))
    medians = [f"{finite_median(accuracy_P):.2%}" for accuracy_P in (a_P, b_P)]
    yield ["higher validation accuracy", *medians, *map(str, higher), "", _p(half(*higher))]
    a_R, b_R = (since_trunk(arm) if one_clock else arm.durations for arm in (a, b))
    order = times(_some(a_R, a_runs), _some(b_R, b_runs))
    p = f"{_p(order.sign_p)} (log-rank {_p(order.log_rank_p)})"
    yield ["grokked first", "", "", str(order.a_first), str(order.b_first), "", p]


def _some(durations, runs):
    return Durations(*(column_R[runs] for column_R in durations))


def _ends_above(arm):
    """[R]: is validation accuracy at the threshold at the last evaluation?"""
    return arm.history["val_accuracy"][-1] >= _threshold(arm)


def _lowest(arm):
    """[R]: the lowest validation accuracy from the grok step on, infinite without one."""
    since_ExR = arm.history["step"][:, None] >= arm.grokking.grok_R
    return np.where(since_ExR, arm.history["val_accuracy"], np.inf).min(axis=0)


def _threshold(arm):
    return threshold_of(arm.config.get("grok", {}))


def _p(p):
    return "unknown" if np.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"
