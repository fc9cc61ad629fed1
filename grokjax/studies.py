"""The command of a study: `python -m experiments.l1_grokfast`, `... list`, `... all`."""

import functools
import sys
from pathlib import Path

from absl import flags

from grokjax import command_line
from grokjax.conductor import Conductor, show
from grokjax.interrupts import Interrupts
from grokjax.results import check_writable
from grokjax.study import SIZES, Study, claims, read

RESULTS = flags.DEFINE_string("results", "results", "Folder in which each study has a folder.")
SIZE = flags.DEFINE_enum("size", "desk", SIZES, "A try, an answer, or what the paper did.")
ONLY = flags.DEFINE_string("only", "*", "Train only the arms with such names: 'division/*'.")
STATUS = flags.DEFINE_bool("status", False, "Only show how far the arms have come.")


def conduct(study: Study) -> None:
    """Conducts one study as the flags say."""
    command_line.run(lambda _: functools.partial(_work, [_look_at(study)]))


def conduct_all(folder: Path) -> None:
    """`list` shows the claims of a folder's studies, `all` conducts them one after the other."""
    command_line.run(functools.partial(_command, folder), arguments=True)


def _command(folder, argv):
    match argv[1:]:
        case ["list"]:
            return functools.partial(_list, folder)
        case ["all"]:
            studies = [read(folder / f"{name}.py") for name in claims(folder)]
            return functools.partial(_work, [_look_at(study) for study in studies])
        case _:
            raise ValueError(f"unknown command; choose from: list, all, or {_one(folder)}")


def _one(folder):
    return f"python -m {folder.name}.NAME with one of {', '.join(claims(folder))}"


def _list(folder):
    for name, claim in claims(folder).items():
        print(f"{name:18} {claim}")


def _look_at(study):
    folder = Path(RESULTS.value) / study.name
    check_writable("results", folder)
    seeds, chunk = command_line.seeds(), command_line.chunk()
    return Conductor(study, folder, SIZE.value, seeds, chunk, ONLY.value)


def _work(conductors):
    if STATUS.value:
        for conductor in conductors:
            show(conductor.status())
        return
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
