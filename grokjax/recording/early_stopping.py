"""Early stopping: which of R runs train on, up to which step each was trained or followed."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from grokjax.recording.history import Grokking, GrokkingTracker, History, accuracies, groups_of


class RunTracker:
    """Which of R runs have grokked and which stop; every evaluation costs the same.

    By early stopping a run stops when it has diverged, or `stop_after_grok` evaluations after it
    grokked, each task of a mixture included. Both are seen one evaluation late, because that is
    computed while this one is read.
    """

    def __init__(self, num_runs: int, schedule: Mapping[str, Any], rule: Mapping[str, Any]):
        """Takes the sections `schedule` and `grok` of a config."""
        self._eval_every = schedule.get("eval_every", 1)
        self._stop_after_grok = schedule.get("stop_after_grok", 0)
        self._num_evaluations = 0
        self._overall = GrokkingTracker(num_runs, **rule)
        self._of_task = defaultdict(lambda: GrokkingTracker(num_runs, **rule))
        # [R]: number of the last evaluation, from 0, that each run trains to; infinite: not known
        self.last_evaluation_R = np.full(num_runs, np.inf)

    @classmethod
    def replay(
        cls, history: History, schedule: Mapping[str, Any], rule: Mapping[str, Any]
    ) -> "RunTracker":
        """The tracker after all evaluations of a history, of which there is one or more."""
        tracker = cls(history["val_accuracy"].shape[1], schedule, rule)
        for step, metrics_R in history.evaluations():
            tracker.update(step, metrics_R)
        return tracker

    def update(self, step: int, metrics_R: Mapping[str, np.ndarray]) -> None:
        """Takes the metrics of the next evaluation."""
        self._overall.update(step, *accuracies(metrics_R))
        is_done_R = self._overall.is_done_R
        for task in groups_of(metrics_R):
            self._of_task[task].update(step, *accuracies(metrics_R, task))
            is_done_R &= self._of_task[task].is_done_R

        if self._stop_after_grok:
            # a run has grokked at the first of `count` evaluations, and this is the last of them
            patience = max(self._stop_after_grok - self._overall.count + 1, 0)
            last_R = np.where(is_done_R, self._num_evaluations + patience + 1, np.inf)
            is_lost_R = np.isnan(metrics_R["train_loss"])  # an infinite loss may come back
            last_R = np.where(is_lost_R, self._num_evaluations + 1, last_R)
            self.last_evaluation_R = np.minimum(self.last_evaluation_R, last_R)
        self._num_evaluations += 1

    def active(self, step: int) -> np.ndarray | None:
        """[R] bool: which runs train on from a step; None without early stopping.

        It is the same whether the evaluation at that step has been read or is still computing.
        """
        if not self._stop_after_grok:
            return None
        return step // self._eval_every - 1 < self.last_evaluation_R

    def all_stopped(self, step: int) -> bool:
        active_R = self.active(step)
        return active_R is not None and not active_R.any()

    @property
    def grokking(self) -> Grokking:
        """Over all examples."""
        return self._overall.grokking


def last_steps(
    history: History, schedule: Mapping[str, Any], rule: Mapping[str, Any]
) -> np.ndarray:
    """[R]: the step that each run was trained to."""
    step_E = history["step"]
    if not schedule.get("stop_after_grok", 0):
        return np.full(history["val_accuracy"].shape[1], step_E[-1])
    last_R = RunTracker.replay(history, schedule, rule).last_evaluation_R
    return step_E[np.minimum(last_R, len(step_E) - 1).astype(int)]


def observed_until(
    history: History, schedule: Mapping[str, Any], rule: Mapping[str, Any]
) -> np.ndarray:
    """[R]: the step up to which each run was followed without grokking, if it did not.

    That is its own last step, or of a run that has diverged, and so will never grok, the last of
    the schedule: to count it as censored earlier would flatter it.
    """
    last_R = last_steps(history, schedule, rule)
    if not schedule.get("stop_after_grok", 0):
        return last_R
    is_lost_R = np.isnan(history["train_loss"][-1])
    end = max(schedule.get("num_steps", 0), history["step"][-1])
    return np.where(is_lost_R, end, last_R)
