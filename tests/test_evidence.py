"""What so many runs can show, against R, permutations and simulated trials."""

import itertools

import numpy as np
import pytest
from made_results import leave
from scipy.stats import mannwhitneyu

from grokjax.reading import comparison
from grokjax.reading.arms import read_all
from grokjax.reading.evidence import holm, log_spread, rate_interval, smallest_p, smallest_ratio
from grokjax.reading.rows import rows
from grokjax.reading.survival import Durations, log_rank, times_until

NEVER = np.nan


def came(*steps):
    """Runs that grokked at these steps."""
    return times_until(np.array(steps, float), 1000)


def table(tmp_path, *groks):
    folders = [leave(tmp_path / name, steps) for name, steps in zip("abcdefg", groks, strict=False)]
    return rows(read_all(folders))


@pytest.mark.parametrize(
    ("grokked", "runs", "expected"), [(0, 3, (0, 0.561497)), (9, 10, (0.59585, 0.9821238))]
)
def test_intervals_of_rates_are_those_of_r(grokked, runs, expected):
    """prop.test(grokked, runs, correct = FALSE) is Wilson's."""
    assert rate_interval(grokked, runs) == pytest.approx(expected, abs=1e-6)


def test_corrected_p_values_are_those_of_r_and_pingouin():
    """The example of pingouin.multicomp, which p.adjust(p, "holm") agrees with."""
    found = holm([0.50, 0.003, 0.32, 0.054, 0.0003])

    np.testing.assert_allclose(found, [0.64, 0.012, 0.64, 0.162, 0.0015])
    np.testing.assert_allclose(holm([0.01, NEVER, 0.04]), [0.02, NEVER, 0.04])
    assert holm([0.7, 0.9]).tolist() == [1, 1]
    assert holm([]).size == 0


@pytest.mark.parametrize(("a", "b"), [(3, 3), (4, 3), (5, 5), (1, 1)])
def test_no_exact_test_gives_less_than_every_order(a, b):
    """The exact test of two arms that do not overlap, and a count of all their orders."""
    orders = list(itertools.combinations(range(a + b), a))
    extreme = [order for order in orders if order in (orders[0], orders[-1])]

    assert smallest_p(a, b) == pytest.approx(len(extreme) / len(orders))
    exact = mannwhitneyu(np.arange(a), a + np.arange(b), method="exact").pvalue
    assert smallest_p(a, b) == pytest.approx(exact)


def test_four_of_five_trials_find_it():
    """400 trials of 40 against 40 exponential times, and as many of log-normal ones by their z."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        times = rng.exponential(1, (2, 40)) * [[1], [smallest_ratio(40, 40)]]
        found.append(log_rank(*(Durations(arm, np.ones(40, bool)) for arm in times)) < 0.05)
    assert np.mean(found) == pytest.approx(0.8, abs=0.06)  # three standard errors

    logs = rng.normal(0, 0.3, (400, 2, 7)) + np.log([[1], [smallest_ratio(7, 7, 0.3)]])
    z = np.diff(logs.mean(axis=2), axis=1)[:, 0] / (0.3 * np.sqrt(2 / 7))
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(0.8, abs=0.06)


def test_schoenfelds_number_of_events():
    """By 4 (1.96 + 0.84)^2 / log^2 a ratio of 1.5 needs 191 events, one of 2 needs 66."""
    assert smallest_ratio(191 / 2, 191 / 2) == pytest.approx(1.5, rel=1e-3)
    assert smallest_ratio(33, 33) == pytest.approx(2, rel=5e-3)


def test_the_spread_is_that_within_arms():
    """Logarithms 0, 2 and 5, 7, 9: squares 2 and 8 with one and two degrees of freedom."""
    first, second = came(*np.exp([0, 2])), came(*np.exp([5, 7, 9]), NEVER)

    assert log_spread(first, second) == pytest.approx(np.sqrt(10 / 3))
    assert np.isnan(log_spread(came(5, 5), came(7, NEVER)))


def test_the_table_has_what_its_comparisons_can_show(tmp_path):
    """Until 1,000, for a run of `b` never grokked; means 400 and (600 + 700 + 1,000) / 3."""
    first, second, third = table(tmp_path, [300, 400, 500], [600, 700, None], [300, 400, 500])

    assert (first["share_low"], first["share_high"]) == pytest.approx(rate_interval(3, 3))
    assert [row["mean_step"] for row in (first, second)] == pytest.approx([400, 2300 / 3])
    assert first["mean_step_error"] == pytest.approx(np.std([300, 400, 500]) / 3**0.5)
    assert {row["mean_until"] for row in (first, second, third)} == {1000}
    assert table(tmp_path / "never", [None, None])[0]["mean_step_error"] is None
    assert first["smallest_p"] is first["log_rank_p_holm"] is None
    assert second["smallest_p"] == 0.1
    assert second["smallest_hazard_ratio"] == pytest.approx(9.85, abs=0.01)
    assert second["log_rank_p_holm"] == pytest.approx(2 * second["log_rank_p"])
    assert third["log_rank_p_holm"] == 1


def test_three_seeds_say_themselves_that_they_cannot_decide(tmp_path):
    """Their log-rank p is .025, but of 20 orders of six runs two are as far apart."""
    arms = read_all(
        [leave(tmp_path / "a", [300, 400, 500]), leave(tmp_path / "b", [700, 800, 900])]
    )
    said = comparison.write(arms, tmp_path / "out")

    assert rows(arms)[1]["log_rank_p"] < 0.05
    assert "3 against 3 runs cannot decide" in said
    assert "with probability 0.1, whatever the log-rank p" in " ".join(said.split())
    assert "3 against 3 runs cannot decide" in (tmp_path / "out/summary.md").read_text()


def test_enough_seeds_say_how_large_a_difference_they_show(tmp_path):
    steps = [300, 400, 500, 600, 700]
    two = comparison.verdict(table(tmp_path / "two", steps, steps))
    three = comparison.verdict(table(tmp_path / "three", steps, [s + 300 for s in steps], steps))

    assert two.startswith("5 against 5 runs show a ratio of hazards of 5.9 or more (of medians 1.")
    assert "corrected" not in two.lower()
    assert three.endswith("the log-rank p is below 0.05 in 1 of 2 comparisons (Holm).")
    assert comparison.verdict(table(tmp_path / "one", steps)) == ""


def test_arms_in_which_nothing_came_have_no_spread_and_no_p(tmp_path):
    found = comparison.verdict(table(tmp_path, [None] * 5, [None] * 5))

    assert "of hazards of 5.9 or more, with 80 % power" in found
