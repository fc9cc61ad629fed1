"""Runs trained in shards, for want of memory or by several processes, are the runs of one."""

import concurrent.futures
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import toy_mlp

from grokjax import setup
from grokjax.running import shards
from grokjax.running.options import Options

ROOT = Path(__file__).parent.parent
CACHE = f"--compilation_cache={Path('~/.cache/grokjax/tests').expanduser()}"
FEW = ("--workdir=all", "--cores=1", "--memory=0.00065")  # of which two runs take the most
CONFIG = """
from grokjax import base, grid

def get_config():
    config = base(task=dict(name="modular", op="add", p=7), model=dict(name="mlp", hidden=(13,)))
    config.batch_size = 11
    config.schedule.update(num_steps=20, eval_every=5, checkpoint_every=10)
    config.runs = grid(config.runs, seed=range(5))
    return config
"""


def start(folder, *words):
    (folder / "config.py").write_text(CONFIG)
    command = [sys.executable, "-m", "grokjax.train", "--config=config.py", CACHE, *words]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def train(folder, *words):
    process = start(folder, *words)
    out, err = process.communicate()
    return process.returncode, out, err


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All five runs trained at once: the arrays of their history."""
    folder = tmp_path_factory.mktemp("whole")
    code, _, err = train(folder, "--workdir=all")
    assert code == 0, err
    return arrays(folder / "all")


def arrays(folder):
    return dict(np.load(folder / "history.npz"))


def assert_same(found, whole):
    """Every array, bit for bit."""
    assert found.keys() == whole.keys()
    for name, array in whole.items():
        assert found[name].tobytes() == array.tobytes(), name


@pytest.mark.slow
def test_what_does_not_fit_is_trained_in_shards_one_after_the_other(tmp_path, whole):
    """Afterwards files of two shards and the whole are lost or damaged, and are made again."""
    code, out, err = train(tmp_path, *FEW)

    assert code == 0, err
    shards = sorted(path.name for path in (tmp_path / "all").glob("shard-*"))
    assert len(shards) == 3  # of one, two and two runs
    assert f"merged all {len(shards)} shards" in out
    assert "5 runs take about" in err
    assert f"training {len(shards)} shards" in err
    assert_same(arrays(tmp_path / "all"), whole)

    (tmp_path / "all" / shards[1] / "summary.json").unlink()
    (tmp_path / "all/summary.json").unlink()
    history = tmp_path / "all" / shards[2] / "history.npz"
    history.write_bytes(history.read_bytes()[:100])
    code, out, err = train(tmp_path, *FEW, "--resume=latest")
    assert code == 0, err
    assert out.count("there is nothing left to train") == len(shards)
    assert "writing again: history.npz" in out
    assert_same(arrays(tmp_path / "all"), whole)


@pytest.mark.slow
def test_shards_go_on_after_a_signal_and_never_with_another_config(tmp_path, whole):
    process = start(tmp_path, *FEW, "--config.log_every=5")
    for line in process.stdout:
        if "step 5]" in line:  # of the first share
            process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    assert not (tmp_path / "all/summary.json").exists()
    again = train(tmp_path, *FEW)
    other = train(tmp_path, *FEW, "--resume=latest", "--config.runs.learning_rate=(0.1,)")
    fewer = train(tmp_path, *FEW[:-1], "--memory=0.0004", "--resume=latest")
    code, _, err = train(tmp_path, *FEW, "--resume=latest", "--save_path=figure.png")

    assert (again[0], other[0], fewer[0]) == (2, 2, 2)
    assert "choose --resume latest, --overwrite or another --workdir" in again[2]
    assert (
        "cannot resume under another config: runs.learning_rate was [0.001], is [0.1]" in other[2]
    )
    assert "shard-1-of-3, and this would be one of 5" in fewer[2]
    assert code == 0, err
    assert_same(arrays(tmp_path / "all"), whole)
    figure = (tmp_path / "figure.png").read_bytes()
    assert figure == (tmp_path / "all/overview.png").read_bytes()


@pytest.mark.slow
def test_processes_that_meet_train_a_share_each_and_the_last_joins_them(tmp_path, whole):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        where = f"--coordinator=localhost:{free.getsockname()[1]}"
    both = [start(tmp_path, "--workdir=all", where, f"--shard={i}/2") for i in (1, 2)]
    with concurrent.futures.ThreadPoolExecutor() as pool:  # each is heard while the other speaks
        said = list(pool.map(subprocess.Popen.communicate, both))

    assert [process.returncode for process in both] == [0, 0], said
    assert sum("merged all 2 shards" in out for out, _ in said) in (1, 2)
    assert_same(arrays(tmp_path / "all"), whole)


def test_a_resume_keeps_to_the_shards_that_are_there(tmp_path):
    """Also where processes had begun them, each its own, and one now goes on with all."""
    config = toy_mlp()
    config.runs.seed = (0, 1, 2, 3)
    experiment = setup(config)
    (tmp_path / "shard-1-of-3").mkdir()
    trainings, _, n = shards.plan(experiment, Options(config, tmp_path, resume="latest"))

    assert [results.folder.name for _, results in trainings] == [
        f"shard-{i}-of-3" for i in (1, 2, 3)
    ]
    assert [len(shard.labels) for shard, _ in trainings] == [1, 1, 2]
    assert n == 3


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--coordinator=localhost:1"], "choose auto on a cluster, or HOST:PORT with --shard I/N"),
        (["--coordinator=here", "--shard=1/2"], "--coordinator here; choose auto on a cluster"),
        (["--coordinator=auto", "--shard=1/2"], "--coordinator auto; choose auto on a cluster"),
        (["--memory=0"], "--memory 0.0; choose above 0, in GB"),
        (["--memory=inf"], "--memory inf; choose above 0, in GB, and finite"),
        (["--join"], "--join is for shards of the runs; choose one with --shard"),
        (["--cores=1", "--memory=0.0001"], "--memory 0.0001: one run takes about 0.0002"),
        (
            ["--cores=1", "--shard=1/2", "--memory=0.0004"],
            "choose --shard with 2 times as many shards",
        ),
    ],
)
def test_what_cannot_be_shared_is_one_line_and_exit_2(tmp_path, flags, complaint):
    code, _, err = train(tmp_path, *flags)

    assert code == 2
    assert complaint in err
    assert err.count("\n") == 1
    assert not (tmp_path / "results").exists()
