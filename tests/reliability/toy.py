"""The toys, and what their trainings leave."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from . import forks
from .forks import Child
from .tally import Tally

KINDS = ("solo", "map", "vmap")
CONFIG = Path(__file__).with_name("config.py")
CACHE = Path("~/.cache/grokjax/tests").expanduser()
EVERY = 20  # steps between checkpoints


class Toy:
    """A toy, and what its training leaves if nothing disturbs it."""

    def __init__(self, kind: str, scratch: Path):
        self.kind = kind
        self.scratch = scratch
        self.whole = scratch / f"whole-{kind}"
        self._words = [f"--config={CONFIG}:{kind}", f"--compilation_cache={CACHE}"]
        ended = self.start(self.whole, "--overwrite").end(600)
        assert ended.code == 0, ended
        self._outcome = outcome(self.whole)

    def words(self, folder: Path) -> list[str]:
        """What the command `grokjax.train` is given to train in a folder."""
        return [*self._words, f"--workdir={folder}"]

    def start(self, folder: Path, *words: str) -> Child:
        return forks.start("grokjax.train", *self.words(folder), *words)

    def finish(self, folder: Path, saved: int, case: str, tally: Tally) -> None:
        """Goes on as a user would, and judges the end.

        Args:
            folder: where it stopped.
            saved: the step that it must go on from, or a later one.
            case: what had happened to it.
            tally: where the judgement goes.
        """
        words = how_to_go_on(folder)
        before = len(sessions(folder)) if "--resume=latest" in words else 0
        ended = self.start(folder, *words).end()
        session = next(iter(sessions(folder)[before:]), {"from_step": saved})
        left = [path.name for path in (*folder.glob(".*"), *folder.glob("*.*.*"))]
        if ended.code:
            tally.wrong("refused", case, ended.complaint)
        elif session["from_step"] < saved:
            tally.wrong("lost", case, f"{saved} was saved, went on from {session['from_step']}")
        elif differing := self.differences(folder):
            tally.wrong("different", case, differing)
        elif ended.is_noisy:
            tally.wrong("noise", case, ended.complaint)
        elif left:
            tally.wrong("litter", case, left)
        else:
            tally.good("the same bit for bit" + " after a warning" * ("warning" in ended.err))

    def differences(self, folder: Path) -> list[str]:
        """Names of what is not there bit for bit as if nothing had disturbed it."""
        found = outcome(folder)
        if "unreadable" in found:
            return [found["unreadable"]]
        names = sorted(found | self._outcome)
        return [name for name in names if found.get(name) != self._outcome.get(name)]

    def new_folder(self, copy_of: Path | None = None) -> Path:
        """An empty place for a case, or a copy."""
        folder = self.scratch / "case"
        shutil.rmtree(folder, ignore_errors=True)
        if copy_of:
            shutil.copytree(copy_of, folder)
        return folder


def toys(scratch: Path) -> Iterator[Toy]:
    """The three of them again and again, each made when it is first needed."""
    made = []
    for kind in KINDS:
        made.append(Toy(kind, scratch))
        yield made[-1]
    while True:
        yield from made


def steps(folder: Path) -> list[int]:
    """Of the checkpoints in a results folder, without the help of what is tested."""
    names = [path.name for path in (folder / "checkpoints").glob("*")]
    return sorted(int(name) for name in names if name.isdigit())


def sessions(folder: Path) -> list[dict]:
    try:
        return json.loads((folder / "experiment_metadata.json").read_text())["sessions"]
    except (OSError, ValueError, KeyError):
        return []


def how_to_go_on(folder: Path) -> list[str]:
    if steps(folder):
        return ["--resume=latest"]
    return ["--overwrite"] if folder.exists() else []


def outcome(folder: Path) -> dict[str, str]:
    """Digests of what a training leaves: each array, each run's summary, the last weights."""
    ended = Child(_print_outcome, folder).end()
    return json.loads(ended.out) if ended.code == 0 else {"unreadable": ended.complaint}


def _print_outcome(folder):
    import jax

    from grokjax.recording import checkpoints

    with np.load(folder / "history.npz") as file:
        found = {f"history {name}": _digest(file[name]) for name in file.files}
    summary = json.loads((folder / "summary.json").read_text())
    found |= {f"summary {run['label']}": json.dumps(run) for run in summary["runs"]}
    last = checkpoints.restore(folder / "checkpoints", steps(folder)[-1])
    for path, leaf in jax.tree_util.tree_leaves_with_path([last.step, last.state_R, last.history]):
        found[f"checkpoint {jax.tree_util.keystr(path)}"] = _digest(np.asarray(leaf))
    print(json.dumps(found))


def _digest(array):
    return hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).hexdigest()[:16]
