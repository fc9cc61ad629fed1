"""Shards of a sweep: parts of its runs that are trained apart and merged.

Several processes train a shard each, or one process trains them in sequence because all runs at
once would not fit in memory.
"""

import os
import re
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from grokjax.config import grid
from grokjax.config.experiment import Experiment
from grokjax.reading.folders import arrays_of
from grokjax.reading.rebuild import config_of, newest_record
from grokjax.recording.history import History
from grokjax.recording.results import Busy, Results
from grokjax.running import command_line, memory, report, resume
from grokjax.running.options import Options

MAX_PORT = 65535
OWN_DEVICES = ("jax_cuda_visible_devices", "jax_rocm_visible_devices")


class Plan(NamedTuple):
    """Which of n shards of an experiment's runs this process trains, in sequence."""

    trainings: list[tuple[Experiment, Results]]  # everything, or a shard in each folder
    options: Options
    n: int

    def remaining(self) -> Iterator[tuple[Experiment, Results]]:
        """What there is to train, and where; a resume looks at shards that are complete as well."""
        if self.n > 1 and self.options.overwrite:
            Results(self.options.workdir).clear()
        for experiment, results in self.trainings:
            options = self.options
            if self.n == 1 or options.overwrite or options.resume or not results.is_complete():
                yield experiment, results

    def is_complete(self) -> bool:
        """Has all of it been trained?"""
        return all(results.is_complete() for _, results in self.trainings)

    def merge(self) -> None:
        """Merges all shards once they are trained, and says so."""
        options = self.options
        if merge(options.config, options.workdir, self.n, options.save_path):
            print(f"merged all {self.n} shards in {options.workdir}")
        else:
            print(
                f"not all {self.n} shards are trained yet; "
                f"the last process to finish merges them in {options.workdir}"
            )


def rendezvous(options: Options) -> None:
    """Executes this command anew with its shard, once all n processes have met.

    They need each other for nothing else, so they disconnect before training: one that dies later
    takes no other along, as devices and checkpoints that wait for all processes would.

    Raises:
        ValueError: if they cannot meet.
    """
    address = options.coordinator
    if address is None:
        return
    if (address == "auto") == bool(options.shard) or not _may_be_reached(address):
        raise ValueError(
            f"--coordinator {address}; choose auto on a cluster, or HOST:PORT with --shard I/N, "
            f"of a host that is known here and a port of 1 to {MAX_PORT}"
        )
    command_line.without_accelerator()  # to be counted needs none
    try:
        if options.shard:
            i, n = options.shard
            jax.distributed.initialize(address, n, i - 1)
        else:
            jax.distributed.initialize()
    except (RuntimeError, ValueError) as error:  # no process answers, or no cluster is known
        raise ValueError(f"--coordinator {address}: {error}") from error
    shard = f"--shard={jax.process_index() + 1}/{jax.process_count()}"
    jax.distributed.shutdown()
    kept = command_line.words_without("coordinator", "shard", "chunk")
    command = [sys.executable, "-m", "grokjax.train", *kept, shard, "--join"]
    os.execve(sys.executable, command, os.environ | _own_devices())


def _may_be_reached(address):
    """Whether an address is one; `initialize` would wait for minutes for what is none."""
    host, _, port = address.rpartition(":")
    if address == "auto":
        return True
    if not re.fullmatch("[0-9]{1,5}", port) or not 1 <= int(port) <= MAX_PORT:
        return False
    try:
        socket.getaddrinfo(host, int(port))
    except (OSError, UnicodeError):
        return False
    return bool(host)


