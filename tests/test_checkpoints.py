"""Checkpoints come back bit for bit, and damage is noticed."""

import errno
import json
import os
import shutil
import threading
import time
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

from grokjax.recording import checkpoints
from grokjax.recording.checkpoints import Checkpoints, Damaged

SCHEDULE = dict(checkpoint_every=10, num_steps=300, keep=2)


def state_at(step):
    """Awkward values on purpose: not-a-number, infinity, minus zero, denormals."""
    values = jnp.array([jnp.nan, jnp.inf, -0.0, 1e-42, step])
    return {
        "w": values,
        "half": values.astype(jnp.bfloat16),
        "many": (jnp.arange(60_000.0) + step, jnp.int32(step)),
    }


def history_at(step):
    steps = np.arange(5, step + 1, 5)
    return {"step": steps, "loss": np.sqrt(steps[:, None] + np.arange(3)).astype(np.float32)}


def saved(folder, steps):
    with Checkpoints(folder, SCHEDULE) as saving:
        for step in steps:
            saving.save(step, state_at(step), history_at(step), {"model": {"width": 3}})
    return folder


def bits(tree):
    return jax.tree.map(lambda x: np.asarray(x).tobytes(), tree)


def test_state_history_and_config_come_back_bit_for_bit(tmp_path):
    folder = saved(tmp_path, [10])
    restored = checkpoints.restore(folder, 10, jax.eval_shape(state_at, 0))

    assert bits(restored.state_R) == bits(state_at(10))
    chex.assert_trees_all_equal(restored.history, history_at(10))
    assert restored.history["step"].dtype == np.int64
    assert checkpoints.read_config(folder, 10) == {"model": {"width": 3}}


def test_the_newest_and_every_tenth_are_kept(tmp_path):
    """Here every second one; and the first, because none is a minute old yet."""
    schedule = SCHEDULE | {"checkpoint_every": 2}
    with Checkpoints(tmp_path, schedule) as saving:
        for step in range(10, 71, 10):
            saving.save(step, {"w": np.arange(3)}, {}, {})

    assert checkpoints.steps(tmp_path) == [10, 20, 40, 60, 70]


def test_one_that_is_older_than_a_minute_is_kept(tmp_path):
    """What a disk has promised and not written within a minute, it will have written by then."""
    with Checkpoints(tmp_path, SCHEDULE) as saving:
        for step, age in [(1, 200), (2, 100), (3, 50), (4, 40), (5, 30), (6, 20)]:
            saving.save(step, {"w": np.arange(3)}, {}, {})
            saving.wait()
            long_ago = time.time() - age
            os.utime(tmp_path / str(step), (long_ago, long_ago))
        before = checkpoints.steps(tmp_path)
        saving.save(7, {"w": np.arange(3)}, {}, {})

    assert before == [2, 3, 5, 6]  # 2 is settled, 3 will be
    assert checkpoints.steps(tmp_path) == [2, 3, 6, 7]


@pytest.fixture
def disk(monkeypatch):
    """What is asked of the disk, in order: ("sync" | "rename" | "delete", path)."""
    asked = []
    fsync, rename, rmtree = os.fsync, Path.rename, shutil.rmtree

    def noted_fsync(descriptor):
        asked.append(("sync", Path(os.readlink(f"/proc/self/fd/{descriptor}"))))
        fsync(descriptor)

    def noted_rename(path, target):
        asked.append(("rename", path))
        return rename(path, target)

    def noted_rmtree(path, **options):
        asked.append(("delete", path))
        rmtree(path, **options)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    monkeypatch.setattr(shutil, "rmtree", noted_rmtree)
    return asked


def test_an_older_one_goes_after_a_newer_one_is_on_the_disk(tmp_path, disk):
    """Every file and folder of it, then its name."""
    folder = tmp_path / "new" / "checkpoints"
    saved(folder, [10, 20, 30])
    saved(folder, [40])
    at = {word: disk.index(word) for word in disk}
    moved = at["rename", folder / "40.unsaved"]
    named = next(i for i in range(moved, len(disk)) if disk[i] == ("sync", folder))

    assert at["sync", tmp_path] < at["sync", tmp_path / "new"]  # the folders' own names
    assert at["delete", folder / "20.deleted"] > at["rename", folder / "20"] > named
    files = [folder / "40.unsaved" / p.relative_to(folder / "40") for p in folder.rglob("40/**/*")]
    assert len(files) > 10
    assert all(at["sync", path] < moved for path in [*files, folder / "40.unsaved"])


