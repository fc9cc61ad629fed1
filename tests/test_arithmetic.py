"""The arithmetic of a training step and of grokking."""

import json

import pytest
from conftest import toy, toy_mlp
from made_results import leave

import grokjax
from benchmarks import flops
from benchmarks.problem import setup, trace_step
from grokjax.core import weight_stats
from grokjax.reading.arithmetic import counted, flops_per_step
from grokjax.reading.arms import read
from grokjax.reading.rows import rows


def test_a_step_of_one_run_is_its_matmuls_and_some_arithmetic_for_each_weight():
    """Matmuls are counted from the jaxpr by benchmarks/flops.py; an optimizer takes about 20."""
    config = toy(width=60, ff_width=130)
    config.runs.seed = (0, 1, 2)
    experiment = grokjax.setup(config)
    matmuls = flops.dot_flops(flops.count_matmuls(trace_step(setup(config, 1)).jaxpr.jaxpr))
    weights = weight_stats.count(experiment.shapes_of_run().params)

    assert matmuls + 10 * weights < flops_per_step(experiment) < matmuls + 40 * weights


def test_arms_of_a_folder_are_one_program_and_the_count_is_times_the_median_step(tmp_path):
    folder = leave(tmp_path / "toy", [300, 400, 500])
    experiment = grokjax.setup(toy_mlp())
    record = json.loads(json.dumps(experiment.record)) | {"grok": {"threshold": 0.99, "count": 2}}
    record["runs"]["seed"] = [0, 1, 2]
    (folder / "config.json").write_text(json.dumps(record))
    arms = counted(read(folder))
    (row,) = rows(arms)

    assert rows(read(folder))[0]["grok_flops"] is None
    assert row["grok_flops"] == 400 * flops_per_step(experiment)
    assert row["grok_seconds"] == pytest.approx(400 * 5.5 / 3000)


def test_a_config_that_cannot_be_trained_is_one_line(tmp_path):
    with pytest.raises(ValueError, match="the config is not what training wrote"):
        counted(read(leave(tmp_path / "old", [300])))
