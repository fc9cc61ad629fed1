"""Estimates from runs of which some were not followed to the end, against tables worked by hand."""

import warnings

import numpy as np
import pytest
from scipy.stats import chi2

from grokjax.reading.survival import (
    Durations,
    Mean,
    Median,
    horizon,
    kaplan_meier,
    log_rank,
    median_time,
    restricted_mean,
    times_until,
)
from grokjax.recording.history import finite_median

NEVER = np.nan
# Freireich et al., 1963, "The effect of 6-mercaptopurine on the duration of steroid-induced
# remissions in acute leukemia": weeks of remission, the example of many a textbook
PLACEBO = times_until(
    np.array([1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]), last_R=23
)
DRUG = Durations(
    np.array([6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35.0]),
    np.arange(21) < 9,
)


def times(text):
    """`2 3+`: an event at 2, and a run that was followed to 3 without one."""
    words = text.split()
    event_observed_R = np.array([not word.endswith("+") for word in words])
    return Durations(np.array([float(word.rstrip("+")) for word in words]), event_observed_R)


def test_the_share_counts_a_run_as_at_risk_until_it_is_out_of_sight():
    """At 2 it is 2 of 7; at 5, without the one lost at 3, 1 of 4; at 7 1 of 3 (7+ included)."""
    curve = kaplan_meier(times("2 2 3+ 5 7 7+ 11+"))

    left_E = [1, 5 / 7, 5 / 7 * 3 / 4, 5 / 7 * 3 / 4 * 2 / 3]
    assert curve.step_E.tolist() == [0, 2, 5, 7, 11]
    np.testing.assert_allclose(1 - curve.incidence_E, [*left_E, left_E[-1]])


def test_without_censoring_the_share_is_the_plain_share():
    curve = kaplan_meier(times("3 5 5 7 11"))

    assert curve.step_E.tolist() == [0, 3, 5, 7, 11]
    np.testing.assert_allclose(curve.incidence_E, [0, 0.2, 0.6, 0.8, 1])


def test_the_band_is_that_of_the_textbooks():
    """Remission at 6 weeks 85.7 %, interval 62.0 % to 95.2 % on the log(-log) scale."""
    curve = kaplan_meier(DRUG)

    assert curve.step_E[1] == 6
    assert 1 - curve.incidence_E[1] == pytest.approx(0.857, abs=5e-4)
    assert 1 - curve.high_E[1] == pytest.approx(0.620, abs=5e-4)
    assert 1 - curve.low_E[1] == pytest.approx(0.952, abs=5e-4)


def test_medians_and_their_intervals_are_those_of_the_textbooks():
    assert median_time(PLACEBO) == Median(8, 4, 11)
    np.testing.assert_equal(median_time(DRUG), Median(23, 13, NEVER))


def test_the_log_rank_test_gives_the_chi_square_of_the_textbooks():
    p = log_rank(PLACEBO, DRUG)

    assert round(chi2.isf(p, df=1), 2) == 16.79
    assert log_rank(DRUG, PLACEBO) == pytest.approx(p)


def test_a_median_is_reached_when_half_of_all_runs_are_there():
    half, fewer = (
        times_until(np.array([1, 2, 3, NEVER, NEVER, NEVER]), 9),
        times_until(np.array([1, 2, NEVER, NEVER, NEVER]), 9),
    )

    assert median_time(half).median == 3
    assert np.isnan(median_time(fewer).median)


