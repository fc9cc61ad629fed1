"""How rough curves are: how far they go back from one evaluation to the next.

Validation accuracy should rise and training loss fall; what they do instead, on average over the
evaluations from memorising to grokking, is a run's roughness: zero for a curve that only goes
forward, however steep. A mean, unlike a sum, does not grow with the length of a curve, and the
window ends with grokking because training may. Arms must be evaluated equally often, and accuracy
that rests at chance for longer has the smaller mean; the loss moves all the time.
"""

import numpy as np
import scipy

from grokjax.reading.survival import CONFIDENCE, Median
from grokjax.recording.history import Grokking, History

LOSSES = (1e-8, float(np.finfo(np.float32).max))  # what float32 resolves; a diverged run's


def roughness(history: History, grok: Grokking) -> dict[str, np.ndarray]:
    """{column: [R]}: accuracy lost, and the rise of the logarithm of the loss, an evaluation.

    NaN for a run without two evaluations from memorising to grokking.

        step      100  200  300  400  500  600     grokked at 600: falls of .1 and .2 in the
        train     .9   1.   1.   1.   1.   1.      four changes from 200 on,
        val       .2   .5   .4   .7   .5   1.      so val_falls is .075
    """
    step_Ex1 = history["step"][:, None]
    is_late_ExR = (step_Ex1 >= grok.memorised_R) & ~(step_Ex1 > grok.grok_R)
    loss_ExR = np.nan_to_num(history["train_loss"], nan=np.inf).astype(float)
    curves = {
        "val_falls": history["val_accuracy"].astype(float),
        "loss_rises": -np.log(np.clip(loss_ExR, *LOSSES)),
    }
    counts_ExR = is_late_ExR[1:] & is_late_ExR[:-1]
    number_R = np.where(counts_ExR.any(axis=0), counts_ExR.sum(axis=0), np.nan)
    return {
        name: np.where(counts_ExR, np.maximum(-np.diff(x_ExR, axis=0), 0), 0).sum(axis=0) / number_R
        for name, x_ExR in curves.items()
    }


def median_of(values_R: np.ndarray) -> Median:
    """The median of the finite values and, of six or more, its exact 95 % order statistics."""
    finite = values_R[np.isfinite(values_R)]
    if not finite.size:
        return Median(np.nan, np.nan, np.nan)
    interval = scipy.stats.quantile_test(finite, p=0.5).confidence_interval(CONFIDENCE)
    return Median(float(np.median(finite)), float(interval.low), float(interval.high))


def rank_test(a_R: np.ndarray, b_R: np.ndarray) -> float:
    """The two-sided p of the Mann-Whitney test on finite values; NaN if an arm has none."""
    finite = [values_R[np.isfinite(values_R)] for values_R in (a_R, b_R)]
    if not all(map(len, finite)):
        return np.nan
    is_same = np.ptp(np.concatenate(finite)) == 0  # for which SciPy has 1, or NaN from 1.18 on
    return 1.0 if is_same else float(scipy.stats.mannwhitneyu(*finite).pvalue)
