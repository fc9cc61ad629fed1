"""The options of `grokjax.train`: its flags, read once."""

import contextlib
import dataclasses
import math
import os
import shlex
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from grokjax.config import grid
from grokjax.reading.rebuild import config_of, record_in, training_at
from grokjax.recording import checkpoints, online
from grokjax.recording.results import Results, check_writable
from grokjax.running import command_line

command_line.define_path("workdir", None, "Folder for results; results/<config> if not given.")
command_line.define_path("resume", None, "Go on from: latest, a step, or a folder and its config.")
flags.DEFINE_bool("show", False, "Print every entry of the config; train nothing.")
flags.DEFINE_bool("overwrite", False, "Delete earlier results in the folder.")
command_line.define_path("save_path", None, "File for a copy of overview.png; or .pdf, .svg ...")
flags.DEFINE_integer("log_every", None, "Steps between lines; also eval_every, unless a multiple.")
flags.DEFINE_integer("stop_after_grok", None, "Short for schedule.stop_after_grok.")
flags.DEFINE_string("branch", None, "FOLDER@STEP, @memorised or @grokked: states to begin with.")
flags.DEFINE_list("take", None, "With --branch: only these parameters, as in token,position.")
flags.DEFINE_bool("from_zero", False, "With --branch FOLDER@STEP: count steps from 0.")
flags.DEFINE_integer("parent", None, "Save and stop when this process, our parent, ends.")
flags.DEFINE_bool("join", False, "With --shard: the last process to finish merges them all.")
flags.DEFINE_integer(
    "cores", None, "CPU cores, each of which trains runs of its own; all if not given."
)
flags.DEFINE_float(
    "memory", None, "GB of each device, or of a CPU, for training; all if not given."
)
flags.DEFINE_string(
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
    cores: int | None = None  # that train runs of their own; None: all
    coordinator: str | None = None
    services: tuple[str, ...] = ()  # that are sent the curves, wandb or trackio
    show: bool = False  # the config, instead of training
    requeued: bool = False  # SLURM starts this very command again

    @classmethod
    def from_flags(cls) -> "Options":
        """Reads all flags.

        Raises:
            ValueError: for one that is invalid.
        """
        given = flags.FLAGS
        workdir, step = _workdir_and_step(given.workdir, given.resume)
        record = record_in(workdir) if given.resume and not _config_file() else {}
        config = command_line.config() if given["config"].present else config_of(record)
        of_flags = {field: given[field].value for field in cls.__annotations__ if field in given}
        of_flags |= {
            "config": _with_short_flags(config, given),
            "workdir": workdir,
            "shard": command_line.shard() or _shard(record),
            "services": command_line.services(),
        }
        if _is_path(given.resume) and step is None:
            of_flags["resume"] = "latest"
        options = cls(step=step, **of_flags)
        if os.environ.get("SLURM_RESTART_COUNT", "0") != "0":
            again = {"resume": "latest", "step": None, "overwrite": False, "requeued": True}
            options = dataclasses.replace(options, **again)
        if options.join and not options.shard:
            raise ValueError(
                "--join is for shards of the runs; choose one with --shard, or leave it out"
            )
        if options.memory is not None and not 0 < options.memory < math.inf:
            raise ValueError(f"--memory {options.memory}; choose above 0, in GB, and finite")
        check_writable("workdir", options.workdir)
        _check_length(options.workdir / ("x" * 160))  # as far down as checkpoints have files
        if options.save_path:
            _check_picture(Path(options.save_path))
        online.check(options.services)
        return options

    def num_runs(self) -> int:
        """Those of this process, as far as they can be counted before the config is checked."""
        runs = {name: x for name, x in self.config.runs.items() if isinstance(x, tuple)}
        return len(grid.shard(grid.count(runs), *(self.shard or (1, 1)))) or 1

    def try_out(self, results: Results) -> None:
        """Raises an error now where something could not be written later; the folder is ours."""
        folders = (results.folder, results.checkpoints, results.tensorboard, results.exported)
        for path in vars(results).values():
            if isinstance(path, Path) and path.exists() and path.is_dir() != (path in folders):
                kind = "file" if path in folders else "folder"
                raise ValueError(f"{str(path)!r} is a {kind}; move it or choose another --workdir")
        results.log.open("ab").close()

    def how_to_go_on(self, results: Results) -> str:
        """This very command, going on from the newest checkpoint."""
        if not checkpoints.steps(results.checkpoints):
            return "there is no checkpoint yet"
        implied = ("config",) if flags.FLAGS["config"].present and not _config_file() else ()
        kept = command_line.words_without("resume", "workdir", "parent", "overwrite", *implied)
        words = [*kept, f"--workdir={self.workdir}", "--resume=latest"]
        return f"go on with\n  {shlex.join(['python', '-m', 'grokjax.train', *words])}"


def _check_picture(path):
    """A file that can be written, of a kind that matplotlib writes."""
    check_writable("save_path", path.parent)
    _check_length(path.with_name(f"{path.name}.1234567"))  # written under another name first
    if (path.exists() or path.is_symlink()) and not path.is_file():
        raise ValueError(f"--save_path {str(path)!r} is no file; choose another")
    from grokjax.reading.pictures import style  # takes a while

    style.check_format(path)


def _check_length(path):
    """Raises an OSError if names of that length are too long."""
    with contextlib.suppress(FileNotFoundError):
        os.lstat(path.absolute())


def _shard(record):
    return tuple(map(int, record["shard"].split("/"))) if record.get("shard") else None


def _with_short_flags(config, given):
    """The config, changed by the flags that are short for some of its entries."""
    if seeds := command_line.seeds():
        if "config.runs.seed" in flags.FLAGS and flags.FLAGS["config.runs.seed"].present:
            raise ValueError("--seeds and --config.runs.seed both name the seeds; choose one")
        config.runs.seed = seeds
    log_every = given.log_every
    if log_every is not None:
        config.log_every = log_every
        if log_every > 0 and log_every % config.schedule.eval_every:
            config.schedule.eval_every = log_every
    if given.stop_after_grok is not None:
        config.schedule.stop_after_grok = given.stop_after_grok
    if given.branch is not None:
        config.branch.origin = given.branch
    if given.take is not None:
        config.branch.take = tuple(given.take)
    config.branch.from_zero |= given.from_zero
    return config


def _workdir_and_step(given, resume):
    """The run directory, and the step that `--resume latest | STEP | PATH` means; None: newest."""
    if not _is_path(resume):
        workdir = Path(given) if given else _usual_folder()
        return workdir, int(resume) if resume and resume.isdigit() else None
    if not Path(resume).exists():
        raise ValueError(f"--resume {resume}: choose latest, a step, or a folder of results")
    folder, step = training_at(Path(resume))
    if given and folder.absolute() != Path(given).absolute():
        raise ValueError(
            f"--resume {resume} is not in --workdir {given}; "
            "leave out --workdir to go on where the checkpoint is"
        )
    return folder, step


def _is_path(resume):
    return bool(resume) and resume != "latest" and not resume.isdigit()


def _usual_folder():
    """Of a config: results/moddiv, or results/moddiv-model=lstm."""
    file, _, choice = (_config_file() or command_line.USUAL).partition(":")
    return Path("results", "-".join([Path(file).stem, *filter(None, choice.split(","))]))


def _config_file():
    """That of the flag; none if it is not given, or is the folder that is resumed."""
    given = command_line.config_file() if flags.FLAGS["config"].present else ""
    return "" if os.path.isdir(given) else given
