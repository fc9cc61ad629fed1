"""What the tool tells of checkpoints that a real training left."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from conftest import toy, toy_mlp
from PIL import Image

from grokjax import base, checkpoint_tool, grid
from grokjax.config import config as config_lib
from grokjax.config.experiment import setup
from grokjax.core import loop
from grokjax.reading import rebuild
from grokjax.reading.checkpoint import find, read_newest
from grokjax.recording import checkpoints
from grokjax.recording.checkpoints import Checkpoints
from grokjax.recording.history import History
from grokjax.recording.results import Results

ROOT = Path(__file__).parent.parent


def trained(folder, config, share=None):
    """A results folder with the files that the tool reads, as training writes them."""
    experiment, history, results = setup(config), History(), Results(folder)
    experiment = experiment.shard(*share) if share else experiment
    folder.mkdir(parents=True)
    results.config.write_text(json.dumps(experiment.record))
    facts = {"status": "finished", "device": "1 x abacus", "versions": {"python": "3.14"}}
    results.metadata.write_text(json.dumps(facts))
    chunks = loop.chunks(experiment.trainer, experiment.runs_R, experiment.dataset, num_steps=20)
    with Checkpoints(results.checkpoints, config.schedule) as saving:
        for t, state_R, metrics_R in chunks:
            if metrics_R is not None:
                history.append(t, metrics_R)
            if saving.is_due(t):
                saving.save(t, state_R, history.arrays(), experiment.record)
    return folder


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Three seeds, with checkpoints at 10 and 20."""
    config = toy()
    config.runs = grid(config.runs, seed=(0, 1, 2), learning_rate=1e-2)
    return trained(tmp_path_factory.mktemp("results") / "three", config)


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    """One run of an optimizer that evaluates other weights than it trains."""
    config = toy("schedule_free")
    config.schedule.checkpoint_every = 20
    return trained(tmp_path_factory.mktemp("results") / "averaged", config)


@pytest.fixture
def copy(three, tmp_path):
    return shutil.copytree(three, tmp_path / "copy")


