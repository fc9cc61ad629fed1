"""A study in shards: put together they are the whole, whoever trained them."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import toy

from grokjax import grid, setup
from grokjax.reading.pictures import plots
from grokjax.recording.results import Results
from grokjax.running.options import Options
from grokjax.running.shards import concatenate, folder_of, merge
from grokjax.running.signals import ASKING
from grokjax.studies.cluster import Job
from grokjax.train import train_in

ROOT = Path(__file__).parent.parent
STUDY = '''
"""Two arms that train in seconds."""
from grokjax import Study, base, grid, run_study

def arms(size):
    configs = {}
    for name, optimizer in {"baseline": "adamw", "ema": "grokfast_ema+adamw"}.items():
        configs[name] = config = base(optimizer=optimizer)
        config.runs = grid(config.runs, seed=(3, 5))
    return configs

STUDY = Study(__file__, __doc__, arms)
get_config = STUDY.get_config

if __name__ == "__main__":
    run_study(STUDY)
'''

STOPPABLE = """
import pathlib, signal, sys, time
ready, saved = map(pathlib.Path, sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: (saved.touch(), sys.exit(7)))
ready.touch()
time.sleep(60)
"""
SBATCH = """#!/bin/sh
if [ -n "$REFUSE" ]; then echo "no such partition" >&2; exit 1; fi
cp "$1" asked && echo "Submitted batch job 123"
"""


def start(folder, *words, **environment):
    if not (folder / "toy_study.py").exists():  # others may be reading it
        (folder / "toy_study.py").write_text(STUDY)
    cache = Path("~/.cache/grokjax/tests").expanduser()
    usual = ["--size=smoke", "--results=results", f"--compilation_cache={cache}"]
    return subprocess.Popen(
        [sys.executable, "toy_study.py", *usual, *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
    )


def command(folder, *words, **environment):
    process = start(folder, *words, **environment)
    out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def assert_same_history(left, right):
    """Every array, bit for bit."""
    left, right = (dict(np.load(folder / "history.npz")) for folder in (left, right))
    assert left.keys() == right.keys()
    for name, array in left.items():
        assert array.tobytes() == right[name].tobytes(), name
        assert array.shape == right[name].shape, name


def wait_until(true, seconds=240):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.2)


def train(folder, experiment):
    """What the command does, in this process."""
    results = Results(folder)
    train_in(results, experiment, Options(experiment.config, folder))
    results.lock.release()


def test_a_share_that_stopped_early_goes_on_as_it_ended():
    loss = {"longer": [[3.0, 2.0], [1.0, 0.5], [0.25, 0.0]], "shorter": [[7.0], [5.0]]}
    longer = {"step": np.array([10, 20, 30]), "label": np.array(["seed=2", "seed=3"])}
    shorter = {"step": np.array([10, 20]), "label": np.array(["seed=5"])}
    labels, history = concatenate(
        [
            longer | {"train_loss": np.array(loss["longer"])},
            shorter | {"train_loss": np.array(loss["shorter"])},
        ]
    )

    assert labels == ["seed=2", "seed=3", "seed=5"]
    assert history["step"].tolist() == [10, 20, 30]
    assert history["train_loss"].tolist() == [[3.0, 2.0, 7.0], [1.0, 0.5, 5.0], [0.25, 0.0, 5.0]]


@pytest.mark.slow
def test_shards_make_the_whole_though_they_stopped_at_different_steps(tmp_path, monkeypatch):
    """Half of the examples are never learnt: 12 % of them right are reached by chance, or not."""
    monkeypatch.setattr(plots, "save", lambda *_: None)
    config = toy()
    config.runs = grid(config.runs, seed=(1, 5, 3, 4, 0, 2), learning_rate=0.01)
    config.grok.update(threshold=0.12, count=1)
    config.schedule.update(num_steps=60, checkpoint_every=60, stop_after_grok=1)
    experiment = setup(config)
    train(tmp_path / "whole", experiment)
    parts = [folder_of(tmp_path / "parts", i, 3) for i in (1, 2, 3)]
    for i, folder in enumerate(parts, start=1):
        assert not merge(config, tmp_path / "parts", 3)
        train(folder, experiment.shard(i, 3))

    assert merge(config, tmp_path / "parts", 3)
    assert_same_history(tmp_path / "whole", tmp_path / "parts")
    evaluations = [np.load(folder / "history.npz")["step"].size for folder in parts]
    assert evaluations[0] < evaluations[1] < evaluations[2] == 12


@pytest.mark.parametrize("sent", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_job_whose_time_is_up_stops_its_command_and_asks_to_run_it_again(tmp_path, sent):
    """By the signal that submitit handles, or the other one that people ask SLURM to send."""
    pytest.importorskip("submitit")
    ready, saved = tmp_path / "ready", tmp_path / "saved"
    words = [sys.executable, "-c", STOPPABLE, str(ready), str(saved)]
    job = Job(words)
    again = []

    def time_is_up():
        wait_until(ready.exists)
        os.kill(os.getpid(), sent)

    before = {number: signal.getsignal(number) for number in ASKING}
    signal.signal(signal.SIGUSR2, lambda *_: again.append(job.checkpoint()))
    threading.Thread(target=time_is_up).start()
    with pytest.raises(RuntimeError, match="ended with 7"):  # after that submitit would exit
        job()
    for number, handler in before.items():
        signal.signal(number, handler)

    assert saved.exists()
    (submission,) = again
    assert vars(submission.function) == vars(Job(words))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two arms of two runs each, trained by one process."""
    folder = tmp_path_factory.mktemp("whole")
    done = command(folder)
    assert done.returncode == 0, done.stderr
    return folder / "results" / "toy_study"


