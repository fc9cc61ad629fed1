"""Checks of what a user gave: what was wrong, what was given, what would be right."""

import difflib
from collections.abc import Iterable


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


def did_you_mean(given, choices: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the choice most like what was given, or nothing."""
    close = difflib.get_close_matches(str(given), list(choices), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