def damage(checkpoint):
    file = max((p for p in checkpoint.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def tell(capsys, *words):
    """What the command prints, line by line."""
    with flagsaver.flagsaver():
        flags.FLAGS(["checkpoint_tool", *(w for w in map(str, words) if w.startswith("--"))])
        argv = ["checkpoint_tool", *(w for w in map(str, words) if not w.startswith("--"))]
        checkpoint_tool.command(argv)()
    return capsys.readouterr().out.splitlines()


def rows(lines):
    """A table of the tool: {first cell: the others}."""
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]
    return {row[0]: row[1:] for row in cells if row}


def written(folder, val_ExR, train_ExR=None, steps=(100, 200, 300, 400), **changes):
    """A checkpoint with made-up accuracies, written after the last of some steps."""
    val_ExR = np.array(val_ExR, np.float32)
    train_ExR = np.ones_like(val_ExR) if train_ExR is None else np.array(train_ExR, np.float32)
    names = ("train_loss", "val_loss", "weight_norm")
    history = {name: np.full_like(val_ExR, 5.0) for name in names} | {"step": np.array(steps)}
    history |= {"train_accuracy": train_ExR, "val_accuracy": val_ExR}
    config = toy()
    config.grok.count = 1
    config.runs = grid(config.runs, seed=tuple(range(val_ExR.shape[1])), **changes)
    state_R = {"params": {"w": np.ones((val_ExR.shape[1], 2, 3), np.float32)}}
    with Checkpoints(folder / "checkpoints", config.schedule) as saving:
        saving.save(steps[-1], state_R, history, config_lib.plain(config))
    return folder


@pytest.mark.parametrize("optimizer", ["adamw", "schedule_free", "muon"])
def test_a_checkpoint_is_read_without_its_experiment(optimizer, tmp_path):
    config = toy(optimizer)
    experiment = setup(config)
    state_R = loop.init(experiment.trainer, experiment.runs_R, experiment.dataset)
    with Checkpoints(tmp_path, config.schedule) as saving:
        saving.save(3, state_R, {}, experiment.record)
    found = checkpoints.restore(tmp_path, 3)

    assert (found.step, found.history) == (3, {})
    assert found.config == experiment.record
    token_RxVxD = found.state_R["params"]["token"]
    assert type(token_RxVxD) is np.ndarray
    np.testing.assert_array_equal(token_RxVxD, state_R.params["token"])


def test_a_config_comes_back_from_its_record():
    config = toy("grokfast_ma+adamw")
    config.runs = grid(config.runs, weight_decay=(0.1, 1.0), seed=range(3))
    config.split.held_out = (2, 5)
    record = config_lib.plain(config)
    again = rebuild.config_of(json.loads(json.dumps(record)))

    assert config_lib.plain(again) == record
    assert again.runs.weight_decay == (0.1, 1.0)
    assert again.split.held_out == (2, 5)
    assert setup(again).labels == setup(config).labels


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.py")), ids=lambda p: p.stem)
def test_every_named_config_comes_back_from_its_record(path):
    config = config_lib.load(str(path))

    again = rebuild.config_of(config_lib.plain(config))
    assert again.to_dict() == config.to_dict()


def test_paths_from_inside_the_folders_are_understood(three, monkeypatch):
    monkeypatch.chdir(three)
    assert len(find(Path(".")) + find(Path("checkpoints"))) == 4
    monkeypatch.chdir(three / "checkpoints")
    (place,) = find(Path("20"))
    assert place.folder.samefile("20")
    assert [place.step for place in find(Path("."))] == [10, 20]


def test_list_has_a_line_for_every_checkpoint(three, capsys):
    folder, *lines = tell(capsys, "list", three)
    history = read_newest(three).history
    table = rows(lines)
    train, val = (f"{np.median(history[f'{s}_accuracy'][-1]):.2%}" for s in ("train", "val"))

    assert folder == str(three)
    assert list(table) == ["step", "10", "20"]
    assert table["20"][1:] == [train, val, "0 of 3 grokked"]
    assert "kB" in table["20"][0]


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_an_unfinished_training_says_the_line_to_type(copy, capsys, status):
    """Where it stands as running, nothing holds its lock: it was killed."""
    line = f"go on with: python -m grokjax.train --resume {copy}"
    assert line not in [*tell(capsys, "list", copy), *tell(capsys, "inspect", copy)]
    metadata = Results(copy).metadata
    metadata.write_text(metadata.read_text().replace("finished", status))

    assert tell(capsys, "list", copy)[-1] == line
    assert line in tell(capsys, "inspect", copy)
    results = Results(copy)
    results.hold()  # as a process does that trains
    assert (line in tell(capsys, "list", copy)) == (status != "running")
    results.lock.release()


def test_an_unfinished_shard_names_the_folder_of_all(copy, capsys):
    shard = copy.parent / "my sweep" / "shard-2-of-3"
    shutil.copytree(copy, shard)
    metadata = Results(shard).metadata
    metadata.write_text(metadata.read_text().replace("finished", "interrupted"))

    assert tell(capsys, "list", shard)[-1].endswith(f" --resume '{shard.parent}'")


def test_list_looks_below_a_folder_in_its_checkpoints_and_at_one_step(three, averaged, capsys):
    assert len(tell(capsys, "list", three / "checkpoints")) == 4
    assert len(tell(capsys, "list", three / "checkpoints" / "10")) == 3
    assert len(tell(capsys, "list", three.parent, averaged.parent)) == 4 + 3


def test_a_damaged_checkpoint_is_listed_as_damaged(copy, capsys):
    damage(copy / "checkpoints" / "20")
    _, _, sound, broken = tell(capsys, "list", copy)

    assert "damaged" not in sound
    assert re.search("damaged: checkpoint 20 (has other bits than|cannot be read)", broken)


def test_a_checkpoint_with_a_damaged_config_is_damaged_for_list_and_inspect(copy, capsys):
    """A label has another seed: that would still be a config."""
    path = copy / "checkpoints" / "20" / "meta" / "_strings.json"
    path.write_text(path.read_text().replace("[0, 1, 2]", "[0, 1, 3]", 1))

    listed = tell(capsys, "list", copy)[3]
    assert "damaged: checkpoint 20 has another config than was written" in listed
    assert "progress: step 10 of 20 (50%)" in tell(capsys, "inspect", copy)


def test_checkpoints_are_found_through_links_and_once(three, tmp_path, capsys):
    (tmp_path / "link").symlink_to(three.parent)
    (tmp_path / "other").symlink_to(three)
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "checkpoints").symlink_to(three / "checkpoints")

    assert [(place.results.folder.name, place.step) for place in find(tmp_path)] == [
        *(("three", 10), ("three", 20), ("mine", 10), ("mine", 20))
    ]


