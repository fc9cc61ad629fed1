"""The command of a study: `python -m experiments.l1_grokfast`, `... list`, `... all`."""

import fnmatch
import functools
import sys
from collections.abc import Callable
from pathlib import Path

from absl import flags

from grokjax.config.grid import count
from grokjax.reading.narrow import for_this_terminal
from grokjax.reading.page import page
from grokjax.recording import online
from grokjax.recording.output import plain_console
from grokjax.recording.results import check_writable
from grokjax.running import cache, command_line
from grokjax.running.signals import Interrupts
from grokjax.studies import cluster, overview
from grokjax.studies.runner import Runner
from grokjax.studies.study import FORMER, SIZES, Study, find

RESULTS = command_line.define_path(
    "results", None, "Folder of all studies; results, or of other sizes results/SIZE."
)
SIZE = flags.DEFINE_enum(
    "size", "default", (*SIZES, *FORMER), "A try, an answer, or what the paper did."
)
ONLY = flags.DEFINE_string("only", "*", "Train only the arms with such names: 'division/*'.")
HANDED_ON = (cache.FOLDER.name, "seeds", "shard", "wandb", "trackio", "cores", "memory")
TAKES = (*HANDED_ON, "chunk", "html")
GOES_ON = "the same command goes on from here"
STATUS = flags.DEFINE_bool("status", False, "Only show how far the arms have come.")


def run_study(study: Study) -> None:
    """Runs one study as the flags say, here or in jobs on a cluster."""
    command_line.run(lambda _: _prepare([study]), TAKES)


def run_studies(folder: Path, **others: Callable[[Path | None], Callable[[], None]]) -> None:
    """The command of a folder's studies: `list` shows their claims, `all` runs them.

    Args:
        folder: of the studies' files.
        others: further commands by name: from the folder of `--results`, None if it is not given,
            to the work that there is to do.
    """
    command_line.run(functools.partial(_command, folder, others), TAKES, arguments=True)


def _command(folder, others, argv):
    studies = find(folder)
    match argv[1:]:
        case ["list"]:
            claims = {name: study.claim or "(says no claim)" for name, study in studies.items()}
            lines = [f"{name:18} {claim}" for name, claim in claims.items()]
            return lambda: print(*lines, sep="\n")
        case ["all"]:
            return _prepare(list(studies.values()))
        case [name] if name in others:
            return others[name](Path(RESULTS.value) if RESULTS.present else None)
        case _:
            choices = ", ".join(["list", "all", *others])
            spec = sys.modules["__main__"].__spec__  # of grokjax.experiments if it is installed
            one = f"python -m {spec.parent if spec else folder.name}.NAME with one of "
            one += ", ".join(studies)
            raise ValueError(f"unknown command; choose from: {choices}, or {one}")


def _prepare(studies):
    """Checks what was asked for, before anything is written; gives what is to be done."""
    online.check(command_line.services())
    if cluster.SUBMIT.value and (STATUS.value or command_line.shard() or len(studies) > 1):
        raise ValueError("--submit is for one study without --status and --shard; leave them out")
    if cluster.JOBS.value is not None and not (cluster.SUBMIT.value or STATUS.value):
        raise ValueError("--jobs is for --submit and --status; choose one, or leave it out")
    is_here = not (cluster.SUBMIT.value or STATUS.value)
    has_page = is_here and page.wanted(command_line.HTML.value, usual=True)
    page_by = command_line.itself() if has_page else ""
    runners = [runner for study in studies for runner in _runners(study, page_by)]
    if cluster.SUBMIT.value:
        return cluster.submission(studies[0].name, runners[0].folder / "jobs")
    if STATUS.value:
        return functools.partial(_show, runners)
    for runner in runners:
        runner.check()
    return functools.partial(_work, runners)


def _runners(study, page_by=""):
    """The runner of a study, or one for each of its jobs."""
    folder = _results() / study.name
    if not STATUS.value:
        check_writable("results", folder)
    seeds = command_line.seeds()
    shards = [command_line.shard()]
    if cluster.SUBMIT.value or cluster.JOBS.value is not None:
        arms = study.arms(SIZE.value, seeds)
        runs = [count(arms[name].runs) for name in fnmatch.filter(arms, ONLY.value)]
        shards = cluster.shards(max(runs, default=1))
    common = {"seeds": seeds, "only": ONLY.value, "flags": command_line.given(*HANDED_ON)}
    common["page_by"] = page_by
    return [Runner(study, folder, SIZE.value, shard=shard, **common) for shard in shards]


def _results():
    """Where the studies' folders are; a try is not in the place of an answer."""
    size = FORMER.get(SIZE.value, SIZE.value)
    return Path(RESULTS.value or Path("results", *([] if size == "default" else [size])))


def _show(runners):
    """Prints the tables, as wide as they are."""
    console = plain_console(soft_wrap=True, width=None if sys.stdout.isatty() else 200)
    for number, runner in enumerate(runners, 1):
        table = runner.status()
        if cluster.JOBS.value is not None:
            table.title = f"{table.title}, job {number} of {len(runners)}"
        console.print(table)


def _work(runners):
    command_line.without_accelerator()  # arms train in processes of their own
    failed = []
    with Interrupts(last_word=lambda: GOES_ON) as interrupts:
        for runner in runners:
            failed += [f"{runner.study.name}/{arm}" for arm in runner.run(interrupts)]
            if interrupts.received:
                break
            if text := runner.summarise():
                print(f"{for_this_terminal(text)}\nresults are in {runner.folder}")
            else:
                print("no arm is finished yet")
    if len(runners) > 1 and not interrupts.received:
        print(overview.write(runners, _results()))
    if interrupts.received:
        print(f"stopped by a signal; {GOES_ON}")
        sys.exit(128 + interrupts.received)
    if failed:
        command_line.warn(f"failed: {', '.join(failed)}; the same command tries them again")
        sys.exit(1)
