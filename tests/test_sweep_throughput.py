"""Throughput is counted, bounded by memory, and compared with PyTorch in the same rounds."""

import pytest
from conftest import toy_mlp
from test_benchmarks import hide_torch

from benchmarks import harness, sweep_throughput
from benchmarks.sweep_throughput import measure
from grokjax.running.memory import MemoryEstimate

PYTORCH, GROKJAX = 2.0, 0.5  # milliseconds of a step of a run, in the comparisons made up here


@pytest.fixture
def asked(monkeypatch):
    """Nothing is trained. The comparisons asked for: (implementations, steps, rounds)."""
    comparisons = []

    def compare(implementations, steps, rounds):
        comparisons.append((implementations, steps, rounds))
        cost = {name: PYTORCH if "PyTorch" in name else GROKJAX for name in implementations}
        cost |= {name: 1.0 for name in cost if "per core" in name}
        return {n: {"ms": [ms + 1, ms], "best": ms, "steps": 7} for n, ms in cost.items()}

    monkeypatch.setattr(harness, "compare", compare)
    return comparisons


def test_throughput_is_runs_times_steps_over_seconds(asked, toy_config):
    rows = measure(toy_config, most=1)

    assert list(rows) == ["R = 1, PyTorch", "R = 1, vmap", "R = 1, map"]
    wanted = {"runs_steps_per_second": 2000.0, "rounds": [1e3 / 1.5, 2000.0], "steps": 7}
    assert rows["R = 1, vmap"] == {**wanted, "ratio": 4.0, "ratio_to_best": 4.0}
    assert rows["R = 1, PyTorch"]["runs_steps_per_second"] == 500


def test_ratios_are_to_eager_pytorch_and_to_its_best_way(asked, toy_config):
    rows = measure(toy_config, most=4)

    assert list(rows)[3:] == [
        *("R = 4, PyTorch", "R = 4, PyTorch, a process per core", "R = 4, PyTorch, torch.func"),
        *("R = 4, vmap", "R = 4, map", "R = 4, a core for every run"),
    ]
    ours = rows["R = 4, a core for every run"]
    assert (ours["ratio"], ours["ratio_to_best"]) == (PYTORCH / GROKJAX, 1.0 / GROKJAX)
    assert rows["R = 4, PyTorch"]["ratio_to_best"] == 1.0 / PYTORCH
    assert sweep_throughput.table(rows).splitlines()[-1].split() == [
        *("|", "R", "=", "4,", "a", "core", "for", "every", "run", "|", "1333.3", "|", "2000.0"),
        *("|", "7", "|", "4.00", "|", "2.00", "|"),
    ]


def test_all_train_the_same_runs(asked, toy_config):
    measure(toy_config, steps=8, rounds=5, most=16)

    assert {(steps, rounds) for _, steps, rounds in asked} == {(8, 5)}
    for (implementations, _, _), runs in zip(asked, (1, 4, 8, 16), strict=True):
        assert {implementation.num_runs for implementation in implementations.values()} == {runs}


def test_lifts_in_between_have_fewer_runs_at_a_time_than_there_are(asked, toy_config):
    rows = measure(toy_config, most=64)

    between = [name for name in rows if "at a time" in name]
    assert between == ["R = 64, 4 at a time", "R = 64, 16 at a time"]


def test_what_would_not_fit_is_not_tried(asked, toy_config, monkeypatch):
    """The state of a run takes 1 GB, 2 under `map`, and its computation 3."""
    monkeypatch.setattr(
        sweep_throughput, "estimate", lambda *_: MemoryEstimate(0, 10**9, 3 * 10**9)
    )
    monkeypatch.setattr(sweep_throughput, "available", lambda _: 12 * 10**9)

    rows = measure(toy_config, most=4)

    assert "note" not in rows["R = 1, vmap"]
    assert rows["R = 4, vmap"]["note"] == "not tried: needs about 16 GB, there are 12"
    assert "note" not in rows["R = 4, map"]  # 4 * 2 + 3
    assert "vmap" not in asked[-1][0]
    assert "map" in asked[-1][0]
    assert "not tried: needs about 16 GB" in sweep_throughput.table(rows)


def test_a_lift_that_failed_is_not_tried_with_more_runs(asked, toy_config, monkeypatch):
    made_up = harness.compare

    def out_of_memory(implementations, steps, rounds):
        rows = made_up(implementations, steps, rounds)
        return rows | ({"vmap": {"note": "failed: out of memory"}} if "vmap" in rows else {})

    monkeypatch.setattr(harness, "compare", out_of_memory)

    rows = measure(toy_config, most=16)

    assert rows["R = 1, vmap"]["note"] == "failed: out of memory"
    notes = {rows[f"R = {R}, vmap"]["note"] for R in (4, 16)}
    assert notes == {"not tried: failed with R = 1"}
    assert "runs_steps_per_second" in rows["R = 16, map"]


@pytest.mark.slow
def test_every_lift_trains(monkeypatch):
    hide_torch(monkeypatch)

    rows = measure(toy_mlp(), steps=2, rounds=2, most=8)

    notes = {row["note"] for row in rows.values() if "note" in row}
    assert notes == {"not installed"}
    lifts = ("vmap", "map", "4 at a time", "a core for every run")
    assert list(rows)[-4:] == [f"R = 8, {lift}" for lift in lifts]
    assert all("note" not in row for name, row in rows.items() if "PyTorch" not in name)
    timed = [row for row in rows.values() if "note" not in row]
    assert all(row["runs_steps_per_second"] > 0 and row["ratio"] is None for row in timed)
    assert "not installed" in sweep_throughput.table(rows)
