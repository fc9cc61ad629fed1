"""Signals that ask to stop: the first is noted, a second Ctrl-C leaves at once."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable

from grokjax.recording.output import plain_console, warn

# Ctrl-C; the end of a job; a closed terminal; what SLURM and submitit send before the time is up
ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Interrupts(contextlib.AbstractContextManager):
    """Within the block a signal is noted instead of raised.

    Python runs signal handlers between two instructions of the main thread, which may be a
    compiled program of many seconds. Signals are therefore read by a thread of their own, from
    the pipe that Python writes their numbers to as they come.
    """

    def __init__(self, parent: int | None = None, last_word: Callable[[], str] = str):
        """Begins to note them when it is entered.

        Args:
            parent: number of the process that started this one, whose end asks to stop too.
            last_word: how to go on, which is said where a second Ctrl-C leaves at once.
        """
        self._parent = parent
        self._last_word = last_word
        self._received = None

    @property
    def received(self) -> int | None:
        """The number of the signal that came; None as long as nothing asks to stop."""
        if self._parent not in (None, os.getppid()):
            return self._received or signal.SIGTERM
        return self._received

    def __enter__(self):
        reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        numbers = set(ASKING)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # by nohup
            numbers.remove(signal.SIGHUP)
        self._before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        self._wakeup_before = signal.set_wakeup_fd(self._writing)
        threading.Thread(target=self._watch, args=(reading,), daemon=True).start()
        return self

    def __exit__(self, *exception):
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._writing)  # ends the thread

    def _watch(self, reading):
        while numbers := os.read(reading, 1):
            if numbers[0] not in ASKING:
                continue  # somebody else's handler has it
            if self._received is not None and numbers[0] == signal.SIGINT:
                self._leave()
            self._received = numbers[0]
            again = "; Ctrl-C again leaves at once" if numbers[0] == signal.SIGINT else ""
            warn(f"\nstopping after this chunk{again}")
        os.close(reading)

    def _leave(self):
        with contextlib.suppress(Exception):
            warn("; ".join(filter(None, ("left at once", self._last_word()))))
            console = plain_console()
            if console.is_interactive:  # a bar or a line has hidden it
                console.show_cursor()
                console.line()
        os._exit(128 + signal.SIGINT)
