"""The command: `python -m tests.reliability [PART ...] [--cases N]`."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from grokjax.recording.output import make_steady

from . import __doc__ as about
from . import forks, toy
from .damage import damage
from .disks import full_disk, power_cut
from .stops import kills, signals
from .together import together

PARTS = {part.__name__: part for part in (kills, signals, damage, together, full_disk, power_cut)}


def main() -> None:
    make_steady()
    parser = argparse.ArgumentParser(
        prog="python -m tests.reliability",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all if none is given")
    parser.add_argument("--cases", type=int, default=20, help="of each part")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and places")
    parser.add_argument("--scratch", type=Path, help="a folder on a disk, kept for a look")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - PARTS.keys():
        parser.error(f"unknown part {unknown.pop()!r}; choose from {', '.join(PARTS)}")
    forks.preload()
    scratch = chosen.scratch or Path(tempfile.mkdtemp())  # every fork would end a `with` block's
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        toys = toy.toys(scratch.resolve())
        tallies = [_measured(PARTS[name], chosen, toys) for name in chosen.parts or PARTS]
    finally:
        if not chosen.scratch:
            shutil.rmtree(scratch)
    print(*tallies, sep="\n")
    sys.exit(any(tally.bad for tally in tallies))


def _measured(part, chosen, toys):
    began = time.monotonic()
    tally = part(chosen.cases, Random(chosen.seed), toys)
    print(f"{tally} ({time.monotonic() - began:.0f} seconds)", flush=True)
    return tally


main()
