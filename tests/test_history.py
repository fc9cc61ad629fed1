"""When a run memorised and grokked, on histories short enough to read."""

import numpy as np
import pytest

from grokjax.recording.early_stopping import RunTracker, observed_until
from grokjax.recording.history import (
    Grokking,
    History,
    grokking,
)


def of(train, val, **rule):
    """The grokking of one run that was evaluated every 100 steps."""
    step_E = 100 * np.arange(1, len(val) + 1)
    accuracies = dict(train_accuracy=np.array(train)[:, None], val_accuracy=np.array(val)[:, None])
    return Grokking(
        *(column_R.item() for column_R in grokking({"step": step_E} | accuracies, **rule))
    )


def test_the_first_of_several_consecutive_evaluations_counts():
    found = of([0.9, 1, 1, 1, 1], [0.1, 0.99, 0.2, 0.99, 1], count=2)

    assert found == Grokking(
        memorised_R=200,
        grok_R=400,
        delay_R=200,
        collapses_R=0,
        val_at_memorising_R=0.99,
        high_share_R=0.5,
    )


def test_a_run_that_never_generalises_is_censored():
    late = Grokking(100, np.nan, np.nan, 0, val_at_memorising_R=0, high_share_R=0.5)
    np.testing.assert_equal(of([1, 1, 1, 1], [0, 0, 1, 1]), late)
    never = Grokking(*[np.nan] * 3, 0, np.nan, np.nan)
    np.testing.assert_equal(of([0, 0], [0, 0]), never)


def test_a_delay_above_90_percent_is_no_plateau():
    plateau = of([1] * 9, [0.1, 0.1, 0.1, 0.1, 0.5, 0.95, 1, 1, 1])
    assert (plateau.grok_R, plateau.val_at_memorising_R) == (700, 0.1)
    assert plateau.high_share_R == pytest.approx(1 / 6)
    assert not plateau.crept_R
    crept = of([0.5, 1, 1, 1, 1, 1, 1, 1], [0.5, 0.7, 0.92, 0.96, 0.98, 0.99, 1, 1])
    assert (crept.grok_R, crept.val_at_memorising_R) == (600, 0.7)
    assert crept.high_share_R == 3 / 4
    assert crept.crept_R
    assert not of([0, 0, 1, 1], [0, 0.95, 1, 1]).crept_R  # no delay
    assert not of([1] * 4, [0.95] * 4).crept_R  # and it never grokked


def test_later_collapses_are_counted():
    found = of([1] * 8, [0.5, 1, 1, 1, 0.5, 1, 0.2, 0.3])

    assert (found.grok_R, found.collapses_R) == (200, 2)


def test_generalising_with_memorisation_is_no_delay():
    assert of([0, 1, 1, 1], [0, 1, 1, 1]).delay_R == 0
    assert of([0, 0, 1, 1], [0, 1, 1, 1]).delay_R == 0
    assert of([1, 1, 1, 1], [0, 1, 1, 1]).delay_R == 100


def test_the_threshold_can_be_chosen():
    assert np.isnan(of([1, 1, 1], [0.96, 0.96, 0.96]).grok_R)
    assert of([1, 1, 1], [0.96, 0.96, 0.96], threshold=0.95).grok_R == 100


@pytest.mark.parametrize(
    ("crossing", "expected"),
    [(12, 1300), (10, np.nan)],
    ids=["more than 1,000 steps after memorising", "sooner"],
)
def test_the_s3_rule_asks_for_a_gap_in_which_validation_stays_low(crossing, expected):
    """Memorised at 200; validation is at 96 % from 1,300 on, or from 1,100."""
    train = [0.5] + [1.0] * 19
    val = [0.1] * crossing + [0.96] * (20 - crossing)

    np.testing.assert_equal(of(train, val, rule="s3").grok_R, expected)


def test_a_history_grows_by_rows_and_comes_back_from_its_arrays():
    history = History()
    for step in (100, 200):
        history.append(step, dict(train_accuracy=np.ones(3), val_accuracy=np.full(3, step / 200)))

    assert history["val_accuracy"].tolist() == [[0.5] * 3, [1.0] * 3]
    assert History(history.arrays())["step"].tolist() == [100, 200]
    assert grokking(history, count=1).grok_R.tolist() == [200] * 3


