"""The toys, and what their trainings leave."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from . import forks
from .forks import Child, Ended

KINDS = ("solo", "map", "vmap")
CONFIG = Path(__file__).with_name("config.py")
EVERY = 20  # steps between checkpoints


class Toy:
    """A toy, and what its training leaves if nothing disturbs it."""

    def __init__(self, kind: str, scratch: Path):
        self.kind = kind
        self.scratch = scratch
        self.whole = scratch / f"whole-{kind}"
        self._words = [f"--config={CONFIG}:{kind}", f"--compilation_cache={scratch / 'xla'}"]
        ended = self.start(self.whole, "--overwrite").end(600)
        assert ended.code == 0, ended
        self._outcome = outcome(self.whole)

    def words(self, folder: Path) -> list[str]:
        """What the command `grokjax.train` is given to train in a folder."""
        return [*self._words, f"--workdir={folder}"]

    def start(self, folder: Path, *words: str) -> Child:
        return forks.start("grokjax.train", *self.words(folder), *words)

    def go_on(self, folder: Path) -> Child:
        """Starts what a user would after a stop."""
        return self.start(folder, *how_to_go_on(folder))

    def differences(self, folder: Path) -> list[str]:
        """Names of what is not there bit for bit as if nothing had disturbed it."""
        found = outcome(folder)
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
    return json.loads(ended.out) if ended.code == 0 else {"unreadable": ended.err[-500:]}


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


def complaint(ended: Ended) -> str:
    """The end of what a process said, on one line."""
    return f"exit {ended.code}: {' | '.join(ended.err.splitlines())[-300:]}"
