"""Metric writers: TensorBoard event files, Weights & Biases if asked for, and those of a caller.

The methods have the names of `clu.metric_writers.MetricWriter`, so that any writer of clu's can be
given to `grokjax.train`; clu's package itself needs TensorFlow to be imported, so it is not here.
"""

import contextlib
import functools
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grokjax.config.experiment import Experiment
from grokjax.recording.history import finite_quantiles, measured
from grokjax.recording.output import LONGEST, in_one_line, may_fail, warn, without
from grokjax.recording.results import Results

with without("torch"):  # tensorboardX takes more than a second for it, and only names its types
    from tensorboardX import summary
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.proto.summary_pb2 import Summary
    from tensorboardX.record_writer import RecordWriter

FLUSH_SECONDS = 30
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


def scalars(metrics_R: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{name: [R]}: each entry of a measure's [R, K] by its number; what was not measured is out."""
    absent = [n for n in measured(metrics_R) if np.isnan(metrics_R[n]).all()]
    found = {}
    for name, value_Rx in metrics_R.items():
        if name not in absent and value_Rx.ndim == 1:
            found[name] = value_Rx
        elif name not in absent:
            found |= {f"{name}/{k}": value_R for k, value_R in enumerate(value_Rx.T)}
    return found


def row(labels: Sequence[str], scalars_R: Mapping[str, np.ndarray]) -> dict[str, float]:
    """{metric, or of several runs metric/curve: value}."""
    found = {}
    for metric, value_R in scalars_R.items():
        for name, value in curves(labels, value_R).items():
            found[metric if len(labels) == 1 else f"{metric}/{name}"] = value
    return found


class Writer:
    """What a writer may do; scalars are [R], the summary is that of `summary.json`."""

    @property
    def name(self) -> str:
        """What a warning calls it."""
        return type(self).__name__

    def write_scalars(self, step: int, scalars_R: Mapping[str, np.ndarray]) -> None: ...
    def write_texts(self, step: int, texts: Mapping[str, str]) -> None: ...
    def write_summary(self, summary: Mapping[str, Any]) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


@contextlib.contextmanager
def open_writers(
    results: Results, experiment: Experiment, step: int, wandb: bool
) -> Iterator[list[Writer]]:
    """The writers of a training that starts at a step, or is resumed from it.

    Training goes on without one that fails.
    """
    labels = experiment.labels
    makers = [functools.partial(TensorBoard, results.tensorboard, labels, step)]
    if wandb:
        record = experiment.record
        makers.append(functools.partial(WeightsAndBiases, results.folder, labels, record, step))
    writers: list[Writer] = []
    for make in makers:
        with may_fail(f"training goes on without {make.func.__name__}"):
            writers.append(make())
    try:
        yield writers
    finally:
        tell(writers, "close")


def tell(writers: list[Writer], method: str, *arguments: Any) -> None:
    """Calls a method of every writer; one that fails is closed and leaves the list."""
    for writer in list(writers):
        try:
            getattr(writer, method)(*arguments)
        except Exception as error:
            reason = in_one_line(error, LONGEST)
            warn(f"warning: training goes on without {writer.name}: {reason}")
            writers.remove(writer)
            with contextlib.suppress(Exception):
                writer.close()


class Given(Writer):
    """A caller's `clu.metric_writers.MetricWriter`, which the caller closes."""

    def __init__(self, writer: Any, labels: Sequence[str]):
        if not all(hasattr(writer, method) for method in ("write_scalars", "flush")):
            raise ValueError(f"{writer!r} is no writer; choose those of clu.metric_writers")
        self._labels = labels
        self._writer = writer
        self.flush = writer.flush

    @property
    def name(self) -> str:
        return type(self._writer).__name__

    def write_scalars(self, step: int, scalars_R: Mapping[str, np.ndarray]) -> None:
        self._writer.write_scalars(step, row(self._labels, scalars_R))


class EventFile:
    """Scalars and texts of one curve, as TensorBoard reads them.

    Written where it is called: `SummaryWriter` has a thread and a queue for it, and after an error
    of the disk in that thread the next call waits for ever.
    """

    def __init__(self, folder: Path, resumed_from: int):
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}"
        self._records = RecordWriter(str((folder / name).absolute()))
        self._flushed = time.monotonic()
        self._write(file_version="brain.Event:2")
        if resumed_from:
            start = SessionLog(status=SessionLog.START)
            self._write(step=resumed_from + 1, session_log=start)

    def add(self, summary: Summary, step: int) -> None:
        self._write(step=step, summary=summary)
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        self._records.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        self._records.close()

    def _write(self, **content):
        self._records.write(Event(wall_time=time.time(), **content).SerializeToString())


class TensorBoard(Writer):
    """Each curve in a folder of its own, so that those of a metric share a chart.

    After a resume, events past the step `resumed_from` are marked as superseded.
    """

    def __init__(self, folder: Path, labels: Sequence[str], resumed_from: int = 0):
        self._labels = labels
        self._files = {}
        with contextlib.ExitStack() as opening:
            for name in curves(labels, np.zeros(len(labels))):
                file = EventFile(folder / name if len(labels) > 1 else folder, resumed_from)
                self._files[name] = opening.enter_context(contextlib.closing(file))
            self._open = opening.pop_all()

    def write_scalars(self, step: int, scalars_R: Mapping[str, np.ndarray]) -> None:
        for name, value_R in scalars_R.items():
            metric, slash, task = name.partition("/")
            tag = TAGS.get(metric, metric) + slash + task
            for curve, value in curves(self._labels, value_R).items():
                self._files[curve].add(summary.scalar(tag, value), step)

    def write_texts(self, step: int, texts: Mapping[str, str]) -> None:
        first = next(iter(self._files.values()))
        for name, text in texts.items():
            first.add(summary.text(name, text), step)

    def flush(self) -> None:
        for file in self._files.values():
            file.flush()

    def close(self) -> None:
        self._open.close()


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
            known.write_text(secrets.token_hex(4), "utf-8")
        self._labels = labels
        self._exit_code = 1  # what has no summary has not finished, and W&B is to show that
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "grokjax"),
            group="/".join(folder.parent.parts[-2:]).lstrip("/") or None,
            name=folder.name,
            id=known.read_text("utf-8"),
            resume="allow",
            config=dict(config),
            allow_val_change=True,  # a resume may have other schedule.keep, log_every
            dir=folder,
            settings=wandb.Settings(console="off"),  # the lines are in training.log
        )

    def write_scalars(self, step: int, scalars_R: Mapping[str, np.ndarray]) -> None:
        self._run.log(row(self._labels, scalars_R), step=step)

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
