"""How a batch is shared out among tasks: numbers that a reader can check by hand."""

import numpy as np
import pytest

from grokjax.config.mix import apportion, largest_subsets, shares


@pytest.mark.parametrize(
    ("mix", "total", "counts"),
    [
        ("50:50", 512, [256, 256]),
        ("90:10", 512, [461, 51]),  # 460.8 and 51.2
        ("33:33:34", 512, [169, 169, 174]),  # 168.96, 168.96 and 174.08
        ("1:1:1", 512, [171, 171, 170]),
        ("1000:1", 512, [511, 1]),  # 511.49 and .51
        ("10000:1", 512, [511, 1]),  # .05 of a place is one place
        ("1:0", 7, [7, 0]),
        ("1000:1:1", 3, [1, 1, 1]),
        (None, 5, [3, 2]),
    ],
)
def test_places_go_to_the_largest_remainders_and_everybody_wanted_has_one(mix, total, counts):
    share_G = shares(mix, len(counts))

    assert apportion(share_G, total).tolist() == counts


def test_every_batch_is_full_for_any_mix():
    random = np.random.default_rng(0)
    for _ in range(200):
        share_G = random.dirichlet(np.ones(random.integers(2, 7)) / 5)
        count_G = apportion(share_G, 23)

        assert count_G.sum() == 23
        assert ((count_G >= 1) == (share_G > 0)).all()


def test_subsets_are_as_large_as_the_scarcest_task_allows():
    """All 60 of the second task are a fifth, so there are 240 of the first."""
    assert largest_subsets(np.array([0.8, 0.2]), np.array([1000, 60])).tolist() == [240, 60]
    assert largest_subsets(np.array([1.0, 0.0]), np.array([1000, 60])).tolist() == [1000, 0]


@pytest.mark.parametrize("mix", ["0:0", "1:-1", "1:x", "nan:1", "", ":"])
def test_shares_that_mean_nothing_are_refused(mix):
    with pytest.raises(ValueError, match=f"runs.mix has '{mix}'; choose shares of 0 or more"):
        shares(mix, 2)


def test_there_is_one_share_for_each_task():
    with pytest.raises(ValueError, match="'1:2:3', 3 shares for 2 tasks; choose one each"):
        shares("1:2:3", 2)


def test_more_tasks_than_places_are_refused():
    with pytest.raises(ValueError, match="3 tasks of a mixture need 3 places or more"):
        apportion(shares("1:1:1", 3), 2)
