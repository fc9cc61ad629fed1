"""The command of a study: `python -m experiments.l1_grokfast`, `... list`, `... all`."""

import fnmatch
import functools
import os
import sys
from pathlib import Path

from absl import flags

from grokjax.config.grid import count
from grokjax.recording import writers
from grokjax.recording.results import check_writable
from grokjax.running import command_line
from grokjax.running.signals import Interrupts
from grokjax.studies import cluster, report
from grokjax.studies.runner import Runner, show
from grokjax.studies.study import FORMER, SIZES, Study, claims, read

RESULTS = flags.DEFINE_string("results", "results", "Folder in which each study has a folder.")
SIZE = flags.DEFINE_enum(
    "size", "default", (*SIZES, *FORMER), "A try, an answer, or what the paper did."
)
ONLY = flags.DEFINE_string("only", "*", "Train only the arms with such names: 'division/*'.")
STATUS = flags.DEFINE_bool("status", False, "Only show how far the arms have come.")


def run_study(study: Study) -> None:
    """Runs one study as the flags say, here or in jobs on a cluster."""
    command_line.run(lambda _: _prepare([study]))


def run_studies(folder: Path) -> None:
    """`list` shows the claims of a folder's studies, `all` runs them, `report` writes tables."""
    command_line.run(functools.partial(_command, folder), arguments=True)


def _command(folder, argv):
    match argv[1:]:
        case ["list"]:
            return functools.partial(_list, folder)
        case ["all"]:
            studies = [read(folder / f"{name}.py") for name in claims(folder)]
            return _prepare(studies)
        case ["report"]:
            return report.prepare(folder, Path(RESULTS.value) if RESULTS.present else None)
        case _:
            raise ValueError(f"unknown command; choose from: list, all, report, or {_one(folder)}")


def _one(folder):
    return f"python -m {folder.name}.NAME with one of {', '.join(claims(folder))}"


def _list(folder):
    for name, claim in claims(folder).items():
        print(f"{name:18} {claim}")


def _prepare(studies):
    """Checks what was asked for, before anything is written; gives what is to be done."""
    command_line.refuse("config")
    if command_line.WANDB.value:
        writers.check_wandb()
        os.environ[command_line.FOR_ALL] = "1"  # its arms are processes of their own
    if cluster.SUBMIT.value and (STATUS.value or command_line.shard() or len(studies) > 1):
        raise ValueError("--submit is for one study without --status and --shard; leave them out")
    if cluster.JOBS.value is not None and not (cluster.SUBMIT.value or STATUS.value):
        raise ValueError("--jobs is for --submit and --status; choose one, or leave it out")
    runners = [runner for study in studies for runner in _runners(study)]
    if cluster.SUBMIT.value:
        return cluster.submission(studies[0].name, runners[0].folder / "jobs")
    if STATUS.value:
        return functools.partial(_show, runners)
    for runner in runners:
        runner.check()
    return functools.partial(_work, runners)


def _runners(study):
    """The runner of a study, or one for each of its jobs."""
    folder = Path(RESULTS.value) / study.name
    check_writable("results", folder)
    size = SIZE.value
    seeds = command_line.seeds()
    only = ONLY.value
    shards = [command_line.shard()]
    if cluster.SUBMIT.value or cluster.JOBS.value is not None:
        arms = study.arms(size, seeds).items()
        chosen = [config for name, config in arms if fnmatch.fnmatchcase(name, only)]
        shards = cluster.shards(max((count(config.runs) for config in chosen), default=1))
    common = {"seeds": seeds, "only": only, "flags": [command_line.cache_flag()]}
    return [Runner(study, folder, size, shard=shard, **common) for shard in shards]


def _show(runners):
    """Prints the tables; a ValueError of what a folder holds is one line."""
    for number, runner in enumerate(runners, 1):
        table = runner.status()
        if cluster.JOBS.value is not None:
            table.title = f"{table.title}, job {number} of {len(runners)}"
        show(table)


def _work(runners):
    failed = []
    with Interrupts() as interrupts:
        for runner in runners:
            failed += [f"{runner.study.name}/{arm}" for arm in runner.run(interrupts)]
            if interrupts.received:
                break
            _conclude(runner)
    if interrupts.received:
        print("stopped by a signal; the same command goes on from here")
        sys.exit(128 + interrupts.received)
    if failed:
        command_line.warn(f"failed: {', '.join(failed)}; the same command tries them again")
        sys.exit(1)


def _conclude(runner):
    text = runner.summarise()
    print(f"{text}\nresults are in {runner.folder}" if text else "no arm is finished yet")
