"""Seconds from the command to 99 % validation accuracy, by the recipe of `configs/speedrun.py`.

    python -m benchmarks.time_to_grok
    python -m benchmarks.time_to_grok --quick --json time_to_grok.jsonl

Every seed is trained by a process of its own, one after the other, with a full compilation cache:
one more process before them fills it. A seed has grokked at the first of three evaluations in a
row with 99 % validation accuracy, and the clock stops when that evaluation is known, although
only the next two show that it was the one.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from statistics import median
from tempfile import TemporaryDirectory

from ml_collections import ConfigDict

import grokjax
from benchmarks import harness, process
from benchmarks.command import Benchmark
from benchmarks.problem import ROOT

COLUMNS = ("step", "seconds", "exit")


def measure(config: ConfigDict, *, seeds: int = 20) -> dict[str, dict]:
    """{name: row} for every seed, then the `median` and the `maximum` of them all.

    A row holds the `step` at which a seed grokked, the `seconds` until that was known, both None if
    it did not, and the seconds to the `exit` of its process.

    Args:
        config: with one value for every entry of `config.runs` but the seed.
        seeds: number of seeds, from 0.
    """
    with TemporaryDirectory() as cache:
        time_seed(config, 0, cache)
        rows = {f"seed={seed}": time_seed(config, seed, cache) for seed in range(seeds)}
    over_all = {"median": median, "maximum": max}
    return rows | {name: _over(rows.values(), statistic) for name, statistic in over_all.items()}


def time_seed(config: ConfigDict, seed: int, cache: str) -> dict:
    """The row of one seed."""
    config = ConfigDict(config.to_dict())
    config.runs = grokjax.grid(config.runs, seed=seed)
    training = process.train(config, cache)
    (run,) = training.summary["runs"]
    step = run["grok_step"]
    seconds = None if step is None else training.seconds_of_step[step]
    return {"step": step, "seconds": seconds, "exit": training.exit_seconds}


def _over(rows: Iterable[Mapping], statistic: Callable) -> dict:
    """A row of statistics, in which never is later than any step."""

    def of(column):
        value = statistic([math.inf if row[column] is None else row[column] for row in rows])
        return value if math.isfinite(value) else None

    return {column: of(column) for column in COLUMNS}


def table(rows: Mapping[str, Mapping]) -> str:
    """The rows as Markdown, and how many seeds grokked."""
    lines = [[name, *_cells(**row)] for name, row in rows.items()]
    steps = [row["step"] for name, row in rows.items() if name.startswith("seed=")]
    grokked = sum(step is not None for step in steps)
    shown = harness.markdown(["", "steps", "seconds", "to exit"], lines)
    return f"{shown}\n\n{grokked} of {len(steps)} seeds grokked"


def _cells(step, seconds, exit):
    known = ["never", ""] if step is None else [f"{step:g}", f"{seconds:.2f}"]
    return [*known, f"{exit:.2f}"]


def speedrun(quick: bool) -> ConfigDict:
    """The recipe; it is quick already."""
    del quick
    return grokjax.load(str(ROOT / "configs" / "speedrun.py"))


BENCHMARK = Benchmark("time_to_grok", __doc__, measure, table, quick={"seeds": 2}, config=speedrun)

if __name__ == "__main__":
    BENCHMARK.main()
