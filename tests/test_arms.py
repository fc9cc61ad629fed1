"""What a results folder says, and what it says of itself when something is wrong with it."""

import json

import numpy as np
import pytest
from conftest import toy_mlp
from made_results import change, diverge, leave, save

import grokjax
from grokjax.reading import arms, folders
from grokjax.reading.arms import read, read_all
from grokjax.reading.folders import find, names
from grokjax.recording.files import replacing

LABELS = ["seed=0 lamb=0", "seed=0 lamb=2", "seed=1 lamb=0", "seed=1 lamb=2"]


def test_runs_that_differ_in_their_seeds_are_one_arm(tmp_path):
    (arm,) = read(leave(tmp_path / "moddiv", [300, None, 500]))

    assert (arm.name, arm.family, arm.values) == ("moddiv", "moddiv", {})
    never = np.nan
    np.testing.assert_equal(arm.grokking.memorised_R, [200] * 3)
    np.testing.assert_equal(arm.grokking.grok_R, [300, never, 500])
    np.testing.assert_equal(arm.grokking.delay_R, [100, never, 300])
    assert not arm.grokking.crept_R.any()
    assert arm.durations.duration_R.tolist() == [300, 1000, 500]
    assert arm.durations.event_observed_R.tolist() == [True, False, True]


def test_a_grid_gives_an_arm_for_each_of_its_other_points(tmp_path):
    """Seeds vary slowest: the runs of an arm do not stand side by side."""
    runs = {"seed": [0, 1], "lamb": [0.0, 2.0]}
    none, two = read(leave(tmp_path / "ema", [300, 400, 500, 600], runs=runs, labels=LABELS))

    assert (none.name, none.values) == ("ema lamb=0", {"lamb": 0.0})
    assert (two.name, two.values) == ("ema lamb=2", {"lamb": 2.0})
    assert none.grokking.grok_R.tolist() == [300, 500]
    assert two.grokking.grok_R.tolist() == [400, 600]
    assert two.history["val_accuracy"].shape == (10, 2)
    assert two.history["step"].shape == (10,)


def test_a_training_in_memory_gives_the_arms_that_its_folder_would(tmp_path):
    """Of a grid with three seeds and two rates, the columns of one rate are every other one."""
    config = toy_mlp()
    config.grok.threshold = 0.1
    config.runs = grokjax.grid(config.runs, seed=range(3), learning_rate=(0.001, 0.03))
    trained = grokjax.train(config)

    slow, fast = arms.of(trained, "toy")

    assert (slow.name, slow.family) == ("toy learning_rate=0.001", "toy")
    assert [slow.values, fast.values] == [{"learning_rate": rate} for rate in (0.001, 0.03)]
    assert fast.labels == [f"seed={seed} learning_rate=0.03" for seed in range(3)]
    assert slow.history["step"].tolist() == [5, 10, 15, 20]
    for arm, first in ((slow, 0), (fast, 1)):
        columns = trained.history["val_accuracy"][:, first::2]
        np.testing.assert_array_equal(arm.history["val_accuracy"], columns)
        np.testing.assert_array_equal(arm.grokking.grok_R, trained.grokking.grok_R[first::2])
        np.testing.assert_array_equal(arm.last_R, [20, 20, 20])


def test_split_seeds_are_seeds_too(tmp_path):
    runs = {"seed": [0], "split_seed": [7, 8]}
    labels = ["split_seed=7", "split_seed=8"]
    (arm,) = read(leave(tmp_path / "splits", [300, 400], runs=runs, labels=labels))

    assert (arm.name, arm.grokking.grok_R.size) == ("splits", 2)


def test_a_share_of_the_runs_is_told_by_the_labels(tmp_path):
    runs = {"seed": [0, 1], "lamb": [0.0, 2.0]}
    folder = leave(tmp_path / "half", [300, 400], runs=runs, labels=LABELS[1:3], shard="2/3")
    none, two = sorted(read(folder), key=lambda arm: arm.name)

    assert (none.name, none.grokking.grok_R.tolist()) == ("half lamb=0", [400])
    assert (two.name, two.grokking.grok_R.tolist()) == ("half lamb=2", [300])


