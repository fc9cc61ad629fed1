"""What a user asks of `grokjax.train`: its flags, turned into a config, a folder and a start."""

import os
import re
import shlex
import sys
from pathlib import Path

import jax
from absl import flags
from ml_collections import ConfigDict

from grokjax import checkpoints, command_line, memory, resume, writers
from grokjax.experiment import Experiment, setup
from grokjax.journal import active, all_rest
from grokjax.metrics import History
from grokjax.results import Results, check_writable
from grokjax.writers import TensorBoard, WeightsAndBiases, Writers

WORKDIR = flags.DEFINE_string("workdir", None, "Folder for results; results/<config> if not given.")
RESUME = flags.DEFINE_string("resume", None, "Go on from: latest, a step, or a folder.")
OVERWRITE = flags.DEFINE_bool("overwrite", False, "Delete earlier results in the folder.")
SAVE_PATH = flags.DEFINE_string("save_path", None, "File for a copy of overview.png.")
LOG_EVERY = flags.DEFINE_integer("log_every", None, "Short for config.log_every.")
STOP = flags.DEFINE_integer("stop_after_grok", None, "Short for schedule.stop_after_grok.")
MEMORY = flags.DEFINE_float("memory", None, "GB of each device for training; all if not given.")
COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "HOST:PORT of the first of the n processes of --chunk I/N; or auto."
)
JOIN = flags.DEFINE_bool("join", False, "With --chunk: who trains the last share joins them all.")
PARENT = flags.DEFINE_integer("parent", None, "Save and stop when this process, our parent, ends.")


def config() -> ConfigDict:
    """The config with its overrides and the flags that are short for some of them."""
    asked = command_line.config()
    asked.runs.seed = command_line.seeds() or asked.runs.seed
    if LOG_EVERY.value is not None:
        asked.log_every = LOG_EVERY.value
    if STOP.value is not None:
        asked.schedule.stop_after_grok = STOP.value
    return asked


def experiment(config: ConfigDict) -> Experiment:
    """The experiment of a config, or the share of its runs that is asked for."""
    command_line.use_compilation_cache()
    whole, chunk = setup(config), command_line.chunk()
    if JOIN.value and not chunk:
        raise ValueError(
            "--join is for shares of the runs; choose one with --chunk, or leave it out"
        )
    return whole.share(*chunk) if chunk and not JOIN.value else whole