def test_an_empty_checkpoint_is_listed_as_damaged(copy, capsys):
    shutil.rmtree(copy / "checkpoints" / "10")
    (copy / "checkpoints" / "10").mkdir()

    assert "damaged: checkpoint 10 cannot be read" in tell(capsys, "list", copy)[2]


def test_inspect_takes_the_newest_sound_checkpoint(copy, capsys):
    damage(copy / "checkpoints" / "20")

    assert "progress: step 10 of 20 (50%)" in tell(capsys, "inspect", copy)


def test_inspect_tells_where_and_how_well_training_went(three, capsys):
    lines = tell(capsys, "inspect", three)
    accuracy_R = read_newest(three).latest("train_accuracy")

    assert "status of training: finished" in lines
    assert "device: 1 x abacus" in lines
    assert "versions: python 3.14" in lines
    for seed in range(3):
        assert any(f"seed={seed}: training {accuracy_R[seed]:.2%}" in line for line in lines)
    assert any(line.startswith("parameters: 1,436 a run, 5.7 kB") for line in lines)
    assert "  model.ff_width = 20" in lines
    assert "  runs.seed = (0, 1, 2)" in lines


def test_inspect_names_the_step_at_which_each_run_grokked(tmp_path, capsys):
    folder = written(tmp_path / "a", [[0.1, 0.1], [0.2, 0.3], [0.2, 1.0], [0.2, 1.0]])
    lines = tell(capsys, "inspect", folder)
    done = "training 100.00% (loss 5), validation 100.00% (loss 5)"

    assert f"  seed=1: {done}; memorised at 100, grokked at 300, delay 200" in lines
    assert any("seed=0" in line and "memorised at 100, not grokked" in line for line in lines)
    assert "status of training: unknown" in lines


def test_of_many_runs_inspect_shows_twenty(tmp_path, capsys):
    lines = tell(capsys, "inspect", written(tmp_path / "many", np.zeros((4, 23))))

    assert sum(line.startswith("  seed=") for line in lines) == 20
    assert "  ... and 3 more runs" in lines


def test_a_share_of_the_runs_has_their_labels(tmp_path, capsys):
    config = toy()
    config.runs = grid(config.runs, seed=range(5))
    lines = tell(capsys, "inspect", trained(tmp_path / "share", config, share=(2, 2)))

    labels = [line.split(":")[0].strip() for line in lines if line.startswith("  seed=")]
    assert labels == ["seed=2", "seed=3", "seed=4"]


def test_inspect_has_a_table_of_the_tasks_of_a_mixture(tmp_path, capsys):
    config = toy_mlp()
    config.task = base("task=mixture").task
    config.task.p = 7
    config.runs = grid(config.runs, mix=("9:1", "1:0"))
    lines = tell(capsys, "inspect", trained(tmp_path / "mixture", config))

    first = next(i for i, line in enumerate(lines) if line.startswith("  mix=9:1: "))
    assert lines[first + 1].split()[:6] == ["task", "examples", "trained", "on", "of", "a"]
    table = rows(lines[first + 2 : first + 4])
    assert table["add"][:3] == ["49", "24", "9.1%"]
    assert table["div"][:3] == ["42", "21", "90.9%"]
    assert all(cell.endswith("%") for cell in table["div"][3:5])
    other = rows(lines[first + 6 : first + 8])
    assert other["add"][:4] == ["49", "0", "0.0%", "-"]


