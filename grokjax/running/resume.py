"""Resuming: the checkpoint that training goes on from, and whether it is of the same experiment."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from grokjax.config.config import flat
from grokjax.config.experiment import Experiment
from grokjax.config.values import declared
from grokjax.core import schedules
from grokjax.core.run import PRNG
from grokjax.recording import checkpoints
from grokjax.recording.early_stopping import RunTracker
from grokjax.recording.files import check_handles
from grokjax.recording.history import History
from grokjax.recording.results import STOPPED, Results
from grokjax.running import branch, command_line
from grokjax.running.options import Options

FACTS = ("branched",)  # of a record, that no config says
MAY_CHANGE = {"schedule.keep", "log_every"}
# the table's checksum says whether it is the same
PLACES_OF_DATA = {"task.path", "task.source", "task.data_dir"}


class Start(NamedTuple):
    """What the loop starts from; `state_R` is None for initial weights."""

    step: int
    state_R: Any
    history: History
    facts: Mapping[str, Any] = {}  # for the record
    is_resumed: bool = False

    def recorded(self, experiment: Experiment) -> Experiment:
        """The experiment with the facts of its start in its record."""
        return experiment._replace(record={**experiment.record, **self.facts})

    def arguments(self) -> dict[str, Any]:
        """For `loop.chunks`; the metrics are those of the last evaluation."""
        last_R = {name: rows_ExR[-1] for name, rows_ExR in self.history.arrays().items()}
        metrics_R = {name: x_R for name, x_R in last_R.items() if name != "step"} or None
        return {"start": self.step, "state_R": self.state_R, "metrics_R": metrics_R}

    def is_finished(self, experiment: Experiment) -> bool:
        """Would the loop have stopped where it is to go on from?"""
        config = experiment.config
        if self.step >= config.schedule.num_steps:
            return True
        if not len(self.history):
            return False
        tracker = RunTracker.replay(self.history, config.schedule, config.grok)
        return tracker.all_stopped(self.step)


def find_start(
    results: Results, experiment: Experiment, options: Options, *, may_be_new: bool
) -> Start:
    """Where to begin: at a checkpoint, or anew if the folder is free. Keeps others out of it.

    Args:
        results: where it is trained.
        experiment: that of the checkpoint, if there is one.
        options: whether and how to resume or overwrite.
        may_be_new: begin anew, though it is to resume, where there is no checkpoint yet.

    Raises:
        ValueError: if the folder holds something else, or nothing that can be gone on with.
    """
    check_handles()
    status = results.status()
    if results.folder.exists() and not results.foreign():
        results.hold()
    begun = checkpoints.steps(results.checkpoints)
    if begun or not options.overwrite:
        check_ours(results)
    if options.resume and (begun or not may_be_new):
        return _restored(results, begun, options.step, experiment)
    if (status or begun) and not options.overwrite and not options.resume:
        how_it_is = f"was {STOPPED}" if status == STOPPED else f"is {status or 'damaged'}"
        resumable = "--resume latest, " if begun else ""
        to_go_on = "" if status == "finished" else f"; {options.how_to_go_on(results)}"
        raise ValueError(
            f"{str(results.folder)!r} holds a run that {how_it_is}; choose {resumable}--overwrite "
            f"or another --workdir{to_go_on}"
        )
    start = begin(experiment, results)
    results.hold()
    return start


def begin(experiment: Experiment, results: Results | None = None) -> Start:
    """The start of a new training: initial weights, or the states that it branches from."""
    return Start(*branch.begin(experiment, results.folder if results else None))


def check_ours(results: Results) -> None:
    """Raises a ValueError if training would overwrite other people's files, or cannot write."""
    if folders := [path for path in results.written() if path.suffix and path.is_dir()]:
        raise ValueError(f"{str(folders[0])!r} is a folder, and training writes a file; remove it")
    if foreign := results.foreign():
        raise ValueError(
            f"{str(results.folder)!r} holds {', '.join(foreign)}, which no training has written; "
            "choose another --workdir, or --overwrite to lose them"
        )


def make_room(results: Results, start: Start) -> None:
    """Clears away what training from `start` will write again."""
    if start.is_resumed:
        checkpoints.set_aside_after(results.checkpoints, start.step)
    else:
        results.clear()


def check_same(stored: dict, experiment: Experiment) -> None:
    """Raises a ValueError if a stored config is not that of an experiment."""
    stored = {"prng": PRNG} | dict(flat(stored))  # older ones do not name it
    config = dict(flat(experiment.record))
    may_change = set(MAY_CHANGE)
    if stored.get("table_checksum") == config["table_checksum"]:
        may_change |= PLACES_OF_DATA
    if len(experiment.labels) == 1:  # of several runs, some may be resting already
        may_change.add("schedule.stop_after_grok")
    if "num_steps" not in schedules.reads(config["schedule.learning_rate"]):
        may_change.add("schedule.num_steps")
    unread = {
        name for name in stored.keys() - config if name.startswith(("runs.", "branched."))
    }  # of an older one, or facts
    values = dict(flat(experiment.config))
    later = {  # options that there were not yet
        name
        for name, entry in declared(experiment.config).items()
        if name not in stored and values.get(name) == entry.default
    }
    names = {n for n in stored | config if stored.get(n) != config.get(n)}
    names -= may_change | unread | later
    if names:
        differences = ", ".join(
            f"{name} was {stored.get(name)!r}, is {config.get(name)!r}" for name in sorted(names)
        )
        raise ValueError(f"cannot resume under another config: {differences}")


def warn_of_another_machine(results: Results) -> None:
    """Bits are promised on the same machine and versions alone."""
    if changes := results.changes():
        command_line.warn(f"warning: bits may differ from here on: {', '.join(changes)}")


def _restored(results, present, step, experiment):
    """The newest sound checkpoint of this very experiment, or the one of a step."""
    folder = results.checkpoints
    if not present:
        raise ValueError(f"nothing to resume in {str(results.folder)!r}: it has no checkpoint")
    if step is not None and step not in present:
        raise ValueError(f"no checkpoint of step {step} in {str(folder)!r}; there are {present}")
    num_steps = experiment.config.schedule.num_steps
    like_state_R = experiment.state_shapes()
    for candidate in present[::-1] if step is None else [step]:
        try:
            check_same(checkpoints.read_config(folder, candidate), experiment)
            restored = checkpoints.restore(folder, candidate, like_state_R)
            if restored.step > num_steps:
                raise ValueError(
                    f"{str(results.folder)!r} is at step {restored.step:,}, beyond "
                    f"schedule.num_steps = {num_steps:,}; choose {restored.step:,} or more"
                )
            facts = {name: restored.config[name] for name in FACTS if name in restored.config}
            history = History(restored.history)
            return Start(restored.step, restored.state_R, history, facts, is_resumed=True)
        except checkpoints.Damaged as damage:
            command_line.warn(f"warning: {damage}")
    raise ValueError(f"no sound checkpoint to resume from in {str(folder)!r}")
