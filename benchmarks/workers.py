"""Trainings in processes of their own, which take their turns together."""

import contextlib
import functools
import importlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from tempfile import TemporaryFile
from typing import IO, NamedTuple

from ml_collections import ConfigDict

from benchmarks.problem import ROOT, Problem
from grokjax.running import cores

DONE = b"done\n"


class Job(NamedTuple):
    """What a process trains."""

    start: Callable[[int], Generator]  # as in `harness.Implementation`; it can be pickled
    core: int | None = None  # the process is pinned to it; None: it may use all


def grokjax(config: ConfigDict, num_runs: int) -> list[Job]:
    """One process, in which each core has runs of its own, as in `grokjax.train`."""
    return [Job(functools.partial(_start_grokjax, config.to_dict(), num_runs))]


def pytorch(problem: Problem, num_runs: int) -> list[Job]:
    """A single-threaded process for each core, which trains its runs one after the other.

    Raises:
        ModuleNotFoundError: without PyTorch.
    """
    importlib.import_module("benchmarks.torch_reference")
    number = min(num_runs, cores.available())
    shares = [num_runs // number + (i < num_runs % number) for i in range(number)]
    pins = [None] * number
    if hasattr(os, "sched_getaffinity"):
        pins = sorted(os.sched_getaffinity(0))[:number]
    starts = [functools.partial(_start_pytorch, problem, share) for share in shares]
    return [Job(*each) for each in zip(starts, pins, strict=True)]


def _start_grokjax(config, num_runs, steps):
    cores.use(num_runs)  # before that module asks JAX for its devices
    module = importlib.import_module("benchmarks.step_time")
    return module.grokjax_runs(ConfigDict(config), num_runs, steps)


def _start_pytorch(problem, num_runs, steps):
    importlib.import_module("torch").set_num_threads(1)
    module = importlib.import_module("benchmarks.torch_reference")
    return module.train(problem, steps, num_runs=num_runs)


def together(jobs: Sequence[Job], steps: int) -> Generator[None, int | None, None]:
    """Every `next` has each job take `steps` steps, all at once, and waits for the last of them.

    `send(n)` makes them n. The processes end with the generator.

    Raises:
        RuntimeError: if one of them fails, with the last of its lines.
    """
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(_working(job)) for job in jobs]
        while True:
            for worker in workers:
                worker.say(b"%d\n" % steps)
            for worker in workers:
                worker.wait()
            steps = (yield) or steps


@contextlib.contextmanager
def _working(job):
    """A process that has been given its job, until the block is left."""
    words = ["-m", "benchmarks.workers", *([] if job.core is None else [str(job.core)])]
    with TemporaryFile() as errors:
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        process = subprocess.Popen([sys.executable, *words], cwd=ROOT, **pipes)
        try:
            worker = _Worker(process, errors)
            packed = pickle.dumps(job.start)
            worker.say(b"%d\n" % len(packed) + packed)
            yield worker
        finally:
            process.kill()
            process.communicate()


class _Worker(NamedTuple):
    process: subprocess.Popen
    errors: IO[bytes]

    def say(self, message):
        with contextlib.suppress(BrokenPipeError):  # `wait` says why
            self.process.stdin.write(message)
            self.process.stdin.flush()

    def wait(self):
        if self.process.stdout.readline() == DONE:
            return
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        raise RuntimeError(lines[-1] if lines else "its process has ended")


def main(core: str | None = None) -> None:
    """Takes turns for `together`, in a process that it started; on one core, if that is given."""
    if core is not None:
        os.sched_setaffinity(0, {int(core)})
    stdin = sys.stdin.buffer
    start = pickle.loads(stdin.read(int(stdin.readline())))
    training = start(int(stdin.readline()))
    next(training)
    _answer()
    for line in stdin:
        training.send(int(line))
        _answer()


def _answer():
    sys.stdout.buffer.write(DONE)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
