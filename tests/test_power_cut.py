"""A power cut: of what was written, only that is there which had reached the disk."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
CONFIG = """
from grokjax import base

def get_config():
    config = base(task=dict(name="modular", op="add", p=7), model=dict(name="mlp", hidden=(13,)))
    config.batch_size = 11
    config.schedule.update(num_steps=1000, eval_every=20, checkpoint_every=40)
    return config
"""


def command(folder, workdir, *words):
    cache = Path("~/.cache/grokjax/tests").expanduser()
    (folder / "config.py").write_text(CONFIG)
    flags = [f"--config={folder}/config.py", f"--workdir={workdir}"]
    return [sys.executable, "-m", "grokjax.train", *flags, f"--compilation_cache={cache}", *words]


def train(*given):
    return subprocess.run(command(*given), cwd=ROOT, capture_output=True, text=True, check=False)


@contextlib.contextmanager
def mounted(image, folder):
    """Where an image of a disk is mounted; skips the test where that is not allowed."""
    folder.mkdir()
    done = subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("needs root and a loop device")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The history of an undisturbed training."""
    folder = tmp_path_factory.mktemp("whole")
    done = train(folder, folder / "run")
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "run" / "history.npz"))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("mkfs.ext4") or os.geteuid() != 0, reason="needs root, ext4")
@pytest.mark.parametrize("wait", [0.0, 0.2, 0.9])
def test_after_a_power_cut_training_goes_on_bit_for_bit(wait, whole, tmp_path):
    image, cut = tmp_path / "image", tmp_path / "cut"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    with mounted(image, tmp_path / "disk") as disk:
        process = subprocess.Popen(
            command(tmp_path, disk / "run"), cwd=ROOT, stdout=subprocess.DEVNULL
        )
        while not list((disk / "run" / "checkpoints").glob("1[0-9]0")):
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(wait)
        process.send_signal(signal.SIGSTOP)
        seen = sorted(int(p.name) for p in disk.glob("run/checkpoints/*") if p.name.isdigit())
        shutil.copyfile(image, cut)
        process.kill()
        process.wait()
    with mounted(cut, tmp_path / "after") as after:
        run = shutil.copytree(after / "run", tmp_path / "run")
    steps = sorted(int(p.name) for p in (run / "checkpoints").iterdir() if p.name.isdigit())
    resumed = train(tmp_path, run, "--resume=latest")

    assert seen[-1] < 1000, "cut too late to prove anything"
    assert steps[-1] >= seen[-2]  # the newest may have had its name for a moment only
    assert resumed.returncode == 0, resumed.stderr
    assert "warning: checkpoint" not in resumed.stderr
    after = dict(np.load(run / "history.npz"))
    assert after.keys() == whole.keys()
    for name, array in whole.items():
        assert array.tobytes() == after[name].tobytes(), name