def test_a_run_that_diverges_before_it_groks_was_watched_to_the_end_without_it(tmp_path):
    """Run 0 had grokked before, so that stays."""
    folder = leave(tmp_path / "hot", [300, 500, None], last=1300)
    diverge(folder, run=0, step=900)
    diverge(folder, run=2, step=700)
    (arm,) = read(folder)

    assert arm.diverged_R.tolist() == [True, False, True]
    assert arm.durations.duration_R.tolist() == [300, 500, 1300]
    assert arm.durations.event_observed_R.tolist() == [True, True, False]
    assert arm.grokking.grok_R[0] == 300


def test_a_loss_that_was_infinite_for_a_while_is_no_divergence(tmp_path):
    folder = leave(tmp_path / "spike", [500])
    change(folder, train_loss=lambda a: np.where(a["step"] == 300, np.inf, a["train_loss"].T).T)

    assert read(folder)[0].durations.event_observed_R.tolist() == [True]


def test_the_rule_of_the_config_says_what_grokking_is(tmp_path):
    strict = {"threshold": 0.99, "count": 9, "rule": "sustained"}
    (arm,) = read(leave(tmp_path / "strict", [200, 300], grok=strict))

    np.testing.assert_equal(arm.grokking.grok_R, [200, np.nan])


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_a_folder_is_read_as_far_as_it_has_come(tmp_path, status):
    (arm,) = read(leave(tmp_path / "early", [300, None], last=400, status=status))

    assert arm.durations.duration_R.tolist() == [300, 400]


