"""Interleaved timing rounds, and tables of their results."""

import math
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

import rich.box
from rich.table import Table

from grokjax.recording.output import plain_console

PAUSE = 0.05  # seconds; OpenMP threads go on spinning for some milliseconds after their work
TURN = 1.0  # seconds, of a turn at least: a call costs some ms, for threads have to wake up
TRIAL = 2  # steps of the first trial


class Implementation(NamedTuple):
    """Something to time, turn by turn.

    `start(steps)` gives a generator. Every `next` trains that many steps and waits for the last;
    `send(n)` does so with n steps, which stay for what follows.
    """

    start: Callable[[int], Generator]
    num_runs: int = 1  # trained at once
    may_fail: bool = False  # a failure is a note in the table


def compare(
    implementations: Mapping[str, Implementation], steps: int | None, rounds: int
) -> dict[str, dict]:
    """Times all implementations in interleaved rounds, a turn of each.

    Whatever slows the machine down slows all of them. {name: row}, in their order: a row holds
    `ms`, the milliseconds per step and run of every round, their `median` and `best`, the `steps`
    of a turn, and `ratio`, the best of the first row over this row's; or `note`, why it could not
    be timed.

    Args:
        implementations: by name; the first is the one that the others are compared with.
        steps: of a turn; None: of each implementation as many as take about `TURN` seconds.
        rounds: of each implementation, after turns that compile, warm up, and find the steps.
    """
    trainings, steps_of, notes = _warm_up(implementations, steps)
    rows = {}
    for name, seconds in _time(trainings, rounds).items():
        ms = [1e3 * s / steps_of[name] / implementations[name].num_runs for s in seconds]
        rows[name] = {"ms": ms, "median": median(ms), "best": min(ms), "steps": steps_of[name]}
    for row in rows.values():
        row["ratio"] = next(iter(rows.values()))["best"] / row["best"]
    return {name: rows.get(name) or {"note": notes[name]} for name in implementations}


def _warm_up(implementations, steps):
    """Those that have finished their first turns, the steps of a turn, why others could not."""
    trainings = {}
    steps_of = {}
    notes = {}
    for name, implementation in implementations.items():
        try:
            training = implementation.start(steps or TRIAL)
            next(training)
            steps_of[name] = _find_steps(training, steps)
            trainings[name] = training
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            notes[name] = "not installed"
        except Exception as error:  # of many types: there is no compiler, no memory, ...
            if not implementation.may_fail:
                raise
            notes[name] = f"failed: {str(error).strip().splitlines()[0]}"
    return trainings, steps_of, notes


def _find_steps(training, steps):
    """Those of a turn, of which at least one more has been taken."""
    seconds = _seconds(training)
    if steps:
        return steps
    steps = TRIAL
    seconds = min(seconds, _seconds(training))  # a neighbour's load is no reason for fewer steps
    while seconds < TURN:
        steps = math.ceil(1.2 * TURN / seconds * steps)
        seconds = min(_seconds(training, steps), _seconds(training))  # the first may compile
    return steps


def _seconds(training, steps=None):
    """Of a turn; of another number of steps from now on, if it is given."""
    began = time.perf_counter()
    next(training) if steps is None else training.send(steps)
    return time.perf_counter() - began


def _time(trainings, rounds):
    """{name: seconds of every round}."""
    seconds = {name: [] for name in trainings}
    for _ in range(rounds):
        for name, training in trainings.items():
            time.sleep(PAUSE)
            seconds[name].append(_seconds(training))
    return seconds


def table(rows: Mapping[str, Mapping]) -> str:
    """The rows of `compare` as Markdown."""
    columns = ["ms per step and run", "median", "best", "steps a turn", "grokjax / this"]
    return markdown(columns, [[name, *_cells(**row)] for name, row in rows.items()])


def _cells(note=None, **row):
    if note:
        return [note]
    times = [f"{row[column]:.2f}" for column in ("median", "best")]
    return [*times, f"{row['steps']:,}", f"{row['ratio']:.2f}"]


def seconds_row(seconds: Sequence[float], note: str = "", **more) -> dict:
    """The `seconds` of every round, their `median` and `best`, a note for the table, and more."""
    more |= {"note": note} if note else {}
    return {"seconds": list(seconds), "median": median(seconds), "best": min(seconds), **more}


def seconds_table(rows: Mapping[str, Mapping]) -> str:
    """Rows of seconds as Markdown."""
    lines = [
        [name, f"{row['median']:.2f}", f"{row['best']:.2f}", row.get("note", "")]
        for name, row in rows.items()
    ]
    return markdown(["seconds", "median", "best", "note"], lines)


def markdown(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table to be pasted into README.md: a name on the left, numbers on the right."""
    shown = Table(box=rich.box.MARKDOWN)
    for i, column in enumerate(columns):
        shown.add_column(column, justify="right" if i else "left")
    for cells in lines:
        shown.add_row(*cells)
    console = plain_console(width=1000)
    with console.capture() as printed:
        console.print(shown)
    return "\n".join(line for line in printed.get().splitlines() if line.strip())
