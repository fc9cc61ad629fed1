"""Metric logging: history, console, log file, curves, and which runs have grokked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from grokjax.recording.early_stopping import RunTracker
from grokjax.recording.history import History, finite_median
from grokjax.recording.output import may_fail, open_steady, plain_console
from grokjax.recording.writers import Writer, tell


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
        self._console = console
        self._writers = writers
        self._pending = None

    def log_text(self, text: str, step: int) -> None:
        self._console.say(text)
        tell(self._writers, "write_texts", step, {"introduction": text})

    def log_later(self, step: int, metrics_R: Mapping[str, Any]) -> None:
        """Takes metrics that may still be computing, and logs those it took before."""
        self._log_pending()
        self._pending = (step, metrics_R)

    def flush(self) -> None:
        """Logs all it has been given; waits until that has been computed."""
        self._log_pending()
        tell(self._writers, "flush")

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        tell(self._writers, "write_summary", summary)

    def _log_pending(self):
        if self._pending is None:
            return
        step, metrics_R = self._pending
        self._pending = None
        metrics_R = jax.tree.map(np.asarray, metrics_R)
        self.history.append(step, metrics_R)
        grokked_before_R = self.tracker.grokking.has_grokked_R
        self.tracker.update(step, metrics_R)
        with may_fail(f"a line of step {step:,}"):
            self._say(step, metrics_R, grokked_before_R)
        tell(self._writers, "write_scalars", step, metrics_R)

    def _say(self, step, metrics_R, grokked_before_R):
        grok = self.tracker.grokking
        for r in np.flatnonzero(grok.has_grokked_R & ~grokked_before_R):
            delay = f", after a delay of {grok.delay_R[r]:,.0f}" if grok.delay_R[r] > 0 else ""
            self._console.say(f"{self._labels[r]} grokked at {grok.grok_R[r]:,.0f}{delay}", step)
        if step % self._log_every == 0:
            line = evaluation_line(metrics_R, int(grok.has_grokked_R.sum()))
            self._console.say(line, step, quietly=True)
        self._console.describe(metrics_R)


class Console(Progress):
    """Says everything to the log file; a bar stands in for the regular ones on a terminal."""

    def __init__(self, log: Path, num_steps: int, start: int = 0):
        console = plain_console(soft_wrap=True)
        super().__init__(
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.description}", markup=False),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_interactive,
        )
        self._log = open_steady(log)
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

    def describe(self, metrics_R: Mapping[str, np.ndarray]) -> None:
        """Puts the latest accuracies next to the bar."""
        train, val = (finite_median(metrics_R[f"{name}_accuracy"]) for name in ("train", "val"))
        self.update(self._bar, description=f"train {train:.1%} validation {val:.1%}")

    def advanced(self, step: int) -> None:
        """Moves the bar."""
        self.update(self._bar, completed=step)


def evaluation_line(metrics_R: Mapping[str, np.ndarray], grokked: int) -> str:
    """Losses and accuracies of one run, or medians over many."""
    middle = {name: finite_median(value_R) for name, value_R in metrics_R.items()}
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
