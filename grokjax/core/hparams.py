"""Hyperparameters that may differ from run to run: a default, a type and a range for each.

They stand with the part that reads them, in a dict `HPARAMS` by name, and become entries of
`config.runs`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax

Scalar = float | jax.Array  # a value of one: a number, or traced


class Range(NamedTuple):
    """What a value may be."""

    text: str  # as an error says it
    holds: Callable[[float], bool]
    followed_by: int | None = None  # num_steps is the value plus this or more; None: no steps


class Hparam(NamedTuple):
    """One hyperparameter."""

    default: float | str | None  # None: there is none, and what reads it knows what that means
    type: type
    range: Range

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


def above(low: float) -> Range:
    """`above 0`."""
    return Range(f"above {low}", lambda x: x > low)


def between(low: float, high: float) -> Range:
    """`0 to below 1`."""
    return Range(f"{low} to below {high}", lambda x: low <= x < high)
