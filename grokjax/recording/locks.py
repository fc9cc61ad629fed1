"""A lock on a file, which the operating system takes away from a process that dies."""

import fcntl
import time
from pathlib import Path

POLL = 0.05  # seconds


class Lock:
    """Held by one process at a time."""

    def __init__(self, path: Path):
        self._path, self._file = path, None

    def take(self, wait: float = 0.0) -> bool:
        """Takes the lock if within `wait` seconds nobody else has it; makes its folder and file."""
        if self._file is not None:
            return True
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file, until = self._path.open("a"), time.monotonic() + wait
        while not _locked(file):
            if time.monotonic() >= until:
                file.close()
                return False
            time.sleep(POLL)
        self._file = file
        return True

    def give(self) -> None:
        """Gives it back."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def is_taken(self) -> bool:
        """Does any process have it?"""
        if self._file is not None or not self._path.exists():
            return self._file is not None
        free = self.take()
        self.give()
        return not free


def _locked(file):
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
