"""Ctrl-C and SIGTERM: the first asks to stop, a second Ctrl-C leaves at once."""

import contextlib
import os
import signal
import sys
import threading


class Interrupts(contextlib.AbstractContextManager):
    """Within the block a signal is noted instead of raised; `received` is its number or None.

    Python runs signal handlers between two instructions of the main thread, which may be a
    compiled program of many seconds. Signals are therefore read by a thread of their own, from
    the pipe that Python writes their numbers to as they come.
    """

    received: int | None = None

    def __init__(self, parent: int | None = None):
        """The end of the process number `parent`, which started this one, asks to stop too."""
        self._parent, self._left = parent, threading.Event()

    def __enter__(self):
        signals = (signal.SIGINT, signal.SIGTERM)
        reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self._before = {n: signal.signal(n, lambda *_: None) for n in signals}
        self._wakeup_before = signal.set_wakeup_fd(self._writing)
        threading.Thread(target=self._watch, args=(reading,), daemon=True).start()
        if self._parent is not None:
            threading.Thread(target=self._watch_parent, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self._left.set()
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._writing)  # ends the thread

    def _watch(self, reading):
        while numbers := os.read(reading, 1):
            if self.received is not None and numbers[0] == signal.SIGINT:
                os._exit(128 + signal.SIGINT)
            print("\nstopping after this chunk; Ctrl-C again leaves at once", file=sys.stderr)
            self.received = numbers[0]
        os.close(reading)

    def _watch_parent(self):
        while os.getppid() == self._parent:
            if self._left.wait(1.0):
                return
        os.kill(os.getpid(), signal.SIGTERM)