def test_compare_shows_both_delays(tmp_path, capsys):
    early = written(tmp_path / "early", [[0.1], [1.0], [1.0], [1.0]], weight_decay=0.3)
    late = written(tmp_path / "late", [[0.1], [0.1], [0.1], [1.0]])
    table = rows(tell(capsys, "compare", early, late))

    assert table["grokked"] == ["1", "1"]
    assert table["median grok step [95 % interval]"] == ["200", "400"]
    assert table["memorised"] == ["100", "100"]
    assert table["delay"] == ["100", "300"]
    assert table["runs.weight_decay"] == ["0.3", "1.0"]
    assert "runs.learning_rate" not in table


def test_compare_shows_medians_of_runs_and_what_never_came(tmp_path, capsys):
    """Three runs that grok at 200, 300 and 400, and three of which one ever does."""
    most = written(tmp_path / "most", [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]])
    few = written(tmp_path / "few", [[0, 0, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0]])
    table = rows(tell(capsys, "compare", most, few))

    assert table["median grok step [95 % interval]"] == ["300 [200, none]", "> 400"]
    assert table["delay"] == ["200"]
    assert table["their configs are the same"] == []


def test_a_checkpoint_before_the_first_evaluation_has_nothing_to_compare(three, tmp_path, capsys):
    config = toy()
    with Checkpoints(tmp_path / "early" / "checkpoints", config.schedule) as saving:
        saving.save(3, {"params": {"w": np.ones((1, 2, 3))}}, {}, config_lib.plain(config))

    assert "  seed=0: not evaluated yet" in tell(capsys, "inspect", tmp_path / "early")
    with pytest.raises(ValueError, match="checkpoint 3 of .* has no evaluation yet"):
        tell(capsys, "compare", three, tmp_path / "early")


def test_tables_are_not_wrapped_and_their_texts_are_no_markup(tmp_path, capsys):
    folder = tmp_path / f"mix=1:100:1 {'long' * 30}"
    written(folder, np.ones((4, 1)))
    heading = tell(capsys, "compare", folder, folder)[0]

    assert heading.split("  ")[-2:] == [str(folder)] * 2


def test_shares_that_were_put_together_are_compared_by_their_history(three, tmp_path, capsys):
    """They have no checkpoint of their own, but all that a table of milestones needs."""
    whole = Results(tmp_path / "whole")
    whole.folder.mkdir()
    shutil.copy(Results(three).config, whole.config)
    of = read_newest(three)
    whole.write_history(of.history, of.labels)
    table = rows(tell(capsys, "compare", three, whole.folder))

    assert table["memorised"][0] == table["memorised"][1]
    assert table["weight norm"][0] == table["weight norm"][1] != ""
    assert table["their configs are the same"] == []


def test_pruning_with_threshold_0_leaves_the_accuracies_of_the_history(three, capsys):
    tell(capsys, "prune", three, "--threshold=0.1,1e9")
    found = json.loads((three / "pruned.json").read_text())
    history, (before, some, all_) = read_newest(three).history, found["pruned"]

    assert (found["step"], found["labels"]) == (20, ["seed=0", "seed=1", "seed=2"])
    assert (before["threshold"], before["sparsity"]) == (0, [0, 0, 0])
    for name in ("train_accuracy", "val_accuracy"):
        assert before[name] == history[name][-1].tolist()
    assert 0.1 < some["median"]["sparsity"] < 0.9
    assert all_["sparsity"] == pytest.approx([1, 1, 1])


def test_a_network_of_zeros_always_gives_the_same_answer(three, capsys):
    """The first answer is right once for each a of division mod 7, that is in 6 of 42 rows."""
    tell(capsys, "prune", three, "--threshold=1e9")
    gone = json.loads((three / "pruned.json").read_text())["pruned"][-1]
    right_R = (np.array(gone["train_accuracy"]) + np.array(gone["val_accuracy"])) * 21

    np.testing.assert_allclose(right_R, 6, rtol=1e-5)


