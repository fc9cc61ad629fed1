"""What a person sees while training: a progress bar on a terminal, lines elsewhere, a log file."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from grokjax.recording.history import finite_median


class Console(contextlib.AbstractContextManager):
    """Says everything to the log file; on a terminal a bar stands in for the regular lines."""

    def __init__(self, log: Path, num_steps: int, start: int = 0):
        self._rich = RichConsole(highlight=False, soft_wrap=True)
        self._log = log.open("a")
        self._bar = Progress(
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=self._rich,
            disable=not self._rich.is_terminal,
        )
        self._task = self._bar.add_task("compiling", total=num_steps, completed=start)

    def __enter__(self):
        self._bar.start()
        return self

    def __exit__(self, *exception):
        self._bar.stop()
        self._log.close()

    def say(self, text: str, step: int | None = None) -> None:
        """A line worth seeing on a terminal too."""
        self._rich.print(self._write(text, step), markup=False)

    def evaluated(self, step: int, metrics_R: Mapping[str, np.ndarray], grokked: int) -> None:
        """The regular line of an evaluation."""
        text = self._write(evaluation_line(metrics_R, grokked), step)
        if not self._rich.is_terminal:
            self._rich.print(text, markup=False)

    def describe(self, metrics_R: Mapping[str, np.ndarray]) -> None:
        """Puts the latest accuracies beside the bar."""
        train, val = (finite_median(metrics_R[f"{name}_accuracy"]) for name in ("train", "val"))
        self._bar.update(self._task, description=f"train {train:.1%} validation {val:.1%}")

    def advanced(self, step: int) -> None:
        """Moves the bar."""
        self._bar.update(self._task, completed=step)

    def _write(self, text, step):
        text = text if step is None else f"[step {step:,}] {text}"
        self._log.write(text + "\n")
        self._log.flush()
        return text


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
