"""Critical values at which half of the runs grok, against closed forms and a textbook."""

import json

import numpy as np
import pytest
from made_results import leave

from grokjax.config.grid import grid_points, labels
from grokjax.reading import thresholds
from grokjax.reading.arms import read, read_all
from grokjax.reading.pictures.laws import critical_picture


def results(folder, shares, num_runs, entry="train_fraction", last=1000, step=500):
    """A folder of an entry's values {value: runs that grok}, the others never do."""
    runs = {entry: list(shares), "seed": list(range(num_runs))}
    points = grid_points(runs)
    steps = [step if point["seed"] < shares[point[entry]] else None for point in points]
    return leave(folder, steps, runs=runs, labels=labels(runs), last=last)


def test_a_textbooks_dose_at_which_half_die():
    """Bliss, 1935, beetles: log10 dose 60.717 / 34.270 in Dobson & Barnett, 2018, chapter 7.

    Theirs is maximum likelihood; the penalty of the 481 beetles' is small.
    """
    dose_K = 10 ** np.array([1.6907, 1.7242, 1.7552, 1.7842, 1.8113, 1.8369, 1.8610, 1.8839])
    beetles_K = np.array([[59, 60, 62, 56, 63, 59, 62, 60]])
    dead_K = np.array([[6, 13, 18, 28, 52, 53, 61, 60]])
    a, b = thresholds.logistic(dose_K, beetles_K, dead_K)[0]

    assert -a / b / np.log(10) == pytest.approx(60.717 / 34.270, abs=5e-4)
    assert b * np.log(10) == pytest.approx(34.270, rel=0.02)


@pytest.mark.parametrize(("low", "high"), [(1, 6), (0, 7), (0, 1), (5, 2)])
def test_with_two_values_the_rate_is_that_with_half_a_run_added_to_both_outcomes(low, high):
    """Firth, 1993: the penalty adds 1/2 to each cell of a saturated table."""
    counts = np.array([[7, 7]]), np.array([[low, high]])
    (coefficient_P,) = thresholds.logistic(np.array([0.3, 0.7]), *counts)

    rate_K = (np.array([low, high]) + 0.5) / 8
    logit_K = np.log(rate_K / (1 - rate_K))
    slope = (logit_K[1] - logit_K[0]) / np.log(0.7 / 0.3)
    np.testing.assert_allclose(coefficient_P, [logit_K[0] - slope * np.log(0.3), slope], rtol=1e-6)


def test_a_critical_value_has_an_interval_over_runs(tmp_path):
    """Rates symmetric about 0.4 on the log axis."""
    folder = results(tmp_path / "curve", {0.1: 0, 0.2: 2, 0.4: 5, 0.8: 8, 1.6: 10}, 10)
    (found,), notes = thresholds.fit(read(folder), "train_fraction")

    assert notes == []
    assert found.critical == pytest.approx(0.4)
    assert 0.2 < found.low < 0.36
    assert 0.44 < found.high < 0.8
    assert (found.grokked_K.tolist(), found.step) == ([0, 2, 5, 8, 10], 1000)
    again = thresholds.fit(read(folder), "train_fraction")[0][0]
    assert (again.low, again.high) == (found.low, found.high)
    assert "0.4 [0." in thresholds.summary("train_fraction", [found], [])
    assert critical_picture("train_fraction", [found]).axes[0].get_xscale() == "log"


@pytest.mark.slow
@pytest.mark.parametrize(("slope", "num_runs"), [(3, 11), (13, 5)])
def test_an_interval_covers_the_critical_value_in_nineteen_of_twenty_data_sets(slope, num_runs):
    """Of 200; sharp thresholds between two values are covered more often."""
    rng = np.random.default_rng(0)
    value_K = np.array([0.2, 0.3, 0.4, 0.5, 0.7])
    rate_K = 1 / (1 + (value_K / 0.38) ** -slope)
    runs_K = np.full(5, num_runs)
    covered = []
    for _ in range(200):
        _, (_, low, high) = thresholds.estimate(value_K, runs_K, rng.binomial(runs_K, rate_K))
        covered.append(np.nan_to_num(low, nan=0) < 0.38 < np.nan_to_num(high, nan=np.inf))

    assert 0.915 < np.mean(covered) <= 1


