"""Milliseconds of one training step of division mod 97: grokjax, plain JAX, PyTorch.

    python -m benchmarks.step_time
    python -m benchmarks.step_time --quick --json step_time.jsonl

All contenders train the same function from the same weights on the same examples. They take
turns in one process, one round of turns after the other, so that whatever slows the machine
down slows all of them. Run it on an idle machine: a neighbour's load hurts PyTorch, whose
threads wait for each other by spinning, more than JAX.
"""

import importlib
from collections.abc import Iterator, Mapping, Sequence

import jax
from ml_collections import ConfigDict

import grokjax
from benchmarks import harness, plain_jax
from benchmarks.harness import Contender
from grokjax import loop

CHOICE = ("num_blocks", "width", "num_heads", "ff_width", "activation")  # what plain models take
STEPS = 9  # of one turn: an epoch of division mod 97
ROUNDS = 7
RUNS = (1, 4, 16)
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
        config: a transformer of any size, otherwise as in `base()`, with one value for every
            entry of `config.runs`. The seeds are 0..R-1 whatever it says.
        steps: of one turn.
        rounds: turns of each contender, after one that compiles and one that warms up.
        runs: grokjax is timed with each of these numbers of runs.
        torch: time PyTorch too, where it is installed.
    """
    _check_covered(config)
    return harness.compare(_contenders(config, steps, runs, torch), steps, rounds)


def grokjax_runs(config: ConfigDict, num_runs: int, steps: int) -> Iterator[Mapping]:
    """Trains `steps` further steps at every `next`, waits for the last, yields the weights."""
    experiment = harness.setup(config, num_runs)
    trainer = experiment.trainer._replace(eval_every=NO_EVALUATION)
    given = (experiment.runs_R, experiment.table)
    state_R = loop.init(trainer, *given, how=config.lift)
    advance = loop.compile_advance(trainer, state_R, *given, how=config.lift)
    t = 0
    while True:
        state_R, _ = jax.block_until_ready(advance(state_R, t, t + steps))
        t += steps
        yield state_R.params


def make_problem(config: ConfigDict) -> plain_jax.Problem:
    """What grokjax's run of seed 0 trains, for those who know nothing of grokjax."""
    experiment = harness.setup(config, 1)
    state_R = loop.init(experiment.trainer, experiment.runs_R, experiment.table, how=config.lift)
    state, run = jax.device_get(jax.tree.map(lambda x: x[0], (state_R, experiment.runs_R)))
    examples = experiment.task.examples
    train_rows = state.split.order_N[: int(run.num_train_G[0])]
    return plain_jax.Problem(
        architecture={
            "num_tokens": experiment.task.num_tokens,
            "num_classes": experiment.task.num_classes,
            "length": examples.inputs_NxL.shape[1],
            **{name: config.model[name] for name in CHOICE},
            "ff_width": config.model.ff_width or 4 * config.model.width,
        },
        params=state.params,
        inputs_NxL=examples.inputs_NxL[train_rows],
        labels_N=examples.labels_N[train_rows],
        batch_size=config.batch_size,
        hparams={name: float(value) for name, value in run.hparams.items()},
    )


def _check_covered(config):
    """The plain formulations know one architecture, one optimizer, one way to draw batches."""
    free = (*CHOICE, "initializer")  # they get grokjax's initial weights
    usual = grokjax.base()
    covered = [
        (f"model.{name}", value, usual.model.get(name))
        for name, value in config.model.items()
        if name not in free
    ]
    covered += [
        ("optimizer", config.optimizer.to_dict(), usual.optimizer.to_dict()),
        ("loss.name", config.loss.name, "cross_entropy"),
        ("batches", config.batches, "shuffled"),
        ("schedule.learning_rate", config.schedule.learning_rate, "linear_warmup"),
        ("runs.l1", config.runs.l1, (0.0,)),
    ]
    for path, given, known in covered:
        if given != known:
            raise ValueError(f"{path} = {given!r}; the plain formulations know only {known!r}")


def _contenders(config, steps, runs, torch) -> dict[str, Contender]:
    problem = make_problem(config)

    def pytorch(**options):
        reference = importlib.import_module("benchmarks.torch_reference")
        return reference.train(problem, steps, **options)

    contenders = {
        f"grokjax, R = {R}": Contender(lambda R=R: grokjax_runs(config, R, steps), num_runs=R)
        for R in runs
    }
    contenders["plain JAX"] = Contender(lambda: plain_jax.train(problem, steps))
    if torch:
        contenders["PyTorch"] = Contender(pytorch)
        contenders["PyTorch, compiled"] = Contender(lambda: pytorch(compiled=True), may_fail=True)
    return contenders


COMMAND = harness.Command(
    "step_time",
    __doc__,
    steps=(STEPS, "training steps of one turn"),
    rounds=(ROUNDS, "turns of each contender"),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, prints the table and appends it to a file if asked to."""
    COMMAND.run(argv, measure, harness.table, quick={"runs": (1, 2)})


if __name__ == "__main__":
    main()
