"""Milliseconds of one training step of modular arithmetic: grokjax, plain JAX, PyTorch.

    python -m benchmarks.step_time
    python -m benchmarks.step_time --model mlp --batches full
    python -m benchmarks.step_time --model all --rounds 3
    python -m benchmarks.step_time --quick --json step_time.jsonl

The transformer divides mod 97 as in `configs/moddiv.py`; the other models add, each as in its own
config: `configs/modadd_mlp.py` and so on. `--model all` is every model with every batch in every
precision, a table each.

All implementations start from the same weights and train on the same examples; their rounds are
interleaved in one process, so that whatever slows the machine down slows all of them. A turn takes
about a second, for the call of a program costs as much as some steps of the MLP. Run it on an idle
machine: a neighbour's load hurts PyTorch, whose threads wait for each other by spinning, more than
JAX.
"""

import functools
import importlib
import sys
from collections.abc import Generator, Mapping, Sequence

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from benchmarks import harness, plain_jax
from benchmarks.command import Benchmark
from benchmarks.harness import Implementation
from benchmarks.problem import BATCHES, MODELS, Problem, make_problem, setup, without_evaluations
from grokjax.core import devices, loop
from grokjax.core.devices import REPLICATED, SHARDED_OVER_RUNS

PRECISIONS = ("float32",) if jax.default_backend() == "cpu" else ("float32", "bfloat16", "highest")


def measure(
    config: ConfigDict,
    *,
    steps: int | None = None,
    rounds: int = 7,
    runs: Sequence[int] = (1, 4, 16),
) -> dict[str, dict]:
    """Times every implementation; {name: row} as `harness.compare` gives them.

    Args:
        config: one of `MODELS` at any size, otherwise as in `base()`, with one value for every
            entry of `config.runs` but the seed. The seeds are 0..R-1 whatever it says.
        steps: training steps of a turn, chosen by `harness.compare` if not given.
        rounds: timing rounds, after those that compile and warm up.
        runs: grokjax is timed with each of these numbers of runs.
    """
    _forget_compiled()
    problem = make_problem(config)
    implementations = {
        f"grokjax, R = {R}": Implementation(functools.partial(grokjax_runs, config, R), num_runs=R)
        for R in runs
    }
    implementations["plain JAX"] = Implementation(functools.partial(plain_jax.train, problem))
    implementations |= pytorch(problem)
    return harness.compare(implementations, steps, rounds)


def grokjax_runs(
    config: ConfigDict, num_runs: int, steps: int
) -> Generator[Mapping, int | None, None]:
    """Trains `steps` further steps at every `next`, waits for the last, yields the weights.

    `send(n)` makes them n. The runs are shared out over all devices as in `loop.chunks`.
    """
    experiment = without_evaluations(setup(config, num_runs))
    trainer = experiment.trainer
    given = (experiment.runs_R, experiment.dataset)
    state_R = loop.init(trainer, *given, lift=config.lift)
    metrics_R = loop.no_metrics(trainer, state_R, *given, lift=config.lift)

    mesh = devices.mesh(num_runs)
    state_R, metrics_R, runs_R = devices.shard((state_R, metrics_R, experiment.runs_R), mesh)
    dataset = devices.put(experiment.dataset, mesh, REPLICATED)
    active_R = devices.put(devices.pad(None, num_runs, mesh), mesh, SHARDED_OVER_RUNS)
    program = loop.make_advance(trainer, config.lift)
    advance = None
    t = 0
    while True:
        span = devices.put((jnp.int32(t), jnp.int32(t + steps)), mesh, REPLICATED)
        arguments = (state_R, metrics_R, *span, runs_R, dataset, active_R)
        advance = advance or devices.Program(program, mesh, arguments)
        state_R, metrics_R = jax.block_until_ready(advance(*arguments))
        t += steps
        steps = (yield state_R.params) or steps


def pytorch(problem: Problem, num_runs: int = 1) -> dict[str, Implementation]:
    """PyTorch, in each of its modes, training some runs one after the other.

    Whether PyTorch is installed shows when they start.
    """

    def implementation(mode):
        def start(steps):
            reference = importlib.import_module("benchmarks.torch_reference")
            return reference.train(problem, steps, num_runs=num_runs, mode=mode)

        return Implementation(start, num_runs, may_fail=True)

    modes = {"PyTorch": None, "PyTorch, compiled": "default"}
    if jax.default_backend() == "gpu":
        modes["PyTorch, CUDA graphs"] = "reduce-overhead"
    return {name: implementation(mode) for name, mode in modes.items()}


def _forget_compiled():
    """What PyTorch compiled for another batch: it would now compile for batches of any size."""
    if torch := sys.modules.get("torch"):
        torch.compiler.reset()


BENCHMARK = Benchmark(
    "step_time",
    __doc__,
    measure,
    harness.table,
    quick={"runs": (1, 2), "steps": 2},
    choices={"model": tuple(MODELS), "batches": BATCHES, "precision": PRECISIONS},
)

if __name__ == "__main__":
    BENCHMARK.main()
