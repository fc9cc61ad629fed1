"""A results folder says truthfully how it stands, whatever of it is damaged."""

import json
import subprocess

import pytest
from conftest import toy
from made_results import leave

from grokjax.recording import machine
from grokjax.recording.files import Lock
from grokjax.recording.results import STOPPED, Results
from grokjax.running import report

DAMAGED = ["", "[]", "null", "3", '"x"', "{}", '{"status": 3}', '{"a": ', "[" * 100_000, "\udcff"]


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_damaged_metadata_are_said_to_be_so(text, tmp_path):
    results = Results(leave(tmp_path / "run", [300]))
    results.metadata.write_bytes(text.encode(errors="surrogateescape"))

    assert results.status() == "damaged"
    assert not results.is_complete()
    assert (results.sessions(), results.seconds()) == ([], 0)


def test_damaged_sessions_are_left_out(tmp_path):
    results = Results(leave(tmp_path / "run", [300]))
    sessions = [{"seconds": 2.0}, 3, {"seconds": "x"}, {"seconds": float("nan")}, {"from_step": 1}]
    results.metadata.write_text(json.dumps({"status": "finished", "sessions": sessions}))

    assert results.sessions() == [{"seconds": 2.0}, {"from_step": 1}]
    assert results.seconds() == 2


def test_training_is_running_as_long_as_its_process_holds_the_lock(tmp_path):
    results = Results(leave(tmp_path / "run", [300], status="running"))
    assert results.status() == STOPPED

    lock = Lock(tmp_path / "run" / "lock")
    assert lock.acquire()
    assert results.status() == "running"
    lock.release()
    assert results.status() == STOPPED


@pytest.mark.parametrize("name", ["history.npz", "summary.json", "config.json"])
def test_training_that_lacks_a_result_is_not_complete(name, tmp_path):
    results = Results(leave(tmp_path / "run", [300]))
    results.summary.write_text('{"runs": []}')
    assert results.is_complete()

    (results.folder / name).unlink()
    assert not results.is_complete()


def test_files_that_no_training_has_written_are_foreign(tmp_path):
    results = Results(tmp_path / "project")
    assert results.foreign() == []

    (results.folder / "checkpoints").mkdir(parents=True)
    (results.folder / "notes.txt").touch()
    assert results.foreign() == []  # nothing that would be lost

    (results.folder / "checkpoints" / "model.pt").touch()
    results.loss_figure.touch()
    assert results.foreign() == ["checkpoints", "loss.png"]


@pytest.mark.parametrize("sign", ["experiment_metadata.json", "checkpoints/20", "shard-1-of-2"])
def test_training_leaves_a_sign_that_a_folder_is_its_own(sign, tmp_path):
    (tmp_path / sign).mkdir(parents=True)
    (tmp_path / "history.npz").touch()

    assert Results(tmp_path).foreign() == []


def test_a_session_deletes_what_killed_writers_have_left(tmp_path):
    results = Results(leave(tmp_path / "run", [300]))
    for name in ("history.123.npz", "config.7.json", "loss.v2.png", "data.123.npz"):
        (results.folder / name).touch()
    with results.session({"a": 1}, 0):
        pass

    left = {path.name for path in results.folder.iterdir()}
    assert left == {"experiment_metadata.json", "config.json", "history.npz"} | {
        *("loss.v2.png", "data.123.npz")
    }


def test_clearing_goes_through_links_and_leaves_what_is_not_its_own(tmp_path):
    results = Results(leave(tmp_path / "run", [300]))
    elsewhere = tmp_path / "disk"
    (elsewhere / "20" / "state").mkdir(parents=True)
    results.checkpoints.symlink_to(elsewhere)
    (results.folder / "notes.txt").touch()
    results.clear()

    assert sorted(path.name for path in results.folder.iterdir()) == ["checkpoints", "notes.txt"]
    assert list(elsewhere.iterdir()) == []


def test_the_commit_of_an_installed_package_is_not_that_of_the_project_around_it(
    tmp_path, monkeypatch
):
    """A virtual environment lies in the repository of its user, who does not track it."""

    def git(*words):
        name = ("-c", "user.name=x", "-c", "user.email=x")
        subprocess.run(["git", "-C", tmp_path, *name, *words], check=True, capture_output=True)

    git("init")
    git("commit", "--allow-empty", "-m", "theirs")
    (tmp_path / "machine.py").touch()
    monkeypatch.setattr(machine, "__file__", str(tmp_path / "machine.py"))
    assert machine._git_commit.__wrapped__() is None

    git("add", "machine.py")
    git("commit", "-m", "ours")
    assert len(machine._git_commit.__wrapped__()) == 40


def test_a_training_that_ends_early_says_which_entry_ended_it(tmp_path):
    folder = leave(tmp_path / "run", [400, 600], last=800)
    config = toy()
    config.schedule.update(num_steps=800, stop_after_grok=2)
    whole = report.conclude(config, Results(folder), ["seed=0", "seed=1"], None)
    config.schedule.num_steps = 1000
    early = report.conclude(config, Results(folder), ["seed=0", "seed=1"], None)

    assert "stopped" not in whole
    assert "all runs had stopped by step 800: schedule.stop_after_grok = 2\n" in early
