"""A lock is held once, and where there are no locks training goes on."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from grokjax.recording import files
from grokjax.recording.files import Lock

ROOT = Path(__file__).parent.parent


def test_a_lock_is_held_once_until_it_is_released(tmp_path):
    lock, other = (Lock(tmp_path / "new" / "lock") for _ in range(2))
    assert not other.is_held()
    assert lock.acquire()
    assert lock.acquire()  # it has it already

    assert not other.acquire(timeout=0.1)
    assert lock.is_held()
    assert other.is_held()

    lock.release()
    assert not lock.is_held()
    assert other.acquire()


def test_the_lock_of_a_process_that_died_is_free(tmp_path):
    code = f"""
import os, pathlib
from grokjax.recording.files import Lock
lock = Lock(pathlib.Path({str(tmp_path / "lock")!r}))
assert lock.acquire()
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)

    assert done.returncode == -9
    assert Lock(tmp_path / "lock").acquire()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_warned_of(number, tmp_path, monkeypatch):
    def flock(file, operation):
        raise OSError(number, "no locks here")

    monkeypatch.setattr(files.fcntl, "flock", flock)
    with pytest.warns(UserWarning, match="has no locks; start one process at a time"):
        assert Lock(tmp_path / "lock").acquire()


def test_another_error_of_the_file_system_is_raised(tmp_path, monkeypatch):
    def flock(file, operation):
        raise OSError(errno.EIO, "the disk is gone")

    monkeypatch.setattr(files.fcntl, "flock", flock)
    with pytest.raises(OSError, match="the disk is gone"):
        Lock(tmp_path / "lock").acquire()
