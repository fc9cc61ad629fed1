"""How long chunks are: where a call takes time by itself, and where runs stop."""

import numpy as np
import pytest

from grokjax.core import pace
from grokjax.core.pace import Pace


def timed(paced, num_active, call, step):
    """Lengths of chunks until none is timed, of calls and steps that take so many seconds."""
    lengths = []
    while paced.is_timed(num_active):
        lengths.append(paced.length)
        paced.took(paced.length, seconds=call + step * paced.length)
    return [*lengths, paced.length]


@pytest.mark.parametrize(
    ("call", "step", "length"),
    [
        (0, 0.1, 50),  # five seconds
        (0.001, 0.0005, 9998),
        (2, 0.1, 80),  # ten seconds, a fifth of them the call's
        (6, 0.1, 140),  # twenty seconds, and no more
        (0, 30, 1),
    ],
)
def test_a_chunk_is_as_long_as_the_time_that_its_call_takes_asks_for(call, step, length):
    lengths = timed(Pace(), num_active=20, call=call, step=step)

    assert lengths[0] == pace.TRIAL_STEPS
    assert len(lengths) == pace.TIMED + 1
    assert lengths[-1] == pytest.approx(length, rel=0.01)


def test_chunks_are_timed_anew_when_half_of_the_runs_have_stopped():
    """Copying twenty states takes two seconds, however many runs are active."""
    paced = Pace()
    timed(paced, num_active=20, call=2, step=0.1)
    assert not paced.is_timed(11)

    assert timed(paced, num_active=10, call=2, step=0.05)[-1] == pytest.approx(160, abs=1)
    assert not paced.is_timed(6)
    assert timed(paced, num_active=1, call=2, step=0.005)[-1] == pytest.approx(1600, rel=0.01)
    assert not paced.is_timed(1)


@pytest.mark.parametrize("slow", [0, 1, 2, 3])
def test_a_neighbour_that_slows_one_chunk_makes_no_chunk_too_long(slow):
    """A step takes a quarter of a second, and one of the timed chunks nine seconds more."""
    paced = Pace()
    chunk = 0
    while paced.is_timed(1):
        paced.took(paced.length, seconds=0.1 + 0.25 * paced.length + 9 * (chunk == slow))
        assert 0.25 * paced.length <= pace.MOST_SECONDS
        chunk += 1

    assert 0.25 * paced.length > 1


def test_noise_between_chunks_of_nearly_one_length_is_not_taken_for_a_call():
    paced = Pace()
    paced.is_timed(1)
    for steps, seconds in [(2, 0.5), (20, 5.0), (19, 5.01), (21, 4.99)]:
        paced.took(steps, seconds)

    assert not paced.is_timed(1)
    assert 0.25 * paced.length <= pace.SECONDS + 0.25


def test_timings_that_wander_by_a_third_lead_to_no_chunk_of_more_than_the_most_seconds():
    """One training in fifty may have one by chance; a call takes a tenth of a second."""
    rng = np.random.default_rng(0)
    seconds = []
    for _ in range(500):
        paced = Pace()
        while paced.is_timed(1):
            noise = rng.uniform(1, 1.3)
            paced.took(paced.length, noise * (0.1 + 0.05 * paced.length))
        seconds.append(0.1 + 0.05 * paced.length)

    assert np.mean(np.array(seconds) > pace.MOST_SECONDS) < 0.02
    assert np.quantile(seconds, 0.1) > 2


def test_where_no_run_is_active_chunks_are_not_timed_for_ever():
    paced = Pace()
    timed(paced, num_active=4, call=0, step=0.1)

    assert not paced.is_timed(0)
