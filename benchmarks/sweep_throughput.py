"""Runs x steps per second of division mod 97: R runs at once in grokjax, PyTorch one by one.

    python -m benchmarks.sweep_throughput
    python -m benchmarks.sweep_throughput --most 256 --turn 512
    python -m benchmarks.sweep_throughput --quick --json sweep_throughput.jsonl

For every number of runs the lifts `vmap` and `map` take turns with PyTorch, which trains the same
runs one after the other; for the largest number so do the lifts in between, k runs at a time. In
a turn everybody trains the same runs x steps. What would not fit into memory is not tried.
"""

from collections.abc import Mapping, Sequence
from statistics import median

import jax
from ml_collections import ConfigDict

from benchmarks import harness
from benchmarks.harness import Contender
from benchmarks.problem import make_problem
from benchmarks.step_time import grokjax_runs, pytorch
from grokjax.running.memory import Need, available, need

RUNS = tuple(2**n for n in range(11))
RUNS_ON_CPU = (1, 4, 16, 64)  # a step of 64 takes a second
AT_A_TIME = (4, 16, 64)  # between `map`, one at a time, and `vmap`, all
LIFTS = {"vmap": "vmap", "map": "map", **{f"{k} at a time": str(k) for k in AT_A_TIME}}
TURN = 64
ROUNDS = 3


def measure(
    config: ConfigDict,
    *,
    turn: int = TURN,
    rounds: int = ROUNDS,
    most: int = RUNS[-1],
    torch: bool = True,
) -> dict[str, dict]:
    """Times every number of runs under its lifts; {name: row}.

    A row holds `runs_steps_per_second` of the best round, those of all `rounds`, and `ratio`,
    this best over that of eager PyTorch beside it (None if that was not timed); or `note`, why
    it was not timed. A lift that failed is not tried with more runs.

    Args:
        config: as `step_time.measure` takes it.
        turn: runs x steps of one turn, but at least one step of every run.
        rounds: turns of each contender, after one that compiles and one that warms up.
        most: the largest number of runs.
        torch: time PyTorch too, where it is installed.
    """
    problem, needed, rows, refused = make_problem(config), _needed(config), {}, {}
    runs = [R for R in (RUNS_ON_CPU if jax.default_backend() == "cpu" else RUNS) if most >= R]
    for R in runs:
        steps, lifts = max(1, turn // R), _lifts(R, most=runs[-1])
        refused |= _too_large(needed, R, lifts)
        contenders = _pytorch(problem, steps, R) if torch else {}
        contenders |= {n: _grokjax(config, n, steps, R) for n in lifts if n not in refused}
        found = harness.compare(contenders, steps, rounds) if contenders else {}
        notes = {name: {"note": refused[name]} for name in lifts if name in refused}
        rows |= {f"R = {R}, {name}": row for name, row in (_throughputs(found) | notes).items()}
        refused |= {n: f"not tried: failed with R = {R}" for n, x in found.items() if "note" in x}
    return rows


def memory() -> int:
    """Bytes that training may use."""
    return available(jax.local_devices()[0])


def _needed(config) -> Need:
    experiment = harness.setup(config, 1)
    return need(experiment.trainer, experiment.runs_R, experiment.dataset)


def _too_large(needed, num_runs, lifts):
    """{name: why it is not tried} of the lifts that need more memory than there is."""
    there = memory()
    bytes_by_name = {name: needed.of(num_runs, LIFTS[name]) for name in lifts}
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
    return Contender(lambda: grokjax_runs(lifted, num_runs, steps), num_runs, may_fail=True)


def _pytorch(problem, steps, num_runs):
    """The fastest ways to write it, and eager for the ratios: compiled, a CPU gains nothing."""
    contenders = pytorch(problem, steps, num_runs)
    return {name: c for name, c in contenders.items() if name != "PyTorch, compiled"}


def _throughputs(found):
    """{name: row} from the rows of `harness.compare`."""
    against = "ms" in found.get("PyTorch", {})
    return {name: _throughput(row, against) for name, row in found.items()}


def _throughput(row, against):
    if "note" in row:
        return row
    rounds = [1e3 / ms for ms in row["ms"]]
    ratio = row["ratio"] if against else None
    return {"runs_steps_per_second": max(rounds), "rounds": rounds, "ratio": ratio}


def table(rows: Mapping[str, Mapping]) -> str:
    """The rows of `measure` for a reader."""
    title = "runs x steps a second"
    width = max(map(len, (title, *rows)))
    lines = [f"{title:<{width}}{'median':>10}{'best':>10}{'this / PyTorch':>17}"]
    for name, row in rows.items():
        if "note" in row:
            lines.append(f"{name:<{width}}  {row['note']}")
        else:
            best, ratio = row["runs_steps_per_second"], row["ratio"]
            over = f"{ratio:>17.2f}" if ratio else ""
            lines.append(f"{name:<{width}}{median(row['rounds']):>10.1f}{best:>10.1f}{over}")
    return "\n".join(lines)


COMMAND = harness.Command(
    "sweep_throughput",
    __doc__,
    turn=(TURN, "runs x steps of one turn"),
    rounds=(ROUNDS, "turns of each contender"),
    most=(RUNS[-1], "largest number of runs; on a CPU the list ends at 64"),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, prints the table and appends it to a file if asked to."""
    COMMAND.run(argv, measure, table, quick={"most": 4, "turn": 8})


if __name__ == "__main__":
    main()