def plan(experiment: Experiment, options: Options) -> Plan:
    """Plans the training of an experiment: in one, or in shards if that is asked for or needed.

    Raises:
        ValueError: if shards are needed where there cannot be any, or others are there already.
    """
    i, n = options.shard if options.join else (1, 1)
    fillings, reason = _fillings(experiment, -(-len(experiment.labels) // n), options.memory)
    if fillings > 1:
        if "shard" in experiment.record:
            raise ValueError(f"{reason}; choose --shard with {fillings} times as many shards")
        if options.resume not in (None, "latest"):
            given = f"--resume {options.resume}"
            raise ValueError(f"{given}: {reason}, so there are shards; choose latest")
        command_line.warn(f"{reason}; training {fillings} shards of them in sequence")
    if n == 1 and options.resume == "latest":
        begun = options.workdir.glob("shard-*-of-*")
        fillings = max([fillings, *(int(folder.name.rpartition("-")[2]) for folder in begun)])
    first = (i - 1) * fillings + 1
    n = n * fillings
    if n == 1:
        return Plan([(experiment, Results(options.workdir))], options, n)
    _check_folder(experiment, options, n)
    trainings = [
        (experiment.shard(i, n), Results(folder_of(options.workdir, i, n)))
        for i in range(first, first + fillings)
        if grid.shard(len(experiment.labels), i, n)
    ]
    return Plan(trainings, options, n)


def folder_of(folder: Path, i: int, n: int) -> Path:
    """Where the i-th of n shards is trained."""
    return folder / f"shard-{i}-of-{n}"


def merge(config: ConfigDict, folder: Path, n: int, save_path: str | None = None) -> bool:
    """Writes into `folder` what training all its runs at once would have; are all shards there?

    Under `map` that is the same bit for bit. A run that has stopped keeps its metrics, so a shard
    that ended early is continued by its last evaluation.
    """
    filled = [i for i in range(1, n + 1) if grid.shard(grid.count(config.runs), i, n)]
    shards = [Results(folder_of(folder, i, n)) for i in filled]
    if not all(results.is_complete() for results in shards):
        return False
    whole = Results(folder)
    if not whole.lock.acquire(timeout=600):  # another process may be doing the same
        raise Busy(f"{str(folder)!r} is being written by another process; try again later")
    try:
        if not whole.is_complete() or not all(figure.is_file() for figure in whole.figures):
            _write(whole, shards, save_path)
    finally:
        whole.lock.release()
    return True


def concatenate(parts: Sequence[dict[str, np.ndarray]]) -> tuple[list[str], History]:
    """Labels and history of all runs; a shorter part goes on with its last row."""
    step_E = max((part["step"] for part in parts), key=len)
    rows_E = range(len(step_E))
    arrays = {"step": step_E}
    for name in parts[0]:
        if name not in ("step", "label"):
            columns = [part[name].take(rows_E, axis=0, mode="clip") for part in parts]
            arrays[name] = np.concatenate(columns, axis=1)
    return [str(label) for part in parts for label in part["label"]], History(arrays)


def _fillings(experiment, num_runs, gigabytes):
    """How often the devices have to be filled to train so many runs, and why."""
    number = jax.local_device_count()
    cores = number if jax.local_devices()[0].platform == "cpu" else 1  # that share the memory
    available = memory.available(jax.local_devices()[0], gigabytes)
    if num_runs <= number // cores and gigabytes is None:  # what it takes, if a state fits at all
        if (state := memory.size(experiment.shapes_of_run())) > available:
            raise ValueError(
                f"one run's weights and optimizer take {state / 1e9:.3g} GB of a device that has "
                f"{available / 1e9:.3g}; choose a smaller model or window"
            )
        return 1, ""
    estimate = memory.estimate(experiment.trainer, experiment.runs_R, experiment.dataset)
    config = experiment.config
    padded = len(experiment.labels) % number > 0
    may_stop = padded or config.schedule.stop_after_grok > 0

    def total(runs):
        of_each = estimate.total(-(-runs // number), config.lift, may_stop)
        return min(cores, runs) * of_each

    if gigabytes is not None and total(1) > available:
        raise ValueError(
            f"--memory {gigabytes}: one run takes about {total(1) / 1e9:.3g} GB; choose more"
        )
    most = next((runs for runs in range(num_runs, 1, -1) if total(runs) <= available), 1)
    reason = (
        f"{num_runs:,} runs take about {total(num_runs) / 1e9:.3g} GB "
        f"of a device that has {available / 1e9:.3g}"
    )
    return -(-num_runs // most), reason


def _check_folder(experiment, options, n):
    """Nothing else is there, and what is there may be gone on with."""
    folder = options.workdir
    shards = [folder_of(folder, i, n) for i in range(1, n + 1)]
    if others := sorted(set(folder.glob("shard-*-of-*")) - set(shards)):
        raise ValueError(
            f"{str(folder)!r} holds {others[0].name}, and this would be one of {n}; "
            "choose as many processes and as much --memory as before, or another --workdir"
        )
    if options.overwrite:
        return
    resume.check_ours(Results(folder))
    for results in map(Results, (folder, *shards)):
        if stored := newest_record(results):
            stored.pop("shard", None)
            resume.check_same(stored, experiment)
    status = Results(folder).status()
    if status and not options.resume and not options.join:
        raise ValueError(
            f"{str(folder)!r} holds runs that are {status}; "
            "choose --resume latest, --overwrite or another --workdir"
        )


def _own_devices():
    """The devices that a cluster gave this process, as its environment says it."""
    visible = {name: getattr(jax.config, name, "all") for name in OWN_DEVICES}
    return {name.upper(): devices for name, devices in visible.items() if devices != "all"}


def _write(whole, shards, save_path):
    labels, history = concatenate([arrays_of(results.history) for results in shards])
    record = newest_record(shards[0])
    del record["shard"]
    whole.metadata.unlink(missing_ok=True)  # of an attempt that was stopped
    before = [session for results in shards for session in results.sessions()]
    with whole.session(record, 0, before) as session:
        whole.write_history(history, labels)
        session.reached(int(history["step"][-1]))
        report.conclude(config_of(record), whole, labels, save_path)
        session.end("finished")
