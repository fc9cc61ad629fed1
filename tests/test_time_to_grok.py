"""The clock of the speedrun stops at the right evaluation, and its recipe keeps the rules."""

import pytest

from benchmarks import process, time_to_grok


@pytest.fixture
def trainings(monkeypatch):
    """Processes made by hand: seed 0 groks at step 50, 1 never, 2 at 75. The configs they get."""
    configs, groks = [], {0: 50, 1: None, 2: 75}

    def train(config, cache):
        configs.append(config)
        (seed,) = config.runs.seed
        seconds_of_step = {25: 4.0 + seed, 50: 5.0 + seed, 75: 6.0 + seed}
        return process.Training(
            seconds_of_step, 9.0, 10.0 + seed, {"runs": [{"grok_step": groks[seed]}]}
        )

    monkeypatch.setattr(process, "train", train)
    return configs


def test_the_clock_stops_at_the_evaluation_of_the_step_that_grokked(trainings, toy_config):
    row = time_to_grok.time_seed(toy_config, 2, "cache")

    assert row == {"step": 75, "seconds": 8.0, "exit": 12.0}


def test_a_process_before_the_first_seed_fills_the_cache(trainings, toy_config):
    time_to_grok.measure(toy_config, seeds=3)

    assert [config.runs.seed for config in trainings] == [(0,), (0,), (1,), (2,)]


def test_a_seed_that_has_not_grokked_is_later_than_any_other(trainings, toy_config):
    rows = time_to_grok.measure(toy_config, seeds=3)

    assert rows["seed=1"] == {"step": None, "seconds": None, "exit": 11.0}
    assert rows["median"] == {"step": 75, "seconds": 8.0, "exit": 11.0}
    assert rows["maximum"] == {"step": None, "seconds": None, "exit": 12.0}


def test_the_table_counts_who_grokked(trainings, toy_config):
    lines = time_to_grok.table(time_to_grok.measure(toy_config, seeds=3)).splitlines()

    assert lines[2].split() == ["|", "seed=0", "|", "50", "|", "5.00", "|", "10.00", "|"]
    assert lines[3].split() == ["|", "seed=1", "|", "never", "|", "|", "11.00", "|"]
    assert lines[-1] == "2 of 3 seeds grokked"


def test_the_recipe_keeps_the_rules():
    config = time_to_grok.speedrun(quick=False)

    task = config.task.to_dict()
    assert {task["name"], task["op"], task["p"]} == {"modular", "div", 97}
    assert config.runs.train_fraction == (0.5,)
    assert config.runs.split_seed == ()  # the seed chooses the equations
    assert config.schedule.eval_examples == 0  # all validation examples
    assert config.grok.to_dict() == {"threshold": 0.99, "count": 3, "rule": "sustained"}


@pytest.mark.slow
def test_every_evaluation_of_a_process_has_its_second(toy_config, tmp_path):
    training = process.train(toy_config, str(tmp_path / "cache"))

    steps = (5, 10, 15, 20)
    assert tuple(training.seconds_of_step) == steps
    moments = [*training.seconds_of_step.values(), training.summary_seconds, training.exit_seconds]
    assert moments == sorted(moments)
    assert training.summary["runs"][0]["steps"] == steps[-1]
    assert any((tmp_path / "cache").iterdir())
