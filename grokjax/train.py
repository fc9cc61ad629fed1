"""Trains the runs of a config, side by side.

python -m grokjax.train --config configs/moddiv.py
"""

import contextlib
import shlex
import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from grokjax import command_line, loop, report, resume
from grokjax.checkpoints import Checkpoints
from grokjax.config import check_file, plain
from grokjax.console import Console
from grokjax.experiment import Experiment, setup
from grokjax.interrupts import Interrupts
from grokjax.journal import Journal, all_done
from grokjax.metrics import History
from grokjax.results import Results
from grokjax.writers import TensorBoard

CONFIG = config_flags.DEFINE_config_file("config", None, "Config file, such as configs/moddiv.py.")
WORKDIR = flags.DEFINE_string("workdir", None, "Folder for results; results/<config> if not given.")
RESUME = flags.DEFINE_string("resume", None, "Go on from: latest, a step, or a folder.")
OVERWRITE = flags.DEFINE_bool("overwrite", False, "Delete earlier results in the folder.")
SAVE_PATH = flags.DEFINE_string("save_path", None, "File for a copy of overview.png.")
SEEDS = flags.DEFINE_integer("seeds", None, "Short for runs.seed = 0 .. N-1.", lower_bound=1)
LOG_EVERY = flags.DEFINE_integer("log_every", None, "Short for config.log_every.")
STOP = flags.DEFINE_integer("stop_after_grok", None, "Short for schedule.stop_after_grok.")


def main(argv):
    """What the command does."""
    del argv
    config = config_of_flags()
    folder, step = Path(WORKDIR.value or f"results/{name_of_config()}"), None
    if RESUME.value:
        folder, step = resume.locate(RESUME.value, folder)
    results = Results(folder)
    results.check_writable()
    command_line.use_compilation_cache()
    experiment = setup(config)
    start = find_start(config, experiment, results, step)
    if is_finished(config, start):
        print(f"{folder} is finished at step {start.step:,}; there is nothing left to train")
        return
    signal = train(config, experiment, results, start)
    if signal:
        print(f"stopped by a signal; go on with\n  {resume_command(folder)}")
        sys.exit(128 + signal)
    print(report.conclude(config, results, experiment.labels, SAVE_PATH.value))


def train(config, experiment: Experiment, results: Results, start: resume.Start) -> int | None:
    """Trains from `start` to the end, or until a signal, whose number is returned."""
    schedule, labels = config.schedule, experiment.labels
    with (
        results.session(plain(config), start.step) as session,
        Interrupts() as interrupts,
        Checkpoints(results.checkpoints, schedule) as checkpoints,
        Console(results.log, schedule.num_steps, start.step) as console,
        contextlib.closing(TensorBoard(results.tensorboard, labels, start.step or None)) as writer,
    ):
        introduction = report.introduction(config, experiment, start.step)
        console.say(introduction)
        writer.write_texts(start.step, {"introduction": introduction})
        journal = Journal(start.history, labels, config, console, writer)
        for t, state_R, metrics_R in loop.chunks(
            *(experiment.trainer, experiment.runs_R, experiment.table),
            num_steps=schedule.num_steps,
            how=config.lift,
            state_R=start.state_R,
            start=start.step,
        ):
            signal, finished = interrupts.received, t == schedule.num_steps
            if metrics_R is not None:
                journal.expect(t, metrics_R)  # reads the evaluation before, while this one runs
                finished |= all_done(journal.history, config)
            if signal or finished or checkpoints.is_due(t):
                journal.catch_up()
                checkpoints.save(t, state_R, journal.history.arrays(), plain(config))
                results.write_history(journal.history, labels)
                writer.flush()
            console.advanced(t)
            session.reached(t)
            if signal or finished:
                break
        session.end("finished" if finished else "interrupted")
    return None if finished else signal


def find_start(config, experiment, results, step) -> resume.Start:
    """Where to begin: a checkpoint, or nothing if the folder is free."""
    if RESUME.value:
        start = resume.find_start(results, step, experiment, plain(config), command_line.warn)
        resume.rewind(results, start.step)
        return start
    if OVERWRITE.value:
        results.clear()
    elif results.status():
        raise ValueError(
            f"{str(results.folder)!r} holds a run that is {results.status()}; "
            "choose --resume latest, --overwrite or another --workdir"
        )
    return resume.Start(0, None, History())


def is_finished(config, start) -> bool:
    """Would the loop have stopped where it is to go on from?"""
    decided_on = start.history.without_last()
    return start.step >= config.schedule.num_steps or all_done(decided_on, config)


def config_of_flags():
    """The config with its overrides and the flags that are short for some of them."""
    if not flags.FLAGS["config"].present:
        raise ValueError("no config given; choose one with --config, such as configs/moddiv.py")
    check_file(config_flags.get_config_filename(flags.FLAGS["config"]))
    config = CONFIG.value
    if SEEDS.value is not None:
        config.runs.seed = tuple(range(SEEDS.value))
    if LOG_EVERY.value is not None:
        config.log_every = LOG_EVERY.value
    if STOP.value is not None:
        config.schedule.stop_after_grok = STOP.value
    return config


def name_of_config() -> str:
    """`moddiv`, or `moddiv-model=lstm` if a choice follows the file."""
    path, _, choice = config_flags.get_config_filename(flags.FLAGS["config"]).partition(":")
    return "-".join([Path(path).stem, *choice.split(",")] if choice else [Path(path).stem])


def resume_command(folder: Path) -> str:
    """This very command, going on from the newest checkpoint."""
    ours = ("--resume", "--overwrite", "--workdir")
    kept = [arg for arg in sys.argv[1:] if not arg.startswith(ours)]
    return shlex.join(
        ["python", "-m", "grokjax.train", *kept, f"--workdir={folder}", "--resume=latest"]
    )


def cli() -> None:
    """`grokjax-train`, the same command without `python -m`."""
    command_line.run(main)


if __name__ == "__main__":
    cli()
