"""What a user asks of `grokjax.train`: its flags, read once."""

import dataclasses
import shlex
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from grokjax.recording import checkpoints, resume, writers
from grokjax.recording.results import Results, check_writable
from grokjax.running import command_line

WORKDIR = flags.DEFINE_string("workdir", None, "Folder for results; results/<config> if not given.")
RESUME = flags.DEFINE_string("resume", None, "Go on from: latest, a step, or a folder.")
OVERWRITE = flags.DEFINE_bool("overwrite", False, "Delete earlier results in the folder.")
SAVE_PATH = flags.DEFINE_string("save_path", None, "File for a copy of overview.png.")
LOG_EVERY = flags.DEFINE_integer("log_every", None, "Short for config.log_every.")
STOP = flags.DEFINE_integer("stop_after_grok", None, "Short for schedule.stop_after_grok.")
PARENT = flags.DEFINE_integer("parent", None, "Save and stop when this process, our parent, ends.")
JOIN = flags.DEFINE_bool("join", False, "With --shard: the last process to finish merges them all.")
MEMORY = flags.DEFINE_float("memory", None, "GB of each device for training; all if not given.")
COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "HOST:PORT of the first of the n processes of --shard I/N; or auto."
)


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags of one command, checked as far as they can be without the experiment."""

    config: ConfigDict
    workdir: Path  # for the results
    resume: str | None = None  # as the user gave it
    step: int | None = None  # of the checkpoint to resume from; None: the newest
    overwrite: bool = False
    save_path: str | None = None  # for a copy of the overview
    parent: int | None = None  # number of a process whose end stops this one
    shard: tuple[int, int] | None = None  # (i, n): the i-th of n shards of the runs
    join: bool = False  # is the shard one of those that are merged?
    memory: float | None = None  # GB of each device
    coordinator: str | None = None
    wandb: bool = False

    @classmethod
    def from_flags(cls) -> "Options":
        """Reads all flags.

        Raises:
            ValueError: for one that is invalid.
        """
        workdir, step = _workdir_and_step()
        options = cls(
            config=_config(),
            workdir=workdir,
            resume=RESUME.value,
            step=step,
            overwrite=OVERWRITE.value,
            save_path=SAVE_PATH.value,
            parent=PARENT.value,
            shard=command_line.shard(),
            join=JOIN.value,
            memory=MEMORY.value,
            coordinator=COORDINATOR.value,
            wandb=command_line.WANDB.value,
        )
        options._check()
        return options

    def _check(self):
        if self.join and not self.shard:
            raise ValueError(
                "--join is for shards of the runs; choose one with --shard, or leave it out"
            )
        if self.memory is not None and not self.memory > 0:
            raise ValueError(f"--memory {self.memory}; choose above 0, in GB")
        check_writable("workdir", self.workdir)
        if self.save_path:
            check_writable("save_path", Path(self.save_path).parent)
        if self.wandb:
            writers.check_wandb()

    def how_to_go_on(self, results: Results) -> str:
        """This very command, going on from the newest checkpoint."""
        if not checkpoints.steps(results.checkpoints):
            return "there is no checkpoint yet"
        kept = command_line.words_without("resume", "workdir", "parent", "overwrite")
        words = [*kept, f"--workdir={self.workdir}", "--resume=latest"]
        return f"go on with\n  {shlex.join(['python', '-m', 'grokjax.train', *words])}"


def _config():
    """The config with its overrides and the flags that are short for some of them."""
    config = command_line.config()
    config.runs.seed = command_line.seeds() or config.runs.seed
    if LOG_EVERY.value is not None:
        config.log_every = LOG_EVERY.value
    if STOP.value is not None:
        config.schedule.stop_after_grok = STOP.value
    return config


def _workdir_and_step():
    workdir = Path(WORKDIR.value or f"results/{_name_of_config()}")
    if not RESUME.value:
        return workdir, None
    folder, step = resume.locate(RESUME.value, workdir)
    if WORKDIR.value and folder.absolute() != workdir.absolute():
        raise ValueError(
            f"--resume {RESUME.value} is not in --workdir {WORKDIR.value}; "
            "leave out --workdir to go on where the checkpoint is"
        )
    return folder, step


def _name_of_config():
    """`moddiv`, or `moddiv-model=lstm` if a choice follows the file."""
    path, _, choice = command_line.config_file().partition(":")
    return "-".join([Path(path).stem, *choice.split(",")] if choice else [Path(path).stem])
