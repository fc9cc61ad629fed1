"""What a training says and keeps of each evaluation, and that this takes the same time always."""

import io
import re
import sys
import time

import numpy as np
import pytest

from grokjax.recording.history import History
from grokjax.recording.logging import Console, MetricLogger

DELAY = ["delay", "10", "steps"]


class Recorder:
    """A writer that keeps what it was given."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *args: self.calls.append((name, *args))


def metrics_of(e, num_runs):
    """The metrics of evaluation e; run r is at 100 % from evaluation 2 r on."""
    high_R = np.where(e >= 2 * np.arange(num_runs), 1.0, 0.1)
    names = ("train_accuracy", "train_loss", "val_loss", "learning_rate", "l1")
    return {name: np.ones(num_runs) for name in names} | {"val_accuracy": high_R}


@pytest.fixture
def console(tmp_path):
    with Console(tmp_path / "training.log", num_steps=100) as console:
        yield console


def test_several_writers_are_given_the_same(toy_config, console):
    writers = [Recorder(), Recorder()]
    logger = MetricLogger(History(), ["seed=0", "seed=1"], toy_config, console, writers)
    logger.log_text("two runs", 0)
    logger.log_later(5, metrics_of(0, num_runs=2))
    logger.flush()
    logger.write_summary({})

    names = ["write_texts", "write_scalars", "flush", "write_summary"]
    assert [name for name, *_ in writers[0].calls] == names
    assert [name for name, *_ in writers[1].calls] == names
    assert writers[0].calls[1][2]["val_accuracy"].tolist() == [1.0, 0.1]


def test_metrics_are_read_one_evaluation_late(toy_config, console):
    logger = MetricLogger(History(), ["seed=0"], toy_config, console, [])
    for e in range(3):
        logger.log_later(5 * (e + 1), metrics_of(e, num_runs=1))

    assert logger.history["step"].tolist() == [5, 10]


def test_evaluations_that_are_told_at_once_have_no_absurd_speed(toy_config, console, monkeypatch):
    """Ten steps take a second; after chunks that are timed, two evaluations come together."""
    clock = iter([1.0, 2.0, 3.0, 5.0, 5.001, 6.0, 7.0, 7.01, 7.02])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    writer = Recorder()
    logger = MetricLogger(History(), ["seed=0"], toy_config, console, [writer])
    for e in range(9):
        logger.log_later(10 * (e + 1), metrics_of(e, num_runs=1))
    logger.flush()

    scalars = [call[2] for call in writer.calls if call[0] == "write_scalars"]
    speeds = [float(one["steps_per_sec"][0]) for one in scalars if "steps_per_sec" in one]
    assert speeds[:2] == [10, 10]
    np.testing.assert_allclose(speeds[2:6], [5, 5, 20, 10], rtol=1e-2)
    assert speeds[7] > 100  # it is fast indeed


def test_a_speed_is_that_of_the_evaluations_whenever_they_are_read(
    toy_config, console, monkeypatch
):
    """Ten steps take a second; what follows the last evaluation is waited for much longer."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    writer = Recorder()
    logger = MetricLogger(History(), ["seed=0"], toy_config, console, [writer])
    for second, step in [(1, 10), (2, 20), (3, 30)]:
        clock[0] = second
        logger.log_later(step, metrics_of(step, num_runs=1))
    clock[0] = 3.1
    logger.flush()
    clock[0] = 60
    logger.log_later(40, metrics_of(4, num_runs=1))
    clock[0] = 61
    logger.log_later(50, metrics_of(5, num_runs=1))

    scalars = [call[2] for call in writer.calls if call[0] == "write_scalars"]
    speeds = [float(one["steps_per_sec"][0]) for one in scalars if "steps_per_sec" in one]
    np.testing.assert_allclose(speeds, [10, 10, 10 / 57])


def test_the_log_says_once_when_each_run_grokked(toy_config, console, tmp_path):
    """Run 1 is at the threshold for the third time in succession at step 25."""
    logger = MetricLogger(History(), ["seed=0", "seed=1"], toy_config, console, [])
    for e in range(7):
        logger.log_later(5 * (e + 1), metrics_of(e, num_runs=2))
    logger.flush()

    lines = (tmp_path / "training.log").read_text().splitlines()
    assert [line for line in lines if " grokked at " in line] == [
        "[step 15] seed=0 grokked at 5",
        "[step 25] seed=1 grokked at 15, after a delay of 10",
    ]


def test_a_logger_goes_on_from_a_history_as_if_it_had_written_it(toy_config, console):
    toy_config.schedule.stop_after_grok = 3
    labels = ["seed=0", "seed=1"]
    whole = MetricLogger(History(), labels, toy_config, console, [])
    for e in range(4):
        whole.log_later(5 * (e + 1), metrics_of(e, num_runs=2))
    whole.flush()
    resumed = MetricLogger(History(whole.history.arrays()), labels, toy_config, console, [])

    for step in (20, 25, 30):
        assert resumed.tracker.active(step).tolist() == whole.tracker.active(step).tolist()
    np.testing.assert_equal([*resumed.tracker.grokking], [*whole.tracker.grokking])


def test_an_evaluation_takes_as_long_after_four_thousand_others_as_at_first(toy_config):
    """Who grokked and who trains on, of 64 runs."""

    class Silent:
        say = describe = announce = lambda *args, **kwargs: None

    toy_config.schedule.stop_after_grok = 500
    labels = [f"seed={r}" for r in range(64)]
    logger = MetricLogger(History(), labels, toy_config, Silent(), [])
    seconds = []
    for e in range(4000):
        metrics_R = metrics_of(e, num_runs=64)
        start = time.perf_counter()
        logger.log_later(5 * (e + 1), metrics_R)
        logger.tracker.active(5 * (e + 1))
        seconds.append(time.perf_counter() - start)

    early = np.median(seconds[:100])
    late = np.median(seconds[-100:])
    assert late < 0.002
    assert late < 2 * early


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_the_latest_evaluations_and_sets_grokking_off(
    toy_config, tmp_path, monkeypatch
):
    """The log has the regular lines; losses, learning rate and L1 are in the table."""
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    with Console(tmp_path / "training.log", num_steps=100, shard="2/3") as console:
        logger = MetricLogger(History(), ["seed=0", "seed=1"], toy_config, console, [])
        for e in range(8):
            logger.log_later(5 * (e + 1), metrics_of(e, num_runs=2))
            console.advanced(5 * (e + 1))
        logger.flush()
        console.refresh()
        shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", sys.stdout.getvalue())
    lines = [line.strip() for line in shown.splitlines()]
    assert "step train loss accuracy validation loss accuracy learning rate     L1" in lines
    assert "40     1.0000  100.00%          1.0000  100.00%      1.00e+00 1.0000" in lines
    start = next(i for i, line in enumerate(lines) if "seed=1 grokked" in line)
    facts = [line.strip("│ ").split() for line in lines[start + 1 : start + 4]]
    assert facts == [["memorised", "step", "5"], ["generalised", "step", "15"], DELAY]
    assert any("40/100" in line and "40% shard 2/3" in line for line in lines)
    assert not any("[step 40]" in line for line in lines)
    log = (tmp_path / "training.log").read_text(encoding="utf-8")
    assert "[step 40] train loss 1.0000" in log
    assert "[step 25] seed=1 grokked at 15, after a delay of 10" in log
