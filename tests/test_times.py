"""When a run came to a threshold: first, for a while, for good; tables short enough to read."""

import itertools
import json

import numpy as np
import pytest
from made_results import change, diverge, leave

from grokjax.reading.arms import read
from grokjax.reading.rows import rows
from grokjax.recording.history import History, grokking
from grokjax.recording.summary import first_step, summarise
from grokjax.recording.times import THRESHOLDS, Crossing, crossing, threshold_of, times

NEVER = np.nan
RULE = dict(threshold=0.99, count=3, rule="sustained")


def of(val_RxE, threshold=0.9, count=2, last_R=None):
    """The crossings of runs that were evaluated every 100 steps, each as a tuple."""
    val_ExR = np.array(val_RxE).T
    step_E = 100 * np.arange(1, len(val_ExR) + 1)
    last_R = np.full(val_ExR.shape[1], step_E[-1]) if last_R is None else np.array(last_R)
    found = crossing(step_E, val_ExR, last_R, threshold, count)
    assert all(column_R.shape == (val_ExR.shape[1],) for column_R in found)
    return [Crossing(*values) for values in zip(*found, strict=True)]


def check(found, *expected):
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_three_times_of_a_run_that_dips_and_comes_back():
    """The table of the docstring beside a run that stays."""
    dips, stays = of([[0.9, 0.1, 0.9, 1, 0.6, 0.9, 0.9], [0.1, 0.1, 0.1, 0.1, 0.9, 1, 1]])

    check(dips, 100, 300, 600, 0.3, 1, 100)
    check(stays, 500, 500, 500, 0, 0, 0)


def test_a_run_that_never_came_has_no_time_and_nothing_to_fall_from():
    check(of([[0.1, 0.2, 0.3]])[0], *[NEVER] * 6)
    check(of([[0.1, 0.9, 0.3]])[0], 200, *[NEVER] * 5)  # once is not for two evaluations


def test_what_was_seen_only_once_at_the_end_is_not_for_good():
    """It crossed at the last evaluation, and nobody knows what it does next."""
    check(of([[0.1, 0.1, 0.9]])[0], 300, *[NEVER] * 5)
    check(of([[0.9, 0.9, 0.1, 0.9]])[0], 100, 100, NEVER, 0.8, 1, 100)


def test_collapses_are_as_deep_as_the_worst_and_as_long_as_the_longest():
    """Below from 300 to 400, and from 700 to the end, three evaluations, which are 300 steps."""
    (found,) = of([[1, 1, 0.5, 0.7, 1, 1, 0.8, 0.6, 0.85]])

    check(found, 100, 100, NEVER, 0.4, 5, 300)


def test_a_spell_lasts_as_many_steps_as_lie_between_evaluations():
    """Of evaluations at uneven steps, 0.5 stands for those from 20 to 70, and to 80."""
    step_E, val_Ex1 = np.array([10, 20, 70, 80, 90]), np.array([[1, 1, 0.5, 0.5, 1]]).T
    found = crossing(step_E, val_Ex1, np.array([90]), 0.9, 2)

    assert found.longest_R.tolist() == [60]


