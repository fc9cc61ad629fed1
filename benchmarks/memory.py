"""The memory that training takes on an accelerator: the estimate, and what was used.

    python -m benchmarks.memory
    python -m benchmarks.memory --quick --json memory.jsonl

More and more runs under `vmap` train two steps and are evaluated; the most bytes that were in use
at a moment are what the device tells. What the estimate says does not fit is not tried.
"""

from collections.abc import Mapping, Sequence

import jax
from ml_collections import ConfigDict

from benchmarks import harness
from benchmarks.command import Benchmark
from benchmarks.problem import setup
from grokjax.core import loop
from grokjax.running.memory import available, estimate

RUNS = (1, 16, 64, 256, 1024)


def measure(config: ConfigDict, *, steps: int = 2, runs: Sequence[int] = RUNS) -> dict[str, dict]:
    """{number of runs: row}: bytes `estimated` and `used` (None where the device does not tell).

    Args:
        config: of one run.
        steps: training steps before the evaluation.
        runs: numbers of runs, from few to many: the most bytes in use are those of the process.
    """
    config = ConfigDict(config.to_dict())
    config.schedule.update(num_steps=steps, eval_every=steps)
    one = setup(config, 1)
    needed = estimate(one.trainer, one.runs_R, one.dataset)
    device = jax.local_devices()[0]
    rows = {}
    for num_runs in runs:
        bytes_ = needed.total(num_runs, "vmap")
        if bytes_ > available(device):
            rows[str(num_runs)] = {"estimated": bytes_, "note": "does not fit: not tried"}
            continue
        experiment = setup(config, num_runs)
        given = (experiment.trainer, experiment.runs_R, experiment.dataset)
        for _, state_R, metrics_R in loop.chunks(*given, num_steps=steps, lift="vmap"):
            jax.block_until_ready((state_R, metrics_R))
        del state_R, metrics_R
        used = (device.memory_stats() or {}).get("peak_bytes_in_use")
        rows[str(num_runs)] = {"estimated": bytes_, "used": used}
    return rows


def table(rows: Mapping[str, Mapping]) -> str:
    """The rows of `measure` as Markdown."""
    lines = [[runs, f"{row['estimated'] / 1e9:.2f}", _used(row)] for runs, row in rows.items()]
    return harness.markdown(["runs under vmap", "estimated GB", "used GB"], lines)


def _used(row):
    if "note" in row:
        return row["note"]
    return "the device does not tell" if row["used"] is None else f"{row['used'] / 1e9:.2f}"


BENCHMARK = Benchmark("memory", __doc__, measure, table, quick={"runs": (1, 2)})

if __name__ == "__main__":
    BENCHMARK.main()