def assert_same_study(left, right):
    """Histories bit for bit, and every number of the tables."""
    for arm in ("baseline", "ema"):
        assert_same_history(left / arm, right / arm)
        runs = [json.loads((folder / arm / "summary.json").read_text()) for folder in (left, right)]
        assert runs[0]["runs"] == runs[1]["runs"]
    assert (left / "summary.csv").read_bytes() == (right / "summary.csv").read_bytes()


@pytest.mark.slow
def test_jobs_on_this_machine_leave_what_one_process_leaves(whole, tmp_path):
    pytest.importorskip("submitit")
    submitted = command(tmp_path, "--submit", "local", "--jobs", "2", "--slurm=timeout_min=9")
    study = tmp_path / "results" / "toy_study"
    assert submitted.returncode == 0, submitted.stderr
    assert len(re.search("submitted 2 jobs: (.*)", submitted.stdout)[1].split()) == 2
    assert "--status --jobs=2" in submitted.stdout
    wait_until(lambda: len(list((study / "jobs").glob("*_result.pkl"))) == 2)
    status = command(tmp_path, "--status", "--jobs=2")

    assert status.stdout.count("finished") == 4
    assert_same_study(whole, study)


@pytest.mark.slow
def test_slurm_is_given_one_array_of_jobs_or_says_why_not(tmp_path):
    """By programs that stand in for those of SLURM."""
    pytest.importorskip("submitit")
    path = f"{tmp_path}:{os.environ['PATH']}"
    for name, text in {"sbatch": SBATCH, "srun": "#!/bin/sh\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    words = ["--submit=slurm", "--jobs=2", "--only=ema", "--slurm", "partition=gpu,timeout_min=90"]
    submitted = command(tmp_path, *words, PATH=path)
    refused = command(tmp_path, *words, PATH=path, REFUSE="yes")
    asked = (tmp_path / "asked").read_text()

    assert "submitted 2 jobs: 123_0 123_1\n" in submitted.stdout
    assert "--only=ema --shard=1/2\n" in submitted.stdout
    for line in ("--array=0-1%2", "--partition=gpu", "--time=90", "--job-name=toy_study"):
        assert f"#SBATCH {line}\n" in asked
    assert refused.returncode == 2
    assert "error: slurm takes no jobs: no such partition\n" in refused.stderr


@pytest.mark.slow
def test_shards_are_put_together_by_the_last_one_and_by_whoever_comes_after(whole, tmp_path):
    study = tmp_path / "results" / "toy_study"
    first = command(tmp_path, "--shard=2/2", "--only=ema")
    assert (first.returncode, "no arm is finished yet" in first.stdout) == (0, True)
    last = command(tmp_path, "--shard=1/2", "--only=ema")
    assert "Not finished yet: baseline" in last.stdout
    assert_same_history(whole / "ema", study / "ema")
    (study / "ema" / "summary.json").unlink()
    after = command(tmp_path, "--shard=1/2", "--only=ema")

    assert "was finished before" in after.stdout
    assert_same_history(whole / "ema", study / "ema")
    assert (study / "ema" / "summary.json").exists()


@pytest.mark.slow
def test_what_cannot_be_submitted_is_one_line_and_leaves_nothing(tmp_path):
    pytest.importorskip("submitit")
    bad = {
        "--submit local": "choose --jobs, such as --jobs 8",
        "--submit local --jobs 3": "--jobs 3; choose 1 to 2",
        "--submit local --jobs 0": "--jobs 0; choose 1 to 2",
        "--submit slurm --jobs 2": "--submit slurm finds no sbatch and srun",
        "--submit local --jobs 2 --slurm time=1": "such as timeout_min=600",
        "--submit local --jobs 2 --slurm gpu": "--slurm gpu; choose what one task needs",
        "--submit local --jobs 2 --slurm fast=1": "Unknown argument 'fast'",
        "--submit local --jobs 2 --slurm mem_gb=a": '"mem_gb" expected type',
        "--submit local --jobs 2 --status": "leave them out",
        "--jobs 2": "--jobs is for --submit and --status",
    }
    processes = {words: start(tmp_path, *words.split()) for words in bad}
    for words, process in processes.items():
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out, err.count("\n")) == (2, "", 1), err
        assert bad[words] in err
    assert not (tmp_path / "results").exists()
