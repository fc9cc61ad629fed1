"""Runs x steps per second of division mod 97: R runs at once in grokjax, PyTorch one by one.

    python -m benchmarks.sweep_throughput
    python -m benchmarks.sweep_throughput --most 256 --run_steps 512
    python -m benchmarks.sweep_throughput --quick --json sweep_throughput.jsonl

For every number of runs, rounds of the lifts `vmap` and `map` are interleaved with PyTorch, which
trains the same runs one after the other; for the largest number so are the lifts in between, k
runs at a time. In a round all train the same runs x steps. What would not fit into memory is not
tried.
"""

from collections.abc import Mapping
from statistics import median

import jax
from ml_collections import ConfigDict

from benchmarks import harness
from benchmarks.command import Benchmark
from benchmarks.harness import Implementation
from benchmarks.problem import make_problem, setup
from benchmarks.step_time import PRECISIONS, grokjax_runs, pytorch
from grokjax.running.memory import available, estimate

RUNS = tuple(4**n for n in range(7))
RUNS_ON_CPU = (1, 4, 16, 64)  # a step of 64 takes a second
AT_A_TIME = (4, 16, 64)  # between `map`, one at a time, and `vmap`, all
LIFTS = {"vmap": "vmap", "map": "map", **{f"{k} at a time": str(k) for k in AT_A_TIME}}


def measure(
    config: ConfigDict, *, run_steps: int = 64, rounds: int = 3, most: int = 1024
) -> dict[str, dict]:
    """Times every number of runs under its lifts; {name: row}.

    A row holds `runs_steps_per_second` of the best round, those of all `rounds`, and `ratio`,
    this best over that of eager PyTorch in the same rounds (None if that was not timed); or `note`,
    why it was not timed. A lift that failed is not tried with more runs.

    Args:
        config: as `step_time.measure` takes it.
        run_steps: runs x steps of one round, but at least one step of every run.
        rounds: timing rounds, after one that compiles and one that warms up.
        most: the largest number of runs; on a CPU the list ends at 64.
    """
    problem = make_problem(config)
    one = setup(config, 1)
    needed = estimate(one.trainer, one.runs_R, one.dataset)
    runs = [R for R in (RUNS_ON_CPU if jax.default_backend() == "cpu" else RUNS) if most >= R]
    rows = {}
    refused = {}
    for R in runs:
        steps = max(1, run_steps // R)
        lifts = _lifts(R, most=runs[-1])
        refused |= _too_large(needed, R, lifts)
        implementations = _pytorch(problem, steps, R)
        implementations |= {n: _grokjax(config, n, steps, R) for n in lifts if n not in refused}
        found = harness.compare(implementations, steps, rounds)
        for name, row in found.items():
            rows[f"R = {R}, {name}"] = _throughput(row, baseline=found["PyTorch"])
        for name in lifts:
            if name in refused:
                rows[f"R = {R}, {name}"] = {"note": refused[name]}
        refused |= {n: f"not tried: failed with R = {R}" for n, x in found.items() if "note" in x}
    return rows


def _too_large(needed, num_runs, lifts):
    """{name: why it is not tried} of the lifts that need more memory than there is."""
    there = available(jax.local_devices()[0])
    bytes_by_name = {name: needed.total(num_runs, LIFTS[name]) for name in lifts}
    return {
        name: f"not tried: needs about {bytes_ / 1e9:.3g} GB, there are {there / 1e9:.3g}"
        for name, bytes_ in bytes_by_name.items()
        if bytes_ > there
    }


def _lifts(num_runs, most):
    """Names of those worth a program: k at a time hardly changes with more runs than k."""
    between = [f"{k} at a time" for k in AT_A_TIME if k < num_runs == most]
    return ["vmap", "map", *between]


def _grokjax(config, name, steps, num_runs):
    """Training under a lift; out of memory, it fails."""
    lifted = ConfigDict({**config.to_dict(), "lift": LIFTS[name]})
    return Implementation(lambda: grokjax_runs(lifted, num_runs, steps), num_runs, may_fail=True)


def _pytorch(problem, steps, num_runs):
    """The fastest ways to write it, and eager for the ratios: compiled, a CPU gains nothing."""
    modes = pytorch(problem, steps, num_runs)
    return {name: mode for name, mode in modes.items() if name != "PyTorch, compiled"}


def _throughput(row, baseline):
    """A row from one of `harness.compare` and that of PyTorch."""
    if "note" in row:
        return row
    rounds = [1e3 / ms for ms in row["ms"]]
    ratio = row["ratio"] if "ms" in baseline else None
    return {"runs_steps_per_second": max(rounds), "rounds": rounds, "ratio": ratio}


def table(rows: Mapping[str, Mapping]) -> str:
    """The rows of `measure` as Markdown."""
    columns = ["runs x steps a second", "median", "best", "this / PyTorch"]
    return harness.markdown(columns, [[name, *_cells(**row)] for name, row in rows.items()])


def _cells(note=None, **row):
    if note:
        return [note]
    ratio = f"{row['ratio']:.2f}" if row["ratio"] else ""
    return [f"{median(row['rounds']):.1f}", f"{row['runs_steps_per_second']:.1f}", ratio]


BENCHMARK = Benchmark(
    "sweep_throughput",
    __doc__,
    measure,
    table,
    quick={"most": 4, "run_steps": 8},
    choices={"precision": PRECISIONS},
)

if __name__ == "__main__":
    BENCHMARK.main()