def test_pruned_are_the_weights_that_are_evaluated(averaged, capsys):
    tell(capsys, "prune", averaged)
    before = json.loads((averaged / "pruned.json").read_text())["pruned"][0]
    history = read_newest(averaged).history

    assert before["train_accuracy"] == history["train_accuracy"][-1].tolist()
    assert before["val_accuracy"] == history["val_accuracy"][-1].tolist()


def test_pruning_is_told_as_a_table(averaged, capsys):
    step, *lines, last = tell(capsys, "prune", averaged, "--threshold=0.1")
    table = rows(lines)

    assert step == "step 20"
    assert table["threshold"] == ["run", "weights set to 0", "training", "validation"]
    assert table["0 (before)"][:2] == ["seed=0", "0.00%"]
    assert table["0.1"][0] == "seed=0"
    assert last == f"also in {averaged / 'pruned.json'}"


def test_another_table_than_was_trained_on_is_an_error(copy):
    record = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(record | {"table_checksum": 17}))

    with pytest.raises(ValueError, match="has checksum .* but 17 when these weights were trained"):
        rebuild.rebuild(Results(copy))


def test_embeddings_are_drawn_and_animated(three, capsys):
    said = tell(capsys, "embeddings", three, "--run=1")

    assert said[:2] == [f"wrote {three / 'embeddings.png'}", f"wrote {three / 'embeddings.gif'}"]
    assert "--config.schedule.keep" in said[2]
    with Image.open(three / "embeddings.gif") as film:
        assert film.n_frames == 2


def test_a_single_checkpoint_makes_no_film(averaged, capsys):
    said = tell(capsys, "embeddings", averaged)

    assert said[0] == f"wrote {averaged / 'embeddings.png'}"
    assert said[1].startswith("checkpoints that could be shown: 1")
    assert not (averaged / "embeddings.gif").exists()


def test_embeddings_are_those_that_are_evaluated(averaged):
    rebuilt = rebuild.rebuild(Results(averaged))
    state = rebuilt.restore(20).state_R
    tables = checkpoint_tool._tables(rebuilt, find(averaged), 0)

    np.testing.assert_array_equal(tables[20], state.opt_state[0].x["token"][0, :7])
    assert not np.allclose(tables[20], state.params["token"][0, :7])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list"], "no folder given, and there is no results/"),
        (["list", "{here}/nothing"], "no checkpoint in"),
        (["inspect", "{here}/.."], "holds several results; choose one of"),
        (["compare", "{here}"], r"choose from: list \[FOLDER...\]"),
        (["prune", "{here}", "--threshold=small"], "choose numbers as in 0.01,0.1"),
        (["prune", "{here}", "--threshold=-1"], "choose 0 or more"),
        (["embeddings", "{here}", "--run=3"], "run = 3; there are 3, choose 0 to 2"),
    ],
)
def test_a_wrong_word_is_one_sentence(words, message, three, copy, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where there is no results/
    shutil.copytree(three, tmp_path / "other")
    with pytest.raises(ValueError, match=message) as error:
        tell(capsys, *(word.format(here=copy) for word in words))
    assert "\n" not in str(error.value)


def test_a_config_file_that_training_did_not_write_is_an_error(copy):
    for content in ("{}", "{"):
        (copy / "config.json").write_text(content)
        with pytest.raises(ValueError, match="is not what training wrote"):
            rebuild.rebuild(Results(copy))


@pytest.mark.slow
def test_flags_may_follow_the_folder_and_a_mistake_exits_with_2(copy):
    def run(*words):
        command = [sys.executable, "-m", "grokjax.checkpoint_tool", *map(str, words)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    good = run("prune", copy, "--threshold", "0.1,0.3")
    bad = run("embeddings", copy, "--run=7")

    assert good.returncode == 0, good.stderr
    found = json.loads((copy / "pruned.json").read_text())["pruned"]
    assert [row["threshold"] for row in found] == [0, 0.1, 0.3]
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr == "error: run = 7; there are 3, choose 0 to 2\n"


def test_without_a_folder_it_lists_those_in_results(three, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    Path("results/three").symlink_to(three)
    assert "results/three" in "\n".join(tell(capsys, "list"))
