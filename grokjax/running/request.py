"""What a user asks of `grokjax.train`: its flags, turned into a config, a folder and a start."""

import shlex
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from grokjax.config.experiment import Experiment, setup
from grokjax.recording import checkpoints, resume, writers
from grokjax.recording.history import History, RunTracker
from grokjax.recording.results import Results, check_writable
from grokjax.recording.writers import TensorBoard, WeightsAndBiases, Writer
from grokjax.running import command_line

WORKDIR = flags.DEFINE_string("workdir", None, "Folder for results; results/<config> if not given.")
RESUME = flags.DEFINE_string("resume", None, "Go on from: latest, a step, or a folder.")
OVERWRITE = flags.DEFINE_bool("overwrite", False, "Delete earlier results in the folder.")
SAVE_PATH = flags.DEFINE_string("save_path", None, "File for a copy of overview.png.")
LOG_EVERY = flags.DEFINE_integer("log_every", None, "Short for config.log_every.")
STOP = flags.DEFINE_integer("stop_after_grok", None, "Short for schedule.stop_after_grok.")
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
    if command_line.JOIN.value and not chunk:
        raise ValueError(
            "--join is for shares of the runs; choose one with --chunk, or leave it out"
        )
    return whole.share(*chunk) if chunk and not command_line.JOIN.value else whole


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


def start(experiment: Experiment, results: Results, step, one_of_many: bool) -> resume.Start:
    """Where to begin: at a checkpoint, or anew if the folder is free. Keeps others out of it.

    Of several folders, `--resume` goes on with those that can be and begins the others.
    """
    if results.folder.exists():
        results.hold()
    status, begun = results.status(), checkpoints.steps(results.checkpoints)
    if RESUME.value and (begun or not one_of_many):
        return resume.find_start(results, step, experiment, command_line.warn)
    if status and not OVERWRITE.value and not RESUME.value:
        resumable = "--resume latest, " if begun else ""
        raise ValueError(
            f"{str(results.folder)!r} holds a run that is {status}; "
            f"choose {resumable}--overwrite or another --workdir"
        )
    results.hold()
    return resume.Start(0, None, History())


def make_room(results: Results, start: resume.Start) -> None:
    """Clears away what training from `start` will write again."""
    if start.step:
        resume.rewind(results, start.step)
    elif results.status():
        results.clear()


def writers_of(experiment: Experiment, results: Results, start: resume.Start) -> list[Writer]:
    """Where the curves are asked to go."""
    labels, resumed_from = experiment.labels, start.step or None
    opened = [TensorBoard(results.tensorboard, labels, resumed_from)]
    if writers.WANDB.value:
        opened += [WeightsAndBiases(results.folder, labels, experiment.record, resumed_from)]
    return opened


def is_finished(config: ConfigDict, start: resume.Start) -> bool:
    """Would the loop have stopped where it is to go on from?"""
    if start.step >= config.schedule.num_steps:
        return True
    if not len(start.history):
        return False
    tracker = RunTracker.replay(start.history, config.schedule, config.grok)
    return tracker.all_stopped(start.step)


def how_to_go_on(results: Results) -> str:
    """This very command, going on from the newest checkpoint."""
    if not checkpoints.steps(results.checkpoints):
        return "there is no checkpoint yet"
    folder, _ = folder_and_step()
    kept = command_line.words_without("resume", "workdir", "parent", "overwrite")
    ours = [*kept, f"--workdir={folder}", "--resume=latest"]
    return f"go on with\n  {shlex.join(['python', '-m', 'grokjax.train', *ours])}"


def _name_of_config():
    """`moddiv`, or `moddiv-model=lstm` if a choice follows the file."""
    path, _, choice = command_line.config_file().partition(":")
    return "-".join([Path(path).stem, *choice.split(",")] if choice else [Path(path).stem])
