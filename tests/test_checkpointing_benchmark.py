"""The overhead is timed from the first chunk to where the loop is left."""

import pytest

from benchmarks import checkpointing
from grokjax.core import loop


@pytest.fixture
def clock(monkeypatch):
    """A clock that is moved by hand, and chunks that move it: 100 to compile, then 3 each."""
    now = [0.0]

    def chunks():
        now[0] += 97
        for t in (1, 2, 3):
            now[0] += 3
            yield t, None, None

    monkeypatch.setattr(checkpointing.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(loop, "chunks", chunks)
    return now


@pytest.mark.parametrize(("stop", "seconds"), [(2, 3 + 2 * 5), (3, 2 * 3 + 3 * 5), (None, 21)])
def test_only_the_loop_after_its_first_chunk_is_timed(stop, seconds, clock):
    def way(chunks):
        for t, _, _ in chunks():
            clock[0] += 5
            if t == stop:
                break
        clock[0] += 50  # summary, figures

    assert checkpointing.seconds_of_loop(way) == seconds


@pytest.mark.slow
def test_every_way_to_train_and_a_checkpoint_are_timed(toy_config):
    rows = checkpointing.measure(toy_config, steps=10, rounds=1, runs=(1, 3))

    trainings = ["training steps", "and evaluations", "and all that is written"]
    saves = ["save, until training goes on", "save, until it is written", "restore"]
    names = [*trainings, *saves]
    assert list(rows) == [f"R = {R}: {name}" for R in (1, 3) for name in names]
    for row in rows.values():
        assert len(row["seconds"]) == 1
        assert 0 < row["best"] <= row["median"]
    assert rows["R = 1: training steps"]["overhead"] == 0
    one, three = (rows[f"R = {R}: save, until it is written"]["bytes"] for R in (1, 3))
    assert three > one > 0
