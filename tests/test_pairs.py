"""Statistics of pairs, by published examples."""

import csv

import numpy as np
import pytest
import scipy
from made_results import change, leave

from grokjax.reading import comparison, findings, pairs
from grokjax.reading.arms import read, read_all
from grokjax.reading.paired_tests import Rates, Times, rates, times
from grokjax.reading.pairs import matched
from grokjax.reading.pictures import style
from grokjax.reading.references import References
from grokjax.reading.survival import Durations, log_rank

CAVO = (59, 16, 6, 80)  # complete response before and after a therapy, 161 patients
BENTUR = (1, 7, 1, 12)  # reactive airways before and after a transplantation, 21 children


@pytest.mark.parametrize(
    ("counts", "difference", "low", "high"),
    [
        ((36, 2, 12, 0), 0.2, 0.0569, 0.3404),  # Newcombe, 1998, table II
        (CAVO, -0.0621, -0.1186, -0.0046),  # the tests of R's contingencytables, chapter 8
        (BENTUR, -0.2857, -0.507, -0.026),  # Fagerland, Lydersen & Laake, 2014
    ],
)
def test_the_interval_of_a_paired_difference_is_newcombes(counts, difference, low, high):
    found = Rates(*counts)

    assert found.difference == pytest.approx(difference, abs=5e-5)
    assert found.interval == pytest.approx((low, high), abs=5e-4 if counts == BENTUR else 5e-5)
    both, only_a, only_b, neither = counts
    turned = Rates(both, only_b, only_a, neither).interval
    assert turned == pytest.approx(tuple(-x for x in found.interval[::-1]))


def test_without_correlation_it_is_the_interval_of_independent_rates():
    """None of 11 against 11 of 11, by Wilson's limits: one margin is empty."""
    q = 1.959964**2 / (11 + 1.959964**2)

    assert Rates(0, 0, 11, 0).interval == pytest.approx((1 - q * np.sqrt(2), 1 + 0.0), abs=1e-6)


@pytest.mark.parametrize(("counts", "p"), [(BENTUR, 0.070), (CAVO, 0.052)])
def test_mcnemars_test_is_exact(counts, p):
    """Fagerland, Lydersen & Laake, 2013, https://doi.org/10.1186/1471-2288-13-91, table 7."""
    assert Rates(*counts).p == pytest.approx(p, abs=5e-4)
    assert Rates(5, 0, 0, 2).p == 1


def test_outcomes_of_pairs_are_counted():
    a_P = np.array([True, True, True, False, False, False, False])
    b_P = np.array([True, False, False, True, True, True, False])

    assert rates(a_P, b_P) == (1, 2, 3, 1)


# Freireich et al., 1963: weeks of remission in 21 pairs of children, placebo and 6-MP (negative:
# censored); Klein & Moeschberger, "Survival Analysis", table 1.1 and section 7.5
PLACEBO = [1, 22, 3, 12, 8, 17, 2, 11, 8, 12, 2, 5, 4, 15, 8, 23, 5, 11, 4, 1, 8]
DRUG = [10, 7, -32, 23, 22, 6, 16, -34, -32, -25, -11, -20, -19, 6, -17, -35, 6, 13, -9, -6, -10]


def durations(weeks):
    weeks = np.array(weeks)
    return Durations(np.abs(weeks).astype(float), weeks > 0)


def test_the_stratified_log_rank_test_is_that_of_the_textbook():
    found = times(durations(PLACEBO), durations(DRUG))

    assert found == (18, 3, 0)
    assert scipy.stats.norm.isf(found.log_rank_p / 2) == pytest.approx(3.27, abs=5e-3)
    assert found.sign_p == pytest.approx(scipy.stats.binomtest(3, 21).pvalue)


def test_one_pair_is_a_log_rank_test_of_two_runs():
    one, other = durations([300]), durations([500])

    assert times(one, other).log_rank_p == pytest.approx(log_rank(one, other))


def test_pairs_without_a_first_one_are_left_open():
    """Both at once; neither; censored before the other came; and one that outlasted the other."""
    a, b = durations([300, -900, -400, 500]), durations([300, -900, 700, -500])

    assert times(a, b) == (1, 0, 3)
    assert times(b, a) == (0, 1, 3)
    assert np.isnan(Times(0, 0, 3).log_rank_p)
    assert Times(0, 0, 3).sign_p == 1


