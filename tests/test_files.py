"""A lock is held once, and where there are no locks training goes on."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from grokjax.recording import files
from grokjax.recording.files import Lock, make_folder, replacing

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


def test_who_holds_a_lock_is_known_without_permission_to_write(tmp_path, monkeypatch):
    modes = []

    def opened(path, mode):
        modes.append(mode)
        return open(path, mode)

    lock, other = (Lock(tmp_path / "lock") for _ in range(2))
    assert lock.acquire()
    monkeypatch.setattr(Path, "open", opened)

    assert other.is_held()
    lock.release()
    assert not other.is_held()
    assert modes == ["rb", "rb"]


def test_a_file_is_on_the_disk_before_it_is_in_place_and_then_its_name(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")
    asked = []

    def fsync(descriptor):
        asked.append((Path(os.readlink(f"/proc/self/fd/{descriptor}")), path.read_text()))

    monkeypatch.setattr(os, "fsync", fsync)
    with replacing(path) as scratch:
        scratch.write_text("new")

    assert asked == [(scratch, "old"), (tmp_path, "new")]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("most", "outcome"), [(500, (128, 500)), (30, "may open 30 files; train")])
def test_a_limit_for_open_files_is_raised_or_said_before_training(most, outcome, monkeypatch):
    limits = [(20, most)]

    def setrlimit(kind, pair):
        if pair[1] > most:
            raise ValueError("not allowed to raise maximum limit")
        limits.append(pair)

    monkeypatch.setattr(files.resource, "getrlimit", lambda kind: limits[-1])
    monkeypatch.setattr(files.resource, "setrlimit", setrlimit)
    if most < 128:
        with pytest.raises(ValueError, match=outcome):
            files.check_handles()
    else:
        files.check_handles()
        assert limits[-1] == outcome


def test_a_folder_that_cannot_be_synced_is_no_error(tmp_path, monkeypatch):
    def fsync(descriptor):
        raise OSError(errno.EINVAL, "not on this file system")

    monkeypatch.setattr(os, "fsync", fsync)
    make_folder(tmp_path / "a" / "b")

    assert (tmp_path / "a" / "b").is_dir()


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
