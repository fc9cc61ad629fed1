"""A lock on a file, which the operating system takes away from a process that dies."""

import fcntl
from pathlib import Path


class Lock:
    """Held by one process at a time."""

    def __init__(self, path: Path):
        self._path, self._file = path, None

    def take(self) -> bool:
        """Takes the lock if nobody else has it; makes its folder and file."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("a")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                return False
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
