"""What is to be written is tried before training: paths, formats, folders."""

import contextlib
import json
import os
import sys
from pathlib import Path

import pytest
from absl import flags
from absl.testing import flagsaver

from grokjax.config.config import base, grid, plain
from grokjax.config.experiment import check, setup
from grokjax.recording.results import Results
from grokjax.running import command_line
from grokjax.running.options import Options


@pytest.fixture
def options(tmp_path, monkeypatch):
    """What the command makes of its words, in this process and in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.py").write_text("from grokjax import base as get_config")

    def parse(*words):
        with flagsaver.flagsaver():
            flags.FLAGS(["grokjax-train", "--config=toy.py", *words])
            return Options.from_flags()

    return parse


@pytest.mark.parametrize(
    ("word", "said"),
    {
        "--save_path=folder.png": "'folder.png' is no file",
        "--save_path=/dev/full": "'/dev/full' is no file",
        "--save_path=dangling.png": "'dangling.png' is no file",
        "--save_path=picture": "'picture' is no picture; choose a suffix of: .*pdf.*png",
        "--save_path=picture.xyz": "'picture.xyz' is no picture",
        f"--save_path={'x' * 245}.png": "File name too long",  # with the number of a process
        "--save_path=s3://bucket/x.png": "s3:// cannot be written to; choose a path on this",
        "--workdir=dangling.png": "dangling.png' is a file; choose a folder",
        f"--workdir={'y' * 300}": "File name too long",
        f"--workdir={'y/' * 1990}": "File name too long",  # with the names of checkpoints
        "--workdir=none\udcff": "this is not UTF-8; choose another name",
        "--workdir=gs://bucket/x": "gs:// cannot be written to",
    }.items(),
)
def test_a_path_that_cannot_be_written_is_refused_and_nothing_is_made(options, word, said):
    Path("dangling.png").symlink_to("nowhere")
    Path("folder.png").mkdir()
    before = set(os.listdir())

    with pytest.raises((ValueError, OSError, flags.Error), match=said):
        options(word)
    assert set(os.listdir()) == before


@pytest.mark.parametrize(("word", "size"), [("auto", "auto"), ("256", 256), ("'x'", "x")])
def test_the_size_of_a_batch_is_a_number_or_auto(options, monkeypatch, word, size):
    words = ["--config=toy.py", f"--config.batch_size={word}"]
    monkeypatch.setattr(sys, "argv", ["grokjax-train", *words])  # where entries are looked for

    assert options(words[1]).config.batch_size == size


@pytest.mark.parametrize(
    ("every", "evaluated", "said"),
    [(50, 50, ""), (200, 100, ""), (125, 125, ""), (-1, 100, "log_every = -1; choose 0 or more")],
)
def test_lines_come_as_often_as_asked_for_and_evaluations_too(options, every, evaluated, said):
    config = options(f"--log_every={every}").config

    assert (config.log_every, config.schedule.eval_every) == (every, evaluated)
    with pytest.raises(ValueError, match=said) if said else contextlib.nullcontext():
        check(config)


def test_lines_that_do_not_fit_the_schedule_are_one_clear_error(options):
    with pytest.raises(
        ValueError, match="eval_every = 30 does not divide .* every 10 steps by --log_every"
    ):
        check(options("--log_every=30").config)


def test_a_tilde_is_the_home_of_the_user(options, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    assert options("--workdir=~/x").workdir == tmp_path / "x"
    assert options("--save_path=~/x.pdf").save_path == f"{tmp_path}/x.pdf"


def test_a_job_that_slurm_starts_again_resumes_whatever_it_was_told(options, monkeypatch):
    words = ("--workdir=there", "--overwrite")
    assert options(*words).overwrite
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    again = options(*words)

    assert (again.resume, again.step, again.overwrite, again.requeued) == ("latest", None, False, 1)


@pytest.mark.parametrize("name", ["history.npz", "training.log", "overview.png"])
def test_a_folder_in_the_place_of_a_file_is_noticed_before_training(options, tmp_path, name):
    (tmp_path / "run" / name).mkdir(parents=True)

    with pytest.raises((ValueError, OSError), match=f"{name}' is a folder|Is a directory"):
        options("--workdir=run").try_out(Results(tmp_path / "run"))


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(13, "Permission denied", "run/lock"), "Permission denied: 'run/lock'"),
        (ValueError("p = 96\nis not prime"), "p = 96 is not prime"),
        (
            RuntimeError("Unable to initialize backend 'abc'"),
            "Unable to initialize backend 'abc'; choose another JAX_PLATFORMS, such as cpu",
        ),
    ],
)
def test_a_mistake_of_the_user_is_one_line_and_exit_code_2(error, line, capsys):
    with pytest.raises(SystemExit) as left, command_line.one_line_errors():
        raise error

    assert left.value.code == 2
    assert capsys.readouterr().err == f"error: {line}\n"


def test_a_folder_is_gone_on_with_by_the_config_that_it_holds(tmp_path, monkeypatch):
    """No config is given: entries, shard and short flags are those of the folder."""
    monkeypatch.chdir(tmp_path)
    config = base(task=dict(name="modular", p=7))
    config.batch_size = 13
    config.runs = grid(config.runs, seed=(3, 4))
    record = setup(config).record
    folder = Path("results/toy")
    (folder / "shard-1-of-2").mkdir(parents=True)

    def parse(*words):
        with flagsaver.flagsaver():
            flags.FLAGS["config"].present = 0
            flags.FLAGS(["grokjax-train", *words])
            return Options.from_flags()

    with pytest.raises(ValueError, match="'results/toy' holds no training; choose another folder"):
        parse("--resume=results/toy")
    (folder / "shard-1-of-2/config.json").write_text(json.dumps(record | {"shard": "1/2"}))
    whole = parse("--resume=results/toy", "--log_every=50")
    assert (whole.workdir, whole.resume, whole.step, whole.shard) == (folder, "latest", None, None)
    assert whole.config.task.p == 7
    assert whole.config.runs.seed == (3, 4)
    assert whole.config.log_every == 50
    part = parse("--resume=results/toy/shard-1-of-2")
    assert part.shard == (1, 2)
    assert plain(part.config) == plain(config)
    assert plain(parse("--workdir=results/toy", "--resume=latest").config) == plain(config)
    words = ["grokjax-train", "--resume=results/toy", "--config.schedule.num_steps=8000"]
    monkeypatch.setattr(sys, "argv", words)  # where the flags library looks for overrides
    assert command_line._resumed() == "results/toy"
    longer = parse("--config=results/toy", *words[1:])
    assert (longer.workdir, longer.resume) == (folder, "latest")
    assert longer.config.schedule.num_steps == 8000
    assert longer.config.runs.seed == (3, 4)
    folder.rename("results/moddiv")  # where a training without a config has its results
    assert plain(parse("--resume=latest").config) == plain(config)
    Path("results/moddiv").rename(folder)
    (folder / "config.json").write_text('{"runs": 3}')
    with pytest.raises(ValueError, match="the config is not what training wrote"):
        parse("--resume=results/toy")


def test_seeds_are_named_once(options, monkeypatch):
    entry = "--config.runs.seed=(5,6)"
    monkeypatch.setattr(sys, "argv", ["grokjax-train", entry])  # where entries are looked for

    assert options("--seeds=2:4").config.runs.seed == (2, 3)
    assert options(entry).config.runs.seed == (5, 6)
    with pytest.raises(
        ValueError, match=r"--seeds and --config\.runs\.seed both name .*choose one"
    ):
        options("--seeds=2", entry)