def test_runs_are_matched_by_their_seeds(tmp_path):
    (a,) = read(leave(tmp_path / "a", [300, 400, 500], runs={"seed": [2, 3, 5]}, labels=SOME))
    (b,) = read(
        leave(tmp_path / "b", [600, 700], runs={"seed": [5, 2]}, labels=["seed=5", "seed=2"])
    )
    splits = {"seed": [2], "split_seed": [2, 7]}
    labels = ["split_seed=2", "split_seed=7"]
    (c,) = read(leave(tmp_path / "c", [600, 700], runs=splits, labels=labels))

    assert a.labels == SOME
    assert matched(a, b) == ([2, 0], [0, 1])
    assert matched(a, c) == ([0], [0])


def table(arms, of_all=False):
    found = pairs.compare(arms, of_all)
    return pairs.summary(found) if found else ""


SOME = ["seed=2", "seed=3", "seed=5"]


def test_the_table_says_who_grokked_alone_and_who_was_first(tmp_path):
    a = leave(tmp_path / "a", [300, 400, 500, None, 600])
    b = leave(tmp_path / "b", [400, 300, None, None, None], branched={})
    text = table(read_all([a, b]))

    lines = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    cells = {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines}
    assert text.startswith("In pairs, a (A) and b (B), 5 seeds:")
    assert cells["grokked"][:4] == ["4", "2", "2", "0"]
    assert cells["grokked"][4].startswith("-40% [")
    assert cells["grokked"][5] == "0.500"
    assert cells["collapsed after"][:4] == ["0", "0", "0", "0"]
    assert cells["generalised at the end"][:4] == ["4", "2", "2", "0"]
    assert cells["higher validation accuracy"] == ["100.00%", "10.00%", "2", "0", "", "0.500"]
    assert cells["grokked first"] == ["", "", "3", "1", "", "0.625 (log-rank 0.317)"]


def test_pairs_are_a_table_for_programs_which_goes_where_nothing_is_paired(tmp_path):
    a = leave(tmp_path / "a", [300, 400, None])
    b = leave(tmp_path / "b", [400, None, None], branched={})
    arms = read_all([a, b])
    comparison.write(arms, tmp_path / "out", findings=findings.paired(arms))
    with (tmp_path / "out/pairs.csv").open() as file:
        first, *_ = csv.DictReader(file)
    comparison.write(arms[:1], tmp_path / "out", findings=findings.paired(arms[:1]))

    assert {name: first[name] for name in ("a", "b", "pairs", "outcome", "of_a", "of_b")} == {
        "a": "a",
        "b": "b",
        "pairs": "3",
        "outcome": "grokked",
        "of_a": "2",
        "of_b": "1",
    }
    assert not (tmp_path / "out/pairs.csv").exists()


def dip(step_E):
    return np.where(step_E == 700, 0.8, 1.0)[:, None]


def test_the_picture_joins_the_lowest_accuracies_of_a_pair_since_both_grokked(tmp_path):
    a = leave(tmp_path / "a", [300, 400, None])
    b = leave(tmp_path / "b", [400, None, None], branched={})
    change(b, val_accuracy=lambda arrays: np.minimum(arrays["val_accuracy"], dip(arrays["step"])))
    (finding,) = findings.paired(read_all([a, b]))
    (axes,) = finding.draw().axes
    pairs_drawn = [line.get_ydata() for line in axes.lines if len(line.get_xdata()) == 2][:3]

    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b"]
    assert axes.get_title(loc="left") == "1 of 3 pairs grokked"
    colours = [line.get_color() for line in axes.lines if len(line.get_xdata()) == 2][:3]
    assert colours == [style.VERMILION, style.GREY, style.GREY]
    np.testing.assert_allclose(pairs_drawn, [[1, 0.8], [1, np.inf], [np.inf, np.inf]])


def test_arms_that_are_no_branches_are_paired_when_asked_for(tmp_path):
    a = leave(tmp_path / "a", [300, 400])
    b = leave(tmp_path / "b", [400, 300])
    other = leave(tmp_path / "c", [400], runs={"seed": [9]}, labels=["seed=9"])

    assert table(read_all([a, b])) == ""
    assert "a (A) and b (B), 2 seeds" in table(read_all([a, b]), of_all=True)
    with pytest.raises(
        ValueError, match="--paired: no two arms of one task have seeds in common; choose"
    ):
        pairs.compare(read_all([a, other]), of_all=True)


