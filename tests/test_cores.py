"""A core of a CPU for every run."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from grokjax.running import cgroups, cores

TRAIN = [sys.executable, "-m", "grokjax.train"]


@pytest.mark.parametrize("given", [0, -1, 100_000])
def test_more_cores_than_there_are_or_none_are_refused(given):
    with pytest.raises(ValueError, match=f"--cores {given}; choose 1 to {cores.available()}, what"):
        cores.use(8, given)


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "250000 100000"}, [2]),
        ({"cpu.max": "max 100000"}, []),
        ({"cpu.max": "50000 100000"}, [0]),
    ],
)
def test_a_quota_is_that_of_the_cgroup(files, quota, tmp_path, monkeypatch):
    (tmp_path / "own").write_text("0::/job\n")
    monkeypatch.setattr(cgroups, "OWN", tmp_path / "own")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    (tmp_path / "job").mkdir()
    for name, text in files.items():
        (tmp_path / "job" / name).write_text(f"{text}\n")

    assert set(cores.quotas()) == set(quota)
    assert cores.available() >= 1  # half a core is one


def test_a_quota_of_the_first_version_is_read_too(tmp_path, monkeypatch):
    (tmp_path / "own").write_text("4:cpu,cpuacct:/job\n")
    monkeypatch.setattr(cgroups, "OWN", tmp_path / "own")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    job = tmp_path / "cpu,cpuacct" / "job"
    job.mkdir(parents=True)
    (job / "cpu.cfs_quota_us").write_text("300000\n")
    (job / "cpu.cfs_period_us").write_text("100000\n")

    assert cores.quotas() == [3]


@pytest.mark.skipif(cores.available() < 2, reason="this machine has one core")
def test_a_sweep_on_two_cores_is_bit_for_bit_that_on_one(tmp_path):
    """Five runs do not divide by two, and some of them stop early."""
    config = tmp_path / "config.py"
    config.write_text("from toy_config import get_config")
    (tmp_path / "toy_config.py").write_text(
        "import sys\n"
        f"sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        "from conftest import toy\n"
        "def get_config():\n"
        "    config = toy()\n"
        "    config.runs.seed = (0, 1, 2, 3, 4)\n"
        "    config.schedule.stop_after_grok = 1\n"
        "    config.grok.threshold = 0.2\n"
        "    return config\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{os.getcwd()}"}
    histories = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        words = [f"--config={config}", f"--workdir={folder}", f"--cores={number}"]
        done = subprocess.run(TRAIN + words, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        metadata = json.loads((folder / "experiment_metadata.json").read_text())
        assert metadata["device"].startswith(f"{number} x ")
        with np.load(folder / "history.npz") as arrays:
            histories.append(dict(arrays))

    assert histories[0].keys() == histories[1].keys()
    for name, values in histories[0].items():
        np.testing.assert_array_equal(values, histories[1][name], err_msg=name)
