"""Runs on many devices, simulated: the same runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import chex
import jax
import numpy as np
import pytest
from conftest import toy, toy_mlp

import grokjax
from grokjax import grid
from grokjax.core import devices, loop

TESTS = Path(__file__).parent
SCRIPT = """
import json, sys
import jax, numpy as np
from test_devices import eleven, trained
model, lift = sys.argv[1:]
state_R, arrays = trained(eleven(model), lift)
print(json.dumps({
    "devices": jax.local_device_count(),
    "val_loss": np.asarray(arrays["val_loss"], float).tolist(),
    "readout": np.asarray(state_R.params["readout"]["kernel"], float).tolist(),
}))
"""


def eleven(model="mlp"):
    """Eleven runs: a prime, and more than there are devices."""
    config = toy_mlp() if model == "mlp" else toy()
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


def going_on():
    """The readout of runs that go on from states without metrics, as branches do."""
    experiment = grokjax.setup(eleven())
    given = (experiment.trainer, experiment.runs_R, experiment.dataset)
    begun_R = loop.init(*given, lift="map")
    *_, (_, last_R, _) = loop.chunks(*given, num_steps=5, lift="map", state_R=begun_R)
    kernel_RxDxC = devices.unpad(last_R, 11).params["readout"]["kernel"]
    return np.asarray(jax.device_get(kernel_RxDxC), float).tolist()


def printed(number, script, *words):
    """The JSON that a script prints where there are so many devices."""
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        env=os.environ
        | {"JAX_NUM_CPU_DEVICES": str(number), "JAX_PLATFORMS": "cpu", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.optimized
@pytest.mark.parametrize(
    ("number", "model", "lift"),
    [
        (2, "transformer", "map"),
        pytest.param(4, "mlp", "map", marks=pytest.mark.slow),  # JAX compiles for each device
        pytest.param(4, "mlp", "vmap", marks=pytest.mark.slow),
    ],
)
def test_several_devices_train_the_same_runs_as_one(number, model, lift):
    """Under `map` bit for bit: a run is computed by the same program wherever it is."""
    there = printed(number, SCRIPT, model, lift)
    state_R, alone = trained(eleven(model), lift)

    assert there["devices"] == number
    assert np.shape(there["val_loss"]) == (4, 11)
    np.testing.assert_allclose(there["val_loss"], alone["val_loss"], rtol=1e-4)
    kernel_RxDxC = state_R.params["readout"]["kernel"]
    np.testing.assert_allclose(there["readout"], kernel_RxDxC, atol=1e-4)
    if lift == "map":
        assert np.array_equal(there["val_loss"], alone["val_loss"].astype(float))
        assert np.array_equal(there["readout"], np.asarray(kernel_RxDxC, float))


@pytest.mark.optimized
def test_states_without_metrics_go_on_where_devices_do_not_divide_the_runs():
    script = "import json; from test_devices import going_on; print(json.dumps(going_on()))"

    assert printed(2, script) == going_on()


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
