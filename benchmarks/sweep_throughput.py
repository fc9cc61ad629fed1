"""Runs x steps per second of modular arithmetic: R runs of grokjax, and PyTorch's ways to R runs.

    python -m benchmarks.sweep_throughput
    python -m benchmarks.sweep_throughput --model mlp --most 16
    python -m benchmarks.sweep_throughput --quick --json sweep_throughput.jsonl

For every number of runs, turns of the lifts `vmap` and `map`, and on a CPU of a core for every run,
as `grokjax.train` has it, are interleaved with PyTorch's. That trains the runs one after the other
on all cores; as its users do on a CPU, in a single-threaded process for each core, pinned to it
where the system can; and all at once by `torch.func`. For the largest number of runs there are also
the lifts in between, k runs at a time. What would not fit into memory is not tried.

What has processes of its own takes its turn while all others wait.
"""

import importlib
from collections.abc import Mapping
from statistics import median

import jax
from ml_collections import ConfigDict

from benchmarks import harness, workers
from benchmarks.command import Benchmark
from benchmarks.harness import Implementation
from benchmarks.problem import MODELS, make_problem, setup
from benchmarks.step_time import PRECISIONS, grokjax_runs, pytorch
from grokjax.running.memory import available, estimate

RUNS = tuple(4**n for n in range(7))
RUNS_ON_CPU = (1, 4, 8, 16, 64)  # a step of 64 takes a second
AT_A_TIME = (4, 16, 64)  # between `map`, one at a time, and `vmap`, all
CORES = "a core for every run"
LIFTS = {"vmap": "vmap", "map": "map", **{f"{k} at a time": str(k) for k in AT_A_TIME}}
LIFTS[CORES] = "map"


def measure(
    config: ConfigDict, *, steps: int | None = None, rounds: int = 3, most: int = 1024
) -> dict[str, dict]:
    """Times every number of runs under its lifts; {name: row}.

    A row holds `runs_steps_per_second` of the best round, those of all `rounds`, the `steps` of a
    turn, and this best over that of PyTorch in the same rounds: `ratio` to eager PyTorch, one run
    after the other, `ratio_to_best` to its best way (None if not timed); or `note`, why it was not
    timed. A lift that failed is not tried with more runs.

    Args:
        config: as `step_time.measure` takes it.
        steps: of each run in a turn, chosen by `harness.compare` if not given.
        rounds: timing rounds, after those that compile and warm up.
        most: the largest number of runs; on a CPU the list ends at 64.
    """
    problem = make_problem(config)
    one = setup(config, 1)
    needed = estimate(one.trainer, one.runs_R, one.dataset)
    runs = [R for R in (RUNS_ON_CPU if jax.default_backend() == "cpu" else RUNS) if most >= R]
    rows = {}
    refused = {}
    for R in runs:
        lifts = _lifts(R, most=runs[-1])
        refused |= _too_large(needed, R, lifts)
        implementations = _pytorch(problem, R)
        implementations |= {n: _grokjax(config, n, R) for n in lifts if n not in refused}
        found = harness.compare(implementations, steps, rounds)
        for name, row in found.items():
            rows[f"R = {R}, {name}"] = _throughput(row, found)
        for name in lifts:
            if name in refused:
                rows[f"R = {R}, {name}"] = {"note": refused[name]}
        failed = {name for name in lifts if "note" in found.get(name, {})}
        refused |= dict.fromkeys(failed, f"not tried: failed with R = {R}")
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
    return ["vmap", "map", *between, *([CORES] if _shared_out(num_runs) else [])]


def _shared_out(num_runs):
    """Whether the cores can have runs of their own."""
    return num_runs > 1 and jax.default_backend() == "cpu"


def _grokjax(config, name, num_runs):
    """Training under a lift; out of memory, it fails."""
    lifted = ConfigDict({**config.to_dict(), "lift": LIFTS[name]})

    def start(steps):
        if name == CORES:
            return workers.together(workers.grokjax(lifted, num_runs), steps)
        return grokjax_runs(lifted, num_runs, steps)

    return Implementation(start, num_runs, may_fail=True)


def _pytorch(problem, num_runs):
    """The fastest ways to write it, and eager for the ratios: compiled, a CPU gains nothing."""
    ways = pytorch(problem, num_runs)
    ways.pop("PyTorch, compiled")

    def per_core(steps):
        return workers.together(workers.pytorch(problem, num_runs), steps)

    def ensemble(steps):
        module = importlib.import_module("benchmarks.torch_ensemble")
        return module.train(problem, num_runs, steps)

    if _shared_out(num_runs):
        ways["PyTorch, a process per core"] = Implementation(per_core, num_runs, may_fail=True)
    if num_runs > 1:
        ways["PyTorch, torch.func"] = Implementation(ensemble, num_runs, may_fail=True)
    return ways


def _throughput(row, found):
    """A row from one of `harness.compare`, beside all those found in the same rounds."""
    if "note" in row:
        return row
    rounds = [1e3 / ms for ms in row["ms"]]
    there = {n: x["best"] for n, x in found.items() if n.startswith("PyTorch") and "note" not in x}
    return {
        "runs_steps_per_second": max(rounds),
        "rounds": rounds,
        "steps": row["steps"],
        "ratio": there["PyTorch"] / row["best"] if "PyTorch" in there else None,
        "ratio_to_best": min(there.values()) / row["best"] if there else None,
    }


def table(rows: Mapping[str, Mapping]) -> str:
    """The rows of `measure` as Markdown."""
    columns = ["runs x steps a second", "median", "best", "steps a turn"]
    columns += ["this / PyTorch", "this / PyTorch's best"]
    return harness.markdown(columns, [[name, *_cells(**row)] for name, row in rows.items()])


def _cells(note=None, **row):
    if note:
        return [note]
    rates = [f"{median(row['rounds']):.1f}", f"{row['runs_steps_per_second']:.1f}"]
    ratios = [f"{row[name]:.2f}" if row[name] else "" for name in ("ratio", "ratio_to_best")]
    return [*rates, f"{row['steps']:,}", *ratios]


BENCHMARK = Benchmark(
    "sweep_throughput",
    __doc__,
    measure,
    table,
    quick={"most": 4, "steps": 2, "rounds": 2},
    choices={"model": tuple(MODELS), "precision": PRECISIONS},
)

if __name__ == "__main__":
    BENCHMARK.main()
