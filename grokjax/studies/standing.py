"""Where a study is while an arm is trained: one line that a terminal refreshes."""

import contextlib
import datetime
import time
from collections.abc import Callable, Sequence

from rich.live import Live
from rich.text import Text

from grokjax.recording.output import plain_console
from grokjax.running.signals import Interrupts
from grokjax.studies.process import ArmProcess

STEADY = 3.0  # seconds that a pace is measured over, at least


class Standing:
    """The step of an arm, and about how long it and the arms after it will take.

    The pace is that since the arm's first evaluation, which comes after compiling. Other arms are
    taken to be as fast as this one for each step of a run; one that stops early takes less.
    """

    def __init__(
        self,
        where: str,
        process: ArmProcess,
        later: Sequence[ArmProcess],
        interrupts: Interrupts,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Begins now.

        Args:
            where: which arm of which study, for people.
            process: that trains it.
            later: those that are to be trained after it.
            interrupts: that it is asked to stop by.
            clock: in seconds.
        """
        self._where = where
        self._process = process
        self._later_work = sum(each.work() for each in later)
        self._interrupts = interrupts
        self._clock = clock
        self._begun = clock()
        self._first: tuple[int, float] | None = None  # the first step that is known, and when
        self._latest: tuple[int, float] | None = None

    def __str__(self) -> str:
        if self._interrupts.received:
            return f"{self._where}: stopping"
        now = self._clock()
        step = self._process.step()
        if step is None:
            return f"{self._where}: starting, {_duration(now - self._begun)}"
        if self._latest is None or step != self._latest[0]:
            self._latest = (step, now)
            self._first = self._first or self._latest
        num_steps = self._process.config.schedule.num_steps
        return f"{self._where}: step {step:,} of {num_steps:,}{self._left(num_steps, now)}"

    def _left(self, num_steps, now):
        """In words; nothing as long as the pace is not known."""
        (first, begun), (step, seen) = self._first, self._latest
        if step == num_steps:
            return ", writing its results"
        if seen - begun < STEADY:
            return ""
        pace = (seen - begun) / (step - first)
        of_arm = max(pace * (num_steps - step) - (now - seen), 0)
        of_study = of_arm + pace * num_steps * self._later_work / self._process.work()
        text = f", {_duration(of_arm)} left"
        return text + (f", of the study about {_duration(of_study)}" if self._later_work else "")


def shown(standing: Standing) -> contextlib.AbstractContextManager:
    """A block in which a terminal shows it, and takes it away again; other output has nothing."""
    console = plain_console()
    if not console.is_interactive:
        return contextlib.nullcontext()

    def line():
        text = ""
        with contextlib.suppress(OSError):  # of a folder that is gone
            text = str(standing)
        return Text(text, no_wrap=True, overflow="ellipsis")

    return Live(get_renderable=line, console=console, refresh_per_second=2, transient=True)


def _duration(seconds):
    return datetime.timedelta(seconds=round(seconds))
