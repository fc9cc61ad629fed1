"""Where a study is: the line, what it is estimated from, and that only a terminal gets it."""

import io
import os
import pty
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from conftest import toy_mlp
from test_studies import ROOT, command, conduct, rows, toy

from grokjax import grid
from grokjax.studies.process import ArmProcess
from grokjax.studies.standing import Standing, shown

CONTROL = "\x1b"


def arm(num_steps, work):
    """Stands for an arm that is at no step yet."""
    config = SimpleNamespace(schedule=SimpleNamespace(num_steps=num_steps))
    return SimpleNamespace(config=config, step=lambda: None, work=lambda: work)


def test_the_time_left_is_that_of_steps_at_the_pace_since_the_first_evaluation():
    """Steps of a hundredth of a second; what comes after has as much work as two such arms."""
    now = [0.0]
    process = arm(1_000, work=3_000)
    later = [arm(500, work=1_500), arm(1_500, work=4_500)]
    interrupts = SimpleNamespace(received=None)
    standing = Standing("toy 1/3 a", process, later, interrupts, lambda: now[0])
    told = []
    for second, step in [(7, None), (10, 100), (12, 300), (14, 500), (15, 500), (19, 990)]:
        now[0] = second
        process.step = lambda step=step: step
        told.append(str(standing))
    interrupts.received = signal.SIGINT

    assert told[:3] == [
        "toy 1/3 a: starting, 0:00:07",
        "toy 1/3 a: step 100 of 1,000",
        "toy 1/3 a: step 300 of 1,000",
    ]
    assert told[3:5] == [
        "toy 1/3 a: step 500 of 1,000, 0:00:05 left, of the study about 0:00:25",
        "toy 1/3 a: step 500 of 1,000, 0:00:04 left, of the study about 0:00:24",
    ]
    assert str(standing) == "toy 1/3 a: stopping"


def test_of_the_last_arm_there_is_no_time_of_the_study_and_at_the_end_none_at_all():
    now = [0.0]
    process = arm(40, work=40)
    standing = Standing("b", process, [], SimpleNamespace(received=None), lambda: now[0])
    for second, step in [(0, 10), (6, 20), (18, 40)]:
        now[0] = second
        process.step = lambda step=step: step
        text = str(standing)
        assert (
            text
            == {
                10: "b: step 10 of 40",
                20: "b: step 20 of 40, 0:00:12 left",
                40: "b: step 40 of 40, writing its results",
            }[step]
        )


def test_the_step_of_an_arm_is_the_latest_of_this_process(tmp_path):
    """Earlier ones have left their lines in the same file."""
    config = toy_mlp()
    config.runs = grid(config.runs, seed=(0, 1, 2), learning_rate=(0.1, 0.2))
    process = ArmProcess("toy.py", config, tmp_path, [])
    process.output.write_text("[step 9,000] a line\n")
    assert process.step() is None
    said = "starting\n[step 10] a\n[step 1,300] b | 7 steps/s\nresults are at [step 5]\n"
    process._command = [sys.executable, "-c", f"print({said!r})"]

    assert process.run(SimpleNamespace(received=None)) == "finished"
    assert process.step() == 1_300
    assert process.work() == 20 * 6


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "term", "is_shown"),
    [(Terminal(), "xterm", True), (Terminal(), "dumb", False), (io.StringIO(), "xterm", False)],
    ids=["terminal", "dumb terminal", "pipe"],
)
def test_only_a_terminal_that_can_take_a_line_away_is_shown_one(
    stream, term, is_shown, monkeypatch
):
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLUMNS", "30")
    with shown("toy 1/2 arm: step 300 of 40,000, 0:02:00 left"):
        pass
    written = stream.getvalue()

    assert (CONTROL in written) == is_shown
    if is_shown:
        assert "toy 1/2 arm: step 300 of 40,0…\r" in written.replace("\n", "\r")
        assert written.endswith("\x1b[2K")  # the line is gone
    else:
        assert written == ""


def test_ctrl_c_where_nothing_saves_is_one_line():
    code = """
from grokjax.running import command_line
def prepare(_):
    raise KeyboardInterrupt
command_line.run(prepare)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "stopped by Ctrl-C; the same command begins again\n"


# A process that makes its standard input its terminal and becomes the command: forking here, as
# `pty.fork` does, is what JAX warns of once its threads run.
AS_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def in_a_terminal(words, term, after, results):
    """What a terminal is written until the end, Ctrl-C being typed once `after` was; exit code."""
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", AS_TERMINAL, *words],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        env=os.environ | {"TERM": term, "COLUMNS": "100", "PYTHONPATH": str(ROOT)},
    )
    os.close(inside)
    written = ""
    has_typed = False
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            written += os.read(terminal, 65536).decode(errors="replace")
        except OSError:  # the other side is closed
            break
        trained = [*results.rglob("checkpoints/[0-9]*")]
        if not has_typed and re.search(after, written) and trained:
            os.write(terminal, b"\x03")
            has_typed = True
    os.close(terminal)
    return written, process.wait()


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_ends_all_processes_and_the_same_command_goes_on(tmp_path):
    path = toy(tmp_path, num_steps=6_000)
    results = tmp_path / "results"
    words = command(path, results, "--cores=1")
    written, code = in_a_terminal(words, "xterm", r"step [\d,]+ of 6,000", results)

    assert code == 130
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "\n", written).split("\n")
    assert "stopping after this chunk; Ctrl-C again leaves at once" in lines
    assert "toy 1/2 without: stopping" in lines
    assert [line for line in lines if line][-1] == (
        "stopped by a signal; the same command goes on from here"
    )
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")  # the cursor is back
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert str(results) not in listed.stdout

    done = conduct(path, results, "--cores=1", "--only=without")
    assert done.returncode == 0, done.stderr
    assert CONTROL not in done.stdout
    assert "\r" not in done.stdout
    assert [row["arm"] for row in rows(results / "toy")] == ["without"]


@pytest.mark.slow
def test_a_dumb_terminal_is_written_no_control_characters(tmp_path):
    path = toy(tmp_path, num_steps=6_000)
    results = tmp_path / "results"
    words = command(path, results, "--cores=1")
    written, code = in_a_terminal(words, "dumb", "training, see", results)

    assert code == 130
    assert CONTROL not in written
    assert "\r" not in written.replace("\r\n", "")
    assert written.endswith("stopped by a signal; the same command goes on from here\r\n")