def test_what_a_killed_process_has_not_finished_is_deleted(tmp_path):
    saved(tmp_path, [10])
    for name in ("20.unsaved", "20.unsaved.orbax-checkpoint-tmp", "5.deleted", "20.superseded"):
        (tmp_path / name).mkdir()
    (tmp_path / "20.unsaved" / "half").touch()
    saved(tmp_path, [])

    assert sorted(path.name for path in tmp_path.iterdir()) == ["10", "20.superseded"]


STRANGE = [
    "[a]",
    "*",
    "?[!x]",
    "a\\b",
    "a b",
    "ü日",
    "a:b",
    "%5B",
    "#",
    "a\nb",
    os.fsdecode(b"\xff"),
]


@pytest.mark.parametrize("name", STRANGE, ids=ascii)
def test_every_name_of_a_folder_works(name, tmp_path):
    folder = saved(tmp_path / name / "checkpoints", [10])

    assert bits(checkpoints.restore(folder, 10, state_at(0)).state_R) == bits(state_at(10))
    assert checkpoints.restore(folder, 10).config == {"model": {"width": 3}}


def test_a_folder_that_does_not_give_back_what_is_written_is_noticed_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "sync_all", empty)
    said = pytest.raises(OSError, match="does not give back what is written there")
    with Checkpoints(tmp_path, SCHEDULE) as saving, said:
        saving.save(10, state_at(10), {}, {})


def test_twenty_saves_leave_no_handle_and_no_thread_open(tmp_path):
    def open_now():
        return np.array([len(os.listdir("/proc/self/fd")), threading.active_count()])

    with Checkpoints(tmp_path, SCHEDULE) as saving:
        for step in range(1, 24):
            saving.save(step, {"w": np.arange(3)}, {}, {})
            saving.wait()
            if step == 3:
                before = open_now()

        deadline = time.monotonic() + 10  # threads that are ending need a moment
        while (open_now() > before).any() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert (open_now() <= before).all()


