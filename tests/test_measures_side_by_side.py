"""Measures of runs that are trained together, one after another or in one batch."""

import numpy as np
import pytest
from conftest import toy

import grokjax

MEASURES = ("clock_pizza", "lazy", "subnetwork")


@pytest.mark.slow
def test_runs_side_by_side_have_the_values_of_each():
    def measured(lift):
        config = toy()
        config.lift = lift
        config.measures = MEASURES
        config.schedule.update(num_steps=10)
        config.runs = grokjax.grid(config.runs, seed=(0, 1, 2))
        history = grokjax.train(config).history.arrays()
        return {name: x for name, x in history.items() if name.startswith(MEASURES)}

    one_by_one, batched = measured("map"), measured("vmap")

    assert {name: x.shape for name, x in batched.items()} == {
        "clock_pizza/distance_irrelevance": (2, 3),
        "clock_pizza/gradient_symmetricity": (2, 3),
        "lazy/alignment": (2, 3),
        "lazy/drift": (2, 3),
        "subnetwork/kept": (2, 3, 4),
        "subnetwork/neurons_needed": (2, 3),
    }
    for name, x in one_by_one.items():
        assert np.isfinite(x).all(), name
        np.testing.assert_allclose(batched[name], x, rtol=1e-4, atol=1e-5, err_msg=name)
