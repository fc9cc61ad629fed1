"""Checks of a user's values: what was wrong, what was given, what would be right."""

import difflib
from collections.abc import Iterable

import jax

MAX_LENGTH = 256  # positions; a program that unrolls many more takes long to compile


def check_choice(what: str, value: object, choices: Iterable[str]) -> None:
    """Raises a ValueError that lists the choices unless `value` is one of them."""
    choices = list(choices)
    if value not in choices:
        hint = did_you_mean(value, choices)
        raise ValueError(f"unknown {what} {value!r}; choose from {', '.join(choices)}{hint}")


def check_at_least(what: str, value: float, low: float) -> None:
    """Raises a ValueError unless `value` is a plain number, `low` or more."""
    if isinstance(value, jax.Array):  # which `optax.inject_hyperparams` makes of numbers
        name = what.rpartition(".")[2]
        raise ValueError(
            f"{what} is an array, but decides what is computed; choose a plain number, with "
            f"optax.inject_hyperparams(..., static_args={name!r})"
        )
    if value < low:
        raise ValueError(f"{what} = {value}; choose {low} or more")


def check_whole(what: str, values: Iterable) -> None:
    """Raises a ValueError unless every element of `values` is a whole number."""
    if not all(isinstance(x, int) and not isinstance(x, bool) for x in values):
        raise ValueError(f"{what} = {values}; choose whole numbers")


def check_dropout(rate: float) -> None:
    """Raises a ValueError unless `rate` is a probability below 1."""
    if not 0 <= rate < 1:
        raise ValueError(f"model.dropout = {rate}; choose 0 to below 1")


def check_length(length: int) -> None:
    """Raises a ValueError for sequences too long for a program that unrolls them."""
    if length > MAX_LENGTH:
        raise ValueError(
            f"sequences of {length} tokens are too long for this model, whose program has a part "
            f"for each; choose a task of at most {MAX_LENGTH} tokens, or model=mlp"
        )


def did_you_mean(value: object, choices: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the closest choice, or nothing."""
    close = difflib.get_close_matches(str(value), list(choices), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
