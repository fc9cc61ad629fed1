"""Several processes in one folder."""

from random import Random

from . import forks
from .tally import Tally
from .toy import Toy, steps


def together(cases: int, rng: Random, toys) -> Tally:
    """One of them trains, the others say so in one line, and readers do not disturb."""
    tally = Tally("together")
    ways = [_trainings, _resumes, _overwrites, _readers]
    for number in range(cases):
        ways[number % len(ways)](next(toys), rng, tally)
    return tally


def _trainings(toy, rng, tally):
    folder = toy.new_folder()
    _race(toy, folder, [toy.start(folder) for _ in range(2)], tally)


def _resumes(toy, rng, tally):
    folder = _killed(toy, rng)
    _race(toy, folder, [toy.start(folder, "--resume=latest") for _ in range(3)], tally)


def _overwrites(toy, rng, tally):
    folder = _killed(toy, rng)
    _race(toy, folder, [toy.start(folder, "--overwrite") for _ in range(2)], tally)


def _killed(toy, rng):
    folder = toy.new_folder()
    child = toy.start(folder)
    child.wait_for(lambda: max(steps(folder), default=0) >= rng.randrange(20, 200))
    child.send(9)
    child.end()
    return folder


def _race(toy, folder, children, tally):
    ended = [child.end() for child in children]
    for one in ended:
        if one.is_noisy or (one.code and not one.is_refusal):
            tally.wrong("ends badly", toy.kind, one.complaint)
    if all(one.code for one in ended):
        tally.wrong("nobody trained", toy.kind, ended[0].complaint)
    _compare(toy, folder, tally)


def _readers(toy, rng, tally):
    folder = toy.new_folder()
    child = toy.start(folder)
    child.wait_for(lambda: bool(steps(folder)))
    while child.is_alive():
        words = rng.choice(
            [("checkpoint_tool", "list"), ("checkpoint_tool", "inspect"), ("analyze",)]
        )
        output = [f"--output={toy.scratch / 'analysis'}"] if words == ("analyze",) else []
        ended = forks.run(f"grokjax.{words[0]}", *words[1:], folder, *output)
        if ended.is_noisy or (ended.code and not ended.is_refusal):
            tally.wrong("ends badly", f"{words} of {toy.kind} in training", ended.complaint)
    if child.end().code:
        tally.wrong("disturbed", f"{toy.kind} by readers")
    _compare(toy, folder, tally)


def _compare(toy: Toy, folder, tally):
    if differing := toy.differences(folder):
        tally.wrong("different", toy.kind, differing)
    else:
        tally.good("the same bit for bit")
