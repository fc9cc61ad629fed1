"""What Grokfast costs on top of AdamW, in milliseconds and bytes: grokjax, PyTorch.

    python -m benchmarks.filters
    python -m benchmarks.filters --steps 100 --rounds 3
    python -m benchmarks.filters --quick --json filters.jsonl

All implementations train division mod 97 from the same weights, in interleaved rounds, and are
compared with AdamW alone in their own framework. PyTorch's moving averages begin with a full
window, for what they cost grows until then; grokjax does the same work at every step. What comes
once per turn also comes once per chunk of training.
"""

import importlib
from collections.abc import Generator, Mapping, Sequence

import jax
from ml_collections import ConfigDict

import grokjax
from benchmarks import harness
from benchmarks.command import Benchmark
from benchmarks.harness import Implementation
from benchmarks.problem import Problem, make_problem, setup, state_shapes, trace_step
from benchmarks.step_time import grokjax_runs
from grokjax.running.memory import available

COPIES = 4  # of what a filter keeps must fit into memory: in either framework, and copies


def measure(
    config: ConfigDict,
    *,
    steps: int | None = None,
    rounds: int = 7,
    windows: Sequence[int] = (10, 100, 1000),
) -> dict[str, dict]:
    """Times AdamW alone and behind every filter; {name: row} as `harness.compare` gives them.

    A row has also `over_adamw`, its best time over that of AdamW alone in its framework;
    `filter_bytes`, what the filter keeps from step to step; and `peak_bytes`, all that the program
    of a step takes (None where that is not known: in PyTorch, or if XLA does not say).

    Args:
        config: as `step_time.measure` takes it; its optimizer is AdamW.
        steps: training steps of a turn, chosen by `harness.compare` if not given.
        rounds: timing rounds, after those that compile and warm up.
        windows: of the moving averages; those that memory is too small for become notes.
    """
    problem = make_problem(config)
    filters = {"AdamW": {}, "EMA": {"grokfast_ema": {}}}
    filters |= {f"MA of {window}": {"grokfast_ma": {"window": window}} for window in windows}
    chains = {f"grokjax, {name}": Grokjax(config, chosen) for name, chosen in filters.items()}
    chains |= {f"PyTorch, {name}": PyTorch(problem, chosen) for name, chosen in filters.items()}
    implementations = {name: _implementation(chain) for name, chain in chains.items()}
    rows = harness.compare(implementations, steps, rounds)
    for name, row in rows.items():
        if "note" in row:
            continue
        framework, _, _ = name.partition(",")
        row["over_adamw"] = row["best"] / rows[f"{framework}, AdamW"]["best"]
        row["filter_bytes"] = chains[name].filter_bytes()
        row["peak_bytes"] = chains[name].peak_bytes()
    return rows


class Grokjax:
    """grokjax's AdamW behind filters."""

    def __init__(self, config: ConfigDict, filters: Mapping[str, Mapping]):
        """Takes a config with AdamW alone, and the filters in front of it: options by name."""
        self.filters = filters
        self._config = ConfigDict(config.to_dict())
        self._config.optimizer = grokjax.base(optimizer={**filters, "adamw": {}}).optimizer
        window = filters.get("grokfast_ma", {}).get("window", 0)
        schedule = self._config.schedule  # a window longer than training would be refused
        schedule.num_steps = max(schedule.num_steps, window * schedule.eval_every)
        self._experiment = setup(self._config, 1)

    def train(self, steps: int) -> Generator[Mapping, int | None, None]:
        """Trains `steps` further steps at every `next`."""
        return grokjax_runs(self._config, 1, steps)

    def filter_bytes(self) -> int:
        """What the filters keep."""
        *filters, _ = state_shapes(self._experiment).opt_state  # the last is AdamW's
        return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(filters))

    def peak_bytes(self) -> int | None:
        """What the program of a step takes: its data, its state, and what it computes with."""
        found = trace_step(self._experiment).lower().compile().memory_analysis()
        if found is None:
            return None
        kept = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
        return kept + found.temp_size_in_bytes


class PyTorch:
    """PyTorch's AdamW behind filters; whether it is installed shows when anything is asked."""

    def __init__(self, problem: Problem, filters: Mapping[str, Mapping]):
        self.filters = filters
        self._problem = problem

    def train(self, steps: int) -> Generator[Mapping, int | None, None]:
        """Trains `steps` further steps at every `next`."""
        return _torch_filters().train(self._problem, self.filters, steps)

    def filter_bytes(self) -> int:
        """What the filters keep."""
        return _torch_filters().nbytes(self._problem, self.filters)

    def peak_bytes(self) -> None:
        """Not known."""


def _torch_filters():
    return importlib.import_module("benchmarks.torch_filters")


def _implementation(chain):
    def start(steps):
        needed = COPIES * chain.filter_bytes()
        there = available(jax.local_devices()[0])
        if needed > there:
            raise MemoryError(f"takes {needed / 1e9:.1g} GB at once, there are {there / 1e9:.1g}")
        return chain.train(steps)

    return Implementation(start, may_fail=bool(chain.filters))


def table(rows: Mapping[str, Mapping]) -> str:
    """The rows of `measure` as Markdown."""
    columns = ["ms per step", "median", "best", "steps a turn", "this / AdamW"]
    columns += ["filter MB", "peak MB"]
    return harness.markdown(columns, [[name, *_cells(**row)] for name, row in rows.items()])


def _cells(note=None, **row):
    if note:
        return [note]
    times = [f"{row['median']:.2f}", f"{row['best']:.2f}", f"{row['steps']:,}"]
    peak = "-" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 1e6:.1f}"
    return [*times, f"{row['over_adamw']:.2f}", f"{row['filter_bytes'] / 1e6:.2f}", peak]


BENCHMARK = Benchmark(
    "filters", __doc__, measure, table, quick={"windows": (2, 3), "rounds": 3, "steps": 2}
)

if __name__ == "__main__":
    BENCHMARK.main()
