"""Metric logging: history, console, log file, curves, and which runs have grokked."""

import collections
import datetime
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from rich.console import RenderableType
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from grokjax.recording.early_stopping import RunTracker
from grokjax.recording.history import History, finite_median
from grokjax.recording.output import may_fail, open_steady, plain_console
from grokjax.recording.writer import Writer, scalars
from grokjax.recording.writers import tell

SHOWN = 5  # evaluations in the table on a terminal
MANY = 8  # runs whose grokking is set off as a block there
COLUMNS = {  # metric -> what stands above it, and how it is written
    "train_loss": ("train loss", ".4f"),
    "train_accuracy": ("accuracy", ".2%"),
    "val_loss": ("validation loss", ".4f"),
    "val_accuracy": ("accuracy", ".2%"),
    "learning_rate": ("learning rate", ".2e"),
    "l1": ("L1", ".4f"),
}


class MetricLogger:
    """Hands the metrics of R runs to everything that records them."""

    def __init__(
        self,
        history: History,
        labels: Sequence[str],
        config: ConfigDict,
        console: "Console",
        writers: list[Writer],
    ):
        """Goes on from a history, which may be empty."""
        self.history = history
        self.tracker = RunTracker(len(labels), config.schedule, config.grok)
        for evaluation in history.evaluations():
            self.tracker.update(*evaluation)
        self._labels = labels
        self._log_every = config.log_every or 1
        self._num_steps = config.schedule.num_steps
        self._reached: tuple[int, float] | None = None  # the last step, and when
        self._speed = 0.0  # in steps a second, up to there
        self._at_once = False  # did the latest evaluation come with the one before?
        self._console = console
        self._writers = writers
        self._pending = None

    def log_text(self, text: str, step: int) -> None:
        self._console.say(text)
        tell(self._writers, "write_texts", step, {"introduction": text})

    def log_later(self, step: int, metrics_R: Mapping[str, Any]) -> None:
        """Takes metrics that may still be computing, and logs those it took before."""
        self._log_pending()
        self._pending = (step, metrics_R, time.monotonic())

    def flush(self) -> None:
        """Logs all it has been given; waits until that has been computed."""
        self._log_pending()
        tell(self._writers, "flush")

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        tell(self._writers, "write_summary", summary)

    def _log_pending(self):
        if self._pending is None:
            return
        step, metrics_R, came = self._pending
        self._pending = None
        metrics_R = jax.tree.map(np.asarray, metrics_R)
        self.history.append(step, metrics_R)
        grokked_before_R = self.tracker.grokking.has_grokked_R
        self.tracker.update(step, metrics_R)
        speed = self._steps_per_second(step, came)
        with may_fail(f"a line of step {step:,}"):
            self._say(step, metrics_R, grokked_before_R, speed)
        speeds_R = {"steps_per_sec": np.full(len(self._labels), speed)} if speed else {}
        tell(self._writers, "write_scalars", step, scalars(metrics_R) | speeds_R)

    def _steps_per_second(self, step, came):
        """What `clu.periodic_actions.ReportProgress` reports; 0 at the first evaluation.

        Evaluations come as evenly as they are computed, whenever they are read. Only after chunks
        that are timed two come at once: the second counts with those after it.
        """
        before = self._reached or (step, came)
        speed = (step - before[0]) / max(came - before[1], 1e-9)
        self._at_once = 0 < self._speed < speed / 10 and not self._at_once
        if not self._at_once:
            self._reached = (step, came)
            self._speed = speed
        return self._speed

    def _say(self, step, metrics_R, grokked_before_R, speed):
        grok = self.tracker.grokking
        for r in np.flatnonzero(grok.has_grokked_R & ~grokked_before_R):
            name = (
                f"{self._labels[r]} {'crept over the threshold' if grok.crept_R[r] else 'grokked'}"
            )
            delay = f", after a delay of {grok.delay_R[r]:,.0f}" if grok.delay_R[r] > 0 else ""
            line = f"{name} at {grok.grok_R[r]:,.0f}{delay}"
            facts = {
                "memorised": f"step {grok.memorised_R[r]:,.0f}",
                "generalised": f"step {grok.grok_R[r]:,.0f}",
                "delay": f"{grok.delay_R[r]:,.0f} steps",
            }
            self._console.announce(line, step, name, facts)
        if step % self._log_every == 0:
            line = evaluation_line(metrics_R, int(grok.has_grokked_R.sum()))
            if speed:
                left = datetime.timedelta(seconds=round((self._num_steps - step) / speed))
                line += f" | {speed:,.1f} steps/s, {left} left"
            self._console.say(line, step, quietly=True)
        self._console.describe(step, metrics_R)


