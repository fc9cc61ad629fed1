"""Checkpoints come back bit for bit, and damage is noticed."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grokjax.recording import checkpoints
from grokjax.recording.checkpoints import Checkpoints, Damaged

SCHEDULE = dict(checkpoint_every=10, num_steps=300, keep=2)


def state_at(step):
    """Awkward values on purpose: not-a-number, infinity, minus zero, denormals."""
    values = jnp.array([jnp.nan, jnp.inf, -0.0, 1e-42, step])
    return {"w": values, "many": (jnp.arange(60_000.0) + step, jnp.int32(step))}


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
    saved(tmp_path, range(10, 251, 10))

    assert checkpoints.steps(tmp_path) == [100, 200, 240, 250]


def test_a_state_before_the_first_evaluation_can_be_saved(tmp_path):
    with Checkpoints(tmp_path, SCHEDULE) as saving:
        saving.save(3, state_at(3), {}, {})

    assert checkpoints.restore(tmp_path, 3, state_at(0)).history == {}


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


@pytest.mark.parametrize("damage", [flip_a_bit, truncate, empty])
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