def test_where_all_grok_above_and_none_below_it_is_anywhere_between(tmp_path):
    folder = results(tmp_path / "sharp", {0.1: 0, 0.2: 0, 0.45: 5, 0.9: 5}, 5)
    ((found,), _) = thresholds.fit(read(folder), "train_fraction")

    assert found.critical == pytest.approx(np.sqrt(0.2 * 0.45))
    assert (found.low, found.high) == pytest.approx((0.2, 0.45))


def test_a_rate_may_fall_along_the_axis(tmp_path):
    folder = results(tmp_path / "noise", {1: 7, 3: 7, 9: 0, 27: 0}, 7, entry="label_noise")
    ((found,), _) = thresholds.fit(read(folder), "label_noise")

    assert found.critical == pytest.approx(np.sqrt(27))
    assert (found.low, found.high) == pytest.approx((3, 9))
    assert found.coefficient_P[1] < 0


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({1: 5, 2: 5}, "more than half at all values"),
        ({1: 0, 2: 0}, "less than half at all values"),
        ({1: 4, 2: 5, 3: 5}, "more than half at all values"),
        ({1: 1, 2: 3, 3: 2}, ", none]"),
        ({1: 2, 2: 2}, "less than half at all values"),
    ],
)
def test_where_half_of_the_runs_is_not_within_the_values_there_is_no_number(tmp_path, shares, said):
    folder = results(tmp_path / "all", shares, 5, entry="weight_decay")
    (found, _) = thresholds.fit(read(folder), "weight_decay")

    assert said in thresholds.summary("weight_decay", found, [])
    critical_picture("weight_decay", found)


def test_a_group_for_each_of_the_other_entries_and_tasks(tmp_path):
    """In folders whose tasks differ; decay 0 has no logarithm, one decay is no axis."""
    shares = {0: 0, 0.1: 1, 1: 4}
    add, div = (results(tmp_path / op, shares, 5, entry="weight_decay") for op in ("add", "div"))
    for folder, op in ((add, "add"), (div, "div")):
        text = (folder / "config.json").read_text()
        (folder / "config.json").write_text(
            text.replace('"runs"', f'"task": {{"op": "{op}"}}, "runs"')
        )
    found, notes = thresholds.fit(read_all([add, div]), "weight_decay")

    assert [one.group for one in found] == ["add", "div"]
    assert found[0].value_K.tolist() == [0.1, 1]
    assert notes[0] == "left out add weight_decay=0: weight_decay 0 has no logarithm"


def test_a_static_number_is_an_axis_with_a_group_for_each_of_the_other_settings(tmp_path):
    """Folders of width 5, 20 and 80 with and without norms, of which 0, 2, 5 and 0, 0, 5 grok."""
    folders = []
    for norm, shares in (("none", (0, 2, 5)), ("layer", (0, 0, 5))):
        for width, share in zip((5, 20, 80), shares, strict=True):
            folder = results(tmp_path / f"{norm}{width}", {0.3: share}, 5)
            config = json.loads((folder / "config.json").read_text())
            config["model"] = {"norm": norm, "width": width}
            (folder / "config.json").write_text(json.dumps(config))
            folders.append(folder)
    found, notes = thresholds.fit(read_all(folders), "model.width")

    assert [one.group for one in found] == ["model.norm=none", "model.norm=layer"]
    assert [one.value_K.tolist() for one in found] == [[5, 20, 80]] * 2
    assert [one.grokked_K.tolist() for one in found] == [[0, 2, 5], [0, 0, 5]]
    assert found[1].critical == pytest.approx(np.sqrt(20 * 80))
    assert notes == []


def test_a_run_counts_by_the_step_up_to_which_all_were_followed(tmp_path):
    """One folder ends at 400 without grokking: that others grok at 500 is no better."""
    short = results(tmp_path / "short", {0.2: 0, 0.4: 0}, 5, last=400)
    long = results(tmp_path / "long", {0.6: 5, 0.8: 5}, 5)
    ((found,), _) = thresholds.fit(read_all([short, long]), "train_fraction")

    assert found.step == 400
    assert found.grokked_K.tolist() == [0, 0, 0, 0]


def test_an_axis_of_one_positive_value_is_refused(tmp_path):
    folder = results(tmp_path / "two", {0: 1, 0.1: 3}, 5, entry="weight_decay")

    with pytest.raises(ValueError, match=r"weight_decay takes no two values above 0 .*; choose"):
        thresholds.fit(read(folder), "weight_decay")
