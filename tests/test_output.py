"""What cannot be printed, logged or drawn is left out and said once; training goes on."""

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from conftest import toy_mlp

from grokjax import setup
from grokjax.reading.pictures import plots, style
from grokjax.recording.checkpoints import Checkpoints, steps
from grokjax.recording.history import History
from grokjax.recording.output import in_one_line, may_fail, open_steady, plain_console
from grokjax.recording.results import Results
from grokjax.running.command_line import PathParser
from grokjax.running.options import Options
from grokjax.running.resume import Start
from grokjax.train import train_from, train_in

ROOT = Path(__file__).parent.parent
FULL = OSError(errno.ENOSPC, "No space left on device")


def metrics(step_E=None):
    """Those of one run that learns nothing, or their history."""
    names = [f"{split}_{metric}" for split in ("train", "val") for metric in ("loss", "accuracy")]
    shape = (1,) if step_E is None else (len(step_E), 1)
    return {name: np.full(shape, 0.5) for name in (*names, "learning_rate", "l1")}


def made_up(*_, num_steps, **__):
    """Yields what `loop.chunks` does, without training anything."""
    for t in range(5, num_steps + 1, 5):
        yield t, {"params": {"w": np.ones((1, 3, 2), np.float32)}}, metrics()


def train(folder, **options):
    """What the command does in a folder, in this process; gives the results."""
    results = Results(folder)
    config = toy_mlp()
    folder.mkdir(parents=True)
    start = Start(0, None, History())
    train_from(start, results, setup(config), Options(config, folder, **options), made_up)
    return results


def test_a_full_disk_is_said_once_and_the_file_is_written_and_closed_as_if_nothing_were(capsys):
    file = open_steady(Path("/dev/full"))
    for _ in range(3):
        print("a line", file=file)
    file.close()

    assert capsys.readouterr().err == (
        "warning: '/dev/full' cannot be written: No space left on device\n"
    )


def test_a_reader_that_has_gone_is_not_worth_a_word(capsys):
    reading, writing = os.pipe()
    os.close(reading)
    with open_steady(writing) as stream:
        print("a line", file=stream)
    os.close(writing)

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "words",
    [
        ["benchmarks.step_time", "--help"],
        *(
            pytest.param(words.split(), marks=pytest.mark.slow)
            for words in (
                "benchmarks.gpu --help",
                "experiments list",
                "experiments.mlp --status",
                "grokjax.analyze {here}/results --output {here}/analysis",
                "grokjax.checkpoint_tool list {here}/results",
                "grokjax.datasets list",
                "grokjax.train --help",
                "grokjax.train --config.task.p=7 --config.model.width=8 --config.batch_size=9 "
                "--config.schedule.num_steps=100 --workdir {here}/new",
            )
        ),
    ],
    ids=lambda words: words[0],
)
def test_no_command_says_a_word_about_a_reader_that_has_gone(words, tmp_path):
    """As in `| head -0`: nothing is read, and the pipe is closed before a word is written."""
    if any("{here}/results" in word for word in words):
        train(tmp_path / "results" / "run").lock.release()
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", *(word.format(here=tmp_path) for word in words)]
    done = subprocess.run(
        command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)

    assert (done.returncode, done.stderr) == (0, "")


def test_what_an_encoding_cannot_spell_is_written_by_its_number(tmp_path):
    with (tmp_path / "ascii").open("wb") as file, open_steady(file.fileno(), "ascii") as stream:
        print("a ∘ b", file=stream)

    assert (tmp_path / "ascii").read_bytes() == rb"a \u2218 b" + b"\n"


def test_a_block_that_may_fail_ends_in_one_line(capsys):
    with may_fail("a picture"):
        raise RuntimeError("latex\ncould not be found")
    with may_fail("a library's"):
        raise RuntimeError("word " * 1000)

    first, second = capsys.readouterr().err.splitlines()
    assert first == "warning: a picture: latex could not be found"
    assert len(second) < 250
    assert in_one_line(FileNotFoundError(2, "No such file", "x")) == "No such file: 'x'"