def shares(experiment: Experiment) -> tuple[range, int]:
    """Which shares of the runs this process trains one after another, and of how many.

    All in one, or one for each process that joins, unless that does not fit the devices.
    """
    i, n = (JOIN.value and command_line.chunk()) or (1, 1)
    on_each = -(-len(experiment.labels) // (n * jax.local_device_count()))
    turns, text = _turns(experiment, on_each)
    if turns == 1:
        return range(i, i + 1), n
    if "chunk" in experiment.record:
        raise ValueError(f"{text}; choose --chunk with {turns} times as many shares, or --join")
    if RESUME.value not in (None, "latest"):
        raise ValueError(f"--resume {RESUME.value}: {text}, so there are shares; choose latest")
    command_line.warn(f"{text}; training {turns} shares of them one after the other")
    return range((i - 1) * turns + 1, i * turns + 1), n * turns


def _turns(experiment, num_runs):
    """How often a device has to be filled to train so many runs on it, and why."""
    if num_runs == 1:
        return 1, ""
    there = int((MEMORY.value or 0) * 1e9) or memory.bytes_there(jax.local_devices()[0])
    need = memory.need(experiment.trainer, experiment.runs_R, experiment.table)
    how = experiment.record["lift"]
    asked = f"{num_runs:,} runs take about {need.of(num_runs, how) / 1e9:.3g} GB of a device"
    most = need.most_runs(there, how, num_runs)
    return -(-num_runs // most), f"{asked} that has {there / 1e9:.3g}"


def folder_and_step() -> tuple[Path, int | None]:
    """Where results are to be, and the step to resume from if one was named."""
    folder = Path(WORKDIR.value or f"results/{_name_of_config()}")
    step = None
    if RESUME.value:
        folder, step = resume.locate(RESUME.value, folder)
        if WORKDIR.value and folder.absolute() != Path(WORKDIR.value).absolute():
            raise ValueError(
                f"--resume {RESUME.value} is not in --workdir {WORKDIR.value}; "
                "leave out --workdir to go on where the checkpoint is"
            )
    check_writable("workdir", folder)
    if SAVE_PATH.value:
        check_writable("save_path", Path(SAVE_PATH.value).parent)
    if writers.WANDB.value:
        writers.check_wandb()
    return folder, step


def start(experiment: Experiment, results: Results, step) -> resume.Start:
    """Where to begin: at a checkpoint, or anew if the folder is free. Keeps others out of it."""
    if results.folder.exists():
        results.hold()
    status, begun = results.status(), checkpoints.steps(results.checkpoints)
    if RESUME.value and (begun or "chunk" not in experiment.record):  # a share may not be yet
        return resume.find_start(results, step, experiment, command_line.warn)
    if status and not OVERWRITE.value:
        resumable = "--resume latest, " if begun else ""
        raise ValueError(
            f"{str(results.folder)!r} holds a run that is {status}; "
            f"choose {resumable}--overwrite or another --workdir"
        )
    results.hold()
    return resume.Start(0, None, History())


def make_room(results: Results, start: resume.Start) -> None:
    """Clears away what training from `start` will write again."""
    if RESUME.value:
        resume.rewind(results, start.step)
    elif results.status():
        results.clear()


def writer(experiment: Experiment, results: Results, start: resume.Start) -> Writers:
    """Where the curves are asked to go."""
    labels, resumed_from = experiment.labels, start.step or None
    opened = [TensorBoard(results.tensorboard, labels, resumed_from)]
    if writers.WANDB.value:
        opened += [WeightsAndBiases(results.folder, labels, experiment.record, resumed_from)]
    return Writers(*opened)


def is_finished(config: ConfigDict, start: resume.Start) -> bool:
    """Would the loop have stopped where it is to go on from?"""
    ended = start.step >= config.schedule.num_steps
    return ended or all_rest(active(start.history, config, start.step, num_runs=1))


def how_to_go_on(results: Results) -> str:
    """This very command, going on from the newest checkpoint."""
    if not checkpoints.steps(results.checkpoints):
        return "there is no checkpoint yet"
    folder, _ = folder_and_step()
    kept = [w for w in _words_without("resume", "workdir", "parent") if w != "--overwrite"]
    ours = [*kept, f"--workdir={folder}", "--resume=latest"]
    return f"go on with\n  {shlex.join(['python', '-m', 'grokjax.train', *ours])}"


def meet_others() -> None:
    """Begins this command again with its share of the runs, once the n processes have met.

    They need each other for nothing else, so they part before training: one that dies later takes
    no other along. Devices and checkpoints would go on waiting for all; a fresh process does not.

    Raises:
        ValueError: if they cannot meet.
    """
    where, chunk = COORDINATOR.value, command_line.chunk()
    if where is None:
        return
    if (where == "auto") == bool(chunk) or not re.fullmatch(r"auto|[^:]+:\d+", where):
        raise ValueError(
            f"--coordinator {where}; choose auto on a cluster, or HOST:PORT with --chunk I/N"
        )
    i, n = chunk or (None, None)
    try:
        jax.distributed.initialize(chunk and where, n, chunk and i - 1)
    except (RuntimeError, ValueError) as error:  # nobody answers; no cluster is known
        raise ValueError(f"--coordinator {where}: {error}") from error
    mine = f"--chunk={jax.process_index() + 1}/{jax.process_count()}"
    jax.distributed.shutdown()
    words = [*_words_without("coordinator", "chunk"), mine, "--join"]
    os.execv(sys.executable, [sys.executable, "-m", "grokjax.train", *words])


def _words_without(*flags_with_values):
    """The words of the command, but for some flags."""
    words, kept = iter(sys.argv[1:]), []
    for word in words:
        name, equals, _ = word.lstrip("-").partition("=")
        if name not in flags_with_values:
            kept.append(word)
        elif not equals:
            next(words)  # its value
    return kept


def _name_of_config():
    """`moddiv`, or `moddiv-model=lstm` if a choice follows the file."""
    path, _, choice = command_line.config_file().partition(":")
    return "-".join([Path(path).stem, *choice.split(",")] if choice else [Path(path).stem])
