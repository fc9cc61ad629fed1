"""Numbers over runs that stay numbers when some runs have diverged."""

import numpy as np


def finite_quantiles(values_R, quantiles) -> np.ndarray:
    """[Q]: quantiles of the finite values; NaN if there are none, without a warning."""
    values_R = np.asarray(values_R, float)
    finite = values_R[np.isfinite(values_R)]
    if not finite.size:
        return np.full(len(quantiles), np.nan)
    return np.quantile(finite, quantiles)


def finite_median(values_R) -> float:
    """The median of the finite values."""
    return float(finite_quantiles(values_R, [0.5])[0])
