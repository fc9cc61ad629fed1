"""Files that several processes use: replaced as a whole, on the disk, and locked."""

import contextlib
import errno
import fcntl
import os
import re
import resource
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

POLL = 0.05  # seconds
HANDLES = 128  # 90 were seen to be open at once, with the curves of 16 runs
MISREAD = re.compile(r"[\\*?\[\]\udc80-\udcff]")  # in a path; orbax takes it for a pattern
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # of a file system without flock
NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)  # of one that cannot sync folders


def check_handles() -> None:
    """Asks the system for as many open files as training needs; a ValueError if it refuses."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now >= HANDLES:
        return
    try:
        limits = (HANDLES, most if most == resource.RLIM_INFINITY else max(most, HANDLES))
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    except (ValueError, OSError) as error:
        raise ValueError(
            f"this process may open {most} files; training needs {HANDLES}, see ulimit -n"
        ) from error


def sync(path: Path) -> None:
    """Waits until the bytes of a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def sync_all(folder: Path) -> None:
    """Waits until a folder is on the disk with all that is in it."""
    for path in folder.iterdir():
        if path.is_dir():
            sync_all(path)
        else:
            sync(path)
    sync(folder)


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, on the disk."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path to write; puts it in place of `path` when all has been written.

    The suffix stays the same, because some writers choose the format by it; each process has a
    path of its own. After a power cut there is the old or the new file, and no empty one.
    """
    scratch = path.with_name(f"{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield scratch
        sync(scratch)
        scratch.replace(path)
        sync(path.parent)
    finally:
        scratch.unlink(missing_ok=True)


def remove_scratch(path: Path) -> None:
    """Removes what those left who were killed while `replacing` a file; nobody may be at it."""
    name = re.compile(rf"{re.escape(path.stem)}\.\d+{re.escape(path.suffix)}")
    for scratch in path.parent.iterdir():
        if name.fullmatch(scratch.name) and scratch.is_file():
            scratch.unlink()


@contextlib.contextmanager
def plainly(folder: Path) -> Iterator[Path]:
    """The same folder under a name that orbax does not take for a pattern."""
    if not MISREAD.search(str(folder.absolute())):
        yield folder.absolute()
        return
    with tempfile.TemporaryDirectory() as scratch:
        link = Path(scratch, "checkpoints")
        link.symlink_to(folder.absolute())
        yield link


class Lock:
    """A file lock that one process holds at a time; the system releases it when that one dies.

    A file system without locks is warned of once, and nothing is locked there.
    """

    def __init__(self, path: Path):
        self._path = path
        self._file = None

    def acquire(self, timeout: float = 0.0) -> bool:
        """Makes the file and locks it; False if another process held it for `timeout` seconds."""
        if self._file is not None:
            return True
        make_folder(self._path.parent)
        file = self._path.open("a")
        deadline = time.monotonic() + timeout
        while not _try_lock(file):
            if time.monotonic() >= deadline:
                file.close()
                return False
            time.sleep(POLL)
        self._file = file
        return True

    def release(self) -> None:
        """Does nothing if this process does not hold it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def is_held(self) -> bool:
        """Whether any process holds it; needs no permission to write."""
        if self._file is not None or not self._path.exists():
            return self._file is not None
        with self._path.open("rb") as file:
            return not _try_lock(file, fcntl.LOCK_SH)


def _try_lock(file, kind=fcntl.LOCK_EX):
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        where = f"the file system of {file.name!r}"
        warnings.warn(f"{where} has no locks; start one process at a time there", stacklevel=3)
    return True
