"""TensorBoard curves for many runs, and what a diverged run does to them."""

import warnings

import numpy as np

from grokjax.statistics import finite_median, finite_quantiles
from grokjax.writers import MANY, TensorBoard


def test_many_runs_are_three_curves_and_diverged_ones_are_left_out(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        writer = TensorBoard(tmp_path, [f"seed={r}" for r in range(MANY + 1)])
        writer.write_scalars(1, {"train_loss": np.r_[np.nan, np.inf, np.arange(MANY - 1)]})
        writer.close()

    assert {path.name for path in tmp_path.iterdir()} == {"lowest", "median", "highest"}


def test_quantiles_of_finite_values():
    assert finite_quantiles([3.0, np.nan, 1.0, np.inf, 2.0], [0, 0.5, 1]).tolist() == [1, 2, 3]
    assert np.isnan(finite_median([np.nan, np.inf]))
