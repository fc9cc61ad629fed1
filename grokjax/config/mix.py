"""The mix of a mixture: how many rows of each of its G tasks a batch and a training set hold."""

import numpy as np


def shares(mix: str | None, num_groups: int) -> np.ndarray:
    """[G]: the shares of a batch that `'90:10'` gives to each task, adding up to one.

    None is equal shares. A ValueError says what else is no mix, such as only zeros.
    """
    if mix is None:
        return np.full(num_groups, 1 / num_groups)
    try:
        share_G = np.array(mix.split(":"), float)
    except ValueError:
        share_G = np.zeros(1)
    if not (share_G.any() and (share_G >= 0).all() and np.isfinite(share_G.sum())):
        raise ValueError(
            f"runs.mix has {mix!r}; choose shares of 0 or more, not all 0, such as '90:10'"
        )
    if share_G.size != num_groups:
        raise ValueError(
            f"runs.mix has {mix!r}, {share_G.size} shares for {num_groups} tasks; choose one each"
        )
    return share_G / share_G.sum()


def apportion(share_G: np.ndarray, total: int) -> np.ndarray:
    """[G] whole numbers that add up to `total`, by largest remainder; one at least where wanted.

        shares .33, .33, .34 of 512 = 168.96, 168.96, 174.08  ->  169, 169, 174

    A ValueError says if there are more tasks with a share than slots.
    """
    wanted_G = share_G > 0
    if wanted_G.sum() > total:
        raise ValueError(
            f"{wanted_G.sum()} tasks of a mixture need {wanted_G.sum()} places or more, "
            f"not batch_size = {total}"
        )
    quota_G = share_G * total
    count_G = np.maximum(np.floor(quota_G + 1e-9), wanted_G).astype(np.int32)
    while missing := np.sign(total - count_G.sum()):  # a slot goes where it is missed most
        can_G = wanted_G & (count_G + missing >= 1)
        count_G[np.argmax(np.where(can_G, missing * (quota_G - count_G), -np.inf))] += missing
    return count_G


def largest_subsets(share_G: np.ndarray, rows_G: np.ndarray) -> np.ndarray:
    """[G]: how many of each task's rows to take so that their numbers are as the shares."""
    wanted_G = share_G > 0
    total = (rows_G[wanted_G] / share_G[wanted_G]).min()
    return np.maximum(np.floor(share_G * total + 1e-9), wanted_G).astype(np.int32)
