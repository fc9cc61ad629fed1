"""The reliability kit at toy size; `python -m tests.reliability` tries it a thousand times."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def reliability(*words):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.pop("JAX_DISABLE_MOST_OPTIMIZATIONS", None)  # bits are compared
    command = [sys.executable, "-m", "tests.reliability", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "cases"),
    [
        ("kills", 4),
        ("signals", 3),
        ("damage", 4),
        ("together", 3),
        ("full_disk", 2),
        ("power_cut", 1),
    ],
)
def test_nothing_is_lost_or_different(part, cases):
    done = reliability(part, "--cases", str(cases))

    assert done.returncode == 0, done.stdout + done.stderr


def test_an_unknown_part_is_one_line():
    done = reliability("floods")

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(
        "choose from " + "kills, signals, damage, together, full_disk, power_cut"
    )
