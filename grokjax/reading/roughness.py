"""How rough curves are: how far they go back from one evaluation to the next.

Validation accuracy should rise and training loss fall; what they do instead, on average over the
evaluations from memorising to grokking, is a run's roughness. It is zero for a curve that only
goes forward, however steep. A mean, unlike a sum, does not grow with the number of evaluations, so
that runs may be compared that took different times, and the window ends with grokking because
training may; runs must be evaluated equally often. Where accuracy rests at chance for longer, its
mean is the smaller for it; the loss moves all the time.
"""

from collections.abc import Mapping

import numpy as np
from scipy import stats

from grokjax.reading.survival import CONFIDENCE, Median
from grokjax.recording.history import Grokking, History

LOSSES = (1e-8, float(np.finfo(np.float32).max))  # what float32 resolves; a diverged run's


def roughness(history: History | Mapping[str, np.ndarray], grok: Grokking) -> dict[str, np.ndarray]:
    """{column: [R]}: accuracy lost, and the rise of the logarithm of the loss, an evaluation.

    NaN for a run without two evaluations from memorising to grokking.

        step      100  200  300  400  500  600     grokked at 600: falls of .1 and .2 in the
        train     .9   1.   1.   1.   1.   1.      four changes from 200 on,
        val       .2   .5   .4   .7   .5   1.      so val_falls is .075
    """
    step_Ex1 = history["step"][:, None]
    is_late_ExR = (step_Ex1 >= grok.memorised_R) & ~(step_Ex1 > grok.grok_R)
    loss_ExR = np.nan_to_num(history["train_loss"], nan=np.inf).astype(float)
    return {
        "val_falls": _mean_fall(history["val_accuracy"].astype(float), is_late_ExR),
        "loss_rises": _mean_fall(-np.log(np.clip(loss_ExR, *LOSSES)), is_late_ExR),
    }


def _mean_fall(values_ExR, is_late_ExR):
    """[R]: of the changes between two late evaluations; a rise counts as none."""
    counts_ExR = is_late_ExR[1:] & is_late_ExR[:-1]
    falls_ExR = np.maximum(values_ExR[:-1] - values_ExR[1:], 0)
    number_R = counts_ExR.sum(axis=0)
    return (falls_ExR * counts_ExR).sum(axis=0) / np.where(number_R, number_R, np.nan)


def median_of(values_R: np.ndarray) -> Median:
    """The median of the finite values and its exact 95 % interval, of order statistics.

    Conover, 1999, "Practical Nonparametric Statistics", section 3.2. Fewer than six have none.
    """
    finite = values_R[np.isfinite(values_R)]
    if not finite.size:
        return Median(np.nan, np.nan, np.nan)
    test = stats.quantile_test(finite, q=0, p=0.5)
    return Median(float(np.median(finite)), *map(float, test.confidence_interval(CONFIDENCE)))


def rank_test(a_R: np.ndarray, b_R: np.ndarray) -> float:
    """The two-sided p of the Mann-Whitney test on the finite values; NaN if an arm has none.

    Mann & Whitney, 1947, "On a Test of Whether one of Two Random Variables is Stochastically
    Larger than the Other", https://doi.org/10.1214/aoms/1177730491. Exact for up to eight runs
    without ties; of three against three it is never below .1.
    """
    finite = [values_R[np.isfinite(values_R)] for values_R in (a_R, b_R)]
    return float(stats.mannwhitneyu(*finite).pvalue) if all(map(len, finite)) else np.nan
