"""Results as one labelled cube."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
import xarray
from made_results import change, leave

import grokjax


def test_a_grid_has_its_entries_as_axes(tmp_path):
    """Three axes; the last entry varies fastest: run 11 has decay 2, rate .3, seed 1."""
    runs = {"seed": [0, 1], "learning_rate": [0.1, 0.2, 0.3], "weight_decay": [1, 2]}
    labels = [
        f"seed={seed} learning_rate={rate} weight_decay={decay}"
        for seed in (0, 1)
        for rate in (0.1, 0.2, 0.3)
        for decay in (1, 2)
    ]
    steps = [100 * (r + 1) for r in range(12)]
    leave(tmp_path / "grid", steps, runs=runs, labels=labels, last=1500)

    cube = grokjax.open(tmp_path / "grid")
    assert cube.sizes == {
        "seed": 2,
        "learning_rate": 3,
        "weight_decay": 2,
        "step": 15,
        "threshold": 4,
    }
    assert cube.grok_step.sel(seed=0, learning_rate=0.2, weight_decay=2) == 400
    assert cube.grok_step.sel(seed=1, learning_rate=0.3, weight_decay=2) == 1200
    accuracy_E = cube.val_accuracy.sel(seed=1, learning_rate=0.1, weight_decay=1)
    np.testing.assert_array_equal(accuracy_E >= 0.9, cube.step >= 700)
    assert (cube.first_step.sel(threshold=0.95) == cube.grok_step).all()
    assert json.loads(cube.attrs["config"])["runs"] == runs


def test_shards_of_one_training_are_one_grid(tmp_path):
    """In whatever order they are given; one alone is a row of runs."""
    runs = {"seed": [0, 1, 2], "weight_decay": [1, 2]}
    labels = [f"seed={seed} weight_decay={decay}" for seed in (0, 1, 2) for decay in (1, 2)]
    shards = []
    for i, own in enumerate((slice(0, 3), slice(3, 6)), 1):
        steps = [100 * (r + 1) for r in range(6)][own]
        given = dict(runs=runs, labels=labels[own], shard=f"{i}/2")
        shards.append(leave(tmp_path / f"shard{i}", steps, **given))

    cube = grokjax.open(*reversed(shards))
    assert dict(cube.grok_step.sizes) == {"seed": 3, "weight_decay": 2}
    assert cube.grok_step.values.tolist() == [[100, 200], [300, 400], [500, 600]]

    alone = grokjax.open(shards[0])
    assert alone.grok_step.dims == ("run",)
    assert alone.weight_decay.values.tolist() == [1, 1, 2]
    assert alone.seed.values.tolist() == [0, 1, 0]
    assert alone.grok_step.values.tolist() == [100, 300, 200]


def test_folders_with_other_configs_are_arms(tmp_path):
    """A sweep's entries that an arm decides lie along it; seeds of one setting are one arm."""
    leave(tmp_path / "a", [300, 400], model={"name": "mlp"})
    leave(tmp_path / "b", [500, None], runs={"seed": [0, 1], "lamb": [2.0]}, last=2000)
    cube = grokjax.open(tmp_path)
    assert dict(cube.grok_step.sizes) == {"arm": 2, "seed": 2}
    np.testing.assert_array_equal(cube.grok_step.sel(arm="b"), [500, np.nan])
    np.testing.assert_array_equal(cube.lamb, [np.nan, 2])
    assert np.isnan(cube.val_accuracy.sel(arm="a", step=1100)).all()
    assert json.loads(cube.attrs["config"])["a"]["model"] == {"name": "mlp"}

    runs = {"seed": [2, 3]}
    leave(tmp_path / "c", [600, 700], runs=runs, labels=["seed=2", "seed=3"], model={"name": "mlp"})
    more = grokjax.open(tmp_path / "a", tmp_path / "c")
    assert more.grok_step.dims == ("seed",)
    assert more.grok_step.values.tolist() == [300, 400, 600, 700]


def test_measures_with_several_values_have_an_axis_of_their_own(tmp_path):
    leave(tmp_path / "a", [300, 400, 500])
    spectrum_ExRxK = np.arange(10 * 3 * 7).reshape(10, 3, 7).astype(np.float32)
    total_ExR = spectrum_ExRxK[..., 0]
    added = {"fourier/spectrum": spectrum_ExRxK, "norms/total": total_ExR}
    change(tmp_path / "a", **{name: lambda _, x=x: x for name, x in added.items()})

    cube = grokjax.open(tmp_path / "a")
    assert cube.fourier_spectrum.dims == ("seed", "step", "fourier_spectrum_entry")
    np.testing.assert_array_equal(cube.fourier_spectrum.sel(seed=2, step=400), spectrum_ExRxK[3, 2])
    np.testing.assert_array_equal(cube.norms_total.transpose("step", "seed"), total_ExR)


def test_it_is_kept_as_netcdf_and_as_a_table(tmp_path):
    cube = grokjax.open(leave(tmp_path / "a", [300, None]))

    cube.to_netcdf(tmp_path / "runs.nc")
    with xarray.open_dataset(tmp_path / "runs.nc") as again:
        xarray.testing.assert_equal(again, cube)
        assert again.attrs == cube.attrs
    cube[["val_accuracy"]].to_dataframe().to_parquet(tmp_path / "runs.parquet")
    table = pd.read_parquet(tmp_path / "runs.parquet").reset_index()
    assert len(table) == 20
    row = table[(table.seed == 0) & (table.step == 300)]
    assert row.val_accuracy.tolist() == [1]


def test_what_cannot_be_opened_is_said(tmp_path, monkeypatch):
    leave(tmp_path / "a", [300])
    (tmp_path / "empty").mkdir()

    with pytest.raises(ValueError, match="does not exist; choose a folder"):
        grokjax.open(tmp_path / "none")
    with pytest.raises(ValueError, match="holds no results"):
        grokjax.open(tmp_path / "empty")
    with pytest.raises(ValueError, match="no folder given"):
        grokjax.open()
    leave(tmp_path / "b", [300])
    with pytest.raises(ValueError, match=r"run 'seed=0' is in .*a and in .*b; choose one of them"):
        grokjax.open(tmp_path / "a", tmp_path / "b")
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ValueError, match=r"pip install 'grokjax\[analysis\]'"):
        grokjax.open(tmp_path / "a")
