"""What is written down of each evaluation: history, console, TensorBoard, who has grokked."""

import jax
import numpy as np

from grokjax.recording.console import Console
from grokjax.recording.history import History, grokking_of_runs, last_evaluations
from grokjax.recording.writers import Writer


class Journal:
    """Takes the metrics of R runs as they come and keeps their history."""

    def __init__(self, history: History, labels, config, console: Console, writer: Writer):
        self.history = history
        self.groks = grokking_of_runs(history, **config.grok) if len(history) else []
        self._labels, self._config = labels, config
        self._console, self._writer = console, writer
        self._unread = None

    def introduce(self, text: str, step: int) -> None:
        """Says what is going to be trained."""
        self._console.say(text)
        self._writer.write_texts(step, {"introduction": text})

    def expect(self, step: int, metrics_R) -> None:
        """Takes metrics that may still be computing, to be read later."""
        self.catch_up()
        self._unread = (step, metrics_R)

    def active(self, step: int):
        """[R] bool: which runs train on from a step; None: all, whatever comes."""
        return active(self.history, self._config, step, len(self._labels))

    def all_rest(self, step: int) -> bool:
        """Is there no run left that trains on from a step?"""
        return all_rest(self.active(step))

    def catch_up(self) -> None:
        """Reads what was expected; waits until it has been computed."""
        if self._unread is not None:
            (step, metrics_R), self._unread = self._unread, None
            self._record(step, jax.tree.map(np.asarray, metrics_R))

    def _record(self, step, metrics_R):
        self.history.append(step, metrics_R)
        before, self.groks = self.groks, grokking_of_runs(self.history, **self._config.grok)
        self._say_who_grokked(step, before)
        if step % (self._config.log_every or 1) == 0:
            self._console.evaluated(step, metrics_R, grokked=self.num_grokked)
        self._console.describe(metrics_R)
        self._writer.write_scalars(step, metrics_R)

    @property
    def num_grokked(self) -> int:
        return sum(grok.grok_step is not None for grok in self.groks)

    def _say_who_grokked(self, step, before):
        known = {r for r, grok in enumerate(before) if grok.grok_step is not None}
        for r, (label, grok) in enumerate(zip(self._labels, self.groks, strict=True)):
            if grok.grok_step is not None and r not in known:
                delay = f", after a delay of {grok.delay:,}" if grok.delay else ""
                self._console.say(f"{label} grokked at {grok.grok_step:,}{delay}", step)


def all_rest(active_R: np.ndarray | None) -> bool:
    """Is there no run left that is active?"""
    return active_R is not None and not active_R.any()


def active(history: History, config, step: int, num_runs: int) -> np.ndarray | None:
    """[R] bool: which runs train on from a step; None if none is ever to rest.

    It is the same whether the evaluation at that step has been read or is still computing.
    """
    if not config.schedule.stop_after_grok:
        return None
    if not len(history):
        return np.ones(num_runs, bool)
    newest = step // config.schedule.eval_every - 1
    return newest < last_evaluations(history, config.schedule.stop_after_grok, **config.grok)
