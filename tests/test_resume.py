"""A folder is only as damaged as its checkpoints: from them everything else is written again."""

import copy
import re
import shutil
from pathlib import Path

import chex
import numpy as np
import pytest
from absl import flags
from conftest import toy_mlp
from ml_collections import ConfigDict

from grokjax.config.experiment import setup
from grokjax.reading.checkpoint import read_newest
from grokjax.reading.rebuild import rebuild
from grokjax.reading.texts import inspected
from grokjax.recording.results import Results
from grokjax.running import report, resume
from grokjax.running.options import Options
from grokjax.train import train_in

FILES = ["config.json", "summary.json", "history.npz", "final_metrics.txt", "loss.png"]


@pytest.fixture(scope="module")
def config():
    flags.FLAGS.mark_as_parsed()
    return toy_mlp()


@pytest.fixture(scope="module")
def experiment(config):
    return setup(config)


@pytest.fixture(scope="module")
def finished(config, experiment, tmp_path_factory):
    """A training of 20 steps with checkpoints at 10 and 20."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train_in(Results(folder), experiment, Options(config, folder))
    return folder


@pytest.fixture
def results(finished, tmp_path):
    return Results(shutil.copytree(finished, tmp_path / "run"))


def start(results, experiment, **options):
    given = Options(experiment.config, results.folder, **options)
    return resume.find_start(results, experiment, given, may_be_new=False)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    """A digit of a text, a bit of anything else."""
    data = bytearray(path.read_bytes())
    digits = [i for i, byte in enumerate(data) if chr(byte).isdigit()]
    data[digits[len(digits) // 3] if path.suffix in (".json", ".txt") else len(data) // 2] ^= 1
    path.write_bytes(data)


def lose(path):
    path.unlink()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [lose, cut, flip])
def test_of_a_finished_training_every_damage_is_noticed(name, damage, results, experiment):
    restored = start(results, experiment, resume="latest")
    assert report.not_as_written(results, experiment, restored.history) == []

    damage(results.folder / name)
    found = report.not_as_written(results, experiment, restored.history)
    assert name in found
    assert set(found) <= {name, "final_metrics.txt"}  # which is made from the summary


def test_of_a_finished_training_what_is_damaged_is_written_again(
    finished, results, experiment, capsys
):
    for name, damage in zip(FILES, (flip, cut, lose, cut, flip), strict=True):
        damage(results.folder / name)
    options = Options(experiment.config, results.folder, resume="latest")
    train_in(results, experiment, options)

    assert f"writing again: {', '.join(FILES[:1])}" in capsys.readouterr().out
    assert results.config.read_bytes() == (finished / "config.json").read_bytes()
    assert results.loss_figure.read_bytes() == (finished / "loss.png").read_bytes()
    assert results.read_summary()["runs"] == Results(finished).read_summary()["runs"]
    before, after = (dict(np.load(folder / "history.npz")) for folder in (finished, results.folder))
    chex.assert_trees_all_equal(before, after)
    train_in(results, experiment, options)
    assert "writing again" not in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "[]", '{"status": '])
def test_damaged_metadata_hinder_neither_resuming_nor_overwriting(text, results, experiment):
    results.metadata.write_text(text)

    assert start(results, experiment, resume="latest").step == 20
    assert start(results, experiment, overwrite=True).step == 0
    with pytest.raises(ValueError, match="holds a run that is damaged; choose --resume latest, "):
        start(results, experiment)


def test_a_folder_without_metadata_is_not_begun_anew(results, experiment):
    results.metadata.unlink()

    with pytest.raises(ValueError, match="holds a run that is damaged"):
        start(results, experiment)
    assert start(results, experiment, resume="latest").step == 20


def test_a_killed_training_says_so_and_how_to_go_on(results, experiment, monkeypatch):
    text = results.metadata.read_text().replace('"finished"', '"running"')
    results.metadata.write_text(text)
    monkeypatch.setattr("sys.argv", ["train", "--config=toy.py", "--seeds", "1"])

    with pytest.raises(ValueError, match="that was stopped without notice; choose") as error:
        start(results, experiment)
    told = re.search(r"go on with\s+(.*)$", str(error.value))[1]
    words = f"--config=toy.py --seeds 1 --workdir={results.folder} --resume=latest"
    assert told == f"python -m grokjax.train {words}"
    shutil.rmtree(results.checkpoints)
    with pytest.raises(ValueError, match=r"choose --overwrite or .*there is no checkpoint yet"):
        start(results, experiment)


def test_of_what_is_finished_there_is_no_line_to_go_on_with(results, experiment):
    with pytest.raises(ValueError, match="that is finished; choose") as error:
        start(results, experiment)

    assert "go on with" not in str(error.value)


def test_other_peoples_files_are_not_overwritten_unasked(experiment, tmp_path):
    results = Results(tmp_path)
    for path in (results.config, results.history):
        path.write_text("mine")
    for options in ({}, {"resume": "latest"}):
        with pytest.raises(ValueError, match=r"holds config\.json, history\.npz, which no train"):
            start(results, experiment, **options)

    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "history.npz"}
    assert results.config.read_text() == "mine"
    assert start(results, experiment, overwrite=True).step == 0


def test_a_folder_where_a_file_is_to_be_written_is_refused(results, experiment):
    results.summary.unlink()
    results.summary.mkdir()

    with pytest.raises(ValueError, match=r"summary\.json' is a folder, and training writes a file"):
        start(results, experiment, resume="latest")


def test_a_checkpoint_whose_config_is_damaged_is_passed_over(results, experiment, capsys):
    path = results.checkpoints / "20" / "meta" / "_strings.json"
    before = path.read_text()
    path.write_text(before.replace("embedding_width", "embedding_widti"))
    assert path.read_text() != before

    assert start(results, experiment, resume="latest").step == 10
    assert "warning: checkpoint 20 has another config than was written" in capsys.readouterr().err


def test_data_may_move_as_long_as_the_table_is_the_same(experiment):
    """The checksum of the table says whether the data are the same, not the path."""
    now = experiment._replace(record=copy.deepcopy(experiment.record))
    now.record["task"]["path"] = "/new/data.csv"
    then = copy.deepcopy(now.record)
    then["task"]["path"] = "/old/data.csv"
    resume.check_same(then, now)

    then["table_checksum"] += 1
    with pytest.raises(ValueError, match="task.path was '/old/data.csv', is '/new/data.csv'"):
        resume.check_same(then, now)


def test_a_finished_training_is_not_gone_on_with_to_an_earlier_step(results, experiment):
    config = ConfigDict(experiment.config.to_dict())
    config.schedule.num_steps = 10
    with pytest.raises(ValueError, match=r"is at step 20, beyond schedule.num_steps = 10; choose"):
        start(results, setup(config), resume="latest")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("summary.json", '{"overall": 3}'),
        ("experiment_metadata.json", '{"status": "finished", "sessions": [{"machine": "x"}]}'),
        ("experiment_metadata.json", '{"status": "finished", "versions": "x"}'),
        ("config.json", "[1]"),
        ("config.json", '{"optimizer": 3}'),
    ],
)
def test_json_of_another_shape_is_damage_too(name, text, results, experiment):
    (results.folder / name).write_text(text)
    restored = start(results, experiment, resume="latest")
    assert restored.step == 20
    assert set(report.not_as_written(results, experiment, restored.history)) <= {
        name,
        "final_metrics.txt",
    }
    resume.warn_of_another_machine(results)
    assert list(inspected(read_newest(results.folder)))
    if name == "config.json":
        with pytest.raises(ValueError, match=r"no config.json|is not what training wrote"):
            rebuild(results)


def test_reading_says_which_checkpoint_it_passes_over(results, capsys):
    files = filter(Path.is_file, results.checkpoints.joinpath("20").rglob("*"))
    flip(max(files, key=lambda p: p.stat().st_size))
    assert read_newest(results.folder).place.step == 10
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: checkpoint 20")
    assert line.endswith("; this is 10")


def test_hyperparameters_that_nothing_reads_do_not_hinder_a_resume(experiment):
    stored = copy.deepcopy(experiment.record)
    stored["runs"]["momentum"] = [0.9]  # recorded by an earlier version
    resume.check_same(stored, experiment)


def test_an_option_that_an_earlier_version_had_not_is_at_its_default(experiment):
    stored = copy.deepcopy(experiment.record)
    del stored["model"]["summed"]
    resume.check_same(stored, experiment)

    config = ConfigDict(experiment.config.to_dict())
    config.model.summed = True
    with pytest.raises(ValueError, match="another config: model.summed was None, is True"):
        resume.check_same(stored, setup(config))
