"""One bit flipped in every file of a results folder, or the file cut, zeroed or deleted."""

import itertools
import re
import shutil
import signal
from random import Random

from . import forks
from .forks import Ended
from .tally import Tally
from .toy import KINDS, steps

SIZE = re.compile(r"[\d.]+ [kM]?B\b")


def damage(cases: int, rng: Random, toys) -> Tally:
    """Is it noticed, or harmless? A result that is silently another one is neither.

    The first 190 cases or so are a flipped bit in every file: of all toys, finished and not.
    """
    tally = Tally("damage")
    for kind in itertools.cycle([_flip, _cut, _flip, _zero, _delete]):
        for toy in itertools.islice(toys, len(KINDS)):
            for whole in (toy.whole, _interrupted(toy)):
                cases -= _every_file(toy, whole, kind, cases, rng, tally)
                if not cases:
                    return tally


def _interrupted(toy):
    """A training that a signal stopped half-way."""
    folder = toy.scratch / f"interrupted-{toy.kind}"
    if not folder.exists():
        child = toy.start(folder)
        child.wait_for(lambda: max(steps(folder), default=0) >= 100)
        child.send(signal.SIGTERM)
        assert child.end().code == 128 + signal.SIGTERM
    return folder


def _every_file(toy, whole, kind, cases, rng, tally):
    """Damages the files one by one, of checkpoints those of the newest; returns how many."""
    newest = str(steps(whole)[-1])
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    files = [path for path in files if path.parts[0] != "checkpoints" or path.parts[1] == newest]
    sound = _read(toy, whole)
    rng.shuffle(files)
    for file in files[:cases]:
        folder = toy.new_folder(whole)
        kind(folder / file, rng)
        _judge(toy, folder, f"{toy.kind} {whole.name} {file} {kind.__name__}", sound, tally)
    return min(len(files), cases)


def _flip(path, rng):
    data = bytearray(path.read_bytes() or b"\0")
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def _cut(path, rng):
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data) or 1)])


def _zero(path, rng):
    path.write_bytes(bytes(path.stat().st_size))


def _delete(path, rng):
    path.unlink()


def _read(toy, folder):
    """What the commands that read say of a folder, under one path, without sizes of files."""
    place = toy.new_folder(folder) if folder != toy.scratch / "case" else folder
    analysis = toy.scratch / "analysis"
    shutil.rmtree(analysis, ignore_errors=True)
    said = {name: forks.run("grokjax.checkpoint_tool", name, place) for name in ("list", "inspect")}
    said["analyze"] = forks.run("grokjax.analyze", place, f"--output={analysis}")
    return {name: ended._replace(out=SIZE.sub("", ended.out)) for name, ended in said.items()}


def _judge(toy, folder, case, sound, tally):
    """The commands that read must notice it or answer the same; older checkpoints are sound."""
    for name, said in _read(toy, folder).items():
        if said.is_noisy:
            tally.wrong("noise", f"{case}, {name}", said.complaint)
        elif said.out == sound[name].out and said.code == 0:
            tally.good("harmless")
        elif said.is_refusal or said.err or re.search("damaged|cannot|other bits", said.out):
            tally.good("noticed")
        else:
            change = _first_change(sound[name], said)
            tally.wrong("silently another answer", f"{case}, {name}", change)
    toy.finish(folder, 0, f"{case}, resume", tally)


def _first_change(sound: Ended, said: Ended):
    old, new = sound.out.splitlines(), said.out.splitlines()
    pairs = [(a, b) for a, b in zip(old, new, strict=False) if a != b]
    return pairs[0] if pairs else f"{len(old)} and {len(new)} lines"
