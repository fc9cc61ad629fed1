"""Processes take their turns together, each on its core."""

import functools
import itertools
import json
import os
import sys

import pytest

from benchmarks import workers
from benchmarks.workers import Job


def noting(file, steps):
    """A training that writes down what it is asked for, and where it runs."""
    while True:
        with open(file, "a") as notes:
            print(json.dumps([steps, sorted(os.sched_getaffinity(0)), os.getpid()]), file=notes)
        steps = (yield) or steps


def notes_of(file):
    steps, affinities, pids = zip(*(json.loads(line) for line in file.open()), strict=True)
    (pid,) = set(pids)
    return list(steps), affinities[0], pid


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity here")
def test_all_take_the_steps_of_a_turn_and_end_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # to find this module
    all_cores = sorted(os.sched_getaffinity(0))
    cores_of = {tmp_path / "pinned": all_cores[-1:], tmp_path / "free": all_cores}
    pinned, free = (functools.partial(noting, file) for file in cores_of)
    jobs = [Job(pinned, core=all_cores[-1]), Job(free)]

    turns = workers.together(jobs, 2)
    next(turns)
    turns.send(5)
    next(turns)
    turns.close()

    for file, wanted in cores_of.items():
        steps, found, pid = notes_of(file)
        assert steps == [2, 5, 5]
        assert found == wanted
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_process_that_fails_says_why():
    turns = workers.together([Job(itertools.count)], 1)  # which cannot be sent anything
    next(turns)

    with pytest.raises(RuntimeError, match="object has no attribute 'send'"):
        turns.send(2)


def test_runs_are_shared_out_over_single_threads(monkeypatch):
    monkeypatch.setitem(sys.modules, "benchmarks.torch_reference", object())
    monkeypatch.setattr(workers.cores, "available", lambda: 3)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {7, 2, 5, 4}, raising=False)

    jobs = workers.pytorch("a problem", 8)

    assert [job.core for job in jobs] == [2, 4, 5]
    assert [job.start.args for job in jobs] == [("a problem", n) for n in (3, 3, 2)]
    assert len(workers.pytorch("a problem", 2)) == 2
