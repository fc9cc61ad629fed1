"""Metric writers: TensorBoard event files, and Weights & Biases if asked for.

The methods have the names of `clu.metric_writers.MetricWriter`, whose own writers need
TensorFlow to be imported.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX import SummaryWriter

from grokjax.config.experiment import Experiment
from grokjax.recording.history import finite_quantiles
from grokjax.recording.results import Results

MANY = 16  # above this, curves of single runs would fill a disk and a screen
QUANTILES = {"lowest": 0, "median": 0.5, "highest": 1}
TAGS = {
    "train_loss": "Loss/train",
    "val_loss": "Loss/val",
    "train_accuracy": "Accuracy/train",
    "val_accuracy": "Accuracy/val",
    "learning_rate": "Learning_rate",
    "l1": "L1",
}


def curves(labels: Sequence[str], value_R: np.ndarray) -> dict[str, float]:
    """{curve: value} of a metric: each run, or of many runs quantiles of the finite values."""
    if len(labels) > MANY:
        values = finite_quantiles(value_R, list(QUANTILES.values()))
        return dict(zip(QUANTILES, values.tolist(), strict=True))
    return dict(zip(labels, value_R.tolist(), strict=True))


class Writer:
    """What a writer may do; scalars are [R], the summary is that of `summary.json`."""

    def write_scalars(self, step: int, scalars_R: Mapping[str, np.ndarray]) -> None: ...
    def write_texts(self, step: int, texts: Mapping[str, str]) -> None: ...
    def write_summary(self, summary: Mapping[str, Any]) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


@contextlib.contextmanager
def open_writers(
    results: Results, experiment: Experiment, step: int, wandb: bool
) -> Iterator[list[Writer]]:
    """The writers of a training that starts at a step, or is resumed from it."""
    labels = experiment.labels
    writers: list[Writer] = [TensorBoard(results.tensorboard, labels, step)]
    if wandb:
        writers.append(WeightsAndBiases(results.folder, labels, experiment.record, step))
    try:
        yield writers
    finally:
        for writer in writers:
            writer.close()


class TensorBoard(Writer):
    """Each curve in a folder of its own, so that those of a metric share a chart.

    After a resume, events past the step `resumed_from` are marked as superseded.
    """

    def __init__(self, folder: Path, labels: Sequence[str], resumed_from: int = 0):
        self._labels = labels
        self._writers = {}
        for name in curves(labels, np.zeros(len(labels))):
            self._writers[name] = SummaryWriter(
                str(folder / name if len(labels) > 1 else folder),
                purge_step=resumed_from + 1 if resumed_from else None,
                flush_secs=30,
            )

    def write_scalars(self, step: int, scalars_R: Mapping[str, np.ndarray]) -> None:
        for name, value_R in scalars_R.items():
            metric, slash, task = name.partition("/")
            tag = TAGS.get(metric, metric) + slash + task
            for curve, value in curves(self._labels, value_R).items():
                self._writers[curve].add_scalar(tag, value, step)

    def write_texts(self, step: int, texts: Mapping[str, str]) -> None:
        first = next(iter(self._writers.values()))
        for name, text in texts.items():
            first.add_text(name, text, step)

    def flush(self) -> None:
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()


class WeightsAndBiases(Writer):
    """One W&B run for a training command: a thousand seeds would be a thousand uploads.

    Curves are `val_accuracy/seed=0`, so that W&B shows those of a metric together; what is trained
    in `results/l1_grokfast/s5/ema` is called `ema` in the group `l1_grokfast/s5`. (The event files
    that `sync_tensorboard` would send have neither these names nor one row for each step.)

    A resumed training goes on in the same W&B run, whose id is in the folder. W&B takes no step
    twice: evaluations that are repeated after a crash are ignored, being the same bit for bit.
    """

    def __init__(
        self, folder: Path, labels: Sequence[str], config: Mapping[str, Any], resumed_from: int = 0
    ):
        """Starts or resumes a run as the environment says (WANDB_MODE=offline, WANDB_PROJECT)."""
        import wandb  # takes a second, and is an optional package

        known = folder / "wandb" / "id"
        known.parent.mkdir(parents=True, exist_ok=True)
        if not (resumed_from and known.exists()):
            known.write_text(secrets.token_hex(4))
        self._labels = labels
        self._exit_code = 1  # what has no summary has not finished, and W&B is to show that
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "grokjax"),
            group="/".join(folder.parent.parts[-2:]).lstrip("/") or None,
            name=folder.name,
            id=known.read_text(),
            resume="allow",
            config=dict(config),
            allow_val_change=True,  # a resume may have other schedule.keep, log_every
            dir=folder,
            settings=wandb.Settings(console="off"),  # the lines are in training.log
        )

    def write_scalars(self, step: int, scalars_R: Mapping[str, np.ndarray]) -> None:
        row = {}
        for metric, value_R in scalars_R.items():
            for name, value in curves(self._labels, value_R).items():
                row[metric if len(self._labels) == 1 else f"{metric}/{name}"] = value
        self._run.log(row, step=step)

    def write_texts(self, step: int, texts: Mapping[str, str]) -> None:
        if step == 0:
            self._run.notes = "\n\n".join(texts.values())  # a resumed run keeps its own

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        self._run.summary.update(summary["overall"])
        if len(self._labels) <= MANY:
            steps = {f"grok_step/{run['label']}": run["grok_step"] for run in summary["runs"]}
            self._run.summary.update(steps)
        self._exit_code = 0

    def close(self) -> None:
        self._run.finish(exit_code=self._exit_code)


def check_wandb() -> None:
    """Asks for a login if need be; raises a ValueError if Weights & Biases cannot be used."""
    try:
        from wandb import Error, login  # a folder `wandb` of results has neither
    except ImportError as error:
        raise ValueError(
            "--wandb needs the package wandb; install it with pip install 'grokjax[wandb]'"
        ) from error
    try:
        login(verify=False)
    except Error as error:
        raise ValueError(f"--wandb: {error} To keep curves here, set WANDB_MODE=offline") from error