class Console(Progress):
    """Says everything to the log file.

    On a terminal a bar and a table of the latest evaluations stand in for the regular lines.
    """

    def __init__(self, log: Path, num_steps: int, start: int = 0, shard: str | None = None):
        self._latest = collections.deque(maxlen=SHOWN)  # the rows of the table
        console = plain_console(soft_wrap=True)
        super().__init__(
            MofNCompleteColumn(),
            BarColumn(20),
            TaskProgressColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_interactive,
        )
        self._log = open_steady(log)
        self._announced = 0
        self._name = f"shard {shard}" if shard else ""
        self._bar = self.add_task("compiling", total=num_steps, completed=start)

    def stop(self) -> None:
        """Takes the bar away and closes the log file."""
        super().stop()
        self._log.close()

    def say(self, text: str, step: int | None = None, *, quietly: bool = False) -> None:
        """A line for the log file and the console; quietly: not for a terminal."""
        text = text if step is None else f"[step {step:,}] {text}"
        self._log.write(text + "\n")
        if not (quietly and self.console.is_interactive):
            self.console.print(text)

    def announce(self, line: str, step: int, name: str, facts: Mapping[str, str]) -> None:
        """A line for the log file; on a terminal a block, as long as there are few."""
        self._announced += 1
        is_block = self.console.is_interactive and self._announced <= MANY
        self.say(line, step, quietly=is_block)
        if is_block:
            block = Table.grid(padding=(0, 2))
            for what, value in facts.items():
                block.add_row(what, value)
            self.console.print(Panel.fit(block, title=name, padding=(0, 2)))

    def describe(self, step: int, metrics_R: Mapping[str, np.ndarray]) -> None:
        """Puts an evaluation into the table; of many runs their medians."""
        columns = [name for name in COLUMNS if name != "l1" or np.any(metrics_R["l1"])]
        values = (finite_median(metrics_R[name]) for name in columns)
        texts = [f"{value:{COLUMNS[name][1]}}" for name, value in zip(columns, values, strict=True)]
        self._latest.append({"step": f"{step:,}", **dict(zip(columns, texts, strict=True))})
        self.update(self._bar, description=self._name)

    def get_renderables(self) -> Iterator[RenderableType]:
        """The bar, and below it the table."""
        yield self.make_tasks_table(self.tasks)
        if self._latest:
            table = Table(box=None, padding=(0, 1, 0, 0))
            for name in self._latest[-1]:
                table.add_column(COLUMNS.get(name, (name,))[0], justify="right", no_wrap=True)
            for row in self._latest:
                table.add_row(*row.values())
            yield table

    def advanced(self, step: int) -> None:
        """Moves the bar."""
        self.update(self._bar, completed=step)


def evaluation_line(metrics_R: Mapping[str, np.ndarray], grokked: int) -> str:
    """Losses and accuracies of one run, or medians over many."""
    middle = {name: finite_median(metrics_R[name]) for name in COLUMNS}
    parts = [
        f"train loss {middle['train_loss']:.4f} accuracy {middle['train_accuracy']:7.2%}",
        f"validation loss {middle['val_loss']:.4f} accuracy {middle['val_accuracy']:7.2%}",
        f"lr {middle['learning_rate']:.2e}",
    ]
    if np.any(metrics_R["l1"]):
        parts.append(f"l1 {middle['l1']:.4f}")
    runs = metrics_R["train_loss"].size
    if runs > 1:
        parts.append(f"medians of {runs} runs, {grokked} grokked")
    return " | ".join(parts)