@pytest.mark.parametrize("runs", range(2, 120, 2))
def test_rounding_does_not_delay_a_median(runs):
    steps = np.array([*range(1, runs // 2 + 1), *[NEVER] * (runs // 2)])

    assert median_time(times_until(steps, 1000)).median == runs // 2


def test_leaving_out_the_runs_that_never_came_would_flatter():
    """The median of those that came is 200; but four of seven were not there by 500."""
    followed = times_until(np.array([100, 200, 300, NEVER, NEVER, NEVER, NEVER]), 500)

    assert np.isnan(median_time(followed).median)
    assert kaplan_meier(followed).step_E[-1] == 500


def test_nothing_that_came_is_a_share_of_zero_to_the_last_step():
    curve = kaplan_meier(times("5+ 7+ 7+"))

    assert curve.step_E.tolist() == [0, 7]
    assert curve.incidence_E.tolist() == [0, 0]
    np.testing.assert_equal(median_time(times("5+ 7+ 7+")), Median(NEVER, NEVER, NEVER))


def test_one_run_has_a_step_and_no_interval():
    curve = kaplan_meier(times("5"))

    assert curve.incidence_E.tolist() == [0, 1]
    np.testing.assert_allclose((curve.low_E[-1], curve.high_E[-1]), (0.025, 1))
    np.testing.assert_equal(median_time(times("5")), Median(5, NEVER, NEVER))


def test_six_runs_at_one_step_fix_the_median_and_five_do_not():
    """If half came by chance, five of five would in 3.1 % of all cases, six of six in 1.6 %: a
    limit at 95 % allows 2.5 % on each side.
    """
    np.testing.assert_equal(median_time(times("5 5 5 5 5")), Median(5, NEVER, NEVER))
    assert median_time(times("5 5 5 5 5 5")) == Median(5, 5, 5)


def test_a_share_of_one_among_censored_runs_leaves_the_lower_limit_where_it_was():
    curve = kaplan_meier(times("2 3+ 5"))

    np.testing.assert_allclose(curve.incidence_E, [0, 1 / 3, 1])
    assert 0 < curve.low_E[2] == curve.low_E[1] < 1 / 3
    assert curve.high_E[2] == 1


@pytest.mark.parametrize("seed", range(5))
def test_the_share_rises_inside_its_band_whatever_the_runs(seed):
    rng = np.random.default_rng(seed)
    event_observed_R = rng.random(13) < 0.7
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curve = kaplan_meier(Durations(rng.integers(1, 11, 13).astype(float), event_observed_R))

    assert (np.diff(curve.incidence_E) >= 0).all()
    assert (np.diff(curve.step_E) > 0).all()
    assert (curve.low_E <= curve.incidence_E).all()
    assert (curve.incidence_E <= curve.high_E).all()


def test_the_log_rank_test_says_nothing_where_nothing_came():
    assert np.isnan(log_rank(times("5+ 5+"), times("7+")))
    assert np.isfinite(log_rank(times("5+ 5+"), times("3 7+")))


@pytest.mark.parametrize(
    ("a", "b"), [("5 5 5", "5 5"), ("5", "5"), ("7", "3+")], ids=["all at once", "one run", "alone"]
)
def test_steps_that_cannot_tell_arms_apart_give_a_p_of_one(a, b):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert log_rank(times(a), times(b)) == 1


def test_steps_that_never_came_are_censored_at_the_last():
    followed = times_until(np.array([100, NEVER, 300]), 500)

    assert followed.duration_R.tolist() == [100, 500, 300]
    assert followed.event_observed_R.tolist() == [True, False, True]


def test_the_finite_median_leaves_out_what_diverged():
    assert finite_median([3, np.nan, 1, np.inf, 2]) == 2
    assert np.isnan(finite_median([np.nan]))


def test_a_restricted_mean_is_the_area_under_the_curve():
    """2 steps at 1 and 3 at 2/3; from 2 on that area is 2, with one event of three at risk."""
    found = restricted_mean(times("2 3+ 5"), until=6)

    assert found == pytest.approx((4, np.sqrt(2**2 * 1 / (3 * 2))))
    assert restricted_mean(times("2 3+ 5"), until=2) == (2, 0)
    assert restricted_mean(times("2 3+ 5"), until=3) == pytest.approx((2 + 2 / 3, 2 / 3 / 6**0.5))


def test_a_restricted_mean_without_censoring_is_the_plain_mean():
    steps = np.random.default_rng(0).choice(1000, 37)
    found = restricted_mean(times_until(steps.astype(float), 1000), until=1000)

    assert found == pytest.approx((steps.mean(), steps.std() / 37**0.5))


@pytest.mark.parametrize(
    ("arm", "until", "expected"),
    [
        (DRUG, 35, Mean(23.287395, 2.8274676)),
        (DRUG, 20, Mean(16.116527, 1.2515602)),
        (PLACEBO, 20, Mean(8.4285714, 1.2680827)),
    ],
)
def test_restricted_means_and_their_errors_are_those_of_the_survival_package(arm, until, expected):
    """Of R, version 3.5-3: print(survfit(Surv(time, event) ~ 1), rmean = until)."""
    assert restricted_mean(arm, until) == pytest.approx(expected, rel=1e-7)


def test_restricted_means_are_those_of_lifelines():
    lifelines = pytest.importorskip("lifelines")
    from lifelines.utils import restricted_mean_survival_time

    for until in (17, 20.5, 34):
        theirs = restricted_mean_survival_time(lifelines.KaplanMeierFitter().fit(*DRUG), t=until)
        assert restricted_mean(DRUG, until).mean == pytest.approx(theirs, rel=1e-6)


def test_arms_are_comparable_up_to_the_last_step_at_which_all_were_watched():
    assert horizon([times("2 9+"), times("3 7+ 8"), times("4 5")]) == 8
    assert horizon([times("2 9+"), times("4 5")]) == 9  # the other had all come by 5
    assert horizon([times("2 3"), times("4 5")]) == 5
