"""Metric writers: TensorBoard event files, and Weights & Biases if asked for.

The methods have the names of `clu.metric_writers.MetricWriter`, whose own writers need
TensorFlow to be imported. Curves of single runs are drawn for a few runs only; of many there
are the lowest, the median and the highest value.
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


def tag(name: str) -> str:
    """`val_loss` -> `Loss/val`; of one task of a mixture, `val_loss/add` -> `Loss/val/add`."""
    metric, slash, task = name.partition("/")
    return TAGS.get(metric, metric) + slash + task


def curves(labels: Sequence[str]) -> list[str]:
    """The names of the curves of a metric: the runs, or what is drawn of many."""
    return list(QUANTILES) if len(labels) > MANY else list(labels)


def values_of_curves(value_R: np.ndarray) -> np.ndarray:
    """A value for each of `curves`; of many runs only the finite values count."""
    if len(value_R) > MANY:
        return finite_quantiles(value_R, list(QUANTILES.values()))
    return value_R


class Writer:
    """What a writer may do, and does not unless it says how; scalars are [R], one value a run."""

    def write_scalars(self, step: int, scalars_R: Mapping[str, np.ndarray]) -> None: ...
    def write_texts(self, step: int, texts: Mapping[str, str]) -> None: ...
    def write_summary(self, summary: Mapping[str, Any]) -> None: ...  # of `summary.json`
    def flush(self) -> None: ...
    def close(self) -> None: ...


@contextlib.contextmanager
def open_writers(
    results: Results, experiment: Experiment, step: int, wandb: bool
) -> Iterator[list[Writer]]:
    """Where the curves go of a training that starts or goes on at a step."""
    labels = experiment.labels
    resumed_from = step or None
    writers: list[Writer] = [TensorBoard(results.tensorboard, labels, resumed_from)]
    if wandb:
        record = experiment.record
        writers.append(WeightsAndBiases(results.folder, labels, record, resumed_from))
    try:
        yield writers
    finally:
        for writer in writers:
            writer.close()


class TensorBoard(Writer):
    """Each curve in a folder of its own, so that those of a metric share a chart.

    After a resume, events past the step `resumed_from` are marked as superseded.
    """

    def __init__(self, folder: Path, labels: Sequence[str], resumed_from: int | None = None):
        names = curves(labels)
        folders = [folder] if len(names) == 1 else [folder / name for name in names]
        purge = None if resumed_from is None else resumed_from + 1
        self._writers = [SummaryWriter(str(f), purge_step=purge, flush_secs=30) for f in folders]

    def write_scalars(self, step: int, scalars_R: Mapping[str, np.ndarray]) -> None:
        for name, value_R in scalars_R.items():
            for writer, value in zip(self._writers, values_of_curves(value_R), strict=True):
                writer.add_scalar(tag(name), value, step)

    def write_texts(self, step: int, texts: Mapping[str, str]) -> None:
        for name, text in texts.items():
            self._writers[0].add_text(name, text, step)

    def flush(self) -> None:
        for writer in self._writers:
            writer.flush()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


class WeightsAndBiases(Writer):
    """One W&B run for a training command, however many runs of ours train in it.

    They share a program, a config and a checkpoint, and are stopped and resumed as one; a W&B
    run for each would be a thousand processes' worth of uploads for a thousand seeds. Curves
    are `val_accuracy/seed=0`, so that W&B shows those of a metric together. What is trained in
    `results/l1_grokfast/s5/ema` is called `ema` in the group `l1_grokfast/s5`; the project is
    `grokjax`, or what WANDB_PROJECT names.

    An id in the folder lets a resumed training go on in the same W&B run. W&B takes no step
    twice: evaluations that are repeated after a crash are ignored, being the same bit for bit.
    """

    def __init__(
        self,
        folder: Path,
        labels: Sequence[str],
        config: Mapping[str, Any],
        resumed_from: int | None = None,
    ):
        """Starts or resumes a run as the environment says (WANDB_MODE=offline, WANDB_ENTITY)."""
        import wandb  # takes a second, and is an optional package

        (folder / "wandb").mkdir(parents=True, exist_ok=True)
        self._names = curves(labels)
        self._summarised = False
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "grokjax"),
            group="/".join(folder.parent.parts[-2:]).lstrip("/") or None,
            name=folder.name,
            id=_id(folder / "wandb" / "id", new=resumed_from is None),
            resume="allow",
            config=dict(config),
            allow_val_change=True,  # a resume may have other schedule.keep, log_every
            dir=folder,
            settings=wandb.Settings(console="off"),  # the lines are in training.log
        )

    def write_scalars(self, step: int, scalars_R: Mapping[str, np.ndarray]) -> None:
        row = {}
        for metric, value_R in scalars_R.items():
            values = map(float, values_of_curves(value_R))
            if len(self._names) == 1:
                (row[metric],) = values
            else:
                keys = (f"{metric}/{name}" for name in self._names)
                row |= zip(keys, values, strict=True)
        self._run.log(row, step=step)

    def write_texts(self, step: int, texts: Mapping[str, str]) -> None:
        """They become the notes of the run, which keeps those of its beginning."""
        if step == 0:
            self._run.notes = "\n\n".join(texts.values())

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        self._run.summary.update(summary["overall"])
        if len(summary["runs"]) <= MANY:
            steps = {f"grok_step/{run['label']}": run["grok_step"] for run in summary["runs"]}
            self._run.summary.update(steps)
        self._summarised = True

    def close(self) -> None:
        """What has no summary has not finished, and W&B is to show that."""
        self._run.finish(exit_code=0 if self._summarised else 1)


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


def _id(path, new):
    """What W&B knows a run by: the one of the folder, or a new one for a new training."""
    if new or not path.exists():
        path.write_text(secrets.token_hex(4))
    return path.read_text()
