"""Checkpoints in step folders, written by orbax: save, find, restore, check.

Orbax stores arrays without checksums, so a flipped bit would go unnoticed; each checkpoint
therefore holds a CRC-32 of every array in it, and of the config. Nor does orbax wait for the disk:
a checkpoint gets its name, and older ones are deleted, when all its bytes have arrived there.
"""

import contextlib
import errno
import json
import re
import shutil
import time
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from grokjax.recording.files import make_folder, plainly, sync, sync_all
from grokjax.recording.output import LONGEST, in_one_line, may_fail, warn

SETTLED = 60.0  # seconds after which even a disk that ignores fsync has written
UNWRITTEN = (OSError, ValueError)  # of a disk that is full; tensorstore says it by the second
UNSAVED = ".unsaved"  # of a checkpoint that is being written
DELETED = ".deleted"
PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EIO, errno.ESTALE}  # no damage
LEFTOVER = re.compile(rf"\d+({UNSAVED}|{DELETED}|\.orbax-checkpoint-tmp)")


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

    They are written by a thread of their own; leaving the `with` block waits for it, also on an
    exception.
    """

    def __init__(self, folder: Path, schedule: Mapping):
        """Keeps the newest `schedule.keep`, one in ten of those that are due, and a settled one."""
        self._folder = folder
        self._every = schedule["checkpoint_every"]
        self._keep = schedule["keep"]
        self._thread = ThreadPoolExecutor(1, "checkpoints")
        self._saving = None  # the future of the last save
        self._is_proven = False  # has one been read back?
        self._is_warned = False  # of one that could not be written, and none was since
        make_folder(folder)
        for path in folder.iterdir():
            if LEFTOVER.match(path.name):  # of a process that was killed
                shutil.rmtree(path, ignore_errors=True)

    def is_due(self, step: int) -> bool:
        return step % self._every == 0

    def save(
        self, step: int, state_R: Any, history: Mapping[str, np.ndarray], config: Mapping
    ) -> None:
        """Saves at any step; state and history are copied before this returns.

        The first save is waited for and read back, so that a folder that does not give back what
        was written there is noticed at once.

        Raises:
            OSError: if this or the save before it could not be written.
        """
        try:
            self.wait()
        finally:  # this one may be written, though the one before was not
            if steps(self._folder)[-1:] != [step]:
                self._begin(step, state_R, history, config)

    def save_or_warn(self, step: int, *content: Any, last: bool) -> None:
        """Saves: training goes on without a checkpoint, but does not end without the last one."""
        try:
            self.save(step, *content)
            self._is_warned = False
        except UNWRITTEN as error:  # perhaps of the one before
            if not self._is_warned:  # once, as long as a disk is full
                warn(f"warning: a checkpoint is missing: {in_one_line(error, LONGEST)}")
            self._is_warned = True
        if last:
            with may_fail("the last checkpoint is tried again", UNWRITTEN):
                self.wait()
            self.save(step, *content)  # does nothing if it is there
            self.wait()

    def _begin(self, step, state_R, history, config):
        content = {"state": state_R} | ({"history": dict(history)} if history else {})
        copied = jax.tree.map(np.array, jax.device_get(content))
        self._saving = self._thread.submit(self._write, step, copied, config)
        if not self._is_proven:
            self.wait()
            self._read_back(step)
            self._is_proven = True

    def _write(self, step, content, config):
        try:
            self._write_all(step, content, config)
        except BaseException:
            for path in self._folder.glob(f"{step}{UNSAVED}*"):  # frees the disk
                shutil.rmtree(path, ignore_errors=True)
            raise

    def _write_all(self, step, content, config):
        text = json.dumps({"config": config, "crc": checksums(content)})  # as text: keeps its order
        content["meta"] = {"json": f"{_crc(text):08x} {text}"}
        unsaved = self._folder / f"{step}{UNSAVED}"
        with plainly(self._folder) as folder:
            _orbax().save_checkpointables(folder / unsaved.name, content, overwrite=True)
        sync_all(unsaved)
        unsaved.rename(self._folder / str(step))
        sync(self._folder)
        for older in self._superfluous():
            deleted = (self._folder / str(older)).rename(self._folder / f"{older}{DELETED}")
            shutil.rmtree(deleted, ignore_errors=True)

    def _superfluous(self):
        """Those to delete. One that is settled stays, and one that will be the next to settle."""
        present = steps(self._folder)
        saved = {step: (self._folder / str(step)).stat().st_mtime for step in present}
        settled = [step for step in present if saved[step] <= time.time() - SETTLED]
        unsettled = [step for step in present if step not in settled]
        kept = {*present[-self._keep :], *settled[-1:], *unsettled[:1]}
        return [step for step in present if step not in kept and step % (10 * self._every)]

    def _read_back(self, step):
        try:
            restore(self._folder, step)
        except Damaged as damage:
            shutil.rmtree(self._folder / str(step), ignore_errors=True)
            where = f"{str(self._folder)!r} does not give back what is written there"
            raise OSError(f"{where} ({damage}); choose another --workdir") from damage

    def wait(self) -> None:
        """Waits for the save that is under way; raises what it ended with, once."""
        saving = self._saving
        self._saving = None  # its error is raised once
        if saving is not None:
            saving.result()

    def __exit__(self, *exception):
        self._thread.shutdown()
        self.wait()


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
        ValueError: if it holds a state with other fields.
    """
    meta = _read_meta(folder, step)
    shapes = dict(_attempt(_orbax().checkpointables_metadata, folder, step).metadata)
    shapes.pop("meta")
    if like_state_R is not None:
        _check_fields(step, meta["crc"], like_state_R)
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
            sync(folder)


