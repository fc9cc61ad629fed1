"""Milliseconds of one training step of modular arithmetic: grokjax, plain JAX, PyTorch.

    python -m benchmarks.step_time
    python -m benchmarks.step_time --model mlp --batches full
    python -m benchmarks.step_time --model all --rounds 3
    python -m benchmarks.step_time --quick --json step_time.jsonl

The transformer divides mod 97 as in `configs/moddiv.py`; the other models add, each as in its own
config: `configs/modadd_mlp.py` and so on. `--model all` is every model with every batch in every
precision, a table each.

All contenders train the same function from the same weights on the same examples. They take
turns in one process, one round of turns after the other, so that whatever slows the machine
down slows all of them. Run it on an idle machine: a neighbour's load hurts PyTorch, whose
threads wait for each other by spinning, more than JAX.
"""

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence

import jax
from ml_collections import ConfigDict

import grokjax
from benchmarks import harness, plain_jax
from benchmarks.harness import Contender
from benchmarks.problem import BATCHES, MODELS, Problem, make_problem
from grokjax.core import loop

STEPS = 9  # of one turn: an epoch of division mod 97
ROUNDS = 7
RUNS = (1, 4, 16)
PRECISIONS = ("float32",) if jax.default_backend() == "cpu" else ("float32", "bfloat16")
NO_EVALUATION = 2**31 - 1  # steps until the first


def measure(
    config: ConfigDict,
    *,
    steps: int = STEPS,
    rounds: int = ROUNDS,
    runs: Sequence[int] = RUNS,
    torch: bool = True,
) -> dict[str, dict]:
    """Times every contender; {name: row} as `harness.compare` gives them.

    Args:
        config: one of `MODELS` at any size, otherwise as in `base()`, with one value for every
            entry of `config.runs` but the seed. The seeds are 0..R-1 whatever it says.
        steps: of one turn.
        rounds: turns of each contender, after one that compiles and one that warms up.
        runs: grokjax is timed with each of these numbers of runs.
        torch: time PyTorch too, where it is installed.
    """
    _forget_compiled()
    problem = make_problem(config)
    contenders = {
        f"grokjax, R = {R}": Contender(lambda R=R: grokjax_runs(config, R, steps), num_runs=R)
        for R in runs
    }
    contenders["plain JAX"] = Contender(lambda: plain_jax.train(problem, steps))
    contenders |= pytorch(problem, steps) if torch else {}
    return harness.compare(contenders, steps, rounds)


def grokjax_runs(config: ConfigDict, num_runs: int, steps: int) -> Iterator[Mapping]:
    """Trains `steps` further steps at every `next`, waits for the last, yields the weights."""
    experiment = harness.setup(config, num_runs)
    trainer = experiment.trainer._replace(eval_every=NO_EVALUATION)
    given = (experiment.runs_R, experiment.dataset)
    state_R = loop.init(trainer, *given, lift=config.lift)
    metrics_R = loop.no_metrics(trainer, state_R, *given, lift=config.lift)
    program = loop.make_advance(trainer, config.lift)
    advance = program.lower(state_R, metrics_R, 0, steps, *given).compile()
    t = 0
    while True:
        trained = advance(state_R, metrics_R, t, t + steps, *given)
        state_R, metrics_R = jax.block_until_ready(trained)
        t += steps
        yield state_R.params


def pytorch(problem: Problem, steps: int, num_runs: int = 1) -> dict[str, Contender]:
    """PyTorch's ways to train some runs one after the other, by name.

    Whether PyTorch is installed shows when they start.
    """

    def contender(mode):
        def start():
            reference = importlib.import_module("benchmarks.torch_reference")
            return reference.train(problem, num_runs * steps, mode=mode)

        return Contender(start, num_runs, may_fail=True)

    modes = {"PyTorch": None, "PyTorch, compiled": "default"}
    if jax.default_backend() == "gpu":
        modes["PyTorch, CUDA graphs"] = "reduce-overhead"
    return {name: contender(mode) for name, mode in modes.items()}


def _forget_compiled():
    """What PyTorch compiled for another batch: it would now compile for batches of any size."""
    if torch := sys.modules.get("torch"):
        torch.compiler.reset()


def choose(quick: bool, model: str, batches: str, precision: str) -> ConfigDict:
    """The config of a model, or a toy in its shape."""
    covered = MODELS[model]
    config = grokjax.load(str(harness.ROOT / "configs" / f"{covered.config}.py"))
    config.batches = batches
    if precision != "float32":
        config.matmul_precision = precision
    if quick:
        config.task.p, config.batch_size = 7, 13
        config.model.update(covered.toy)
    return config


COMMAND = harness.Command(
    "step_time",
    __doc__,
    choices={
        "model": (tuple(MODELS), "what is trained"),
        "batches": (BATCHES, "512 examples a step, or all"),
        "precision": (PRECISIONS, "of matrix products; a CPU has one"),
    },
    steps=(STEPS, "training steps of one turn"),
    rounds=(ROUNDS, "turns of each contender"),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, prints the tables and appends them to a file if asked to."""
    COMMAND.run(argv, measure, harness.table, choose, quick={"runs": (1, 2)})


if __name__ == "__main__":
    main()
