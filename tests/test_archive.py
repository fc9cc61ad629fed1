"""The data set of runs: what is archived of a study, and what can be computed from it again."""

import csv
import zipfile
from pathlib import Path

import pytest
from made_results import leave

from experiments import archive, reproductions, verdicts
from grokjax.reading import arms, folders
from grokjax.reading.rows import rows

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
ARCHIVES = sorted(EXPERIMENTS.glob("data/*.zip"))
PUBLISHED = EXPERIMENTS / "data/reproductions.zip"
SAME = ("runs", "grokked", "median_grok_step", "low", "high", "memorised_step", "val_accuracy")


def test_the_runs_of_a_study_come_back(tmp_path, capsys):
    """Two parts; an arm that is still trained is left out, one of an earlier archive stays."""
    study = tmp_path / "results/toy"
    for part, grok_steps in {"a": [300, None], "b": [500, 700, 400]}.items():
        leave(study / part / "arm", grok_steps)
    leave(study / "a/other", [200], status="running")
    leave(tmp_path / "results/moddiv", [300])  # no study
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "toy.py").touch()
    archive.prepare(folder, tmp_path / "results")()
    assert "toy.zip: 2 arms" in capsys.readouterr().out
    assert [path.name for path in folder.glob("data/*")] == ["toy.zip"]
    first = (folder / "data/toy.zip").read_bytes()

    zipfile.ZipFile(folder / "data/toy.zip").extractall(tmp_path / "again")
    wanted, found = (rows(arms.read_all([place])) for place in (study / "b", tmp_path / "again/b"))
    assert found == wanted
    assert not (tmp_path / "again/a/other").exists()

    (study / "b").rename(tmp_path / "gone")
    archive.prepare(folder, tmp_path / "results")()
    assert (folder / "data/toy.zip").read_bytes() == first


def test_the_place_on_this_machine_is_not_archived(tmp_path):
    """A branch says where it began."""
    study = tmp_path / "results/toy"
    branch = {"origin": f"{study}/trunk/adamw@grokked"}
    leave(study / "branch", [300], branch=branch)
    (tmp_path / "data").mkdir()
    (tmp_path / "toy.py").touch()
    archive.prepare(tmp_path, tmp_path / "results")()

    zipfile.ZipFile(tmp_path / "data/toy.zip").extractall(tmp_path / "again")
    text = (tmp_path / "again/branch/config.json").read_text()
    assert '"trunk/adamw@grokked"' in text
    assert str(tmp_path) not in text


def test_without_a_finished_arm_there_is_nothing_to_archive(tmp_path):
    leave(tmp_path / "results/toy", [300], status="running")

    with pytest.raises(ValueError, match="no arm of a study is finished in .*give --results"):
        archive.prepare(tmp_path, tmp_path / "results")


@pytest.mark.parametrize(
    "path", [p for p in ARCHIVES if p != PUBLISHED], ids=lambda path: path.stem
)
def test_the_published_tables_are_found_in_the_data(path, tmp_path):
    """Of every part of the study that has one."""
    zipfile.ZipFile(path).extractall(tmp_path)
    parts = sorted({folder.parent for folder in folders.find(tmp_path)})
    for part in parts:
        name = "_".join([path.stem, *part.relative_to(tmp_path).parts])
        found = {row["arm"]: row for row in rows(arms.read_all([part]))}
        with (EXPERIMENTS / f"tables/{name}.csv").open() as file:
            wanted = list(csv.DictReader(file))

        assert len(wanted) == len(found)
        for row in wanted:
            texts = {column: _text(found[row["arm"]][column]) for column in SAME}
            assert texts == {column: row[column] for column in SAME}


def test_the_table_of_published_numbers_is_found_in_the_data(tmp_path):
    zipfile.ZipFile(PUBLISHED).extractall(tmp_path)
    rows = reproductions.rows()
    published = {name: row.published for name, row in rows.items()}
    configs = {name: row.config for name, row in rows.items()}
    verdicts.write_data(tmp_path / "runs.csv", verdicts.collect(published, configs, tmp_path))

    assert (tmp_path / "runs.csv").read_bytes() == (EXPERIMENTS / verdicts.DATA).read_bytes()


def test_the_data_stay_small():
    assert ARCHIVES
    assert sum(path.stat().st_size for path in ARCHIVES) < 40e6


def _text(value):
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
