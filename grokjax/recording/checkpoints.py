"""Checkpoints in step folders, written by orbax: save, find, restore, check.

Orbax stores arrays without checksums, so a flipped bit would go unnoticed; each checkpoint
therefore holds a CRC-32 of every array in it.
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


class Restored(NamedTuple):
    """What a checkpoint holds."""

    step: int
    state_R: Any
    history: dict[str, np.ndarray]
    config: dict


class Damaged(ValueError):
    """A checkpoint that cannot be read or fails its checksums."""


class Checkpoints(contextlib.AbstractContextManager):
    """The checkpoints of one experiment, open for saving.

    Saving is asynchronous; leaving the `with` block waits for it, also on an exception.
    """

    def __init__(self, folder: Path, schedule: Mapping):
        """Keeps the newest `schedule.keep`, and one in ten of those that are due."""
        policies = ocp.training.preservation_policies
        self._every = schedule["checkpoint_every"]
        newest = policies.LatestN(schedule["keep"])
        for_good = policies.EveryNSteps(10 * self._every)
        self._checkpointer = ocp.training.Checkpointer(
            folder.absolute(),
            cleanup_tmp_directories=True,
            preservation_policy=policies.AnyPreservationPolicy([newest, for_good]),
        )

    def is_due(self, step: int) -> bool:
        return step % self._every == 0

    def save(
        self, step: int, state_R: Any, history: Mapping[str, np.ndarray], config: Mapping
    ) -> None:
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


def restore(folder: Path, step: int, like_state_R: Any = None) -> Restored:
    """Reads one checkpoint, into numpy's arrays: all runs may be more than one device holds.

    Args:
        folder: that of the checkpoints.
        step: which of them.
        like_state_R: shapes and dtypes of its state; None gives dicts and lists of arrays.

    Raises:
        Damaged: if it cannot be read, or its checksums are not those of its arrays.
    """
    meta = _read_meta(folder, step)
    shapes = dict(_attempt(ocp.checkpointables_metadata, folder, step).metadata)
    shapes.pop("meta")
    if like_state_R is not None:
        shapes["state"] = like_state_R
    content = _load(folder, step, jax.tree.map(lambda x: np.empty(x.shape, x.dtype), shapes))
    if _by_words(checksums(content)) != _by_words(meta["crc"]):
        raise Damaged(f"checkpoint {step} has other bits than were written")
    return Restored(step, content["state"], content.get("history", {}), meta["config"])


def is_readable(folder: Path, step: int) -> bool:
    """Whether its config can be read; other damage is found by `restore`."""
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


def checksums(tree: Any) -> dict[str, int]:
    """CRC-32 of each array of a tree, by its path."""
    return {
        jax.tree_util.keystr(path): zlib.crc32(np.ascontiguousarray(jax.device_get(leaf)).tobytes())
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _by_words(crc):
    """With paths in which a field, an entry of a dict and a place in a list look alike."""
    return {tuple(re.findall(r"\w+", path)): value for path, value in crc.items()}


def _read_meta(folder, step):
    content = _load(folder, step, {"meta": None})
    try:
        return json.loads(content["meta"]["json"])
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
