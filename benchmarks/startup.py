"""Seconds from the command to the first steps and to the figures; what imports take of them.

    python -m benchmarks.startup
    python -m benchmarks.startup --quick --json startup.jsonl

Every round trains two steps by `python -m grokjax.train` with an empty compilation cache, again
with the cache that this has filled, and imports `grokjax.train` in a process of its own. A
package is charged with its own modules, wherever they are asked for, and not with those of other
packages that it needs. Python's clock of imports slows them down somewhat.
"""

import re
from collections import Counter
from collections.abc import Mapping
from tempfile import TemporaryDirectory

from ml_collections import ConfigDict

from benchmarks import harness, process
from benchmarks.command import Benchmark

STEPS = 2  # trained, then evaluated
WATCHED = ("jax", "flax", "optax", "orbax", "matplotlib", "tensorboardX", "scipy")
MOST = 12  # other packages that are shown
IMPORTED = re.compile(r"import time: +(\d+) \| +\d+ \| +([\w.]+)")  # microseconds, module


def measure(config: ConfigDict, *, rounds: int = 3) -> dict[str, dict]:
    """{name: row of seconds}; every round starts three processes.

    Args:
        config: any; only its first two steps are trained.
        rounds: repetitions, after one import that has Python compile its modules.
    """
    config = ConfigDict(config.to_dict())
    config.schedule.update(num_steps=STEPS, eval_every=STEPS, checkpoint_every=STEPS)
    imports()
    found = [trainings(config) | imports() for _ in range(rounds)]
    names = dict.fromkeys(name for one in found for name in one)
    return {name: harness.seconds_row([one.get(name, 0.0) for one in found]) for name in names}


def trainings(config: ConfigDict) -> dict[str, float]:
    """{moment: seconds} with an empty cache, then with the same cache full."""
    found = {}
    with TemporaryDirectory() as cache:
        for state in ("empty", "full"):
            training = process.train(config, cache)
            found |= {
                f"{state} cache: {STEPS} steps, evaluated": training.seconds_of_step[STEPS],
                f"{state} cache: summary and figures": training.summary_seconds,
                f"{state} cache: exit": training.exit_seconds,
            }
    return found


def imports() -> dict[str, float]:
    """{import of a package: seconds} of all modules that `grokjax.train` needs."""
    lines, _ = process.listen(["-X", "importtime", "-c", "import grokjax.train"])
    found = Counter()
    for line, _ in lines:
        if module := IMPORTED.match(line):
            found[f"import {module[2].partition('.')[0]}"] += 1e-6 * int(module[1])
    return {"all imports": found.total(), **found}


def table(rows: Mapping[str, Mapping]) -> str:
    """The moments; of the packages those that take longest, and those that are watched."""
    packages = [name for name in rows if name.startswith("import ")]
    packages.sort(key=lambda name: -rows[name]["median"])
    watched = {f"import {package}" for package in WATCHED}
    shown = [name for i, name in enumerate(packages) if i < MOST or name in watched]
    moments = [name for name in rows if name not in packages]
    return harness.seconds_table({name: rows[name] for name in [*moments, *shown]})


BENCHMARK = Benchmark("startup", __doc__, measure, table, quick={"rounds": 1})

if __name__ == "__main__":
    BENCHMARK.main()
