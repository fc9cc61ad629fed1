"""An experiment built again from the results it left, to ask its weights something new."""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ml_collections import ConfigDict

from grokjax.config.config import base
from grokjax.config.experiment import Experiment, setup
from grokjax.core import loop
from grokjax.recording import checkpoints
from grokjax.recording.checkpoints import Damaged, Restored
from grokjax.recording.results import Results

NOT_CONFIG = ("table_checksum", "shard")  # what a record says besides


class Rebuilt(NamedTuple):
    """What training had before it, and where it left its checkpoints."""

    config: ConfigDict
    experiment: Experiment
    results: Results

    def restore(self, step: int) -> Restored:
        """A checkpoint with the state as training knows it; `Damaged` if it is not sound."""
        experiment = self.experiment
        like_state_R = loop.state_shapes(experiment.trainer, experiment.runs_R, experiment.dataset)
        return checkpoints.restore(self.results.checkpoints, step, like_state_R)

    def newest(self, steps: Sequence[int]) -> Restored:
        """The newest sound checkpoint of some steps; a ValueError if there is none."""
        for step in sorted(steps)[::-1]:
            try:
                return self.restore(step)
            except Damaged as damage:
                reason = damage
        raise ValueError(f"no sound checkpoint in {str(self.results.folder)!r}: {reason}")


def config_of(record: Mapping) -> ConfigDict:
    """The config that `config.plain` made a record of; entries it lacks are at their defaults."""
    given = {name: _typed(value) for name, value in record.items() if name not in NOT_CONFIG}
    optimizer = given.pop("optimizer")
    chosen = {name: optimizer.get(name, {}) for name in optimizer["chain"]}
    config = base(task=given.pop("task"), model=given.pop("model"), optimizer=chosen)
    config.update(given)
    return config


def rebuild(results: Results) -> Rebuilt:
    """The experiment of a run directory, from its config.json.

    Raises:
        ValueError: if there is none, or its task makes another table than then.
    """
    if not results.config.is_file():
        raise ValueError(f"{str(results.folder)!r} has no config.json; choose a results folder")
    try:
        record = json.loads(results.config.read_text())
        config = config_of(record)
    except (KeyError, json.JSONDecodeError) as error:
        what = f"{str(results.config)!r} is not what training wrote"
        raise ValueError(f"{what} ({error!r}); choose another folder") from error
    experiment = setup(config)
    _check_table(record, experiment)
    if "shard" in record:
        experiment = experiment.shard(*map(int, record["shard"].split("/")))
    return Rebuilt(config, experiment, results)


def _check_table(record, experiment):
    stored, now = record.get("table_checksum"), experiment.record["table_checksum"]
    if stored != now:
        raise ValueError(
            f"the table of task {record['task']['name']} has checksum {now}, but {stored} when "
            "these weights were trained; choose the version of grokjax, or the data, of then"
        )


def _typed(value):
    """Lists as the tuples they were; what was left open (null) is left out."""
    if isinstance(value, Mapping):
        return {name: _typed(entry) for name, entry in value.items() if entry is not None}
    return tuple(_typed(entry) for entry in value) if isinstance(value, list) else value
