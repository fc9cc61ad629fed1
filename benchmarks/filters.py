"""What Grokfast costs on top of AdamW, in milliseconds and bytes: grokjax, PyTorch.

    python -m benchmarks.filters
    python -m benchmarks.filters --steps 100 --rounds 3
    python -m benchmarks.filters --quick --json filters.jsonl

All contenders train division mod 97 from the same weights, take turns in one process, and are
compared with AdamW alone in their own framework. PyTorch's moving averages begin with a full
window, for what they cost grows until then; grokjax does the same work at every step. What comes
once with a turn also comes once with a chunk of training: 100 steps are as many as there are
between two evaluations.
"""

import importlib
from collections.abc import Iterator, Mapping, Sequence

import jax
from ml_collections import ConfigDict

import grokjax
from benchmarks import harness
from benchmarks.harness import Contender
from benchmarks.one_step import one_step
from benchmarks.problem import Problem, make_problem
from benchmarks.step_time import grokjax_runs
from grokjax.running.memory import available

STEPS = 20  # of one turn
ROUNDS = 7
WINDOWS = (10, 100, 1000)
AT_ONCE = 4  # memories of a filter that must fit: that of either framework, and copies


def measure(
    config: ConfigDict,
    *,
    steps: int = STEPS,
    rounds: int = ROUNDS,
    windows: Sequence[int] = WINDOWS,
    torch: bool = True,
) -> dict[str, dict]:
    """Times AdamW alone and behind every filter; {name: row} as `harness.compare` gives them.

    A row has besides `over_adamw`, its best time over that of AdamW alone in its framework;
    `filter_bytes`, what the filter keeps from step to step; and `peak_bytes`, all that the program
    of a step takes (None where that is not known: in PyTorch, or if XLA does not say).

    Args:
        config: as `step_time.measure` takes it; its optimizer is AdamW.
        steps: of one turn.
        rounds: turns of each contender, after one that compiles and one that warms up.
        windows: of the moving averages; those that memory is too small for become notes.
        torch: time PyTorch too, where it is installed.
    """
    problem = make_problem(config)
    filters = {"AdamW": {}, "EMA": {"grokfast_ema": {}}}
    filters |= {f"MA of {window}": {"grokfast_ma": {"window": window}} for window in windows}
    ways = {f"grokjax, {name}": Grokjax(config, chosen) for name, chosen in filters.items()}
    if torch:
        ways |= {f"PyTorch, {name}": PyTorch(problem, chosen) for name, chosen in filters.items()}
    contenders = {name: _contender(way, steps) for name, way in ways.items()}
    rows = harness.compare(contenders, steps, rounds)
    timed = {name: row for name, row in rows.items() if "note" not in row}
    return rows | {name: row | _costs(name, ways[name], timed) for name, row in timed.items()}


class Grokjax:
    """grokjax's AdamW behind filters."""

    def __init__(self, config: ConfigDict, filters: Mapping[str, Mapping]):
        """Takes a config with AdamW alone, and what stands before it: options by name."""
        self.filters, self._config = filters, ConfigDict(config.to_dict())
        self._config.optimizer = grokjax.base(optimizer={**filters, "adamw": {}}).optimizer
        self._step = one_step(harness.setup(self._config, 1))

    def train(self, steps: int) -> Iterator[Mapping]:
        """Trains `steps` further steps at every `next`."""
        return grokjax_runs(self._config, 1, steps)

    def filter_bytes(self) -> int:
        """What the filters keep."""
        *filters, _ = self._step.state.opt_state  # the last is AdamW's
        return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(filters))

    def peak_bytes(self) -> int | None:
        """What the program of a step takes: its data, its state, and what it computes with."""
        found = self._step.compile().memory_analysis()
        if found is None:
            return None
        kept = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
        return kept + found.temp_size_in_bytes


class PyTorch:
    """PyTorch's AdamW behind filters; whether it is installed shows when anything is asked."""

    def __init__(self, problem: Problem, filters: Mapping[str, Mapping]):
        self.filters, self._problem = filters, problem

    def train(self, steps: int) -> Iterator[Mapping]:
        """Trains `steps` further steps at every `next`."""
        return _torch_filters().train(self._problem, self.filters, steps)

    def filter_bytes(self) -> int:
        """What the filters keep."""
        return _torch_filters().nbytes(self._problem, self.filters)

    def peak_bytes(self) -> None:
        """Not known."""


def _torch_filters():
    return importlib.import_module("benchmarks.torch_filters")


def _contender(way, steps):
    def start():
        takes = AT_ONCE * way.filter_bytes()
        there = available(jax.local_devices()[0])
        if takes > there:
            raise MemoryError(f"takes {takes / 1e9:.1g} GB at once, there are {there / 1e9:.1g}")
        return way.train(steps)

    return Contender(start, may_fail=bool(way.filters))


def _costs(name, way, timed):
    framework, _, _ = name.partition(",")
    return {
        "over_adamw": timed[name]["best"] / timed[f"{framework}, AdamW"]["best"],
        "filter_bytes": way.filter_bytes(),
        "peak_bytes": way.peak_bytes(),
    }


def table(rows: Mapping[str, Mapping]) -> str:
    """The rows of `measure` for a reader."""
    width = max(map(len, rows))
    heads = f"{'median':>9}{'best':>9}{'this / AdamW':>14}{'filter MB':>11}{'peak MB':>9}"
    lines = [f"{'ms per step':<{width}}{heads}"]
    lines += [f"{name:<{width}}{_cells(**row)}" for name, row in rows.items()]
    return "\n".join(lines)


def _cells(note=None, **row):
    if note:
        return f"  {note}"
    peak = "-" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 1e6:.1f}"
    times = f"{row['median']:>9.2f}{row['best']:>9.2f}{row['over_adamw']:>14.2f}"
    return f"{times}{row['filter_bytes'] / 1e6:>11.2f}{peak:>9}"


COMMAND = harness.Command(
    "filters",
    __doc__,
    steps=(STEPS, "training steps of one turn"),
    rounds=(ROUNDS, "turns of each contender"),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, prints the table and appends it to a file if asked to."""
    COMMAND.run(argv, measure, table, quick={"windows": (2, 3), "rounds": 3})


if __name__ == "__main__":
    main()
