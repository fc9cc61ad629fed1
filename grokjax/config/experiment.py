"""An experiment: a config turned into what the loop takes."""

from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from grokjax.config import config as config_lib
from grokjax.config.grid import expand, share
from grokjax.config.rules import check, check_sections
from grokjax.core.data import Task
from grokjax.core.dataset import Dataset, checksum, make_dataset
from grokjax.core.run import Run
from grokjax.core.trainer import Trainer, make_model, make_trainer


class Experiment(NamedTuple):
    """Everything `loop.chunks` needs, and names for the runs."""

    task: Task
    dataset: Dataset
    trainer: Trainer
    runs_R: Run
    labels: list[str]  # one per run
    record: dict  # the config and a checksum of the table: what makes it this very experiment

    def share(self, i: int, n: int) -> "Experiment":
        """The same experiment with the i-th of n shares of its runs, i = 1 .. n."""
        size, runs = len(self.labels), share(len(self.labels), i, n)
        if not runs:
            raise ValueError(f"chunk {i}/{n} of {size} runs is empty; choose at most {size} chunks")
        return self._replace(
            runs_R=jax.tree.map(lambda x: x[runs.start : runs.stop], self.runs_R),
            labels=[self.labels[r] for r in runs],
            record=self.record | {"chunk": f"{i}/{n}"},
        )


def setup(config: ConfigDict) -> Experiment:
    """Checks a config and builds its experiment; raises a ValueError before anything is traced."""
    check_sections(config)
    task = config_lib.make_task(config)
    check(config, task)
    if config.matmul_precision == "bfloat16" and jax.default_backend() == "cpu":
        raise ValueError(
            "matmul_precision = 'bfloat16' changes nothing on a CPU, whose products are float32; "
            "choose default"
        )
    if config.loss.precision == "float64":
        jax.config.update("jax_enable_x64", True)  # for the rest of the process
    runs_R, labels = expand(config, task)
    static = config_lib.static(config)
    trainer = make_trainer(task, **static)
    dataset = make_dataset(
        task,
        causal=make_model(task, static["model"]).causal,
        held_out=config.split.held_out,
        symmetric=config.split.symmetric,
    )
    record = config_lib.plain(config) | {"table_checksum": checksum(task)}
    return Experiment(task, dataset, trainer, runs_R, labels, record)
