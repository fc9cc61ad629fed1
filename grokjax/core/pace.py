"""How many steps a chunk has: the clock decides where chunks end, never what they compute."""

SECONDS = 5.0  # of a chunk, so that a signal is answered soon
MOST_SECONDS = 20.0  # where calls themselves take long
CALL_SHARE = 0.2  # of a chunk's time, that a call may take without its steps
MOST_CALL = 0.9  # of a timed chunk's time, taken for the call's; the rest is its steps'
TRIAL_STEPS = 2  # of the first chunk
TIMED = 4  # chunks: one alone is noise
MOST_TIMES = 10  # longer than the one before


class Pace:
    """The length of chunks, from how long some took.

    A call takes `call + steps * step` seconds. `call` copies the states of all runs, also of those
    that have stopped: Grokfast-MA's window is 170 MB a run. So a chunk lasts SECONDS, or as long as
    it takes for a call to be CALL_SHARE of it, if that is at most MOST_SECONDS. Chunks are timed
    anew, from a trial on, whenever at most half as many runs are active.
    """

    def __init__(self):
        self._begin(None)

    def _begin(self, num_active):
        self.length = TRIAL_STEPS
        self._num_active = num_active  # runs, at the trial
        self._timed = 0  # chunks since then
        self._last = None  # (steps, seconds) of the last of them
        self._call = 0.0

    def is_timed(self, num_active: int) -> bool:
        """Is the next chunk, of so many active runs, to be timed?"""
        if self._num_active is None or 0 < 2 * num_active <= self._num_active:
            self._begin(num_active)
        return self._timed < TIMED

    def took(self, steps: int, seconds: float) -> None:
        """Chooses the length of the next chunks, after one of so many steps that took so long."""
        if self._last and max(steps, self._last[0]) >= 2 * min(steps, self._last[0]):
            step = (seconds - self._last[1]) / (steps - self._last[0])
            self._call = seconds - steps * step if step > 0 else self._call  # else it is noise
        self._call = min(max(self._call, 0.0), MOST_CALL * seconds)
        step = (seconds - self._call) / steps
        wanted = min(max(SECONDS, self._call / CALL_SHARE), MOST_SECONDS)
        length = int((wanted - self._call) / step)
        if not self._timed and 2 * seconds <= MOST_SECONDS:
            length = max(length, 2 * steps)
        self.length = min(max(1, length), MOST_TIMES * steps)
        self._timed += 1
        self._last = (steps, seconds)
