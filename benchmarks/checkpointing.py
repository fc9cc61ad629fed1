"""Seconds of everything that is not training: evaluations, curves, logs, checkpoints.

    python -m benchmarks.checkpointing
    python -m benchmarks.checkpointing --quick --json checkpointing.jsonl

The same steps are trained in one process by `loop.chunks` without and with evaluations, and by the
whole of `grokjax.train`, which keeps a history, prints lines, writes TensorBoard events and saves
checkpoints. They take turns. The clock runs from the first chunk, two steps long, by which
everything has been compiled, to the end of the last; the figures come later and are not
counted. Checkpoints are written in the background, so what they cost is in the whole as well.
"""

import contextlib
import functools
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import jax
from absl import flags, logging
from ml_collections import ConfigDict

from benchmarks import harness, seconds
from grokjax import train
from grokjax.config.experiment import Experiment
from grokjax.core import devices, loop
from grokjax.recording import checkpoints
from grokjax.recording.history import History
from grokjax.recording.results import Results
from grokjax.recording.resume import Start
from grokjax.running import command_line

STEPS = 1000  # with ten evaluations and a checkpoint, by default
ROUNDS = 3
RUNS = (1, 8)
NO_EVALUATION = 2**31 - 1  # steps until the first


def measure(
    config: ConfigDict, *, steps: int = STEPS, rounds: int = ROUNDS, runs: Sequence[int] = RUNS
) -> dict[str, dict]:
    """{name: row of seconds} for each number of runs.

    Args:
        config: with the schedule of evaluations and checkpoints that is to be judged.
        steps: a multiple of `schedule.eval_every`.
        rounds: turns of each way to train; as many saves and restores.
        runs: numbers of runs; the seeds are 0..R-1.
    """
    config = ConfigDict(config.to_dict())
    config.schedule.update(num_steps=steps, stop_after_grok=0)
    flags.FLAGS.mark_as_parsed()  # `grokjax.train` looks at its own
    logging.set_verbosity(logging.ERROR)  # as there
    command_line.use_compilation_cache()  # every turn makes its programs anew
    rows = {}
    for num_runs in runs:
        experiment = harness.setup(config, num_runs)
        found = training(config, experiment, rounds) | checkpoint(config, experiment, rounds)
        rows |= {f"R = {num_runs}: {name}": row for name, row in found.items()}
    return rows


def training(config: ConfigDict, experiment: Experiment, rounds: int) -> dict[str, dict]:
    """The three ways to train; `share` of the time of each is spent beside the training steps."""
    silent = experiment._replace(trainer=experiment.trainer._replace(eval_every=NO_EVALUATION))
    ways = {
        "training steps": functools.partial(exhaust, config, silent),
        "and evaluations": functools.partial(exhaust, config, experiment),
        "and all that is written": functools.partial(train_and_write, config, experiment),
    }
    found = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            time.sleep(harness.PAUSE)
            found[name].append(seconds_of_loop(way))
    shares = {name: 1 - min(found["training steps"]) / min(each) for name, each in found.items()}
    return {
        name: seconds.row(found[name], note=f"{share:.1%} beside the steps", share=share)
        for name, share in shares.items()
    }


def seconds_of_loop(way: Callable[[], None]) -> float:
    """Of training in some way that loops over `loop.chunks`, from its first chunk to its last."""
    chunks, times = loop.chunks, []

    def timed(*args, **options):
        state_R = None
        try:
            for t, state_R, metrics_R in chunks(*args, **options):
                times.append(time.perf_counter())
                yield t, state_R, metrics_R
        finally:  # where the loop is left, too
            jax.block_until_ready(state_R)
            times.append(time.perf_counter())

    with mock.patch.object(loop, "chunks", timed):
        way()
    return times[-1] - times[0]


def exhaust(config: ConfigDict, experiment: Experiment) -> None:
    """Trains to the last step and looks at nothing."""
    given = (experiment.trainer, experiment.runs_R, experiment.dataset)
    for _ in loop.chunks(*given, num_steps=config.schedule.num_steps, lift=config.lift):
        pass


def train_and_write(config: ConfigDict, experiment: Experiment) -> None:
    """Trains as the command does, in a folder that is gone afterwards; prints for nobody."""
    with TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        train.train(config, experiment, Results(Path(folder)), Start(0, None, History()))


def checkpoint(config: ConfigDict, experiment: Experiment, rounds: int) -> dict[str, dict]:
    """One save, until the training goes on and until it is on the disk, and one restore."""
    state_R = trained(config, experiment)
    found = [save_and_restore(config, experiment, state_R) for _ in range(rounds)]
    waits, saves, restores, (size, *_) = zip(*found, strict=True)
    return {
        "save, until training goes on": seconds.row(waits),
        "save, until it is written": seconds.row(saves, note=f"{size / 1e6:.3g} MB", bytes=size),
        "restore": seconds.row(restores),
    }


def trained(config: ConfigDict, experiment: Experiment):
    """A state after its first steps; before them the optimizer's part is zeros, which pack well."""
    given = (experiment.trainer, experiment.runs_R, experiment.dataset)
    _, state_R, _ = next(loop.chunks(*given, num_steps=config.schedule.num_steps, lift=config.lift))
    return devices.unpad(state_R, len(experiment.labels))


def save_and_restore(config: ConfigDict, experiment: Experiment, state_R) -> tuple:
    """Seconds until `save` returns, until all is written, and of `restore`; bytes on the disk."""
    with TemporaryDirectory() as name:
        folder, times = Path(name), [time.perf_counter()]
        with checkpoints.Checkpoints(folder, config.schedule) as saving:
            saving.save(1, state_R, {}, experiment.record)
            times.append(time.perf_counter())
        times.append(time.perf_counter())
        restored = checkpoints.restore(folder, 1, state_R)
        jax.block_until_ready(restored.state_R)
        times.append(time.perf_counter())
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    start, returned, written, read = times
    return returned - start, written - start, read - written, size


COMMAND = harness.Command(
    "checkpointing",
    __doc__,
    steps=(STEPS, "training steps of one turn"),
    rounds=(ROUNDS, "turns"),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, prints the table and appends it to a file if asked to."""
    quick = {"steps": 200, "rounds": 1, "runs": (1, 2)}
    COMMAND.run(argv, measure, seconds.table, quick=quick)


if __name__ == "__main__":
    main()
