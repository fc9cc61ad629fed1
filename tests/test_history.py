"""When a run memorised and grokked, on histories short enough to read."""

import numpy as np
import pytest

from grokjax.recording.history import (
    Grokking,
    History,
    grokking,
    grokking_of_runs,
    last_evaluations,
    watched_steps,
)


def of(train, val, **rule):
    step_E = 100 * np.arange(1, len(val) + 1)
    return grokking(step_E, np.array(train), np.array(val), **rule)


def test_the_first_of_several_consecutive_evaluations_counts():
    found = of([0.9, 1, 1, 1, 1], [0.1, 0.99, 0.2, 0.99, 1], count=2)

    assert found == Grokking(memorised_step=200, grok_step=400, delay=200, collapses=0)


def test_a_run_that_never_generalises_is_censored():
    assert of([1, 1, 1, 1], [0, 0, 1, 1]) == Grokking(100, None, None, 0)
    assert of([0, 0], [0, 0]) == Grokking(None, None, None, 0)


def test_later_collapses_are_counted():
    found = of([1] * 8, [0.5, 1, 1, 1, 0.5, 1, 0.2, 0.3])

    assert (found.grok_step, found.collapses) == (200, 2)


def test_generalising_with_memorisation_is_no_delay():
    assert of([0, 1, 1, 1], [0, 1, 1, 1]).no_delay
    assert of([0, 0, 1, 1], [0, 1, 1, 1]).delay == 0
    assert not of([1, 1, 1, 1], [0, 1, 1, 1]).no_delay


def test_the_threshold_can_be_chosen():
    assert of([1, 1, 1], [0.96, 0.96, 0.96]).grok_step is None
    assert of([1, 1, 1], [0.96, 0.96, 0.96], threshold=0.95).grok_step == 100


@pytest.mark.parametrize(
    ("crossing", "expected"),
    [(12, 1300), (10, None)],
    ids=["more than 1,000 steps after memorising", "sooner"],
)
def test_the_s3_rule_asks_for_a_gap_in_which_validation_stays_low(crossing, expected):
    """Memorised at 200; validation is at 96 % from 1,300 on, or from 1,100."""
    train = [0.5] + [1.0] * 19
    val = [0.1] * crossing + [0.96] * (20 - crossing)

    assert of(train, val, rule="s3").grok_step == expected


def test_a_history_grows_by_rows_and_comes_back_from_its_arrays():
    history = History()
    for step in (100, 200):
        history.append(step, dict(train_accuracy=np.ones(3), val_accuracy=np.full(3, step / 200)))

    assert history["val_accuracy"].tolist() == [[0.5] * 3, [1.0] * 3]
    assert History(history.arrays())["step"].tolist() == [100, 200]
    assert [g.grok_step for g in grokking_of_runs(history, count=1)] == [200] * 3


def test_a_run_rests_one_evaluation_after_it_is_seen_to_have_grokked_or_diverged():
    """Threshold .9, twice in a row; two evaluations on, and one more that is being computed."""
    val = np.array(
        [[0.1, 0.9, 0.1, 0.1], [0.9, 0.9, 0.1, 0.1], [0.9, 0.9, 0.1, 0.9], [0.9, 0.9, 0.1, 0.9]]
    )
    loss = np.ones((4, 4))
    loss[1, 2] = np.nan
    history = History()
    for e in range(4):
        history.append(
            7 * (e + 1), dict(train_accuracy=val[e], val_accuracy=val[e], train_loss=loss[e])
        )
    last = [
        last_evaluations(
            History({n: a[:e] for n, a in history.arrays().items()}), 2, threshold=0.9, count=2
        )
        for e in (2, 3, 4)
    ]

    assert last[0].tolist() == [np.inf, np.inf, 2, np.inf]
    assert last[1].tolist() == [np.inf, 3, 2, np.inf]
    assert last[2].tolist() == [4, 3, 2, np.inf]


def test_a_run_that_diverged_was_watched_to_the_end_of_the_schedule():
    """Run 0 grokked and rests from step 21 on, run 1 diverged, run 2 is lost only for a while."""
    val = np.array([[0.9, 0.1, 0.1], [0.9, 0.1, 0.1], [0.9, 0.1, 0.1], [0.9, 0.1, 0.1]])
    loss = np.ones((4, 3))
    loss[1:, 1], loss[1, 2] = np.nan, np.inf
    columns = dict(train_accuracy=val, val_accuracy=val, train_loss=loss)
    history = History({"step": np.array([7, 14, 21, 28])} | columns)
    rule, early = dict(threshold=0.9, count=1), dict(num_steps=700, stop_after_grok=1)

    assert watched_steps(history, early, **rule).tolist() == [21, 700, 28]
    assert watched_steps(history, early | {"stop_after_grok": 0}, **rule).tolist() == [28] * 3


def test_a_run_on_a_mixture_rests_only_when_each_of_its_tasks_has_grokked():
    """Run 0 has both tasks, run 1 has no share of the second."""
    high, low, none = np.full((4, 2), 0.95), np.full((4, 2), 0.5), np.array([0.9, np.nan])
    late = low.copy()
    late[2:] = 0.95
    columns = {"train_accuracy": high, "val_accuracy": high, "train_loss": high}
    columns |= {f"{side}_accuracy/add": high for side in ("train", "val")}
    columns |= {"train_accuracy/div": np.tile(none, (4, 1)), "val_accuracy/div": late}
    history = History({"step": np.array([7, 14, 21, 28])} | columns)

    assert last_evaluations(history, 1, threshold=0.9, count=1).tolist() == [4, 2]
