"""Seconds of everything that is not training: evaluations, curves, logs, checkpoints.

    python -m benchmarks.checkpointing
    python -m benchmarks.checkpointing --quick --json checkpointing.jsonl

The same steps are trained in one process, in interleaved rounds, by `loop.chunks` without and with
evaluations, and by the whole of `grokjax.train`, which keeps a history, prints lines, writes
TensorBoard events and saves checkpoints. The clock runs from the first chunk, two steps long, by
which everything has been compiled, to the end of the last; the figures come later and are not
counted. Checkpoints are written in the background, so what they cost is in the whole as well.
"""

import contextlib
import functools
import io
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
from absl import flags, logging
from ml_collections import ConfigDict

from benchmarks import harness
from benchmarks.command import Benchmark
from benchmarks.problem import setup, without_evaluations
from grokjax import Experiment
from grokjax.core import devices, loop
from grokjax.core.trainer import TrainState
from grokjax.recording import checkpoints
from grokjax.recording.history import History
from grokjax.recording.results import Results
from grokjax.running import cache
from grokjax.running.options import Options
from grokjax.running.resume import Start
from grokjax.train import train_from


def measure(
    config: ConfigDict, *, steps: int = 1000, rounds: int = 3, runs: Sequence[int] = (1, 8)
) -> dict[str, dict]:
    """{name: row of seconds} for each number of runs.

    Args:
        config: with the schedule of evaluations and checkpoints that is to be judged.
        steps: training steps of one round, a multiple of `schedule.eval_every`.
        rounds: timing rounds; as many saves and restores.
        runs: numbers of runs; the seeds are 0..R-1.
    """
    config = ConfigDict(config.to_dict())
    config.schedule.update(num_steps=steps, stop_after_grok=0)
    flags.FLAGS.mark_as_parsed()  # `grokjax.train` reads its own
    logging.set_verbosity(logging.ERROR)  # as there
    cache.use()  # every round makes its programs anew
    rows = {}
    for num_runs in runs:
        experiment = setup(config, num_runs)
        found = training(config, experiment, rounds) | checkpoint(config, experiment, rounds)
        rows |= {f"R = {num_runs}: {name}": row for name, row in found.items()}
    return rows


def training(config: ConfigDict, experiment: Experiment, rounds: int) -> dict[str, dict]:
    """The three ways to train; `overhead` is the fraction of each that is not training steps."""
    ways = {
        "training steps": functools.partial(exhaust, config, without_evaluations(experiment)),
        "and evaluations": functools.partial(exhaust, config, experiment),
        "and all that is written": functools.partial(train_and_write, config, experiment),
    }
    seconds = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            time.sleep(harness.PAUSE)
            seconds[name].append(seconds_of_loop(way))
    steps = min(seconds["training steps"])
    overheads = {name: 1 - steps / min(each) for name, each in seconds.items()}
    return {
        name: harness.seconds_row(
            seconds[name], note=f"{overhead:.1%} is overhead", overhead=overhead
        )
        for name, overhead in overheads.items()
    }


def seconds_of_loop(way: Callable[..., None]) -> float:
    """Of training, `way(chunks=...)`, from its first chunk to where it leaves the loop."""
    times = []
    way(chunks=functools.partial(timed_chunks, times))
    return times[-1] - times[0]


def timed_chunks(times: list[float], *args, **options) -> Iterator[tuple]:
    """`loop.chunks`, noting the time after each and, when the last is computed, of the end."""
    state_R = None
    try:
        for t, state_R, metrics_R in loop.chunks(*args, **options):
            times.append(time.perf_counter())
            yield t, state_R, metrics_R
    finally:  # also where the loop is left by a break
        jax.block_until_ready(state_R)
        times.append(time.perf_counter())


def exhaust(config: ConfigDict, experiment: Experiment, chunks: Callable[..., Iterator]) -> None:
    """Trains to the last step and reads nothing."""
    given = (experiment.trainer, experiment.runs_R, experiment.dataset)
    for _ in chunks(*given, num_steps=config.schedule.num_steps, lift=config.lift):
        pass


def train_and_write(
    config: ConfigDict, experiment: Experiment, chunks: Callable[..., Iterator]
) -> None:
    """Trains as the command does, in a folder that is gone afterwards; prints nothing."""
    start = Start(0, None, History())
    with TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        options = Options(config, Path(folder))
        train_from(start, Results(options.workdir), experiment, options, chunks)


def checkpoint(config: ConfigDict, experiment: Experiment, rounds: int) -> dict[str, dict]:
    """One save, until the training goes on and until it is on the disk, and one restore."""
    state_R = trained(config, experiment)
    found = [save_and_restore(config, experiment, state_R) for _ in range(rounds)]
    waits, saves, restores, (size, *_) = zip(*found, strict=True)
    return {
        "save, until training goes on": harness.seconds_row(waits),
        "save, until it is written": harness.seconds_row(
            saves, note=f"{size / 1e6:.3g} MB", bytes=size
        ),
        "restore": harness.seconds_row(restores),
    }


def trained(config: ConfigDict, experiment: Experiment) -> TrainState:
    """A state after its first steps; before them the optimizer's part is zeros, which pack well."""
    given = (experiment.trainer, experiment.runs_R, experiment.dataset)
    _, state_R, _ = next(loop.chunks(*given, num_steps=config.schedule.num_steps, lift=config.lift))
    return devices.unpad(state_R, len(experiment.labels))


def save_and_restore(config: ConfigDict, experiment: Experiment, state_R: TrainState) -> tuple:
    """Seconds until `save` returns, until all is written, and of `restore`; bytes on the disk."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        start = time.perf_counter()
        with checkpoints.Checkpoints(folder, config.schedule) as saving:
            saving.save(1, state_R, {}, experiment.record)
            returned = time.perf_counter()
        written = time.perf_counter()
        restored = checkpoints.restore(folder, 1, state_R)
        jax.block_until_ready(restored.state_R)
        read = time.perf_counter()
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return returned - start, written - start, read - written, size


BENCHMARK = Benchmark(
    "checkpointing",
    __doc__,
    measure,
    harness.seconds_table,
    quick={"steps": 200, "rounds": 1, "runs": (1, 2)},
)

if __name__ == "__main__":
    BENCHMARK.main()