def checksums(tree: Any) -> dict[str, int]:
    """CRC-32 of each array of a tree, by its path."""
    return {
        jax.tree_util.keystr(path): zlib.crc32(np.ascontiguousarray(jax.device_get(leaf)).tobytes())
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _check_fields(step, crc, like_state_R):
    stored = {words for words in _by_words(crc) if words[0] == "state"}
    paths = jax.tree_util.tree_leaves_with_path({"state": like_state_R})
    wanted = {*_by_words({jax.tree_util.keystr(path): 0 for path, _ in paths})}
    if other := stored ^ wanted:
        raise ValueError(
            f"checkpoint {step} holds a state with other fields ({'.'.join(min(other))}); it was "
            "written by another version of grokjax: go on with that, or train again"
        )


def _by_words(crc):
    """With paths in which a field, an entry of a dict and a place in a list look alike."""
    return {tuple(re.findall(r"\w+", path)): value for path, value in crc.items()}


def _read_meta(folder, step):
    content = _load(folder, step, {"meta": None})
    try:
        text = content["meta"]["json"]
        if not text.startswith("{"):  # those of former versions have no checksum
            crc, _, text = text.partition(" ")
            if int(crc, 16) != _crc(text):
                raise ValueError("other bits")
        return json.loads(text)
    except (KeyError, ValueError) as error:
        raise Damaged(f"checkpoint {step} has another config than was written") from error


def _crc(text):
    return zlib.crc32(text.encode())


def _orbax():
    from orbax.checkpoint import v1  # takes a while: not before the first checkpoint

    return v1


def _load(folder, step, wanted):
    load = _orbax().load_checkpointables
    return _attempt(lambda path: load(path, wanted), folder, step)


def _attempt(read, folder, step):
    try:
        with plainly(folder) as plain:
            return read(plain / str(step))
    except (PermissionError, MemoryError):
        raise
    except Exception as error:  # orbax raises many types, some of them plain Exception
        if {getattr(each, "errno", None) for each in (error, error.__cause__)} & PASSING:
            raise
        reason = str(error.__cause__ or error).strip().split("\n")[0]
        raise Damaged(f"checkpoint {step} cannot be read ({reason[:200]})") from error
