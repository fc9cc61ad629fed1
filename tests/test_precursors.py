"""A precursor knows when a run groks better than a clock; what comes at any time does not."""

import numpy as np
import pytest
from made_results import change, leave

from grokjax.reading import findings, precursors
from grokjax.reading.arms import read
from grokjax.reading.comparison import write
from grokjax.reading.precursors import Leads, Rule

RUNS = 40
STEPS = np.arange(100, 6001, 100)


def measured(folder, never=(), **values):
    """Runs that memorise at 200 and grok between 1,000 and 5,000; values are made of steps left."""
    rng = np.random.default_rng(0)
    grok_steps = [int(100 * rng.integers(10, 50)) for _ in range(RUNS)]
    for r in never:
        grok_steps[r] = None
    leave(folder, grok_steps, last=6000)
    left_ExR = np.array([9e9 if g is None else g for g in grok_steps]) - STEPS[:, None]
    arrays = {name.replace("__", "/"): of(left_ExR, rng) for name, of in values.items()}
    change(folder, **{name: lambda _, x=x: x for name, x in arrays.items()})
    (arm,) = read(folder)
    return arm


def of(found, value):
    """The row of a value."""
    (row,) = (row for row in precursors.table(found) if row["value"] == value)
    return row


def sign(left_ExR, rng):
    """Falls by a tenth 700 steps before grokking."""
    return np.where(left_ExR <= 700, 0.9, 1.0)


def noise(left_ExR, rng):
    return 1 + 0.1 * rng.normal(size=left_ExR.shape)


def test_what_falls_at_a_fixed_time_before_grokking_precedes_it(tmp_path):
    arm = measured(tmp_path / "A", toy__sign=sign, toy__noise=noise)

    found = precursors.precursors(arm)
    row = of(found, "toy/sign")
    assert (row["misses"], row["false_alarms"], row["lead"], row["lead_sd"]) == (0, 0, 700, 0)
    assert row["rule"].startswith("falls by 0.1")
    assert row["runs"] == RUNS // 2
    assert row["verdict"] == "precedes grokking"
    assert row["delay_sd"] > 900
    assert of(found, "toy/noise")["verdict"] != "precedes grokking"


def test_an_alarm_in_a_run_that_never_groks_is_false(tmp_path):
    """Runs 1 and 5 are of the half on which the rule is judged."""
    always = lambda left_ExR, rng: np.where(STEPS[:, None] >= 500, 2.0, 1.0) + 0 * left_ExR  # noqa: E731
    arm = measured(tmp_path / "A", never=(1, 5), toy__always=always)

    row = of(precursors.precursors(arm), "toy/always")
    assert (row["misses"], row["false_alarms"]) == (0, 2)
    assert row["verdict"] == "no better than the clock"


def test_the_first_alarm_counts():
    """Moves by .3 at the second evaluation of run 0, by -.3 in run 1; run 2 has no value."""
    moved_ExR = np.array([[0.1, 0.0, np.nan], [0.3, -0.3, np.nan], [0.2, -0.4, np.nan]])
    step_E = np.array([10, 20, 30])

    np.testing.assert_array_equal(Rule(1, 0.3).alarms(moved_ExR, step_E), [20, np.nan, np.nan])
    np.testing.assert_array_equal(Rule(-1, 0.3).alarms(moved_ExR, step_E), [np.nan, 20, np.nan])


def test_equal_variances_of_pairs_are_told_apart_rarely():
    """Pitman and Morgan's test at 5 %: in pairs of one variance about one in twenty."""
    rng = np.random.default_rng(1)
    common = [rng.normal(size=30) for _ in range(400)]

    def p_of(scale):
        pairs = [(c + rng.normal(size=30), c + scale * rng.normal(size=30)) for c in common]
        leads = [Leads(lead_R, delay_R, 0, 0) for lead_R, delay_R in pairs]
        return np.array([precursors._pitman_morgan(one) for one in leads])

    assert 0.02 < (p_of(1.0) < 0.05).mean() < 0.09
    assert (p_of(3.0) < 0.05).mean() > 0.9


def test_precursors_are_a_table_and_a_picture(tmp_path):
    arm = measured(tmp_path / "A", toy__sign=sign)

    text = write([arm], tmp_path / "out", findings=[findings.signs([arm])])
    assert "toy/sign" in text
    assert "precedes grokking" in (tmp_path / "out/summary.md").read_text()
    assert (tmp_path / "out/precursors.csv").read_text().count("\n") == 2
    assert (tmp_path / "out/precursors.png").stat().st_size > 10_000
    write([arm], tmp_path / "out")
    assert not list((tmp_path / "out").glob("precursors.*"))  # of an earlier call


def test_where_nothing_moves_there_is_no_precursor(tmp_path):
    arm = measured(tmp_path / "A", toy__rests=lambda left_ExR, _: np.ones_like(left_ExR))

    with pytest.raises(ValueError, match="precursors of A: nothing moves from memorising"):
        precursors.precursors(arm)


def test_missed_runs_do_not_make_a_wide_sign_narrow():
    """Of 12 alarms the leads are spread more widely than their own delays; 6 long runs had none."""
    rng = np.random.default_rng(3)
    delay_R = np.r_[1000 + 20 * rng.normal(size=12), 5000 + 500 * rng.normal(size=6)]
    lead_R = np.r_[500 + 160 * rng.normal(size=12), np.full(6, np.nan)]
    leads = Leads(lead_R, delay_R, misses=6, false_alarms=0)
    p = precursors._pitman_morgan(leads)

    assert p < 0.01
    one = precursors.Precursor("A", "x", Rule(1, 0.1), leads, p)
    assert one.verdict(p) == "worse than the clock"
    assert one.row(p)["delay_sd"] < 40


@pytest.mark.parametrize(
    ("never", "said"),
    [
        ((0, 2, 4), "9 of 12 .* judged on those between, of which 12 of 12 did: too few to fix a"),
        ((1, 3, 5), "12 of 12 .* judged on those between, of which 9 of 12 did: too few to judge"),
        (range(6), "9 of 12 .* 9 of 12 did: too few to fix a rule and to judge it, which takes 10"),
    ],
)
def test_it_is_said_of_which_half_too_few_runs_grokked(tmp_path, never, said):
    """Of 24 runs; those with even numbers fix the rules."""
    leave(tmp_path / "A", [None if r in never else 500 for r in range(24)])
    (arm,) = read(tmp_path / "A")

    with pytest.raises(ValueError, match=f"precursors of A: .* of which {said}"):
        precursors.precursors(arm)
