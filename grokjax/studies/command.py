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
from grokjax.studies.runner import Conductor, show
from grokjax.studies.study import SIZES, Study, claims, read

RESULTS = flags.DEFINE_string("results", "results", "Folder in which each study has a folder.")
SIZE = flags.DEFINE_enum("size", "desk", SIZES, "A try, an answer, or what the paper did.")
ONLY = flags.DEFINE_string("only", "*", "Train only the arms with such names: 'division/*'.")
STATUS = flags.DEFINE_bool("status", False, "Only show how far the arms have come.")


def conduct(study: Study) -> None:
    """Conducts one study as the flags say, here or in jobs on a cluster."""
    command_line.run(lambda _: _prepare([study]))


def conduct_all(folder: Path) -> None:
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
    if writers.WANDB.value:
        writers.check_wandb()
        os.environ[writers.FOR_ALL] = "1"  # its arms are processes of their own
    if cluster.SUBMIT.value and (STATUS.value or command_line.chunk() or len(studies) > 1):
        raise ValueError("--submit is for one study without --status and --chunk; leave them out")
    if cluster.JOBS.value is not None and not (cluster.SUBMIT.value or STATUS.value):
        raise ValueError("--jobs is for --submit and --status; choose one, or leave it out")
    conductors = [conductor for study in studies for conductor in _look_at(study)]
    if cluster.SUBMIT.value:
        return cluster.submission(studies[0].name, conductors[0].folder / "jobs")
    if STATUS.value:
        return functools.partial(_show, conductors)
    for conductor in conductors:
        conductor.check()
    return functools.partial(_work, conductors)


def _look_at(study):
    """Its conductor, or one for each of its jobs."""
    folder = Path(RESULTS.value) / study.name
    check_writable("results", folder)
    size, seeds, only = SIZE.value, command_line.seeds(), ONLY.value
    chunks = [command_line.chunk()]
    if cluster.SUBMIT.value or cluster.JOBS.value is not None:
        arms = study.arms(size, seeds).items()
        chosen = [config for name, config in arms if fnmatch.fnmatchcase(name, only)]
        chunks = cluster.chunks(max((count(config.runs) for config in chosen), default=1))
    common = {"seeds": seeds, "only": only, "flags": [command_line.cache_flag()]}
    return [Conductor(study, folder, size, chunk=chunk, **common) for chunk in chunks]


def _show(conductors):
    """Prints the tables; a ValueError of what a folder holds is one line."""
    for number, conductor in enumerate(conductors, 1):
        table = conductor.status()
        if cluster.JOBS.value is not None:
            table.title = f"{table.title}, job {number} of {len(conductors)}"
        show(table)


def _work(conductors):
    failed = []
    with Interrupts() as interrupts:
        for conductor in conductors:
            failed += [f"{conductor.study.name}/{arm}" for arm in conductor.run(interrupts)]
            if interrupts.received:
                break
            _conclude(conductor)
    if interrupts.received:
        print("stopped by a signal; the same command goes on from here")
        sys.exit(128 + interrupts.received)
    if failed:
        command_line.warn(f"failed: {', '.join(failed)}; the same command tries them again")
        sys.exit(1)


def _conclude(conductor):
    text = conductor.summarise()
    print(f"{text}\nresults are in {conductor.folder}" if text else "no arm is finished yet")