@pytest.mark.parametrize("name", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_the_environment_makes_no_terminal_of_a_file(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    monkeypatch.setattr(sys, "stdout", io.StringIO())

    assert not plain_console().is_terminal


def test_a_dumb_terminal_gets_lines_instead_of_a_bar(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "dumb")
    assert not plain_console().is_interactive
    monkeypatch.setenv("TERM", "xterm")
    assert plain_console().is_interactive


def test_no_text_is_taken_for_markup_or_an_emoji(capsys):
    plain_console(width=80).print("mix=1:100:1 [bold]a:b:c[/] a:smile:c")

    assert capsys.readouterr().out == "mix=1:100:1 [bold]a:b:c[/] a:smile:c\n"


def test_a_training_is_finished_though_no_picture_can_be_drawn(tmp_path, monkeypatch, capsys):
    def loss(*_):
        raise RuntimeError("no font")

    monkeypatch.setattr(plots, "loss", loss)
    results = train(tmp_path / "run", save_path=str(tmp_path / "copy.pdf"))

    assert results.status() == "finished"
    assert capsys.readouterr().err == f"warning: {str(results.loss_figure)!r} is missing: no font\n"
    assert results.accuracy_figure.exists()
    assert (tmp_path / "copy.pdf").read_bytes().startswith(b"%PDF")
    assert results.overview_figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.filterwarnings("error")
def test_pictures_do_not_depend_on_the_matplotlibrc_of_the_user(tmp_path):
    history = {"step": np.array([10, 20])} | metrics([10, 20])
    plots.save(plots.accuracy(history), tmp_path / "ours.png")
    with matplotlib.rc_context({"text.usetex": True, "font.size": 30, "savefig.dpi": 7}):
        plots.save(plots.accuracy(history), tmp_path / "theirs.png")

    assert (tmp_path / "ours.png").read_bytes() == (tmp_path / "theirs.png").read_bytes()


def test_a_checkpoint_that_cannot_be_written_is_a_warning_until_the_last(
    tmp_path, monkeypatch, capsys
):
    """Those of steps 10 and 20 are due; the first meets a full disk."""
    monkeypatch.setattr(plots, "save", lambda *_: None)
    save = Checkpoints.save
    failing = [FULL]

    def once(self, *arguments):
        if failing:
            raise failing.pop()
        save(self, *arguments)

    monkeypatch.setattr(Checkpoints, "save", once)
    results = train(tmp_path / "run")
    assert results.status() == "finished"
    assert steps(results.checkpoints) == [20]
    said = capsys.readouterr().err
    assert said == "warning: a checkpoint is missing: [Errno 28] No space left on device\n"

    def never(self, *arguments):
        raise FULL

    monkeypatch.setattr(Checkpoints, "save", never)
    with pytest.raises(OSError, match="No space left"):
        train(tmp_path / "other")
    assert Results(tmp_path / "other").status() == "failed"


def test_a_console_that_fails_loses_neither_history_nor_training(tmp_path, monkeypatch, capsys):
    def say(*_, **__):
        raise BrokenPipeError

    monkeypatch.setattr(plots, "save", lambda *_: None)
    monkeypatch.setattr("grokjax.recording.logging.Console.describe", say)
    results = train(tmp_path / "run")

    assert results.status() == "finished"
    assert "warning: a line of step 5: BrokenPipeError" in capsys.readouterr().err


@pytest.mark.slow
def test_a_requeued_job_goes_on_or_begins_anew_by_itself(tmp_path):
    """Interrupted at step 10, then before the first checkpoint."""
    config = toy_mlp()
    results = Results(tmp_path / "run")
    experiment = setup(config)
    train_in(results, experiment, Options(config, results.folder))
    for step, begins in ((10, 10), (None, 0)):
        for later in steps(results.checkpoints):
            if step is None or later > step:
                (results.checkpoints / str(later)).rename(tmp_path / f"{step}-{later}")
        metadata = json.loads(results.metadata.read_text())
        results.metadata.write_text(json.dumps(metadata | {"status": "running"}))
        options = Options(config, results.folder, resume="latest", requeued=True)
        train_in(results, experiment, options)

        assert results.status() == "finished"
        assert results.sessions()[-1]["from_step"] == begins
    results.lock.release()


def test_a_path_is_expanded_or_refused():
    assert PathParser().parse("~/x") == str(Path.home() / "x")
    assert PathParser().parse("a:b/c://d") == "a:b/c://d"
    with pytest.raises(ValueError, match="gs:// cannot be written to"):
        PathParser().parse("gs://bucket/x")
    with pytest.raises(ValueError, match="not UTF-8"):
        PathParser().parse("x\udcff")


def test_the_suffix_of_a_picture_is_one_that_matplotlib_writes():
    style.check_format(Path("a/b.PDF"))
    with pytest.raises(ValueError, match=r"'b' is no picture; choose a suffix of: .*png"):
        style.check_format(Path("b"))
    with pytest.raises(ValueError, match="'b.xyz' is no picture"):
        style.check_format(Path("b.xyz"))
