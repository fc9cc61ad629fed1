"""Interleaved timing rounds, and tables of their results."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import NamedTuple

import rich.box
from rich.table import Table

from grokjax.recording.output import plain_console

PAUSE = 0.05  # seconds; OpenMP threads go on spinning for some milliseconds after their work


class Implementation(NamedTuple):
    """Something to time: every `next` trains some steps and waits for the last."""

    start: Callable[[], Iterator]
    num_runs: int = 1  # trained at once
    may_fail: bool = False  # a failure is a note in the table


def compare(
    implementations: Mapping[str, Implementation], steps: int, rounds: int
) -> dict[str, dict]:
    """Times all implementations in one process, in interleaved rounds.

    Whatever slows the machine down slows all of them. {name: row}, in their order: a row holds
    `ms`, the milliseconds per step and run of every round, their `median` and `best`, and
    `ratio`, the best of the first row over this row's; or `note`, why it could not be timed.

    Args:
        implementations: by name; the first is the one that the others are compared with.
        steps: of every `next`.
        rounds: of each implementation, after one that compiles and one that warms up.
    """
    trainings, notes = _warm_up(implementations)
    rows = {}
    for name, seconds in _time(trainings, rounds).items():
        ms = [1e3 * s / steps / implementations[name].num_runs for s in seconds]
        rows[name] = {"ms": ms, "median": median(ms), "best": min(ms)}
    for row in rows.values():
        row["ratio"] = next(iter(rows.values()))["best"] / row["best"]
    return {name: rows.get(name) or {"note": notes[name]} for name in implementations}


def _warm_up(implementations):
    """Those that have finished two rounds, and why the others could not."""
    trainings = {}
    notes = {}
    for name, implementation in implementations.items():
        try:
            training = implementation.start()
            next(training)
            next(training)
            trainings[name] = training
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            notes[name] = "not installed"
        except Exception as error:  # of many types: there is no compiler, no memory, ...
            if not implementation.may_fail:
                raise
            notes[name] = f"failed: {str(error).strip().splitlines()[0]}"
    return trainings, notes


def _time(trainings, rounds):
    """{name: seconds of every round}."""
    seconds = {name: [] for name in trainings}
    for _ in range(rounds):
        for name, training in trainings.items():
            time.sleep(PAUSE)
            began = time.perf_counter()
            next(training)
            seconds[name].append(time.perf_counter() - began)
    return seconds


def table(rows: Mapping[str, Mapping]) -> str:
    """The rows of `compare` as Markdown."""
    lines = [
        [name, row["note"]]
        if "note" in row
        else [name, *(f"{row[column]:.2f}" for column in ("median", "best", "ratio"))]
        for name, row in rows.items()
    ]
    return markdown(["ms per step and run", "median", "best", "grokjax / this"], lines)


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