def test_a_save_that_failed_is_said_once_and_the_next_is_written(tmp_path, monkeypatch):
    """A disk is full for a while: training goes on, and so do its checkpoints."""
    save = ocp.save_checkpointables

    def full_at_step_200(path, *args, **options):
        if path.name.startswith("200"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return save(path, *args, **options)

    monkeypatch.setattr(ocp, "save_checkpointables", full_at_step_200)
    with Checkpoints(tmp_path, SCHEDULE) as saving:
        saving.save(100, state_at(100), history_at(100), {})
        saving.save(200, state_at(200), history_at(200), {})
        with pytest.raises(OSError, match="No space left"):
            saving.save(300, state_at(300), history_at(300), {})
        saving.save(400, state_at(400), history_at(400), {})
    assert checkpoints.steps(tmp_path) == [100, 300, 400]


def test_a_disk_that_stays_full_is_said_once_and_fills_no_more(tmp_path, monkeypatch, capsys):
    def fail(path, *_, **__):
        (Path(path).parent / f"{Path(path).name}.orbax-checkpoint-tmp").mkdir()
        raise ValueError("RESOURCE_EXHAUSTED: No space left")

    save = ocp.save_checkpointables
    with Checkpoints(tmp_path, SCHEDULE) as saving:
        saving.save_or_warn(10, state_at(10), {}, {}, last=False)
        monkeypatch.setattr(ocp, "save_checkpointables", fail)
        for step in range(20, 60, 10):
            saving.save_or_warn(step, state_at(step), {}, {}, last=False)
        with pytest.raises(ValueError, match="No space left"):
            saving.wait()
        (line,) = capsys.readouterr().err.splitlines()
        assert line == "warning: a checkpoint is missing: RESOURCE_EXHAUSTED: No space left"
        monkeypatch.setattr(ocp, "save_checkpointables", save)
        saving.save_or_warn(60, state_at(60), {}, {}, last=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10", "60"]


def test_a_last_save_that_fails_once_is_tried_again(tmp_path, monkeypatch, capsys):
    """Also where it is the first, and what fails is reading it back."""
    for name in ("save_checkpointables", "load_checkpointables"):
        function = getattr(ocp, name)
        calls = []

        def once(*args, calls=calls, function=function, **options):
            calls.append(1)
            if len(calls) == 1:
                raise OSError(errno.EBUSY, "Device or resource busy")
            return function(*args, **options)

        folder = tmp_path / name
        with monkeypatch.context() as patch, Checkpoints(folder, SCHEDULE) as saving:
            patch.setattr(ocp, name, once)
            saving.save_or_warn(300, state_at(300), history_at(300), {}, last=True)
        assert checkpoints.steps(folder) == [300]
        assert bits(checkpoints.restore(folder, 300).state_R["w"]) == bits(state_at(300)["w"])
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("warning: a checkpoint is missing: ")


def test_a_last_save_that_fails_twice_ends_training(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ValueError("RESOURCE_EXHAUSTED: No space left")

    monkeypatch.setattr(ocp, "save_checkpointables", fail)
    with pytest.raises(ValueError, match="No space"), Checkpoints(tmp_path, SCHEDULE) as saving:
        saving.save_or_warn(300, state_at(300), history_at(300), {}, last=True)


def test_a_passing_error_is_no_damage(tmp_path, monkeypatch):
    """Nothing is to be deleted for want of open files."""
    saved(tmp_path, [10])

    def fail(*_, **__):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(ocp, "load_checkpointables", fail)
    with pytest.raises(OSError, match="Too many"):
        checkpoints.is_readable(tmp_path, 10)


def test_a_state_before_the_first_evaluation_can_be_saved(tmp_path):
    with Checkpoints(tmp_path, SCHEDULE) as saving:
        saving.save(3, state_at(3), {}, {})

    assert checkpoints.restore(tmp_path, 3, state_at(0)).history == {}


def test_a_checkpoint_of_a_former_version_is_read(tmp_path):
    """Its config had no checksum, and its state was JAX's."""
    state_R = state_at(10)
    meta = {"config": {"model": {"width": 3}}, "crc": checkpoints.checksums({"state": state_R})}
    content = {"state": state_R, "meta": {"json": json.dumps(meta)}}
    ocp.save_checkpointables(tmp_path / "10", content)
    restored = checkpoints.restore(tmp_path, 10, state_at(0))

    assert bits(restored.state_R) == bits(state_R)
    assert restored.config == {"model": {"width": 3}}


def test_an_exception_does_not_lose_a_save_that_is_under_way(tmp_path):
    with pytest.raises(RuntimeError), Checkpoints(tmp_path, SCHEDULE) as saving:
        saving.save(10, state_at(10), history_at(10), {})
        raise RuntimeError

    assert bits(checkpoints.restore(tmp_path, 10, state_at(0)).state_R) == bits(state_at(10))


def largest_file(folder):
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def flip_a_bit(folder):
    data = bytearray(largest_file(folder).read_bytes())
    data[len(data) // 2] ^= 1
    largest_file(folder).write_bytes(data)


def truncate(folder):
    data = largest_file(folder).read_bytes()
    largest_file(folder).write_bytes(data[: len(data) // 2])


def empty(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()


def flip_a_bit_of_the_config(folder):
    """In the width, or a label: it would still be a config."""
    path = folder / "meta" / "_strings.json"
    before = path.read_text()
    path.write_text(before.replace(": 3}", ": 2}"))
    assert path.read_text() != before


@pytest.mark.parametrize("damage", [flip_a_bit, truncate, empty, flip_a_bit_of_the_config])
def test_damage_is_noticed(tmp_path, damage):
    saved(tmp_path, [10, 20])
    damage(tmp_path / "20")

    with pytest.raises(Damaged, match="checkpoint 20") as error:
        checkpoints.restore(tmp_path, 20, state_at(0))
    assert "\n" not in str(error.value)
    assert checkpoints.restore(tmp_path, 10, state_at(0)).step == 10


def test_a_flipped_bit_of_the_history_is_noticed(tmp_path):
    saved(tmp_path, [10])
    content = checkpoints.restore(tmp_path, 10, state_at(0))
    before = checkpoints.checksums({"state": content.state_R, "history": content.history})
    content.history["loss"][0, 0] += 1
    after = checkpoints.checksums({"state": content.state_R, "history": content.history})

    assert [path for path in before if before[path] != after[path]] == ["['history']['loss']"]


def test_rewinding_sets_aside_what_is_newer(tmp_path):
    saved(tmp_path, [10, 20])
    checkpoints.set_aside_after(tmp_path, 10)

    assert checkpoints.steps(tmp_path) == [10]
    assert (tmp_path / "20.superseded").is_dir()
    assert checkpoints.steps(tmp_path / "nowhere") == []


def test_a_state_of_another_version_is_not_called_damaged(tmp_path):
    """Else training would fall back to an older checkpoint, and to none."""
    saved(tmp_path, [10])
    like = {"w": state_at(10)["w"], "average": state_at(10)["half"], "many": state_at(10)["many"]}
    with pytest.raises(
        ValueError, match=r"other fields \(state.average\); it was written by"
    ) as error:
        checkpoints.restore(tmp_path, 10, like)
    assert not isinstance(error.value, Damaged)