def error_of(folder):
    """The one line that reading gives."""
    with pytest.raises(ValueError, match=f"{folder}.*; ") as caught:
        read(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_without_an_evaluation_says_how_it_stands(tmp_path):
    folder = leave(tmp_path / "new", [None], status="running")
    (folder / "history.npz").unlink()

    assert "no evaluation yet (status stopped without notice); wait or choose another" in error_of(
        folder
    )


def test_a_finished_folder_without_its_history_is_not_waited_for(tmp_path):
    folder = leave(tmp_path / "half", [300])
    (folder / "history.npz").unlink()

    assert "is finished and has no history.npz; train again or choose" in error_of(folder)


def test_an_empty_folder_holds_no_results(tmp_path):
    assert "holds no results; choose a folder that grokjax.train has written" in error_of(tmp_path)


@pytest.mark.parametrize("file", ["config.json"])
def test_a_file_that_is_missing_or_damaged_is_named(tmp_path, file):
    folder = leave(tmp_path / "half", [300])
    (folder / file).write_text('{"runs": ')
    assert f"{file} is damaged" in error_of(folder)
    (folder / file).write_text("[]")
    assert f"{file} is damaged" in error_of(folder)
    (folder / file).unlink()
    assert f"has no {file}" in error_of(folder)


@pytest.mark.parametrize("size", [0, 10, 700])
def test_a_history_that_was_cut_is_damaged(tmp_path, size):
    folder = leave(tmp_path / "cut", [300])
    history = folder / "history.npz"
    history.write_bytes(history.read_bytes()[:size])

    assert "history.npz is damaged" in error_of(folder)


def test_a_history_of_flipped_bits_is_damaged(tmp_path):
    folder = leave(tmp_path / "flipped", [300])
    content = bytearray((folder / "history.npz").read_bytes())
    content[content.index(b"NUMPY") + 130] ^= 1  # 128 bytes of header, then the labels
    (folder / "history.npz").write_bytes(content)

    assert "history.npz is damaged" in error_of(folder)


def test_metrics_of_different_lengths_are_refused(tmp_path):
    folder = leave(tmp_path / "odd", [300, 400])
    change(folder, val_accuracy=lambda arrays: arrays["val_accuracy"][:7])

    assert "val_accuracy is (7, 2), not (10, 2)" in error_of(folder)


def test_a_metric_that_is_missing_is_named(tmp_path):
    folder = leave(tmp_path / "less", [300])
    change(folder, val_accuracy=None)

    assert "history.npz lacks val_accuracy" in error_of(folder)


def test_a_history_without_rows_has_no_evaluation(tmp_path):
    folder = leave(tmp_path / "none", [300])
    empty = {name: np.zeros((0, 1)) for name in folders.METRICS}
    save(folder, label=["seed=0"], step=[], **empty)

    assert "no evaluation yet" in error_of(folder)


def test_files_of_different_trainings_are_refused(tmp_path):
    more = leave(tmp_path / "more", [300, 400], runs={"seed": [0, 1, 2]})
    fewer = leave(tmp_path / "fewer", [300, 400], runs={"seed": [0]})

    assert "history.npz lacks run 'seed=2' of config.json" in error_of(more)
    assert "config.json lacks run 'seed=1' of history.npz" in error_of(fewer)


def test_a_config_without_runs_is_refused(tmp_path):
    folder = leave(tmp_path / "bare", [300])
    (folder / "config.json").write_text(json.dumps({"runs": {"seed": 0}}))

    assert "config.json is damaged (it says nothing of its runs)" in error_of(folder)


def test_results_are_found_beneath_but_not_within_results(tmp_path):
    first, second = (leave(tmp_path / name, [300]) for name in ("b/c", "a"))
    leave(first / "checkpoints", [300])

    assert find(tmp_path) == [second, first]
    assert find(first) == [first]


def test_results_are_found_through_links_and_once(tmp_path):
    """Also where a link leads back up, and by its own name where a folder has one."""
    here = leave(tmp_path / "results" / "z", [300])
    disk = leave(tmp_path / "disk" / "far" / "run", [300])
    (tmp_path / "results" / "a_link").symlink_to(here)
    (tmp_path / "results" / "far").symlink_to(disk.parent)
    (tmp_path / "results" / "again").symlink_to(tmp_path / "disk")
    (disk.parent / "up").symlink_to(tmp_path)
    (tmp_path / "results" / "gone").symlink_to(tmp_path / "nowhere")

    assert find(tmp_path / "results") == [tmp_path / "results" / "again" / "far" / "run", here]
    assert [arm.name for arm in read_all([tmp_path / "results"])] == ["run", "z"]


def test_folders_that_have_not_come_to_an_evaluation_are_left_out(tmp_path):
    done = leave(tmp_path / "done", [300])
    waiting = leave(tmp_path / "waiting", [300], status="running")
    (waiting / "history.npz").unlink()

    assert find(tmp_path) == [done]
    assert folders.without_history(tmp_path) == [waiting]
    with pytest.raises(ValueError, match="waiting has no evaluation yet"):
        find(waiting)


def test_nothing_to_be_found_is_one_line(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for path, reason in (
        (tmp_path, "holds no results"),
        (tmp_path / "x", "does not exist"),
        (file, "is not a folder"),
    ):
        with pytest.raises(ValueError, match=reason):
            find(path)


def test_folders_of_the_same_name_are_told_apart_by_their_path(tmp_path):
    for place in ("a/x/run", "b/x/run", "b/y/other"):
        leave(tmp_path / place, [300])
    found = names([tmp_path / place for place in ("a/x/run", "b/x/run", "b/y/other")])

    assert list(found.values()) == ["a/x/run", "b/x/run", "other"]
    assert [arm.family for arm in read_all([tmp_path])] == ["a/x/run", "b/x/run", "other"]


def test_a_folder_that_is_named_twice_is_read_once(tmp_path, monkeypatch):
    folder = leave(tmp_path / "moddiv", [300])
    monkeypatch.chdir(folder)

    assert [arm.name for arm in read_all([folder, tmp_path, "."])] == ["moddiv"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "summary.md"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as scratch:
        scratch.write_text("half of the")
        raise ZeroDivisionError
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("summary.md", "old")]

    with replacing(path) as scratch:
        scratch.write_text("new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("summary.md", "new")]
