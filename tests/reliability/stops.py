"""Kills and signals at random moments; after each a user goes on."""

import signal
import time
from random import Random

from .tally import Tally
from .toy import EVERY, how_to_go_on, sessions, steps

MOST = 4  # stops of one training


def kills(cases: int, rng: Random, toys) -> Tally:
    """SIGKILL: what had been saved is there, and the end is the same bit for bit."""
    return _stops(Tally("kills"), [signal.SIGKILL], cases, rng, toys)


def signals(cases: int, rng: Random, toys) -> Tally:
    """SIGTERM and SIGINT: as kills, but not one step is lost."""
    return _stops(Tally("signals"), [signal.SIGTERM, signal.SIGINT], cases, rng, toys)


def _stops(tally, numbers, cases, rng, toys):
    while cases > 0:
        toy = next(toys)
        number = rng.choice(numbers)
        folder = toy.new_folder()
        case = f"{toy.kind} {number.name}"
        saved = 0
        for _ in range(min(MOST, cases)):
            ended, session = _stop(toy, folder, number, rng)
            if session and session["from_step"] < saved:
                tally.wrong("lost", case, f"{saved} was saved, went on from {session}")
            if ended.code not in (-number, 128 + number):
                break  # it was too late, or refused, which is found below
            cases -= 1
            if cases and cases % 100 == 0:
                print(f"  {cases} to go; {tally}", flush=True)
            tally.good("stopped in training" if session else "stopped before training")
            saved = max(steps(folder), default=0)
            if session and number == signal.SIGKILL:
                saved = max(saved, session["to_step"] - EVERY)  # a save waits for the one before
            elif session:
                reached = session["to_step"]
                if ended.code < 0 or saved != reached:
                    tally.wrong("not saved", case, f"stopped at {reached}, {ended.complaint}")
                saved = reached
        toy.finish(folder, saved, case, tally)
    return tally


def _stop(toy, folder, number, rng):
    """Goes on and stops; gives how it ended, and its session if training had begun."""
    words = how_to_go_on(folder)
    before = 0 if "--overwrite" in words else len(sessions(folder))
    newest = max(steps(folder), default=0)
    child = toy.start(folder, *words)
    began = time.monotonic()
    if rng.random() < 0.8:  # not before it has saved something
        child.wait_for(lambda: max(steps(folder), default=0) > newest)
    time.sleep(rng.random() * 0.7 * max(time.monotonic() - began, 1.0))
    child.send(number)
    return child.end(), next(iter(sessions(folder)[before:]), None)
