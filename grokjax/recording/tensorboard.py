"""TensorBoard's event files: curves, a row for each run, charts of measures, the config as text."""

import contextlib
import json
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grokjax.config import grid, registry
from grokjax.config.config import flat
from grokjax.recording.output import without
from grokjax.recording.summary import FINAL
from grokjax.recording.writer import MANY, Writer, curves

with without("torch"):  # tensorboardX takes more than a second for it, and only names its types
    from tensorboardX import summary
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.proto.summary_pb2 import Summary
    from tensorboardX.record_writer import RecordWriter

FLUSH_SECONDS = 30
MANY_ROWS = 1000  # above this a table of runs is of no use in a browser
TAGS = {
    "train_loss": "Loss/train",
    "val_loss": "Loss/val",
    "train_accuracy": "Accuracy/train",
    "val_accuracy": "Accuracy/val",
    "learning_rate": "Learning_rate",
    "l1": "L1",
}
BOTH_SIDES = {  # charts of training beside validation
    "Accuracy": ["Multiline", ["Accuracy/(train|val)$"]],
    "Loss": ["Multiline", ["Loss/(train|val)$"]],
}


def hparams(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each run {entry of `config.runs`, or kind of part: its value or name}."""
    parts = {kind: record[kind]["name"] for kind in ("task", "model")}
    parts["optimizer"] = "+".join(record["optimizer"]["chain"])
    return [point | parts for point in grid.points_of(record)]


def layout(measures: Sequence[str]) -> dict[str, dict[str, list]]:
    """{category: {chart: [kind, patterns of tags]}}: of each value of a measure one chart."""
    categories = {"grokking": BOTH_SIDES}
    for name in measures:
        titles = getattr(registry.find("measure", name), "TITLES", {})
        charts = {t: ["Multiline", [rf"{name}/{key}(/\d+)?$"]] for key, t in titles.items()}
        categories[name] = charts or {name: ["Multiline", [f"{name}/"]]}
    return categories


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

    The tab HParams has a row for each run: of a few runs from the start, of many when they have
    ended, in folders `runs/...`, without their curves. It has no `Experiment` in which metrics and
    entries are chosen beforehand: TensorBoard takes the first that it finds for all of a `logdir`,
    and other results would lack what differs in them.
    """

    def __init__(
        self,
        folder: Path,
        labels: Sequence[str],
        record: Mapping[str, Any] | None = None,
        resumed_from: int = 0,
    ):
        self._folder = folder
        self._labels = labels
        self._hparams = hparams(record) if record else []
        self._files = {}
        with contextlib.ExitStack() as opening:
            for name in curves(labels, np.zeros(len(labels))):
                file = EventFile(folder / name if len(labels) > 1 else folder, resumed_from)
                self._files[name] = opening.enter_context(contextlib.closing(file))
            if record:
                self._describe(record, resumed_from)
            self._open = opening.pop_all()

    def _describe(self, record, step):
        """The config as text, the charts of measures, and of a few runs what each of them is."""
        first = next(iter(self._files.values()))
        rows = [f"| {name} | {json.dumps(value)} |" for name, value in flat(record)]
        first.add(
            summary.text("config", "\n".join(["| entry | value |", "|---|---|", *rows])), step
        )
        first.add(summary.custom_scalars(layout(record.get("measures", ()))), step)
        if len(self._labels) <= MANY:
            for file, values in zip(self._files.values(), self._hparams, strict=True):
                _, start, _ = summary.hparams(values, {})
                file.add(start, step)

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

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        runs = summary["runs"]
        if len(runs) > MANY_ROWS or not self._hparams:
            return
        for run, values in zip(runs, self._hparams, strict=True):
            with self._file_of(run["label"]) as file:
                _add_row(file, run, values)

    def _file_of(self, label):
        """A block with the file of a run: that of its curve, or one that is closed again."""
        if label in self._files:
            return contextlib.nullcontext(self._files[label])
        return contextlib.closing(EventFile(self._folder / "runs" / label, 0))

    def flush(self) -> None:
        for file in self._files.values():
            file.flush()

    def close(self) -> None:
        self._open.close()


def _add_row(file, run, values):
    """What a run came to: numbers that it has, none for a step that it never reached."""
    _, start, end = summary.hparams(values, {})
    file.add(start, run["steps"])
    for name in ("memorised_step", "grok_step", "delay", *FINAL):
        if run[name] is not None:
            file.add(summary.scalar(f"Final/{name}", run[name]), run["steps"])
    file.add(end, run["steps"])
