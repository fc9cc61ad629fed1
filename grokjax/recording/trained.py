"""What training in memory gives."""

from typing import Any, NamedTuple

from grokjax.config.experiment import Experiment
from grokjax.recording.history import Grokking, History


class Trained(NamedTuple):
    """The history, the last state, and what was trained."""

    history: History  # the metrics at every evaluation
    grokking: Grokking  # when each run memorised and grokked
    state_R: Any  # the last state; `state_R.params` has an axis R before those of one run
    experiment: Experiment

    def __repr__(self) -> str:
        grokked = int(self.grokking.has_grokked_R.sum())
        runs = len(self.experiment.labels)
        return f"Trained({runs} runs, {len(self.history)} evaluations, {grokked} grokked)"
