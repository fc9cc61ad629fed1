"""Runs on many devices, simulated: the same runs, and no communication between devices."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import chex
import jax
import numpy as np
import pytest
from conftest import toy_mlp

import grokjax
from grokjax import grid
from grokjax.core import devices, loop

TESTS = Path(__file__).parent
SCRIPT = """
import json, sys
import jax, numpy as np
from test_devices import eleven, program, trained
assert jax.local_device_count() == 8
state_R, arrays = trained(eleven(), sys.argv[1])
print(json.dumps({
    "val_loss": np.asarray(arrays["val_loss"], float).tolist(),
    "readout": np.asarray(state_R.params["readout"]["kernel"], float).tolist(),
    "program": program(eleven(), sys.argv[1]),
}))
"""


def eleven():
    """Eleven runs: a prime, and more than eight devices."""
    config = toy_mlp()
    config.runs = grid(config.runs, seed=range(11), learning_rate=1e-2)
    return config


def third_stops(t):
    """Of every three runs the last one stops at step 10, the second at step 15."""
    third_R = np.arange(11) % 3
    return (third_R == 0) | ((third_R == 1) & (t < 15)) | (t < 10)


def trained(config, lift):
    """States [R, ...] and the history [E, R] of runs of which some stop."""
    experiment = grokjax.setup(config)
    given = (experiment.trainer, experiment.runs_R, experiment.dataset)
    history = grokjax.History()
    for t, state_R, metrics_R in loop.chunks(*given, num_steps=20, lift=lift, active=third_stops):
        if metrics_R is not None:
            history.append(t, metrics_R)
        last_R = state_R
    return jax.device_get(devices.unpad(last_R, 11)), history.arrays()


def program(config, lift):
    """The compiled program of all devices, for a compacted batch of runs, as text."""
    experiment = grokjax.setup(config)
    mesh = devices.mesh()
    runs_R = devices.shard(experiment.runs_R, mesh)
    table = experiment.dataset
    state_R = loop.init(experiment.trainer, runs_R, table, lift=lift, mesh=mesh)
    metrics_R = loop.no_metrics(experiment.trainer, state_R, runs_R, table, lift=lift)
    active_R = devices.pad(np.arange(11) < 3, 11, mesh)
    compacted_A = devices.compacted(active_R, mesh)
    given = (state_R, metrics_R, 0, 4, runs_R, table, active_R, compacted_A)
    return loop.make_advance(experiment.trainer, lift, mesh).lower(*given).compile().as_text()


@pytest.mark.slow
@pytest.mark.parametrize("lift", ["map", "vmap"])
def test_eight_devices_train_the_same_runs_as_one_and_send_nothing(lift):
    flags = "--xla_force_host_platform_device_count=8"
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, lift],
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    on_eight = json.loads(done.stdout)
    state_R, alone = trained(eleven(), lift)

    assert np.shape(on_eight["val_loss"]) == (4, 11)
    np.testing.assert_allclose(on_eight["val_loss"], alone["val_loss"], rtol=1e-4)
    kernel_RxDxC = state_R.params["readout"]["kernel"]
    np.testing.assert_allclose(on_eight["readout"], kernel_RxDxC, atol=1e-4)
    words = r"all-reduce|all-gather|all-to-all|collective|reduce-scatter|send|recv"
    assert "num_partitions=8" in on_eight["program"]
    assert not re.search(words, on_eight["program"])


@pytest.mark.parametrize("lift", ["vmap", pytest.param("2", marks=pytest.mark.slow)])
def test_a_compacted_sweep_trains_its_active_runs_as_before(lift):
    """Of eleven runs eight go on, then four: all are computed, then six."""
    config = eleven()
    state_R, history = trained(config, "map")
    compacted_R, compacted_history = trained(config, lift)

    for name in ("val_loss", "train_accuracy", "grad_norm"):
        np.testing.assert_allclose(compacted_history[name], history[name], rtol=1e-3)
    kernels = (x_R.params["readout"]["kernel"] for x_R in (compacted_R, state_R))
    np.testing.assert_allclose(*kernels, atol=1e-5)
    assert (compacted_history["val_loss"][-1, 2::3] == compacted_history["val_loss"][1, 2::3]).all()
    assert (compacted_history["val_loss"][-1, ::3] != compacted_history["val_loss"][1, ::3]).all()


@pytest.mark.optimized
@pytest.mark.parametrize("lift", ["map", pytest.param("vmap", marks=pytest.mark.slow)])
def test_a_compacted_sweep_goes_on_from_where_it_was_bit_for_bit(lift):
    experiment = grokjax.setup(eleven())
    given = (experiment.trainer, experiment.runs_R, experiment.dataset)

    def last(steps, **start):
        *_, end = loop.chunks(*given, num_steps=steps, lift=lift, active=third_stops, **start)
        return jax.device_get(end)

    _, whole_R, wanted_R = last(20)
    _, state_R, metrics_R = last(15)
    _, again_R, resumed_R = last(20, start=15, state_R=state_R, metrics_R=metrics_R)

    chex.assert_trees_all_equal(again_R, whole_R)
    chex.assert_trees_all_equal(resumed_R, wanted_R)


class Two:
    """A mesh of two devices, as far as numbers go."""

    size = 2


def test_a_batch_is_halved_as_often_as_all_active_runs_still_fit():
    def compacted(*active_DxS):
        runs_A = devices.compacted(np.array(active_DxS, bool).ravel(), Two)
        return None if runs_A is None else runs_A.tolist()

    assert compacted([1, 0, 0, 1, 0], [0, 0, 0, 1, 0]) == [0, 3, 3, 0]
    assert compacted([1, 0, 1, 1, 0], [0, 0, 0, 0, 0]) == [0, 2, 3, 0, 1, 2]
    assert compacted([1, 1, 1, 1, 0], [0, 0, 0, 0, 0]) is None
    assert compacted([0, 0, 0, 0, 0], [0, 0, 0, 0, 0]) == [0, 0]
    assert devices.compacted(None, Two) is None


def test_padding_runs_do_not_train():
    padded = devices.pad(None, 3, Two)

    assert padded.tolist() == [True, True, True, False]
    active_R = devices.pad(np.array([False, True, True]), 3, Two)
    assert active_R.tolist() == [False, True, True, False]
    assert devices.pad(None, 4, Two) is None
