"""A study in shards, each of them a job: on a SLURM cluster, or in parallel on this machine.

    python -m experiments.l1_grokfast --submit slurm --jobs 8 --slurm partition=gpu,timeout_min=600

The i-th of n jobs is the same command with `--shard i/n`: it goes on from what an earlier one
left, and the last one to finish merges the shards. The package submitit talks to the
cluster. A job may take a day if `--slurm` says nothing else; it sees a GPU if it asks for one.
"""

import contextlib
import functools
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import flags

from grokjax.running import command_line
from grokjax.running.signals import ASKING

SUBMIT = flags.DEFINE_enum("submit", None, ("slurm", "local"), "Train in jobs: on SLURM, or here.")
JOBS = flags.DEFINE_integer("jobs", None, "With --submit or --status: the number of jobs.")
SLURM = flags.DEFINE_list("slurm", [], "What a job needs, as partition=gpu,gpus_per_node=1.")

OURS = ("submit", "jobs", "slurm", "status", "shard", "chunk")
GENERAL = ("timeout_min", "mem_gb", "cpus_per_task", "gpus_per_node")  # of jobs here as well
FIXED = ("job_name", "nodes", "ntasks_per_node", "time")  # a job is one task; minutes have a name
DAY = 24 * 60  # minutes
WARNINGS = (signal.SIGUSR2, signal.SIGUSR1)  # before the end of the time
POLL = 0.1  # seconds between polls of the process


class Job:
    """A command that is stopped when the time is up, and run again later."""

    def __init__(self, command: Sequence[str]):
        self._command = list(command)
        self._process = None

    def __call__(self) -> None:
        # In a session of its own: signals to the job's processes reach it once, through us.
        self._process = subprocess.Popen(self._command, start_new_session=True)
        save = self._saving()
        for number in ASKING:
            signal.signal(number, save if number in WARNINGS else self._stop)
        self._wait()
        if self._process.returncode:
            raise RuntimeError(f"{shlex.join(self._command)} ended with {self._process.returncode}")

    def checkpoint(self):
        """Called by submitit shortly before the end of the time: what to run again."""
        from submitit.helpers import DelayedSubmission

        self._process.terminate()  # it saves, as it does for a user's Ctrl-C
        self._wait()
        return DelayedSubmission(Job(self._command))

    def _saving(self):
        """What submitit does at the one of these signals that it knows: `checkpoint`, requeue."""
        handlers = map(signal.getsignal, WARNINGS)
        return next((handler for handler in handlers if callable(handler)), self._stop)

    def _stop(self, *_):
        self._process.terminate()

    def _wait(self):
        """Polls: a signal handler may not wait for what its own thread is waiting for."""
        while self._process.poll() is None:
            time.sleep(POLL)


def shards(largest: int) -> list[tuple[int, int]]:
    """(i, n) of the jobs that are asked for, of a study whose largest arm has so many runs."""
    n = JOBS.value
    if n is None:
        raise ValueError("--submit needs the number of jobs; choose --jobs, such as --jobs 8")
    if not 1 <= n <= largest:
        raise ValueError(f"--jobs {n}; choose 1 to {largest}, the number of runs of an arm")
    return [(i, n) for i in range(1, n + 1)]


def submission(name: str, logs: Path) -> Callable[[], None]:
    """Checks what is asked of the jobs, and gives what submits them; writes nothing."""
    try:
        import submitit  # an optional package
    except ImportError as error:
        raise ValueError(
            "--submit needs the package submitit; install it with pip install 'grokjax[cluster]'"
        ) from error
    if SUBMIT.value == "slurm" and not (shutil.which("sbatch") and shutil.which("srun")):
        raise ValueError(
            "--submit slurm finds no sbatch and srun; "
            "submit where SLURM is installed, or choose --submit local"
        )
    asked = {"name": name, "timeout_min": DAY} | dict(map(_parameter, SLURM.value))
    try:
        submitit.AutoExecutor(logs, cluster="debug").update_parameters(**asked)  # no folder yet
    except (NameError, AssertionError) as error:
        raise ValueError(f"--slurm {','.join(SLURM.value)}: {error}") from error
    return functools.partial(_submit, logs, asked)


def _parameter(text):
    """(name, value) of `partition=gpu`, with the name that submitit gives it."""
    name, equals, value = text.partition("=")
    if not (name and equals and value) or name in FIXED:
        hint = "timeout_min=600" if name == "time" else "partition=gpu or gpus_per_node=1"
        raise ValueError(f"--slurm {text}; choose what one task needs, such as {hint}")
    with contextlib.suppress(ValueError):
        value = float(value)
        value = int(value) if value.is_integer() else value
    return (name if name in GENERAL else f"slurm_{name}"), value


def _submit(logs, asked):
    """Submits, and says what to type next."""
    import submitit
    from submitit.core.utils import FailedJobError

    executor = submitit.AutoExecutor(logs, cluster=SUBMIT.value)
    n = JOBS.value
    try:
        executor.update_parameters(**asked)
        with executor.batch():  # one array of jobs on SLURM
            jobs = [
                executor.submit(Job([sys.executable, *_command(f"--shard={i}/{n}")]))
                for i in range(1, n + 1)
            ]
    except (FailedJobError, ValueError) as error:  # such as: no such partition
        command_line.warn(f"error: {SUBMIT.value} takes no jobs: {' '.join(str(error).split())}")
        sys.exit(2)
    print(f"submitted {n} jobs: {' '.join(job.job_id for job in jobs)}")
    print(f"what they say is in {logs}")
    print(f"how far they are shows\n  {_shown('--status', f'--jobs={n}')}")
    print(
        "the last to finish merges the shards; if one failed, this command goes on with it,\n"
        f"and when all have ended this merges them again\n  {_shown(f'--shard=1/{n}')}"
    )


def _shown(*more):
    return shlex.join(["python", *_command(*more)])


def _command(*more):
    """What this process was started with, but for our own flags, and some more."""
    spec = sys.modules["__main__"].__spec__
    program = ["-m", spec.name] if spec else [sys.argv[0]]
    return [*program, *command_line.words_without(*OURS), *more]
