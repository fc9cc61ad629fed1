"""A study in shares, each a job: on a SLURM cluster, or side by side on this machine.

    python -m experiments.l1_grokfast --submit slurm --jobs 8 --slurm partition=gpu,timeout_min=600

The i-th of n jobs is the same command with `--chunk i/n`. It resumes what an earlier one left,
and the job that finishes last puts the shares together. Submitted by submitit, an optional
package.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from grokjax.checks import check_choice

SUBMIT = flags.DEFINE_enum("submit", None, ["slurm", "local"], "Train in jobs on a cluster, or here.")
JOBS = flags.DEFINE_integer("jobs", None, "Number of jobs to submit, or to show the status of.")
SLURM = flags.DEFINE_list("slurm", [], "What a job needs: partition=gpu,gpus_per_node=1,mem_gb=8.")

DAY = 24 * 60
OWN = ("submit", "jobs", "slurm")
SHARED = ("timeout_min", "mem_gb", "cpus_per_task", "gpus_per_node")  # local jobs have them too
ONE_TASK = ("nodes", "ntasks_per_node")  # a second task would do the same once more
LINE = "\n  "


class Share:
    """A job: runs a command, and when its time is up stops it and has it run again later."""

    def __init__(self, command: Sequence[str]):
        self._command, self._process = list(command), None

    def __call__(self) -> None:
        # in a session of its own, so that signals reach it through us alone
        self._process = subprocess.Popen(self._command, start_new_session=True)
        if code := self._process.wait():
            raise RuntimeError(f"ended with exit code {code}; see the output above")

    def checkpoint(self):
        """What submitit asks for before it is too late: stops, and says how to go on."""
        from submitit.helpers import DelayedSubmission

        self._process.terminate()
        self._process.wait()
        return DelayedSubmission(Share(self._command))


def shares(largest: int) -> list[tuple[int, int]]:
    """(i, n) for each of the n jobs that `--jobs` asks for; an arm has at most `largest` runs."""
    n = JOBS.value
    if n is None:
        raise ValueError("--submit needs to know the number of --jobs, such as --jobs 8")
    if not 1 <= n <= largest:
        raise ValueError(f"--jobs {n}; choose 1 to {largest}, the runs of the largest arm")
    return [(i, n) for i in range(1, n + 1)]


def executor(logs: Path, name: str):
    """What submits jobs as the flags say; makes nothing yet on a cluster.

    Raises:
        ValueError: if there is no submitit or no SLURM, or it does not know a parameter.
    """
    try:
        import submitit
    except ImportError as error:
        raise ValueError(
            "--submit needs the package submitit; install it with pip install 'grokjax[cluster]'"
        ) from error
    if SUBMIT.value == "slurm" and not (shutil.which("sbatch") and shutil.which("srun")):
        raise ValueError(
            "--submit slurm finds no sbatch and srun here; "
            "submit where they are, or choose --submit local"
        )
    known = [*SHARED, *(set(submitit.SlurmExecutor._valid_parameters()) - set(ONE_TASK))]
    asked = parameters(SLURM.value, known)
    ready = submitit.AutoExecutor(logs, cluster=SUBMIT.value)
    ready.update_parameters(**{"name": name, "timeout_min": DAY} | asked)
    return ready
