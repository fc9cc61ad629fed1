"""The arm that another is compared with, found at constant cost among those before it."""

from typing import Any

from grokjax.reading.arms import Arm


class References:
    """The arms of a table before another.

    Args:
        any_clock: compare also arms whose steps are not counted from the same point, the start of
            training or the states of a branch.
    """

    def __init__(self, any_clock: bool = False):
        self._any_clock = any_clock
        self._places: dict[tuple, int] = {}  # of the first arm of each key
        self._alike: dict[tuple, Arm] = {}  # by family and values
        self._arms: list[Arm] = []
        self._tasks: list[Any] = []  # the distinct ones

    def add(self, arm: Arm) -> None:
        """Puts an arm behind the others."""
        task, mixture = self._keys(arm)
        self._places.setdefault(task, len(self._arms))
        if arm.history.groups:
            self._places.setdefault(mixture, len(self._arms))
        self._alike.setdefault((arm.family, frozenset(arm.values.items())), arm)
        self._arms.append(arm)

    def of(self, arm: Arm) -> Arm | None:
        """The arm of the first family with the same values, else the first with the task.

        Mixtures hold every task; arms of one family are of one task and one clock.
        """
        places = [self._places[key] for key in self._keys(arm) if key in self._places]
        if not places:
            return None
        first = self._arms[min(places)]
        if first.family == arm.family:
            return first
        return self._alike.get((first.family, frozenset(arm.values.items())), first)

    def _keys(self, arm):
        """Of its task, and of mixtures."""
        task = arm.config.get("task")
        if task not in self._tasks:
            self._tasks.append(task)
        clock = None if self._any_clock else _first_step(arm)
        return (self._tasks.index(task), clock), ("mixture", clock)


def _first_step(arm):
    """What steps are counted from: the origin of a branch that counts anew, else None."""
    if not arm.counts_anew:
        return None
    origin = arm.config.get("branch", {}).get("origin", "")
    return arm.config["branched"].get("folder"), origin.rpartition("@")[2]