def test_a_run_was_watched_only_until_it_stopped():
    """What stands in the table after that is the last metric, kept."""
    ends, goes_on = of([[0.1, 1, 1, 0.2, 0.2], [0.1, 1, 1, 0.2, 0.2]], last_R=[300, 500])

    check(ends, 200, 200, 200, 0, 0, 0)
    check(goes_on, 200, 200, NEVER, 0.7, 2, 200)
    check(of([[0.1, 1, 1, 1]], last_R=[200])[0], 200, *[NEVER] * 5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rule", [{}, RULE, dict(threshold=0.9, count=2), dict(count=1)])
def test_the_sustained_time_at_the_configs_threshold_is_when_it_grokked(seed, rule):
    rng = np.random.default_rng(seed)
    val_ExR = rng.choice([0.3, 0.6, 0.93, 0.97, 0.99, 1], (37, 41)).astype(np.float32)
    history = dict(
        step=7 * np.arange(1, 38), train_accuracy=np.ones((37, 41)), val_accuracy=val_ExR
    )
    found = times(history, np.full(41, 259), rule)
    own = found[threshold_of(rule)]

    np.testing.assert_array_equal(own.sustained_R, grokking(history, **rule).grok_R)
    assert list(found) == list(THRESHOLDS)
    for low, high in itertools.pairwise(THRESHOLDS):
        assert not (found[low].first_R > found[high].first_R).any()
    for each in found.values():
        came_R = np.isfinite(each.strict_R)
        assert (each.first_R <= each.sustained_R)[np.isfinite(each.sustained_R)].all()
        assert (each.sustained_R <= each.strict_R)[came_R].all()
        assert ((each.below_R == 0) <= came_R).all()


def test_a_threshold_of_the_config_is_one_more_and_s3_has_its_own():
    history = dict(
        step=np.array([100]), train_accuracy=np.ones((1, 3)), val_accuracy=np.ones((1, 3))
    )

    assert list(times(history, np.full(3, 100), dict(threshold=0.97))) == [
        0.5,
        0.9,
        0.95,
        0.97,
        0.99,
    ]
    assert threshold_of(dict(rule="s3")) == 0.95


def stopped_history():
    """Run 0 stops at 500, two evaluations after it grokked at 300 (count 2); run 1 never groks."""
    val_ExR = np.array([[0.1, 0.1], [0.96, 0.6], [1, 0.6], [1, 0.6], [1, 0.2], [1, 0.6], [1, 0.6]])
    names = ("train_accuracy", "val_accuracy", "train_loss", "val_loss")
    return History({"step": 100 * np.arange(1, 8)} | dict.fromkeys(names, val_ExR))


def test_the_summary_has_the_three_times_of_each_run():
    rule, early = dict(threshold=0.99, count=2), dict(eval_every=100, stop_after_grok=1)
    summary = summarise(stopped_history(), ["a", "b"], 60.0, early, rule)
    first, second = (json.loads(json.dumps(run))["times"] for run in summary["runs"])

    came = dict(first=300, sustained=300, strict=300, depth=0, below=0, longest=0)
    assert first["0.99"] == came
    assert first["0.95"] == came | dict.fromkeys(("first", "sustained", "strict"), 200)
    assert second["0.5"] == dict(
        first=200, sustained=200, strict=600, depth=0.3, below=1, longest=100
    )
    assert set(second["0.99"].values()) == {None}
    assert list(first) == ["0.5", "0.9", "0.95", "0.99"]


def test_seconds_to_grok_are_the_share_of_a_run():
    """60 seconds for 700 steps of run 1 and 500 of run 0, whose median is its step 300."""
    summary = summarise(
        stopped_history(), ["a", "b"], 60.0, dict(stop_after_grok=1), dict(threshold=0.99, count=2)
    )

    assert [run["steps"] for run in summary["runs"]] == [500, 700]
    assert summary["overall"]["median_grok_seconds"] == 300 * 60 / 1200


def test_the_steps_before_a_branch_took_none_of_its_seconds():
    """Of the runs' 500 and 700 steps 100 each were trained elsewhere."""
    sections = (dict(stop_after_grok=1), dict(threshold=0.99, count=2))
    first = first_step({"branched": {"goes_on": True, "steps": [100, 100]}})
    summary = summarise(stopped_history(), ["a", "b"], 60.0, *sections, first=first)

    assert summary["overall"]["median_grok_seconds"] == 300 * 60 / 1000
    assert first_step({"branched": {"goes_on": False, "steps": [100, 300]}}) == first_step({}) == 0


def dipping(folder):
    """Five runs that grok at 300 to 700; run 0 is at 40 % at 500 and 600, run 1 at 80 % at last."""

    def dips(arrays):
        val_ExR = arrays["val_accuracy"].copy()
        val_ExR[[4, 5], 0] = 0.4
        val_ExR[-1, 1] = 0.8
        return val_ExR

    change(leave(folder, [300, 400, 500, 600, 700]), val_accuracy=dips)
    return folder


def test_the_table_has_medians_of_the_times_over_all_runs(tmp_path):
    """Strict at 99 %: 700, never, 500, 600, 700; at 50 % run 1 has not fallen."""
    (row,) = rows(read(dipping(tmp_path / "dips")))

    assert (row["first_0.99"], row["sustained_0.99"], row["strict_0.99"]) == (500, 500, 700)
    assert (row["strict_0.5"], row["strict_0.9"], row["strict_0.95"]) == (600, 700, 700)
    assert row["sustained_0.99"] == row["median_grok_step"]
    assert (row["strict_runs"], row["collapses"]) == (4, 2)
    assert row["collapse_depth"] == pytest.approx((0.59 + 0.19) / 2)
    assert row["collapse_steps"] == (200 + 100) / 2
    assert row["grok_seconds"] == pytest.approx(500 * 5.5 / 5000)  # of two sessions, five runs


def test_a_run_that_diverged_after_it_grokked_is_not_strict(tmp_path):
    folder = leave(tmp_path / "lost", [300, 300, 300])
    diverge(folder, run=1, step=600)
    (row,) = rows(read(folder))

    assert (row["grokked"], row["strict_runs"]) == (3, 2)
    assert row["collapse_steps"] == 500  # at 600 to 1,000
