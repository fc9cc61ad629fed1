"""How rough curves are, by values that a reader can check."""

import numpy as np
import pytest
from made_results import change, leave

from grokjax.reading.arms import read_all
from grokjax.reading.roughness import median_of, rank_test, roughness
from grokjax.reading.rows import markdown, rows
from grokjax.recording.history import History, grokking

TRAIN = [0.9, 1, 1, 1, 1, 1, 1, 1]  # memorised at 200
VAL = [0.2, 0.5, 0.4, 0.7, 0.5, 1, 1, 1]  # grokked at 600
LOSS = [2, 1, 1, 1, 1, 1, 1, 1]


def of(val=VAL, loss=LOSS, train=TRAIN):
    """(accuracy lost, rise of log loss) an evaluation, of one run."""
    columns = {"train_accuracy": train, "val_accuracy": val, "train_loss": loss}
    history = {name: np.array(values, np.float32)[:, None] for name, values in columns.items()}
    history = History(history | {"step": 100 * np.arange(1, 1 + len(val))})
    return [x_R.item() for x_R in roughness(history, grokking(history)).values()]


def test_the_mean_of_the_falls_from_memorising_to_grokking():
    assert of() == pytest.approx([0.3 / 4, 0])


def test_what_only_goes_forward_has_none_however_steep():
    assert of([0.1, 0.2, 0.9, 0.9, 0.91, 1, 1, 1], [4, 2, 1, 0.1, 0.1, 0.01, 1, 1]) == [0, 0]


def test_what_is_before_memorising_or_after_grokking_does_not_count():
    longer = of([0.9, *VAL[1:], 0.2], [0.1, *LOSS[1:6], 7, 8, 9], [*TRAIN, 1])

    assert longer == of()


def test_a_curve_of_the_same_kind_is_as_rough_when_it_is_longer():
    """Down and up by .1 without end; a loss that is multiplied by e and divided by it again."""
    for times in (1, 3):
        val, loss = [0, *[0.2, 0.1] * times, 0.2], [9, *[1, np.e] * times, 1]
        assert of(val, loss, [0.5] + [1] * (2 * times + 1)) == pytest.approx([0.05, 0.5])


def test_a_run_without_a_delay_or_that_never_memorised_has_no_roughness():
    assert np.isnan(of(val=[0, 1, 1, 1, 1, 1, 1, 1])).all()
    assert np.isnan(of(train=[0.5] * 8)).all()


def test_a_loss_that_is_not_finite_any_more_is_the_roughest_and_zero_is_no_infinity():
    never = [0.1] * 8
    assert of(never, [*LOSS[:5], np.nan, np.nan, np.nan])[1] > 10
    assert of(never, [*LOSS[:5], 0, 0, 1e-8]) == [0, 0]


def test_the_interval_of_a_median_is_exact_or_none():
    """Of 8 runs the smallest and the largest, 99.2 %: the second and seventh have 93 %."""
    assert median_of(np.array([8, 1, 2, 7, 3, 6, 4, 5, np.nan])) == (4.5, 1, 8)
    few = median_of(np.array([3.0, 1, 2]))
    assert few.median == 2
    assert np.isnan(few[1:]).all()
    assert np.isnan(median_of(np.array([np.nan]))).all()


def test_ranks_tell_two_arms_apart_as_they_do_by_counting():
    """One of the 20 ways to choose 3 of 6 is as extreme on each side: 2/20."""
    assert rank_test(np.array([1, 2, 3, np.nan]), np.array([4, 5, 6])) == pytest.approx(0.1)
    assert rank_test(np.zeros(3), np.zeros(3)) == 1
    assert np.isnan(rank_test(np.array([np.nan]), np.ones(3)))


def test_the_table_of_arms_has_the_roughness_and_compares_it(tmp_path):
    """Six runs that all rise, and six that fall by 30 points once in the five changes."""
    folders = [leave(tmp_path / name, [700] * 6) for name in ("smooth", "rough")]

    def falls(arrays):
        values_ExR = arrays["val_accuracy"].copy()
        values_ExR[3:6] = [[0.4], [0.1], [0.1]]
        return values_ExR

    change(folders[1], val_accuracy=falls)
    smooth, rough = rows(read_all(folders))

    assert (smooth["val_falls"], smooth["val_falls_p"]) == (0, None)
    assert rough["val_falls"] == pytest.approx(0.3 / 5)
    assert (rough["val_falls_low"], rough["val_falls_high"]) == pytest.approx((0.06, 0.06))
    assert rough["val_falls_p"] < 0.01
    assert rough["loss_rises"] == 0
    assert "6.00% [6.00%, 6.00%]" in markdown([smooth, rough])
