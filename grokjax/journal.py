"""What is written down of each evaluation: history, console, TensorBoard, who has grokked."""

import jax
import numpy as np

from grokjax.console import Console
from grokjax.metrics import History, grokking_of_runs
from grokjax.writers import Writer


class Journal:
    """Takes the metrics of R runs as they come and keeps their history."""

    def __init__(self, history: History, labels, config, console: Console, writer: Writer):
        self.history = history
        self.groks = grokking_of_runs(history, **config.grok) if len(history) else []
        self._labels, self._rule, self._log_every = labels, config.grok, config.log_every
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

    def catch_up(self) -> None:
        """Reads what was expected; waits until it has been computed."""
        if self._unread is not None:
            (step, metrics_R), self._unread = self._unread, None
            self._record(step, jax.tree.map(np.asarray, metrics_R))

    def _record(self, step, metrics_R):
        self.history.append(step, metrics_R)
        before, self.groks = self.groks, grokking_of_runs(self.history, **self._rule)
        self._say_who_grokked(step, before)
        if step % (self._log_every or 1) == 0:
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


def all_done(history: History, config) -> bool:
    """Have all runs grokked long enough ago, or diverged? Never if that is not asked for."""
    evaluations = config.schedule.stop_after_grok
    if not evaluations or not len(history):
        return False
    lost_R = ~np.isfinite(history["train_loss"][-1])
    groks = grokking_of_runs(history, **config.grok)
    steps = [g.grok_step for g, lost in zip(groks, lost_R, strict=True) if not lost]
    if None in steps:
        return False
    return (history["step"] > max(steps, default=0)).sum() >= evaluations
