"""Full disks, and power cuts, after which a disk holds what had been forced onto it."""

import contextlib
import os
import resource
import signal
import subprocess
import time
from pathlib import Path
from random import Random

from . import forks
from .forks import Child
from .tally import Tally
from .toy import EVERY, Toy, steps


def full_disk(cases: int, rng: Random, toys) -> Tally:
    """A limit to the size of files; and where it may be mounted, a disk of a few megabytes."""
    tally = Tally("full_disk")
    for number in range(cases):
        toy = next(toys)
        if number % 2 and can_mount():
            with _mounted(toy.scratch / "small", "-t", "tmpfs", "-o", "size=4m", "tmpfs") as disk:
                rest = rng.randrange(0, 1_000_000)
                (disk / "filler").write_bytes(bytes(4 * 2**20 - rest))
                child = toy.start(disk / "case")
                _judge(toy, child, disk / "case", f"{rest} bytes free", tally, disk / "filler")
        else:
            limit = rng.randrange(9_000, 40_000)  # above what it prints
            folder = toy.new_folder()
            child = Child(_run_limited, limit, toy.words(folder))
            _judge(toy, child, folder, f"files of {limit} bytes", tally)
    return tally


def power_cut(cases: int, rng: Random, toys) -> Tally:
    """The image of a disk as it is at some moment of a training; what it lacks was in memory."""
    tally = Tally("power_cut")
    for _ in range(cases if can_mount() else 0):
        toy = next(toys)
        image, cut = toy.scratch / "image", toy.scratch / "cut"
        image.write_bytes(bytes(32 * 2**20))
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
        with _mounted(toy.scratch / "disk", "-o", "loop", image) as disk:
            folder = disk / "case"
            child = toy.start(folder)
            some = rng.randrange(2 * EVERY, 400)
            child.wait_for(lambda folder=folder, some=some: max(steps(folder), default=0) >= some)
            child.send(signal.SIGSTOP)
            newest = max(steps(folder))
            subprocess.run(["cp", image, cut], check=True)
            child.send(signal.SIGKILL)
            child.end()
        with _mounted(toy.scratch / "disk", "-o", "loop", cut) as disk:
            found = steps(disk / "case")
            folder = toy.new_folder(disk / "case" if (disk / "case").exists() else None)
        case = f"{toy.kind} at {newest}, on the disk {found}"
        toy.finish(folder, newest - EVERY, case, tally)  # the newest one may be on its way
    return tally


def can_mount() -> bool:
    """Needs root, and loop devices."""
    return os.geteuid() == 0 and Path("/dev/loop-control").exists()


def _run_limited(limit, words):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    forks._run_module("grokjax.train", words)


def _judge(toy: Toy, child, folder, case, tally, filler=None):
    """What is said when the disk is full, and what can be gone on with when it no longer is."""
    ended = child.end()
    case = f"{toy.kind}, {case}, {ended.complaint[:200]}"
    if ended.code < 0:
        tally.wrong("hangs", case)
    elif ended.is_noisy or (ended.code and not ended.err):
        tally.wrong("noise", case, f"{len(ended.err.splitlines())} lines")
    else:
        tally.good("went on" if ended.code == 0 else "stopped with a line")
    if filler:
        filler.unlink()
    toy.finish(folder, max(steps(folder), default=0), case, tally)


@contextlib.contextmanager
def _mounted(folder, *words):
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", *words, folder], check=True)
    try:
        yield folder
    finally:
        for _ in range(50):  # something may still have it open
            if subprocess.run(["umount", folder], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
