"""Checkpoints in step folders, written by orbax: save, find, restore, check.

Orbax stores arrays without checksums, so a flipped bit would come back unnoticed; each
checkpoint therefore carries a CRC-32 of every array in it.
"""

import contextlib
import json
import re
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

MILESTONE = 10  # every tenth checkpoint is kept for good


class Restored(NamedTuple):
    """What a checkpoint holds."""

    step: int
    state_R: Any
    history: dict[str, np.ndarray]
    config: dict


class Damaged(ValueError):
    """A checkpoint that cannot be read or does not have the bits that were written."""


class Checkpoints(contextlib.AbstractContextManager):
    """The checkpoints of one experiment, open for saving.

    Saving is asynchronous; leaving the `with` block waits for it, also on an exception.
    """

    def __init__(self, folder: Path, schedule: Mapping):
        """Keeps the newest `schedule.keep`, and one in ten of those that are due."""
        preserved = ocp.training.preservation_policies
        self._every = schedule["checkpoint_every"]
        between = MILESTONE * self._every
        milestones = range(between, schedule["num_steps"] + 1, between)
        self._checkpointer = ocp.training.Checkpointer(
            folder.absolute(),
            cleanup_tmp_directories=True,
            preservation_policy=preserved.AnyPreservationPolicy(
                [preserved.LatestN(schedule["keep"]), preserved.CustomSteps(tuple(milestones))]
            ),
        )

    def is_due(self, step: int) -> bool:
        return step % self._every == 0

    def save(self, step: int, state_R, history: Mapping[str, np.ndarray], config: Mapping) -> None:
        """Saves at any step; state and history are copied before this returns."""
        latest = self._checkpointer.latest
        if latest is not None and latest.step == step:
            return
        content = {"state": state_R} | ({"history": dict(history)} if history else {})
        meta = json.dumps({"config": config, "crc": checksums(content)})  # as text: keeps its order
        content["meta"] = {"json": meta}
        self._checkpointer.save_checkpointables_async(step, content, force=True)

    def __exit__(self, *exception):
        self._checkpointer.close()


def steps(folder: Path) -> list[int]:
    """The steps that have a folder, oldest first; unfinished ones have other names."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def read_config(folder: Path, step: int) -> dict:
    """The config that a checkpoint was written under."""
    return _read_meta(folder, step)["config"]


def restore(folder: Path, step: int, like_state_R) -> Restored:
    """Reads one checkpoint; `like_state_R` gives the shapes and dtypes of its state.

    Its arrays are numpy's: all runs together may be more than one device holds.

    Raises:
        Damaged: if it cannot be read, or its checksums are not those of its arrays.
    """
    template = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), like_state_R)
    meta = _read_meta(folder, step)
    has_history = any(name.startswith("['history']") for name in meta["crc"])
    wanted = {"state": template} | ({"history": None} if has_history else {})
    content = _load(folder, step, wanted)
    if checksums(content) != meta["crc"]:
        raise Damaged(f"checkpoint {step} has other bits than were written")
    history = jax.tree.map(np.asarray, content.get("history", {}))
    return Restored(step, content["state"], history, meta["config"])


def read(folder: Path, step: int) -> Restored:
    """Reads one checkpoint without knowing what it is of: its state is dicts and lists of arrays.

    They are numpy's, so that a laptop can read what many devices wrote.

    Raises:
        Damaged: if it cannot be read, or its checksums are not those of its arrays.
    """
    meta = _read_meta(folder, step)
    shapes = _attempt(ocp.checkpointables_metadata, folder, step).metadata
    wanted = {
        name: jax.tree.map(lambda x: np.empty(x.shape, x.dtype), shapes[name])
        for name in ("state", "history")
        if name in shapes
    }
    content = _load(folder, step, wanted)
    if _anonymous(checksums(content)) != _anonymous(meta["crc"]):
        raise Damaged(f"checkpoint {step} has other bits than were written")
    return Restored(step, content["state"], content.get("history", {}), meta["config"])


def is_readable(folder: Path, step: int) -> bool:
    """Can at least its config be read? What is damaged otherwise is found by `restore`."""
    try:
        read_config(folder, step)
    except Damaged:
        return False
    return True


def set_aside_after(folder: Path, step: int) -> None:
    """Renames checkpoints newer than `step`, which a rewound run will write again."""
    for later in steps(folder):
        if later > step:
            aside = folder / f"{later}.superseded"
            shutil.rmtree(aside, ignore_errors=True)
            (folder / str(later)).rename(aside)


def checksums(tree) -> dict[str, int]:
    """CRC-32 of each array of a tree, by its path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): _crc(leaf) for path, leaf in leaves}


def _crc(leaf):
    return zlib.crc32(np.ascontiguousarray(jax.device_get(leaf)).tobytes())


def _anonymous(crc):
    """Checksums by paths that do not tell a dict's entry from a field or a place in a list."""
    return {tuple(re.findall(r"\w+", path)): value for path, value in crc.items()}


def _read_meta(folder, step):
    meta = _load(folder, step, {"meta": None})["meta"]
    try:
        return json.loads(meta["json"])
    except (KeyError, ValueError) as error:
        raise Damaged(f"checkpoint {step} has another config than was written") from error


def _load(folder, step, wanted):
    return _attempt(lambda path: ocp.load_checkpointables(path, wanted), folder, step)


def _attempt(read, folder, step):
    try:
        return read((folder / str(step)).absolute())
    except (PermissionError, MemoryError):
        raise
    except Exception as error:  # orbax raises many types, some of them plain Exception
        reason = str(error.__cause__ or error).strip().split("\n")[0]
        raise Damaged(f"checkpoint {step} cannot be read ({reason[:200]})") from error
