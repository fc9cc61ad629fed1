"""Throughput is counted, bounded by memory, and compared with PyTorch beside it."""

import json
import sys

import pytest
from conftest import toy_mlp

from benchmarks import harness, sweep_throughput
from benchmarks.sweep_throughput import measure
from grokjax.running.memory import Need

PYTORCH, GROKJAX = 2.0, 0.5  # milliseconds of a step of a run, in the comparisons made up here


@pytest.fixture
def asked(monkeypatch):
    """Nothing is trained. The comparisons asked for: (contenders, steps, rounds)."""
    comparisons = []

    def compare(contenders, steps, rounds):
        comparisons.append((contenders, steps, rounds))
        cost = {name: PYTORCH if "PyTorch" in name else GROKJAX for name in contenders}
        first = next(iter(cost.values()))
        return {n: {"ms": [ms + 1, ms], "ratio": first / ms} for n, ms in cost.items()}

    monkeypatch.setattr(harness, "compare", compare)
    return comparisons


def test_throughput_is_runs_times_steps_over_seconds(asked, toy_config):
    rows = measure(toy_config, most=1)

    assert list(rows) == ["R = 1, PyTorch", "R = 1, vmap", "R = 1, map"]
    wanted = {"runs_steps_per_second": 2000.0, "rounds": [1e3 / 1.5, 2000.0], "ratio": 4.0}
    assert rows["R = 1, vmap"] == wanted
    assert rows["R = 1, PyTorch"]["runs_steps_per_second"] == 500


def test_all_train_the_same_runs_and_steps_in_a_turn(asked, toy_config):
    measure(toy_config, turn=8, rounds=5, most=16)

    assert [steps for _, steps, _ in asked] == [8, 2, 1]  # of 1, 4 and 16 runs
    assert {rounds for _, _, rounds in asked} == {5}
    for (contenders, _, _), runs in zip(asked, (1, 4, 16), strict=True):
        assert {contender.num_runs for contender in contenders.values()} == {runs}


def test_lifts_in_between_have_fewer_runs_at_a_time_than_there_are(asked, toy_config):
    rows = measure(toy_config, most=64, torch=False)

    between = [name for name in rows if "at a time" in name]
    assert between == ["R = 64, 4 at a time", "R = 64, 16 at a time"]


def test_what_would_not_fit_is_not_tried(asked, toy_config, monkeypatch):
    """A run rests in 1 GB, 2 of them under `map`, and computes in 3."""
    monkeypatch.setattr(sweep_throughput, "need", lambda *_: Need(0, 10**9, 3 * 10**9))
    monkeypatch.setattr(sweep_throughput, "memory", lambda: 12 * 10**9)

    rows = measure(toy_config, most=4)

    assert "note" not in rows["R = 1, vmap"]
    assert rows["R = 4, vmap"]["note"] == "not tried: needs about 16 GB, there are 12"
    assert "note" not in rows["R = 4, map"]  # 4 * 2 + 3
    assert list(asked[-1][0]) == ["PyTorch", "map"]
    assert "not tried: needs about 16 GB" in sweep_throughput.table(rows)


def test_a_lift_that_failed_is_not_tried_with_more_runs(asked, toy_config, monkeypatch):
    made_up = harness.compare

    def out_of_memory(contenders, steps, rounds):
        rows = made_up(contenders, steps, rounds)
        return rows | ({"vmap": {"note": "failed: out of memory"}} if "vmap" in rows else {})

    monkeypatch.setattr(harness, "compare", out_of_memory)

    rows = measure(toy_config, most=16)

    assert rows["R = 1, vmap"]["note"] == "failed: out of memory"
    notes = {rows[f"R = {R}, vmap"]["note"] for R in (4, 16)}
    assert notes == {"not tried: failed with R = 1"}
    assert "runs_steps_per_second" in rows["R = 16, map"]


def test_without_pytorch_there_are_no_ratios(asked, toy_config):
    rows = measure(toy_config, most=1, torch=False)

    assert {row["ratio"] for row in rows.values()} == {None}
    assert "1.00" not in sweep_throughput.table(rows)


@pytest.mark.slow
def test_every_lift_trains(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "benchmarks.torch_reference", raising=False)

    rows = measure(toy_mlp(), turn=2, rounds=2, most=16)

    notes = {name: row["note"] for name, row in rows.items() if "note" in row}
    assert notes == dict.fromkeys((f"R = {R}, PyTorch" for R in (1, 4, 16)), "not installed")
    assert list(rows)[-3:] == ["R = 16, vmap", "R = 16, map", "R = 16, 4 at a time"]
    assert all(row["runs_steps_per_second"] > 0 for row in rows.values() if "note" not in row)


def test_the_command_prints_a_table_and_appends_a_line(asked, tmp_path, capsys):
    file = tmp_path / "throughput.jsonl"

    sweep_throughput.main(["--quick", "--most", "1", "--json", str(file)])

    (line,) = (json.loads(line) for line in file.read_text().splitlines())
    assert line["benchmark"] == "sweep_throughput"
    assert line["most"] == 1
    assert line["rows"]["R = 1, map"]["ratio"] == 4
    out = capsys.readouterr().out
    assert out.splitlines()[-1].split() == ["R", "=", "1,", "map", "1333.3", "2000.0", "4.00"]


def test_a_wrong_flag_is_one_line_and_exit_2(capsys):
    with pytest.raises(SystemExit) as exit_:
        sweep_throughput.main(["--most", "0"])

    err = capsys.readouterr().err
    assert exit_.value.code == 2
    assert err.endswith("argument --most: '0'; choose 1 or more\n")
    assert err.count("\n") == 1