def test_steps_that_are_counted_from_other_points_are_not_compared(tmp_path):
    """A branch from memorising on, another one, and the training that both come from."""
    begun = {"branched": {"goes_on": False}, "branch": {"origin": "a@memorised"}}
    a = leave(tmp_path / "a", [300, 400])
    b = leave(tmp_path / "b", [100, 200], **begun)
    c = leave(tmp_path / "c", [200, 100], **begun)
    one, two, three = read_all([a, b, c])

    found = References()
    found.add(one)
    assert found.of(two) is None
    found.add(two)
    assert found.of(three) is two
    assert "b (A) and c (B), 2 seeds" in table([one, two, three])


def test_when_asked_for_each_branch_is_compared_with_the_first_arm_of_all(tmp_path):
    """Two branches from memorising on beside their trunk, not beside each other."""
    facts = {"folder": "/x/trunk", "steps": [100, 100], "goes_on": False}
    begun = dict(branched=facts, branch={"origin": "trunk@memorised"})
    trunk = leave(tmp_path / "trunk", [300, 400])
    one = leave(tmp_path / "one", [100, 200], **begun)
    other = leave(tmp_path / "other", [200, 100], **begun)
    found = pairs.compare(read_all([trunk, one, other]), of_all=True)

    assert [(each.a, each.b, each.one_clock) for each in found] == [
        ("trunk", "one", True),
        ("trunk", "other", True),
    ]
    found = pairs.compare(read_all([one, other]), of_all=True)
    assert [(each.a, each.b, each.one_clock) for each in found] == [("one", "other", False)]


def test_a_branch_and_its_trunk_are_compared_by_the_steps_of_both(tmp_path):
    """Four runs branch at 200, 200, 300, 400; of the trunk they grok at 500, 900, 800, 400.

    Own steps 200, 800, none of 900, and 100, the first evaluation: 400 against 500 is ahead, 1,000
    against 900 behind, none of 1,200 against 800 behind. The last one grokked before it branched.
    """
    facts = {"folder": "/x/trunk", "steps": [200, 200, 300, 400], "goes_on": False}
    trunk = leave(tmp_path / "trunk", [500, 900, 800, 400])
    begun = dict(branched=facts, branch={"origin": "trunk@memorised"}, last=900)
    (branch,) = read(leave(tmp_path / "branch", [200, 800, None, 100], **begun))
    (a,) = read(trunk)

    assert table([a, branch]) == ""
    text = table([a, branch], of_all=True)
    assert "(B), 4 seeds, steps of a branch with those of its trunk before it:" in text
    (row,) = (line for line in text.splitlines() if line.startswith("| grokked first"))
    assert [cell.strip() for cell in row.split("|")[2:6]] == ["", "", "2", "1"]
    (other,) = (line for line in table([branch, a], of_all=True).splitlines() if "first  " in line)
    assert [cell.strip() for cell in other.split("|")[2:6]] == ["", "", "1", "2"]
    followed = pairs.since_trunk(branch)
    assert followed.duration_R.tolist() == [400, 1000, 1200, 0]
    assert followed.event_observed_R.tolist() == [True, True, False, False]


def test_a_shard_of_a_branch_has_the_steps_of_its_own_runs(tmp_path):
    """The facts are of all runs of the grid; and weights taken into a new network are no branch."""
    facts = {"folder": "/x/trunk", "steps": [100, 700, 300], "goes_on": False}
    runs = {"seed": [0, 1, 2]}
    labels = ["seed=1", "seed=2"]
    begun = dict(branched=facts, shard="2/2", runs=runs, labels=labels)
    (shard,) = read(leave(tmp_path / "shard", [400, 500], **begun))
    (taken,) = read(leave(tmp_path / "new", [400, 500], **begun, branch={"take": ["token"]}))

    assert pairs.since_trunk(shard).duration_R.tolist() == [1100, 800]
    assert pairs.since_trunk(taken).duration_R.tolist() == [400, 500]
