"""A study on a SLURM cluster of this machine alone: warned, requeued, and yet the same."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_cluster import assert_same_study, wait_until

from grokjax.recording import checkpoints
from grokjax.recording.results import Results

TESTS = Path(__file__).parent
STUDY = '''
"""Two arms of two runs each."""
from grokjax import Study, base, grid, run_study

def arms(size):
    configs = {}
    for name, optimizer in {"baseline": "adamw", "ema": "grokfast_ema+adamw"}.items():
        model = dict(name="mlp", embedding_width=5, hidden=(11,))
        task = dict(name="modular", op="div", p=7)
        configs[name] = config = base(task=task, model=model, optimizer=optimizer)
        config.batch_size = 11
        config.schedule.update(num_steps=1600, eval_every=20, checkpoint_every=40, eval_block=13)
        config.runs = grid(config.runs, seed=(3, 5))
    return configs

STUDY = Study(__file__, __doc__, arms)
get_config = STUDY.get_config

if __name__ == "__main__":
    run_study(STUDY)
'''


def study(folder, *words, **environment):
    folder.mkdir()
    (folder / "toy_study.py").write_text(STUDY)
    cache = Path("~/.cache/grokjax/tests").expanduser()
    command = [sys.executable, "toy_study.py", f"--compilation_cache={cache}", *words]
    environment = os.environ | {"PYTHONPATH": str(TESTS.parent)} | environment
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return folder / "results" / "toy_study", done.stdout


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The configuration of a cluster that takes jobs, for as long as the tests run."""
    if os.geteuid() or not all(map(shutil.which, ("munged", "slurmctld", "slurmd"))):
        pytest.skip("needs root and the packages slurm-wlm and munge")
    pytest.importorskip("submitit")
    folder = tmp_path_factory.mktemp("slurm")
    command = [TESTS / "slurm.sh", folder, "sh", "-c", "echo ready; cat"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, **pipes, text=True)
    assert process.stdout.readline() == "ready\n"
    yield {"SLURM_CONF": str(folder / "slurm.conf")}
    process.communicate()  # ends `cat`, and so the cluster


def slurm(cluster, *command):
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | cluster, check=False
    )
    return done.stdout


def sessions(folder):
    """Of a training: (status, from which step to which)."""
    metadata = folder / "experiment_metadata.json"
    if not metadata.exists():
        return []
    return [(s["from_step"], s["to_step"]) for s in json.loads(metadata.read_text())["sessions"]]


@pytest.mark.slow
def test_jobs_that_are_warned_and_requeued_leave_what_one_process_leaves(cluster, tmp_path):
    whole, _ = study(tmp_path / "whole")
    submission = ["--submit=slurm", "--jobs=2", "--slurm=timeout_min=9"]
    jobs, said = study(tmp_path / "jobs", *submission, **cluster)
    warned, requeued = re.search("submitted 2 jobs: (.*)", said)[1].split()
    shards = [jobs / "baseline" / f"shard-{i}-of-2" for i in (1, 2)]
    for shard in shards:
        wait_until(lambda shard=shard: checkpoints.steps(shard / "checkpoints"))

    slurm(cluster, "scancel", f"--signal={signal.SIGUSR1.name}", warned)
    slurm(cluster, "scontrol", "requeue", requeued)
    wait_until(lambda: Results(shards[0]).status() == "interrupted")
    stopped = sessions(shards[0])[0][1]
    slurm(cluster, "scontrol", "requeue", warned)  # if it did not ask for that by itself
    wait_until(lambda: Results(jobs / "ema").is_complete() and (jobs / "summary.csv").exists())
    wait_until(lambda: not slurm(cluster, "squeue", "--noheader"))

    assert 0 < stopped < 1600
    assert sessions(shards[0])[1][0] == stopped  # not one step was lost
    assert sessions(shards[1])[1][0] > 0
    assert_same_study(whole, jobs)
