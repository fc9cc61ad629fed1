"""Hyperparameters that may differ from run to run: a default, a type and a range for each.

They stand with the part that reads them, in a dict `HPARAMS` by name, and become entries of
`config.runs`.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from grokjax.core.checks import MAX_DEPTH, MAX_WIDTH, check_choice

Scalar = float | jax.Array  # a value of one: a number, or traced


class Range(NamedTuple):
    """What a value may be."""

    text: str  # as an error says it
    holds: Callable[[Any], Any]  # true if it may be
    followed_by: int | None = None  # num_steps is the value plus this or more; None: no steps


class Hparam(NamedTuple):
    """One hyperparameter."""

    default: float | str | None  # None: there is none, and what reads it knows what that means
    type: type
    range: Range
    meaning: str = ""  # in one line

    @property
    def values(self) -> tuple:
        """The default as an entry of `config.runs`, a grid of one value or none."""
        return () if self.default is None else (self.default,)


def at_least(low: float, unit: str = "") -> Range:
    """`0 or more labels`."""
    return Range(f"{low} or more {unit}".strip(), lambda x: x >= low)


def steps(followed_by: int) -> Range:
    """`0 or more steps`, no more than training has.

    Args:
        followed_by: 1 for the number of a step, at which something begins; 0 for a length.
    """
    return Range("0 or more steps", lambda x: x >= 0, followed_by)


def whole(low: int, high: int) -> Range:
    """`1 to 1,000`."""
    return Range(f"{low} to {high:,}", lambda x: low <= x <= high)


def above(low: float) -> Range:
    """`above 0`."""
    return Range(f"above {low}", lambda x: x > low)


def between(low: float, high: float) -> Range:
    """`0 to below 1`."""
    return Range(f"{low} to below {high}", lambda x: low <= x < high)


DEPTH = whole(1, MAX_DEPTH)
WIDTH = whole(1, MAX_WIDTH)
DROPOUT = Range("0 to below 1", lambda x: 0 <= np.float32(x) < 1)
FRACTION = Range("above 0, at most 1", lambda x: 0 < x <= 1)


def check_ranges(
    what: str, values: Mapping[str, Any], ranges: Mapping[str, Range | Collection[str] | None]
) -> None:
    """Raises a ValueError unless values, or elements of tuples, are in range or among the choices.

    `what` stands before a name in the message, such as `model.`. None is a value that is not
    given, or a range that allows all.
    """
    for name, allowed in ranges.items():
        for value in values[name] if isinstance(values[name], tuple) else (values[name],):
            if isinstance(allowed, Range):
                if value is not None and not allowed.holds(value):
                    given = f"{value:,}" if isinstance(value, int) else repr(value)
                    raise ValueError(f"{what}{name} = {given}; choose {allowed.text}")
            elif allowed is not None:
                check_choice(what + name, value, allowed)