def test_a_run_stops_one_evaluation_after_it_is_seen_to_have_grokked_or_diverged():
    """Threshold .9, twice in a row; two evaluations on, and one more that is being computed."""
    val = np.array(
        [[0.1, 0.9, 0.1, 0.1], [0.9, 0.9, 0.1, 0.1], [0.9, 0.9, 0.1, 0.9], [0.9, 0.9, 0.1, 0.9]]
    )
    loss = np.ones((4, 4))
    loss[1, 2] = np.nan
    early = dict(eval_every=7, stop_after_grok=2)
    tracker = RunTracker(4, early, dict(threshold=0.9, count=2))
    active = []
    for e in range(4):
        metrics_R = dict(train_accuracy=val[e], val_accuracy=val[e], train_loss=loss[e])
        tracker.update(7 * (e + 1), metrics_R)
        active.append(tracker.active(7 * (e + 2)).tolist())  # while the next one is computed

    assert active[0] == [True, True, True, True]
    assert active[1] == [True, True, False, True]
    assert active[2] == [True, False, False, True]
    assert active[3] == [False, False, False, True]
    assert tracker.last_evaluation_R.tolist() == [4, 3, 2, 5]


def test_a_history_that_was_taken_over_may_have_more_evaluations():
    """Every 5 steps up to 20, then every 10: grokked at 30, a run stops at 50."""
    tracker = RunTracker(1, dict(eval_every=10, stop_after_grok=1), dict(threshold=0.9, count=1))
    for step in (5, 10, 15, 20, 30):
        accuracy = np.array([0.95 if step == 30 else 0.1])
        metrics_R = dict(train_accuracy=accuracy, val_accuracy=accuracy, train_loss=accuracy)
        tracker.update(step, metrics_R)

    assert tracker.active(40).tolist() == [True]
    assert tracker.active(50).tolist() == [False]
    tracker.update(40, metrics_R)
    assert tracker.active(40).tolist() == [True]
    assert tracker.active(50).tolist() == [False]


def test_a_run_that_diverged_was_followed_to_the_end_of_the_schedule():
    """Run 0 grokked and stopped at step 21, run 1 diverged, run 2 is lost only for a while."""
    val = np.array([[0.9, 0.1, 0.1], [0.9, 0.1, 0.1], [0.9, 0.1, 0.1], [0.9, 0.1, 0.1]])
    loss = np.ones((4, 3))
    loss[1:, 1], loss[1, 2] = np.nan, np.inf
    columns = dict(train_accuracy=val, val_accuracy=val, train_loss=loss)
    history = History({"step": np.array([7, 14, 21, 28])} | columns)
    rule, early = dict(threshold=0.9, count=1), dict(num_steps=700, stop_after_grok=1)

    assert observed_until(history, early, rule).tolist() == [21, 700, 28]
    assert observed_until(history, early | {"stop_after_grok": 0}, rule).tolist() == [28] * 3


def test_a_run_on_a_mixture_stops_only_when_each_of_its_tasks_has_grokked():
    """Run 0 has both tasks, run 1 has no share of the second."""
    high, low, none = np.full((4, 2), 0.95), np.full((4, 2), 0.5), np.array([0.9, np.nan])
    late = low.copy()
    late[2:] = 0.95
    columns = {"train_accuracy": high, "val_accuracy": high, "train_loss": high}
    columns |= {f"{side}_accuracy/add": high for side in ("train", "val")}
    columns |= {"train_accuracy/div": np.tile(none, (4, 1)), "val_accuracy/div": late}
    history = History({"step": np.array([7, 14, 21, 28])} | columns)

    tracker = RunTracker.replay(history, dict(stop_after_grok=1), dict(threshold=0.9, count=1))
    assert tracker.last_evaluation_R.tolist() == [4, 2]


def test_an_unknown_metric_is_told_which_there_are():
    history = History({"step": np.array([10]), "val_loss": np.ones((1, 2))})

    with pytest.raises(KeyError, match="no metric 'val_los'; choose from step, val_loss"):
        history["val_los"]
