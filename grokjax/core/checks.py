"""Checks of what a user gave: what was wrong, what was given, what would be right."""

import difflib
from collections.abc import Iterable

MAX_LENGTH = 256  # positions; a program that unrolls many more takes long to compile


def check_choice(what: str, given, choices: Iterable[str]) -> None:
    """Raises a ValueError that lists the choices unless `given` is one of them."""
    choices = list(choices)
    if given not in choices:
        hint = did_you_mean(given, choices)
        raise ValueError(f"unknown {what} {given!r}; choose from {', '.join(choices)}{hint}")


def check_at_least(what: str, given, low) -> None:
    """Raises a ValueError unless `given` is `low` or more."""
    if given < low:
        raise ValueError(f"{what} = {given}; choose {low} or more")


def check_whole(what: str, given: Iterable) -> None:
    """Raises a ValueError unless every element of `given` is a whole number."""
    if not all(isinstance(x, int) and not isinstance(x, bool) for x in given):
        raise ValueError(f"{what} = {given}; choose whole numbers")


def check_dropout(given: float) -> None:
    """Raises a ValueError unless `given` is a share of numbers that leaves some."""
    if not 0 <= given < 1:
        raise ValueError(f"model.dropout = {given}; choose 0 to below 1")


def check_length(length: int) -> None:
    """Raises a ValueError for sequences too long for a program that unrolls them."""
    if length > MAX_LENGTH:
        raise ValueError(
            f"sequences of {length} tokens are too long for this model, whose program has a part "
            f"for each; choose a task of at most {MAX_LENGTH} tokens, or model=mlp"
        )


def did_you_mean(given, choices: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the choice most like what was given, or nothing."""
    close = difflib.get_close_matches(str(given), list(choices), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
