"""Ctrl-C and SIGTERM: the first asks to stop, a second Ctrl-C leaves at once."""

import contextlib
import os
import signal


class Interrupts(contextlib.AbstractContextManager):
    """Within the block a signal is noted instead of raised; `received` is its number or None."""

    received: int | None = None

    def __enter__(self):
        signals = (signal.SIGINT, signal.SIGTERM)
        self._before = {number: signal.signal(number, self._note) for number in signals}
        return self

    def __exit__(self, *exception):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number, frame):
        del frame
        if self.received is not None and number == signal.SIGINT:
            os._exit(128 + number)
        self.received = number
