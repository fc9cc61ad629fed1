"""Files that several processes use: replaced as a whole, and locked."""

import contextlib
import errno
import fcntl
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

POLL = 0.05  # seconds
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # of a file system without flock


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path to write; puts it in place of `path` when all has been written.

    The suffix stays the same, because some writers choose the format by it; each process has a
    path of its own.
    """
    scratch = path.with_name(f"{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield scratch
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


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
        self._path.parent.mkdir(parents=True, exist_ok=True)
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
        """Whether any process holds it."""
        if self._file is not None or not self._path.exists():
            return self._file is not None
        free = self.acquire()
        self.release()
        return not free


def _try_lock(file):
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        where = f"the file system of {file.name!r}"
        warnings.warn(f"{where} has no locks; start one process at a time there", stacklevel=3)
    return True
