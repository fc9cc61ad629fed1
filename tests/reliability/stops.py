"""Kills and signals at random moments; after each a user goes on."""

import signal
import time
from random import Random

from .tally import Tally
from .toy import EVERY, Toy, complaint, how_to_go_on, sessions, steps

ASKING = (signal.SIGTERM, signal.SIGINT)  # these are answered by a checkpoint


def kills(cases: int, rng: Random, toys) -> Tally:
    """SIGKILL: what had been saved is there, and the end is the same bit for bit."""
    return _stops("kills", [signal.SIGKILL], cases, rng, toys)


def signals(cases: int, rng: Random, toys) -> Tally:
    """SIGTERM and SIGINT: as kills, but not one step is lost."""
    return _stops("signals", ASKING, cases, rng, toys)


def _stops(name, numbers, cases, rng, toys):
    tally = Tally(name)
    done = 0
    while done < cases:
        done += _one_training(next(toys), rng.choice(numbers), min(4, cases - done), rng, tally)
    return tally


def _one_training(toy: Toy, number, most, rng, tally):
    """Stops a training up to so often; returns how often it did."""
    folder = toy.new_folder()
    case = f"{toy.kind} {signal.Signals(number).name}"
    saved = stopped = 0
    while stopped < most:
        words = how_to_go_on(folder)
        before = 0 if "--overwrite" in words else len(sessions(folder))
        child = toy.start(folder, *words)
        began = time.monotonic()
        if rng.random() < 0.8:  # not before it has saved something
            newest = max(steps(folder), default=0)
            child.wait_for(lambda newest=newest: max(steps(folder), default=0) > newest)
        time.sleep(rng.random() * 0.7 * max(time.monotonic() - began, 1.0))
        child.send(number)
        ended = child.end()
        session = sessions(folder)[before:]
        if session and session[-1]["from_step"] < saved:
            tally.wrong("lost", case, f"{saved} was saved, began at {session[-1]['from_step']}")
        if ended.code == 0:
            tally.good("ended before the stop")
            break
        if ended.code not in (-number, 128 + number):
            tally.wrong("refused", f"{case}, {words}", complaint(ended))
            return stopped + 1
        stopped += 1
        saved = max(steps(folder), default=0)
        if not session:
            tally.good("before training")
        elif number == signal.SIGKILL:
            tally.good("in training")
            saved = max(saved, session[-1]["to_step"] - EVERY)  # that save waits for the one before
        elif ended.code < 0:
            tally.wrong("not answered", case, f"stopped at {session[-1]['to_step']}")
        else:
            tally.good("in training")
            saved = session[-1]["to_step"]
            if steps(folder)[-1:] != [saved]:
                tally.wrong("lost", case, f"stopped at {saved}, saved {steps(folder)}")
    _end(toy, folder, saved, case, tally)
    return stopped or 1


def _end(toy, folder, saved, case, tally):
    """Goes on to the end and compares."""
    before = len(sessions(folder)) if steps(folder) else 0
    ended = toy.go_on(folder).end()
    session = sessions(folder)[before:]
    left = [path.name for path in folder.glob(".*")] + [path.name for path in folder.glob("*.*.*")]
    if ended.code:
        tally.wrong("refused", case, complaint(ended))
    elif session and session[-1]["from_step"] < saved:
        tally.wrong("lost", case, f"{saved} was saved, went on from {session[-1]['from_step']}")
    elif differing := toy.differences(folder):
        tally.wrong("different", case, differing)
    elif left:
        tally.wrong("litter", case, left)
    else:
        tally.good("trainings the same bit for bit")
