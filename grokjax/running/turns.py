"""Shares of the runs that one process trains, one after the other: the sweep would not fit, say."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path

import jax
from absl import flags

from grokjax.config.experiment import Experiment
from grokjax.config.grid import shard as share
from grokjax.recording import resume
from grokjax.recording.results import Results
from grokjax.running import command_line, memory, request, shares

MEMORY = flags.DEFINE_float("memory", None, "GB of each device for training; all if not given.")


def plan(experiment: Experiment) -> tuple[range, int]:
    """Which shares of the runs this process trains one after another, and of how many.

    All in one, or one for each process that joins, unless that does not fit the devices.

    Raises:
        ValueError: if shares are needed where there cannot be any.
    """
    if MEMORY.value is not None and not MEMORY.value > 0:
        raise ValueError(f"--memory {MEMORY.value}; choose above 0, in GB")
    i, n = (command_line.JOIN.value and command_line.chunk()) or (1, 1)
    on_each = -(-len(experiment.labels) // (n * jax.local_device_count()))
    turns, text = _turns(experiment, on_each)
    if turns == 1:
        return range(i, i + 1), n
    if "shard" in experiment.record:
        raise ValueError(f"{text}; choose --chunk with {turns} times as many shares")
    if request.RESUME.value not in (None, "latest"):
        raise ValueError(
            f"--resume {request.RESUME.value}: {text}, so there are shares; choose latest"
        )
    command_line.warn(f"{text}; training {turns} shares of them one after the other")
    return range((i - 1) * turns + 1, i * turns + 1), n * turns


def _turns(experiment, num_runs):
    """How often a device has to be filled to train so many runs on it, and why."""
    if num_runs == 1 and MEMORY.value is None:
        return 1, ""  # whatever it takes
    there = int((MEMORY.value or 0) * 1e9) or memory.bytes_there(jax.local_devices()[0])
    need = memory.need(experiment.trainer, experiment.runs_R, experiment.dataset)
    padded = len(experiment.labels) % jax.local_device_count() > 0
    may_rest = padded or experiment.record["schedule"]["stop_after_grok"] > 0
    of = functools.partial(need.of, lift=experiment.record["lift"], may_rest=may_rest)
    if MEMORY.value is not None and of(1) > there:
        raise ValueError(
            f"--memory {MEMORY.value}: one run takes about {of(1) / 1e9:.3g} GB; choose more"
        )
    most = next((runs for runs in range(num_runs, 1, -1) if of(runs) <= there), 1)
    text = f"{num_runs:,} runs take about {of(num_runs) / 1e9:.3g} GB of a device that has"
    return -(-num_runs // most), f"{text} {there / 1e9:.3g}"


def prepare(
    begin: Callable, config, experiment: Experiment, folder: Path, mine, n: int
) -> Callable:
    """Looks at what is there, and gives the work: to train some of n shares, and to join them.

    Args:
        begin: `(config, experiment, results, step, one_of_many) -> work` of `grokjax.train`.
        config: of the experiment.
        experiment: all its runs.
        folder: of the whole.
        mine: numbers of shares, from 1.
        n: the number of all shares.

    Raises:
        ValueError: if something else is there.
    """
    ours = [shares.folder_of(folder, i, n) for i in range(1, n + 1)]
    if others := sorted(set(folder.glob("chunk-*-of-*")) - set(ours)):
        raise ValueError(
            f"{str(folder)!r} holds {others[0].name}, and this would be one of {n}; "
            "choose as many processes and as much --memory as before, or another --workdir"
        )
    overwrite = request.OVERWRITE.value
    for results in [] if overwrite else map(Results, (folder, *ours)):
        if stored := results.stored_config():
            stored.pop("shard", None)
            resume.check_same(stored, experiment)
    going_on = overwrite or request.RESUME.value or command_line.JOIN.value
    if Results(folder).status() and not going_on:
        raise ValueError(
            f"{str(folder)!r} holds runs that are {Results(folder).status()}; "
            "choose --resume latest, --overwrite or another --workdir"
        )
    filled = [i for i in mine if share(len(experiment.labels), i, n)]
    return functools.partial(_work, begin, config, experiment, folder, filled, n)


def _work(begin, config, experiment, folder, mine, n):
    if request.OVERWRITE.value:
        Results(folder).clear()
    for i in mine:
        results = Results(shares.folder_of(folder, i, n))
        if request.OVERWRITE.value or not results.is_complete():
            try:
                work = begin(config, experiment.shard(i, n), results, None, one_of_many=True)
            except ValueError as error:
                command_line.fail(error)
            if signal := work():
                sys.exit(128 + signal)
    if shares.merge(config, folder, n, len(experiment.labels), request.SAVE_PATH.value):
        print(f"joined all {n} shares in {folder}")
    else:
        print(f"not all {n} shares are trained yet; who trains the last one joins them in {folder}")
