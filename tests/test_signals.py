"""Signals are noted while a compiled program runs, and the second Ctrl-C does not wait for it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from grokjax.running.signals import ASKING, Interrupts


@pytest.mark.usefixtures("hangups")
@pytest.mark.parametrize("number", ASKING)
def test_a_signal_is_noted_and_the_handlers_come_back(number):
    before = signal.getsignal(number)
    with Interrupts() as interrupts:
        assert interrupts.received is None
        os.kill(os.getpid(), number)
        while interrupts.received is None:
            time.sleep(0.001)
        assert interrupts.received == number
    assert signal.getsignal(number) is before


def test_a_terminal_that_closes_is_no_signal_under_nohup():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGUSR1)  # comes after it
        while interrupts.received is None:
            time.sleep(0.001)
        assert interrupts.received == signal.SIGUSR1
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    signal.signal(signal.SIGHUP, before)


def test_a_signal_of_another_handler_does_not_ask_to_stop():
    came = []
    before = signal.signal(signal.SIGALRM, lambda *_: came.append(True))
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGALRM)
        time.sleep(0.05)
        assert came
        assert interrupts.received is None
    signal.signal(signal.SIGALRM, before)


def test_a_second_ctrl_c_leaves_at_once():
    """Even from within one long call into C, where Python runs no handler."""
    code = """
import hashlib
from grokjax.running.signals import Interrupts
with Interrupts(last_word=lambda: "the same command goes on"):
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)  # minutes away from the interpreter
"""
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", code], **piped)
    assert process.stdout.readline() == "ready\n"
    for _ in range(2):
        time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)

    _, said = process.communicate(timeout=10)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "left at once; the same command goes on"


def test_the_end_of_the_parent_asks_to_stop_too():
    with Interrupts(parent=os.getppid()) as of_ours, Interrupts(parent=os.getpid()) as of_another:
        assert of_ours.received is None
        assert of_another.received == signal.SIGTERM
